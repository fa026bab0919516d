"""Our constants against ASE's of the same CODATA year, and the spelling of units."""

from __future__ import annotations

import math

import pytest
from ase.units import create_units

from adiabat import units

ASE = create_units("2018")

# ASE derives Hartree, Bohr and the atomic mass from other measured constants (α, ε₀, ħ, Avogadro's number), which agree to the
# last of their published digits: 1e-10 relative. What is exact since 2019 agrees to rounding.
PAIRS = {
    "hartree": (units.hartree, ASE["Hartree"], 1e-9),
    "rydberg": (units.rydberg, ASE["Rydberg"], 1e-9),
    "bohr": (units.bohr, ASE["Bohr"], 1e-9),
    "k_B": (units.k_B, ASE["kB"], 1e-14),
    "kcal/mol": (units.kcal_per_mol, ASE["kcal"] / ASE["mol"], 1e-14),
    "kJ/mol": (units.kJ_per_mol, ASE["kJ"] / ASE["mol"], 1e-14),
    "GPa": (units.GPa, ASE["GPa"], 1e-14),
    "kbar": (units.kbar, 1e3 * ASE["bar"], 1e-14),
    "bar": (units.bar, ASE["bar"], 1e-14),
    "h": (units.h, 2 * math.pi * ASE["_hbar"] / ASE["_e"] * 1e15, 1e-14),
    "per cm": (units.PER_CM, 1e15 / (100 * ASE["_c"]), 1e-14),
    "Coulomb": (units.COULOMB, ASE["Hartree"] * ASE["Bohr"], 1e-9),
    # ASE's unit of time makes eV = amu Å²/time²: ACCELERATION is its square in fs⁻². Avogadro's number times the atomic mass
    # constant is 1 g/mol to 3e-10 only, since 2019.
    "acceleration": (units.ACCELERATION, ASE["fs"] ** 2, 1e-9),
}


@pytest.mark.parametrize("name", PAIRS)
def test_constants_are_those_of_CODATA_2018(name):
    ours, theirs, relative = PAIRS[name]
    assert ours == pytest.approx(theirs, rel=relative)


def test_a_hartree_is_the_repulsion_of_unit_charges_at_one_bohr():
    # The two are measured to 2e-12 and 1.5e-10.
    assert units.COULOMB / units.bohr == pytest.approx(units.hartree, rel=5e-10)


@pytest.mark.parametrize(
    "spelling, table, value",
    [("Ha", units.ENERGY, units.hartree), (" kcal/mol ", units.ENERGY, units.kcal_per_mol), ("Ry", units.ENERGY, units.rydberg),
     ("meV", units.ENERGY, 1e-3), ("Å", units.LENGTH, 1.0), ("Bohr", units.LENGTH, units.bohr), ("eV/Å³", units.STRESS, 1.0),
     ("GPa", units.STRESS, units.GPa)],
)  # fmt: skip
def test_units_are_known_by_their_usual_spellings(spelling, table, value):
    assert units.factor(spelling, table) == value


def test_a_unit_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"unit 'GPa' is unknown; known here: eV, meV"):
        units.factor("GPa", units.ENERGY)
