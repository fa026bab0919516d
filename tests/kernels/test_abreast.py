"""Families that run with atoms abreast equal the potential they were made from, and refuse what they cannot survive."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.build import bulk

from adiabat.graph import Graph
from adiabat.kernels import build
from adiabat.models import MTP, SNAP
from adiabat.potential import Potential, Scaled
from kernels.frozen import assert_same_bits, difference

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

BOTH = ["Si", "Ge"]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def snap(twojmax: int = 4, quadratic: bool = False) -> SNAP:
    torch.manual_seed(0)
    return SNAP(4.2, twojmax, quadratic, elements=BOTH, radii={"Si": 0.5, "Ge": 0.45}, weights={"Ge": 0.8})


def mtp(level: int, elements: list[str] = BOTH, radial: int = 6) -> MTP:
    torch.manual_seed(0)
    return MTP(4.2, level, radial, 1.8, elements=elements)


MODELS = {
    "mtp, level 12": lambda: mtp(12),
    "mtp, level 2, one Chebyshev polynomial": lambda: mtp(2, radial=1),
    "snap, 2J = 8": lambda: snap(8),
    "snap, 2J = 3": lambda: snap(3),
    "snap, 2J = 0": lambda: snap(0),
    "snap, quadratic": lambda: snap(5, True),
}


def crystal(n: int = 1, seed: int = 1):
    atoms = bulk("Si", cubic=True) * (n, 1, 1)
    atoms.rattle(0.1, seed=seed)
    atoms.numbers[::3] = 32
    return atoms


def graph(cutoff: float, skin: float = 0.6) -> Graph:
    """Three structures, one an atom without neighbors; more atoms of an element than stand abreast; edges beyond the cutoff."""
    lone = crystal()[:1]
    lone.pbc = False
    return Graph.of([crystal(), lone, crystal(5, seed=2)], cutoff, skin=skin)


@pytest.mark.parametrize("name", MODELS)
def test_they_equal_the_reference(name, monkeypatch):
    it = Potential(Scaled(MODELS[name](), 0.7)).to(torch.float64).eval()
    # Other orders of summation: rounding of 1e-16, grown by sums of some ten thousand products.
    assert difference(it, graph(it.cutoff), monkeypatch) < 1e-12


@pytest.mark.parametrize("name", ["snap, 2J = 8", "snap, quadratic", "mtp, level 12"])
def test_float32_follows_the_reference_in_float32(name, monkeypatch):
    it = Potential(MODELS[name]()).to(torch.float32).eval()
    # Rounding of 6e-8 in products of three sums of neighbors, on both sides.
    assert difference(it, graph(it.cutoff), monkeypatch) < 1e-5


@pytest.mark.parametrize("name", ["snap, 2J = 3", "mtp, level 12"])
def test_bits_do_not_depend_on_the_number_of_threads(name):
    it = Potential(MODELS[name]()).to(torch.float32).eval()
    assert_same_bits(it, Graph.of([crystal(20), crystal(5)], it.cutoff, skin=0.5))


def test_changed_coefficients_are_taken_up_and_copies_stand_on_their_own():
    it = Potential(snap()).eval()
    g, frozen = graph(it.cutoff), it.frozen()
    before, other = frozen(g), copy.deepcopy(frozen)
    with torch.no_grad():
        it.terms[0].coefficients.mul_(2)
    # A product with 2 is exact.
    assert torch.equal(frozen(g).forces, 2 * before.forces)
    assert torch.equal(other(g).forces, before.forces)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not a number"), (0.0, "one place")])
def test_what_it_cannot_survive_is_refused_in_words(value, message):
    it = Potential(snap()).eval()
    g = graph(it.cutoff)
    r = g.r.clone()
    r[3] = value
    with pytest.raises(ValueError, match=message):
        it.frozen()(g.replace(r=r))
