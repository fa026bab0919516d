"""Expansions of listed products, compiled, equal the tensors they were made from: every basis, embedding and repulsion, products of up to
six factors, any number of densities and elements."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from ase.build import bulk

from adiabat.deploy.importers import import_model
from adiabat.graph import Graph
from adiabat.models import PACE
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee
from kernels.frozen import assert_same_bits, difference

pytestmark = pytest.mark.compiled
BOTH = ["O", "Si"]
WRITE = runpy.run_path(str(Path(__file__).parents[1] / "golden/yace_file.py"))["write"]


def crystal(n: int, a: float, seed: int):
    atoms = bulk("Si", cubic=True, a=a) * (n, 1, 1)
    atoms.rattle(0.15, seed=seed)
    atoms.symbols[::3] = "O"
    return atoms


def graph(cutoff: float, skin: float = 0.5) -> Graph:
    """Three structures: one is dense, so that atoms repel each other, one an atom alone; edges beyond the cutoff."""
    lone = crystal(1, 5.4, 0)[:1]
    lone.pbc = False
    return Graph.of([crystal(1, 3.6, 1), lone, crystal(3, 5.4, 2)], cutoff, skin=skin)


def longest(densities: int, seed: int = 0) -> PACE:
    """Products of two to six factors of whatever components, some of them twice."""
    generator = torch.Generator().manual_seed(seed)
    each, ranks, n_max, l_max = 12, range(2, 7), 2, 3
    M = 2 * len(ranks) * each
    model = PACE(
        3.4,
        BOTH,
        3,
        n_max,
        l_max,
        densities,
        sizes=[M // each, M, 6],
        embeddings=["FinnisSinclair", "FinnisSinclairShiftedScaled"],
    )
    model.products.copy_(torch.tensor([[z, (5 * z + r - 2) * each, r] for z in range(2) for r in ranks]))
    model.components.copy_(torch.randint(2 * n_max * (l_max + 1) ** 2, (M, 6), generator=generator))
    model.components[1::7, 1] = model.components[1::7, 0]
    model.couplings.copy_(torch.randn(model.couplings.shape, generator=generator))
    model.embedding[..., 1] = torch.tensor([0.5, 1.0, 1.7, 1.2])[:densities]
    with torch.no_grad():
        model.coefficients.fill_(0.3)
    return model


def thin(m: float) -> PACE:
    """Densities of the order of 10⁻⁶, where the embedding of Finnis and Sinclair becomes linear."""
    model = new("ChebExpCos", embeddings="FinnisSinclair")
    model.couplings.mul_(3e-6)
    model.embedding[..., 1] = m
    return model


def new(basis: str, elements: list[str] = BOTH, radial: int = 5, **more) -> PACE:
    torch.manual_seed(0)
    return PACE(3.4, elements, radial, 2, 2, bases=basis, **more)


MODELS = {
    **{
        f"{basis}, products of up to {count}": lambda basis=basis, factors=factors: new(basis, factors=factors)
        for basis in ("ChebExpCos", "ChebPow", "ChebLinear", "SBessel")
        for factors, count in ((2, "two"), (3, "three"))
    },
    "one radial function": lambda: new("ChebExpCos", radial=1),
    "up to six factors, one density": lambda: longest(1),
    "up to six factors, two densities": lambda: longest(2),
    "up to six factors, four densities": lambda: longest(4),
    "thin, root": lambda: thin(0.5),
    "thin, power 1.5": lambda: thin(1.5),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_reference(name, monkeypatch):
    it = Potential(Scaled(MODELS[name](), 0.7)).to(torch.float64).eval()
    # Other orders of summation: rounding of 1e-16, grown by sums and by products of up to six of them.
    assert difference(it, graph(it.cutoff), monkeypatch) < 1e-12


@pytest.mark.parametrize("case", range(3))
def test_an_imported_potential_equals_the_reference(case, tmp_path, monkeypatch):
    """Repulsion of both kinds, functions that begin at a distance, densities of their own for each element, cutoffs by pair."""
    it = import_model(WRITE(tmp_path / "x.yace", case))
    g = graph(it.cutoff)
    model = it.terms[1]
    core = model.sums(g)[1]
    end, width = model.core[0]
    assert case == 2 or bool((core > 0.1).any())
    assert case or (bool(((core > end - width) & (core < end)).any()) and bool((core > end).any()))
    assert difference(it, g, monkeypatch) < 1e-12


# Rounding of 6e-8 in products of sums of neighbors, on both sides; more factors have more of it.
SINGLE = {
    "ChebExpCos, products of up to two": 2e-6,
    "SBessel, products of up to two": 2e-6,
    "ChebExpCos, products of up to three": 5e-6,
    "SBessel, products of up to three": 5e-6,
    "up to six factors, two densities": 1e-5,
}


@pytest.mark.parametrize("name", SINGLE)
def test_float32_follows_the_reference_in_float32(name, monkeypatch):
    it = Potential(MODELS[name]()).to(torch.float32).eval()
    assert difference(it, graph(it.cutoff), monkeypatch) < SINGLE[name]


def test_bits_do_not_depend_on_the_number_of_threads():
    it = Potential(longest(2)).to(torch.float32).eval()
    assert_same_bits(it, Graph.of([crystal(20, 5.4, 1), crystal(5, 4.0, 2)], it.cutoff, skin=0.5))


def test_one_element_of_several_and_a_changed_coefficient():
    """What is frozen knows elements that are not there, and takes up what changes; a product with 2 is exact."""
    it = Potential(ReferenceEnergies(dict.fromkeys(BOTH, -1.0)), new("ChebExpCos", embeddings="FinnisSinclairShiftedScaled"))
    atoms = crystal(2, 5.0, 3)
    atoms.symbols[:] = "Si"
    g, frozen = Graph.of(atoms, it.cutoff), it.frozen()
    before = frozen(g)
    with torch.no_grad():
        it.terms[1].coefficients.mul_(2)
    assert torch.equal(frozen(g).forces, 2 * before.forces)


def test_what_it_does_not_hold_runs_by_tensors():
    it = Potential(new("ChebPow", densities=9))
    assert it.terms[0].program() is None and "these are 5, 2 and 9" in it.terms[0].uncompiled()
    g = graph(it.cutoff)
    assert torch.equal(it.frozen()(g).forces, it(g).forces)


def test_a_committee_says_what_its_members_do(monkeypatch):
    it = Committee.of([Potential(longest(2, seed)).double() for seed in range(2)]).eval()
    g = graph(it.cutoff)
    found = it.frozen()(g)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = it(g)
    assert torch.allclose(found.forces, wanted.forces, rtol=0, atol=1e-12 * float(wanted.forces.abs().max()))
    assert torch.allclose(found.energy, wanted.energy, rtol=1e-12)
