"""ANI frozen into a compiled call equals the potential it was made from, alone and as a committee."""

import pytest
import torch
from ase.build import bulk, molecule

from adiabat.graph import Graph
from adiabat.kernels import build
from adiabat.models import ANI
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

# one more radial function than fills a vector; the kinds of tests/kernels/test_aev.py would compile anew, too
FUNCTIONS = {"cutoff": 4.5, "angular_cutoff": 3.6, "radial": 9, "shells": 3, "sections": 2, "zeta": 14.1}


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def ani(seed=0, dtype=torch.float64, **options) -> Potential:
    torch.manual_seed(seed)
    model = ANI(elements=["Si", "Ge", "H"], **{**FUNCTIONS, "hidden": [20, 13], **options})
    for network in model.networks:
        for layer in network.layers:
            if layer.bias is not None:
                torch.nn.init.normal_(layer.bias, std=0.3)
    return Potential(ReferenceEnergies({"Si": -3.0, "Ge": -2.0, "H": -1.0}), Scaled(model, 0.7)).to(dtype).eval()


def crystal(n: int = 1, seed: int = 1, crowded: float = 1.0):
    atoms = bulk("Si", cubic=True) * (n, 1, 1)
    atoms.set_cell(atoms.cell * crowded, scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    atoms.numbers[::3] = 32
    return atoms


def graph(crowded: float = 1.0) -> Graph:
    """Four structures, one an atom without neighbors; edges beyond both cutoffs."""
    lone = crystal()[:1]
    lone.pbc = False
    return Graph.of([crystal(crowded=crowded), lone, crystal(2, seed=2), molecule("Si2H6")], FUNCTIONS["cutoff"], skin=0.6)


def equal(it: Potential, g: Graph, monkeypatch, tolerance: float) -> None:
    found = it.frozen()(g)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = it(g)
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert float((a - b).abs().max()) <= tolerance * float(b.abs().max()), name


@pytest.mark.parametrize("options", [{}, {"hidden": {"Si": [20, 13], "Ge": [8, 5], "H": [3, 4]}, "bias": False}], ids=str)
def test_it_equals_the_reference(options, monkeypatch):
    """Other orders of summation: rounding alone."""
    it = ani(**options)
    assert all(term.program() is not None for term in it.terms[1:])
    equal(it, graph(), monkeypatch, 1e-13)


def test_more_pairs_than_are_kept(monkeypatch):
    """Where atoms are crowded, pairs are worked out anew on the way back."""
    it, g = ani(), graph(crowded=0.42)
    near = (g.r.norm(dim=1) < FUNCTIONS["angular_cutoff"]).float()
    most = int(torch.zeros(g.n_atoms).index_add(0, g.i, near).max())
    assert most * (most - 1) // 2 > 2048
    equal(it, g, monkeypatch, 1e-12)


def test_single_precision_follows_double(monkeypatch):
    """1e-5: a network's rounding in float32."""
    it, g = ani(dtype=torch.float32), graph()
    found, wanted = it.frozen()(g), it.double()(g)
    assert float((found.forces - wanted.forces).abs().max()) < 1e-5 * float(wanted.forces.abs().max())


def test_a_committee_is_its_members(monkeypatch):
    committee, g = Committee.of([ani(seed) for seed in range(3)]), graph()
    found = committee.frozen()(g)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = committee(g)
    for name in ("energy", "forces"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("options", [{"activation": "gelu"}, {"hidden": {"Si": [20, 13], "Ge": [8], "H": [3, 4]}}], ids=str)
def test_what_the_call_does_not_know_runs_by_operations(options, monkeypatch):
    it = ani(**options)
    assert it.terms[1].program() is None
    equal(it, graph(), monkeypatch, 1e-12)
