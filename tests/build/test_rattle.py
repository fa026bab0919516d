"""Variations are as wide as asked, never absurd, and reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from adiabat.build import BUILDERS, rattle, strain
from adiabat.build.rattle import closest_approach


def test_displacements_have_the_width_asked_for(rng):
    water = molecule("H2O")
    moved = np.array([a.positions - water.positions for a in rattle(water, 500, sigma_angstrom=0.03, rng=rng)])
    assert moved.std() == pytest.approx(0.03, rel=0.05)  # 4500 numbers: 1 %
    assert abs(moved.mean()) < 0.002


def test_no_atoms_come_too_close_and_no_bond_breaks(rng):
    frames = rattle(molecule("H2O"), 50, sigma_angstrom=0.3, rng=rng, closest=0.8, bond_stretch=1.5)
    assert min(map(closest_approach, frames)) >= 0.8
    assert max(a.get_distance(0, h) for a in frames for h in (1, 2)) <= 1.5 * 0.969
    assert closest_approach(Atoms("Cu", cell=np.eye(3), pbc=True)) < 0.5  # its own image is a neighbor


def test_what_cannot_be_done_is_said(rng):
    with pytest.raises(ValueError, match="make it smaller"):
        rattle(molecule("C6H6"), 1, sigma_angstrom=3.0, rng=rng, bond_stretch=1.05)
    with pytest.raises(ValueError, match="not periodic"):
        strain(molecule("H2O"), 1, largest=0.1, rng=rng)
    with pytest.raises(ValueError, match="positive length"):
        rattle(molecule("H2O"), 1, sigma_angstrom=0.0, rng=rng)


def test_children_carry_kind_and_charge_but_no_labels(rng):
    parent = molecule("H2O")
    parent.info.update(charge=1, adiabat={"engine": "x"}, config_type="equilibrium")
    parent.calc = SinglePointCalculator(parent, energy=-1.0)
    child = rattle(parent, 1, sigma_angstrom=0.05, rng=rng)[0]
    assert child.calc is None and child.info == {"charge": 1, "config_type": "rattle"}
    assert parent.info["config_type"] == "equilibrium"


def test_fixed_atoms_stay(rng):
    atoms = molecule("H2O")
    atoms.set_constraint(FixAtoms([0]))
    for a in rattle(atoms, 5, sigma_angstrom=0.1, rng=rng):
        assert np.array_equal(a.positions[0], atoms.positions[0]) and not np.array_equal(a.positions[1], atoms.positions[1])


def test_strain_is_symmetric_bounded_and_moves_atoms_with_the_cell(rng):
    parent = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    for a in strain(parent, 20, largest=0.05, rng=rng):
        deformation = np.linalg.solve(parent.cell.array, a.cell.array)
        assert np.allclose(deformation, deformation.T) and np.abs(deformation - np.eye(3)).max() <= 0.05
        assert np.allclose(*(b.cell.scaled_positions(b.positions) for b in (a, parent)))


def test_a_slab_is_not_strained_across_its_vacuum(rng):
    slab = fcc111("Cu", (2, 2, 3), vacuum=8.0)
    stretched = strain(slab, 1, largest=0.05, rng=rng)[0]
    assert np.array_equal(stretched.cell[2], slab.cell[2]) and np.array_equal(stretched.positions[:, 2], slab.positions[:, 2])


@pytest.mark.parametrize("pbc", [(True, False, False), (True, True, False)])
def test_what_repeats_is_strained_however_its_vectors_lie(rng, pbc):
    """A wire whose first vector points along z grows along z; the box around it stays."""
    cell = np.array([[0.0, 2.0, 5.0], [0.0, 5.0, -2.0], [10.0, 0.0, 0.0]])
    parent = Atoms("Cu2", [[5.0, 0, 0], [5.0, 2.5, 2.0]], cell=cell, pbc=pbc)
    for a in strain(parent, 5, largest=0.05, rng=rng):
        away = np.eye(3) - np.linalg.pinv(cell[list(pbc)]) @ cell[list(pbc)]
        assert (
            np.abs((a.cell.array - cell) @ away).max() < 1e-12 and np.abs((a.positions - parent.positions) @ away).max() < 1e-12
        )
        assert np.abs(a.cell.array[:1] - cell[:1]).max() > 1e-4


@pytest.mark.parametrize("name,options", [("rattle", {"sigma_angstrom": 0.05}), ("strain", {"largest": 0.02})])
def test_the_same_seed_builds_the_same_structures(name, options):
    a, b = (BUILDERS[name](bulk("Cu"), 3, rng=np.random.default_rng(7), **options) for _ in range(2))
    assert a == b and a[0] != a[1] and a[0].info["config_type"] == name
