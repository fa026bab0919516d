"""Terms that take each pair of atoms once: the reference's numbers for tables of every kind, on one thread and on several."""

from __future__ import annotations

import pytest
import torch
from ase import Atoms
from ase.build import bulk

from adiabat.graph import Graph
from adiabat.kernels import build, dispatch
from adiabat.models import EAM, LennardJones, Morse
from adiabat.potential import Potential
from kernels.frozen import assert_same_bits, difference

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

ELEMENTS = ["Cu", "Ag", "Au"]
CUTOFF = 4.2  # Å


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def eam(symmetric: bool, points: tuple[int, int] = (2000, 1201)) -> Potential:
    """Tables of each pair of elements; an element brings every other what that brings it, or not."""
    torch.manual_seed(0)
    model = EAM(cutoff=CUTOFF, points=list(points), elements=ELEMENTS).double()
    factor = 0.5 + torch.rand(2, 3, 3, 1, dtype=torch.float64)
    both = factor + factor.transpose(1, 2)
    model.density *= (both if symmetric else factor)[0]
    model.pair *= both[1]
    model.embedding *= 0.5 + torch.rand(3, 1, dtype=torch.float64)
    return Potential(model)


def alloy(n: int = 2) -> Atoms:
    atoms = bulk("Cu", a=3.7, cubic=True) * (n, n, n)
    atoms.numbers[::3], atoms.numbers[1::5] = 47, 79
    atoms.rattle(0.1, seed=1)
    return atoms


def graph() -> Graph:
    """A crystal, a cell of one atom among its own images, an atom alone; edges beyond the cutoff."""
    return Graph.of([alloy(), bulk("Ag", a=3.9), Atoms("Au")], CUTOFF, skin=0.7)


@pytest.mark.parametrize("points", [(2000, 1201), (40, 841)], ids=["long tables", "denser than the table of F"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_embedded_atoms_equal_the_reference(symmetric, points, monkeypatch):
    assert difference(eam(symmetric, points), graph(), monkeypatch) <= 1e-12  # other orders of summation


def test_a_pair_that_gives_its_ends_unlike_energies_is_not_taken_once():
    it = eam(symmetric=True)
    assert it.terms[0].program() is not None
    it.terms[0].pair[0, 1] *= 1.5
    assert it.terms[0].program() is None
    assert "pair functions" in it.terms[0].uncompiled()


@pytest.mark.parametrize("level", ["x86-64-v3", "portable"])
def test_every_level_gives_the_same(level, monkeypatch):
    if not build.LEVELS[level].needs <= build._processor():
        pytest.skip(f"this processor is below {level}")
    monkeypatch.setenv("ADIABAT_LEVEL", level)
    dispatch.library.cache_clear()
    try:
        assert difference(eam(False), graph(), monkeypatch) <= 1e-12
    finally:
        dispatch.library.cache_clear()


@pytest.mark.parametrize("made", [lambda: eam(False), lambda: Potential(Morse(cutoff=CUTOFF))], ids=["embedded", "pairs"])
def test_bits_do_not_depend_on_the_number_of_threads(made):
    g = Graph.of(alloy(5), CUTOFF)
    assert g.n_atoms >= 3 * 128  # more than one slot of sums
    assert_same_bits(made(), g)


def test_what_stands_outside_of_the_tables_is_the_references(monkeypatch):
    """Densities beyond the last point go on straight; distances below the first are its curve."""
    model = EAM(cutoff=CUTOFF, points=[20, 1201], elements=["Cu"]).double()
    g = Graph.of(Atoms("Cu2", [[0, 0, 0], [0, 0, 1.3]]), CUTOFF)
    with torch.no_grad():
        assert difference(Potential(model), g, monkeypatch) <= 1e-12


def test_two_atoms_at_one_place_and_atoms_nowhere_are_told():
    potential = Potential(LennardJones(cutoff=CUTOFF)).frozen()
    g = Graph.of(alloy(), CUTOFF)
    r = g.r.clone()
    for value, said in ((0.0, "one place"), (float("nan"), "not a number"), (float("inf"), "not a number")):
        r[0] = value
        with pytest.raises(ValueError, match=said):
            potential(g.replace(r=r))
