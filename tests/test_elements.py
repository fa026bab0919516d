"""The periodic table is the one ASE carries."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses_iupac2016, chemical_symbols, covalent_radii

from adiabat import elements


def test_the_table_is_that_of_ASE():
    assert list(chemical_symbols) == elements.SYMBOLS
    np.testing.assert_array_equal(elements.MASSES[1:], atomic_masses_iupac2016[1:])
    np.testing.assert_array_equal(elements.COVALENT_RADII, covalent_radii[: len(elements.COVALENT_RADII)])


@pytest.mark.parametrize("z", range(1, 119))
def test_symbols_and_numbers_are_inverse(z):
    assert elements.number(elements.symbol(z)) == z


@pytest.mark.parametrize("z", [0, -1, 119])
def test_numbers_without_an_element_are_refused(z):
    with pytest.raises(ValueError, match=f"no element has atomic number {z}"):
        elements.symbol(z)
