"""The compiled projection is the plain one, for every mix of structures, and takes out exactly what it says."""

from __future__ import annotations

import copy

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from adiabat.dynamics.rigid import Rigid
from adiabat.graph import Graph
from adiabat.kernels import build
from adiabat.kernels.rigid import WithoutRigidMotion

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

FRAMES = [molecule("H2O"), molecule("CO2"), molecule("H2"), Atoms("Ar"), bulk("Si"), molecule("C6H6")]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def sample(remove=None) -> tuple[Rigid, torch.Tensor, torch.Tensor, torch.Tensor]:
    graph = Graph.of(FRAMES, 2.0)
    g = torch.Generator().manual_seed(0)
    masses = torch.cat([torch.tensor(a.get_masses()) for a in FRAMES])
    positions = graph.positions + 20 * torch.rand(graph.n_structures, 3, generator=g, dtype=torch.float64)[graph.structure]
    velocities = torch.randn(graph.n_atoms, 3, generator=g, dtype=torch.float64)
    return Rigid.of(graph, masses, remove), positions, velocities, masses


@pytest.mark.parametrize("remove", [None, "momentum", "rotation"])
def test_it_is_the_plain_one(remove):
    rigid, x, v, _ = sample(remove)
    assert isinstance(rigid._compiled, WithoutRigidMotion)
    found, wanted = rigid.without(x, v), rigid._plain(x, v)
    for rows, atoms in zip(rigid.rows(), FRAMES, strict=True):
        # The plain one adds 1e-12 of the mass to the inertia, lest a line's be singular: against that, 1e-16 is rounding.
        tolerance = 1e-2 if atoms.get_chemical_formula() in ("CO2", "H2", "Si2") else 1e-9
        torch.testing.assert_close(found[rows], wanted[rows], rtol=tolerance, atol=tolerance)


def test_nothing_drifts_and_nothing_turns():
    rigid, x, v, masses = sample("rotation")
    kept, m = rigid.without(x, v), masses[:, None]
    for rows in rigid.rows():
        assert float((m[rows] * kept[rows]).sum(0).abs().max()) < 1e-12
        around = x[rows] - (m[rows] * x[rows]).sum(0) / m[rows].sum()
        assert float((m[rows] * torch.linalg.cross(around, kept[rows])).sum(0).abs().max()) < 1e-10
    torch.testing.assert_close(rigid.without(x, kept), kept, rtol=1e-12, atol=1e-12)


def test_a_copy_stands_on_its_own():
    rigid, x, v, _ = sample()
    wanted = rigid.without(x, v)
    other = copy.deepcopy(rigid)
    del rigid
    assert torch.equal(other.without(x, v), wanted)


def test_other_atoms_are_refused():
    rigid, x, v, _ = sample()
    with pytest.raises(ValueError, match=r"wanted \(\d+, 3\) of float64"):
        rigid.without(x[1:], v[1:])
