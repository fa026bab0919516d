"""What tells a frozen potential that its numbers changed."""

from __future__ import annotations

import copy

import pytest
import torch
from ase.build import molecule
from torch import nn

from adiabat.frozen import Snapshot
from adiabat.graph import Graph
from adiabat.models import LennardJones
from adiabat.potential import Potential


def in_place(layer):
    with torch.no_grad():
        layer.weight.mul_(2.0)


def replaced(layer):
    layer.weight = nn.Parameter(2.0 * layer.weight.detach())


def replaced_twice(layer):  # the memory of the first may be had by the third
    replaced(layer)
    replaced(layer)


def other_precision_and_back(layer):
    layer.float().double()


def other_child(layer):
    layer.extra = nn.Linear(1, 1)


CHANGES = (in_place, replaced, replaced_twice, other_precision_and_back, other_child)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(change):
    layer = nn.Linear(40, 40).double()
    layer.part = nn.Linear(2, 2)
    seen = Snapshot(layer)
    assert seen.holds() and seen.holds()
    change(layer)
    assert not seen.holds()


def test_a_copy_is_another_module():
    layer = nn.Linear(4, 4)
    seen = Snapshot(layer)
    copy.deepcopy(layer).weight.data.zero_()
    assert seen.holds()


class Failing(LennardJones):
    """A term whose program cannot be had at the second asking."""

    name = "failing"
    asked = 0

    def program(self):
        self.asked += 1
        if self.asked == 2:
            raise MemoryError
        return super().program()


def test_what_failed_while_freezing_is_begun_anew():
    numbers = {"epsilon_eV": 0.01, "sigma_angstrom": 1.0, "cutoff": 3.0, "elements": ["H", "O"]}
    potential = Potential(LennardJones(**numbers), Failing(**numbers))
    frozen, graph = potential.frozen(), Graph.of(molecule("H2O"), 3.0)
    frozen(graph)
    potential.terms.append(LennardJones(**numbers))
    with pytest.raises(MemoryError):
        frozen(graph)
    torch.testing.assert_close(frozen(graph).forces, potential(graph).forces, rtol=1e-12, atol=1e-12)
