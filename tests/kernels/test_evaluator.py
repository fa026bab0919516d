"""The evaluator equals the potential it was made from, and refuses what it cannot survive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk

from adiabat.graph import Graph
from adiabat.kernels.evaluator import Evaluator
from adiabat.models import MACE
from adiabat.potential import Potential, ReferenceEnergies, Scaled

CUTOFF = 3.2  # Å: four neighbors at 2.35 Å, and what a rattled crystal brings near


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def mace(dtype=torch.float64, **shape):
    shape = {"channels": 24, "hidden": "0e+1o", "l_max": 2, "correlation": 2, "layers": 2, "radial": [8], **shape}
    model = MACE(cutoff=CUTOFF, elements=["Si", "Ge"], **shape)
    model.neighbors.fill_(4.0)
    return Potential(ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(model, 0.7)).to(dtype).eval()


def crystal(rattle: float, n: int = 1):
    atoms = bulk("Si", cubic=True) * (n, 1, 1)
    atoms.rattle(rattle, seed=1)
    atoms.numbers[::3] = 32
    return atoms


def graph(skin: float = 0.0) -> Graph:
    """Two structures, more than one chunk of atoms, and one atom without neighbors."""
    lone = bulk("Si", cubic=True)[:1]
    lone.pbc = False
    return Graph.of([crystal(0.1, 5), lone, crystal(0.2)], CUTOFF, skin=skin)


def equal(potential: Potential, g: Graph, monkeypatch, tolerance: float) -> None:
    frozen = potential.frozen()
    found = frozen(g)
    assert frozen.evaluators
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = potential(g)
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert float((a - b).abs().max()) <= tolerance * float(b.abs().max()), name


# One table and other orders of summation: rounding alone, 1e-16 grown by sums of some hundred terms.
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"hidden": "0e", "l_max": 1, "correlation": 3, "channels": 16},
        {"hidden": "0e+1o+2e", "l_max": 2, "correlation": 2, "channels": 7},
        {"hidden": "0e+1o", "l_max": 3, "correlation": 1, "layers": 3, "channels": 64},
        {"layers": 1, "channels": 130, "l_max": 1},
    ],
    ids=str,
)
def test_it_equals_the_reference(shape, monkeypatch):
    equal(mace(**shape), graph(skin=0.4), monkeypatch, 1e-12)


def test_float32_follows_float64(monkeypatch):
    # Both in float32: rounding of 6e-8 in sums that partly cancel.
    equal(mace(torch.float32), graph(), monkeypatch, 1e-5)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    potential, g = mace(torch.float32), graph()
    frozen, threads = potential.frozen(), torch.get_num_threads()
    one = frozen(g)
    try:
        for n in (2, 3):
            torch.set_num_threads(n)
            many = frozen(g)
            assert torch.equal(one.forces, many.forces) and torch.equal(one.atomic_energies, many.atomic_energies)
    finally:
        torch.set_num_threads(threads)


def test_no_edge_at_all_is_a_lone_atom(monkeypatch):
    atoms = crystal(0.0)[:3]
    atoms.pbc = False
    atoms.positions *= 20
    found = mace().frozen()(Graph.of(atoms, CUTOFF))
    assert found.atomic_energies.tolist() == [-2.0, -3.0, -3.0] and not found.forces.any()


def test_changed_parameters_are_taken_up(monkeypatch):
    potential, g = mace(), graph()
    frozen = potential.frozen()
    before = frozen(g).energy
    with torch.no_grad():
        potential.terms[1].model.embedding.mul_(1.5)
    after = frozen(g).energy
    assert not torch.allclose(before, after)
    assert torch.allclose(after, potential(g).energy, rtol=1e-12)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"r": [[np.nan, 0, 0], [1, 0, 0]]}, "not a number"),
        ({"r": [[0, 0, 0], [1, 0, 0]]}, "one place"),
        ({"j": [1, 2]}, "neighbor is out of range"),
        ({"species": [0, 2]}, "element is unknown"),
        ({"structure": [0, 1]}, "no structure"),
        ({"first": [0, 1, 3]}, "row pointers"),
        ({"first": [0, 2]}, "row pointers"),
    ],
)
def test_what_it_cannot_survive_is_refused(fault, message):
    arguments = {"first": [0, 1, 2], "j": [1, 0], "species": [0, 1], "structure": [0, 0], "r": [[1.0, 0, 0], [-1.0, 0, 0]]}
    evaluator = Evaluator(mace().terms[1].program())
    evaluator(*(np.array(x) for x in arguments.values()), structures=1)
    with pytest.raises(ValueError, match=message):
        evaluator(*(np.array(x) for x in {**arguments, **fault}.values()), structures=1)
