"""What tells a frozen potential that its numbers changed."""

from __future__ import annotations

import copy
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from weakref import ref

import pytest
import torch
from ase.build import molecule
from torch import nn

from adiabat.frozen import Snapshot
from adiabat.graph import Graph
from adiabat.kernels.local import ConstantsEvaluator
from adiabat.models import BPNN, LennardJones
from adiabat.potential import Potential, ReferenceEnergies
from laws.potentials import POTENTIALS, cluster, crystal, family, graph_of


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


def test_threads_whose_first_calls_come_together_freeze_once():
    # Without a lock each adds its evaluators to one list, and terms count twice.
    models = (BPNN(cutoff=3.0, elements=["H", "O"]), LennardJones(0.01, 1.0, 3.0, ["H", "O"]))
    graph, together = Graph.of(molecule("H2O"), 3.0), Barrier(4)

    def first(frozen):
        together.wait()
        return frozen(graph).forces

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            frozen = Potential(*models).eval().frozen()
            found = list(pool.map(first, [frozen] * 4))
            assert len(frozen.evaluators) == len(models)
            assert all(torch.equal(forces, frozen(graph).forces) for forces in found)


def test_a_graph_that_outlives_a_frozen_potential_keeps_nothing_of_it():
    graph = Graph.of(molecule("H2O"), 3.0)
    potential = Potential(ReferenceEnergies({"H": -1.0, "O": -2.0}), LennardJones(0.01, 1.0, 3.0, ["H", "O"]))
    frozen = potential.frozen()
    frozen(graph)
    constants = [ref(it) for it in frozen.evaluators if isinstance(it, ConstantsEvaluator)]
    assert constants
    del frozen, potential
    gc.collect()
    assert not any(it() for it in constants)


KINDS = {**POTENTIALS, "painn, one layer": lambda: Potential(family("painn", layers=1))}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_asked_before_does_not_matter(name):
    """Whatever an evaluator keeps to work in, a call leaves nothing in it for the next one, of other atoms and edges."""
    potential = KINDS[name]()
    others = [graph_of(potential, atoms) for atoms in (cluster(), [crystal(), cluster()])]
    used, graph = potential.frozen(), graph_of(potential, crystal())
    wanted = potential.frozen()(graph)
    for other in others:
        used(other)
        found = used(graph)
        assert torch.equal(found.forces, wanted.forces) and torch.equal(found.energy, wanted.energy)
        assert torch.equal(found.strain_gradient, wanted.strain_gradient)
