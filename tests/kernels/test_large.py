"""A million atoms are so many small cells: no index wraps around, and no sum loses its digits."""

from __future__ import annotations

import pytest
import torch
from ase.build import bulk

from adiabat.graph import Graph
from adiabat.models import MACE, LennardJones
from adiabat.potential import Potential

CUTOFF = 5.0  # Å: between the first two shells, 12 neighbors an atom


def small_cell():
    cell = bulk("Ar", "fcc", a=5.26, cubic=True) * 3
    cell.rattle(0.1, seed=1)
    return cell


def potentials() -> list[tuple[Potential, float]]:
    """Each with what rounding may do to it: the sums of Lennard-Jones are of float64, a network's parts are of float32."""
    torch.manual_seed(0)
    network = MACE(cutoff=CUTOFF, channels=16, hidden="0e", l_max=1, correlation=2, elements=["Ar"])
    return [(Potential(LennardJones(cutoff=CUTOFF)).eval(), 1e-10), (Potential(network).eval(), 1e-5)]


@pytest.mark.parametrize("times", [2, pytest.param(21, marks=pytest.mark.slow)])
def test_a_large_crystal_is_many_small_ones(times):
    """21 × 21 × 21 cells are 1,000,188 atoms with 12 million edges; 3 GB of memory."""
    cell, many = small_cell(), times**3
    graph, large = Graph.of(cell, CUTOFF), Graph.of(cell * times, CUTOFF)
    assert large.n_atoms == many * len(cell)
    for potential, rounding in potentials():
        frozen = potential.frozen()
        wanted, found = frozen(graph), frozen(large)
        assert found.energy.item() / many == pytest.approx(wanted.energy.item(), rel=rounding)
        strain = wanted.strain_gradient
        torch.testing.assert_close(found.strain_gradient / many, strain, rtol=0, atol=rounding * float(strain.abs().max()))
        forces = wanted.forces.repeat(many, 1)
        torch.testing.assert_close(found.forces, forces, rtol=0, atol=rounding * float(forces.abs().max()))
