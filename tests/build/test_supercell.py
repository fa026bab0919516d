"""Larger cells and missing atoms."""

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule

from adiabat.build import supercell, vacancies


def test_a_supercell_has_the_same_density_and_keeps_its_vacuum():
    cell = bulk("NaCl", "rocksalt", a=5.6)
    big = supercell(cell, (2, 3, 1))
    assert len(big) == 12 and big.get_volume() == pytest.approx(6 * cell.get_volume())
    slab = fcc111("Cu", (1, 1, 2), vacuum=5.0)
    assert supercell(slab, 2).cell[2] == pytest.approx(slab.cell[2])
    with pytest.raises(ValueError, match="wanted positive numbers and a crystal"):
        supercell(molecule("H2O"), 2)


def test_every_site_is_taken_out_before_any_twice():
    atoms = bulk("Si", cubic=True)
    frames = vacancies(atoms, 10, rng=np.random.default_rng(0))
    missing = [next(k for k, r in enumerate(atoms.positions) if np.abs(a.positions - r).max(1).min() > 1e-9) for a in frames]
    assert {len(a) for a in frames} == {7} and len(set(missing[:8])) == 8
    assert frames[0].info["config_type"] == "vacancy"


def test_an_element_that_is_not_there_cannot_be_taken_out():
    with pytest.raises(ValueError, match="Si8 has no Ge to spare"):
        vacancies(bulk("Si", cubic=True), 1, rng=np.random.default_rng(0), element="Ge")
