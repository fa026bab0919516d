"""The house units and the way into them: eV, Å, fs, amu, K, e; stress in eV/Å³.

One year of constants for everyone: CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)). Units are converted
once, at the border, by multiplication: ``value_in_eV = value_in_hartree * hartree``.

>>> round(1.0 * hartree, 6), round(1.0 * bohr, 8), round(1.0 / GPa, 4)
(27.211386, 0.52917721, 160.2177)
"""

from __future__ import annotations

# Exact since the SI of 2019.
ELEMENTARY_CHARGE_C = 1.602176634e-19
BOLTZMANN_J_PER_K = 1.380649e-23
AVOGADRO_PER_MOL = 6.02214076e23
PLANCK_J_S = 6.62607015e-34
SPEED_OF_LIGHT_M_PER_S = 299792458.0

# Measured, CODATA 2018.
ATOMIC_MASS_KG = 1.66053906660e-27
HARTREE_J = 4.3597447222071e-18
BOHR_M = 5.29177210903e-11

eV = 1.0
angstrom = 1.0
fs = 1.0
amu = 1.0

meV = 1e-3
hartree = HARTREE_J / ELEMENTARY_CHARGE_C
rydberg = hartree / 2
bohr = BOHR_M * 1e10
nm = 10.0
ps = 1e3
ns = 1e6
kcal_per_mol = 4184.0 / AVOGADRO_PER_MOL / ELEMENTARY_CHARGE_C
kJ_per_mol = 1000.0 / AVOGADRO_PER_MOL / ELEMENTARY_CHARGE_C
GPa = 1e9 * 1e-30 / ELEMENTARY_CHARGE_C  # eV/Å³
kbar = 0.1 * GPa
bar = 1e-4 * GPa

k_B = BOLTZMANN_J_PER_K / ELEMENTARY_CHARGE_C  # eV/K
h = PLANCK_J_S / ELEMENTARY_CHARGE_C * 1e15  # eV fs

# Newton's law mixes eV, Å, fs and amu: F [eV/Å] = ACCELERATION⁻¹ · m [amu] · a [Å/fs²].
ACCELERATION = ELEMENTARY_CHARGE_C / ATOMIC_MASS_KG * 1e-10  # (eV/Å/amu) in Å/fs²

# A wavenumber: ν̃ [cm⁻¹] = ν [1/fs] · PER_CM
PER_CM = 1e15 / (SPEED_OF_LIGHT_M_PER_S * 100.0)
COULOMB = 14.3996454784255  # e²/(4πε₀) in eV Å, CODATA 2018

ENERGY = {"eV": 1.0, "meV": meV, "hartree": hartree, "rydberg": rydberg, "kcal/mol": kcal_per_mol, "kJ/mol": kJ_per_mol}
LENGTH = {"angstrom": 1.0, "bohr": bohr, "nm": nm}
STRESS = {"eV/angstrom^3": 1.0, "GPa": GPa, "kbar": kbar, "bar": bar}

_SPELLINGS = {
    "ev": "eV", "mev": "meV", "ha": "hartree", "hartree": "hartree", "a.u.": "hartree", "eh": "hartree", "ry": "rydberg",
    "rydberg": "rydberg", "kcal/mol": "kcal/mol", "kj/mol": "kJ/mol", "å": "angstrom", "a": "angstrom", "ang": "angstrom",
    "angstrom": "angstrom", "bohr": "bohr", "nm": "nm", "gpa": "GPa", "kbar": "kbar", "bar": "bar",
    "ev/å^3": "eV/angstrom^3", "ev/å³": "eV/angstrom^3", "ev/a^3": "eV/angstrom^3", "ev/ang^3": "eV/angstrom^3",
    "ev/angstrom^3": "eV/angstrom^3",
}  # fmt: skip


def factor(unit: str, of: dict[str, float]) -> float:
    """What to multiply a number in `unit` with to have it in house units; `of` is ENERGY, LENGTH or STRESS.

    >>> round(factor("Ha", ENERGY), 4), factor("Å", LENGTH)
    (27.2114, 1.0)
    >>> factor("furlong", LENGTH)
    Traceback (most recent call last):
    ValueError: unit 'furlong' is unknown; known here: angstrom, bohr, nm
    """
    name = _SPELLINGS.get(unit.strip().lower(), unit.strip())
    if name not in of:
        raise ValueError(f"unit {unit!r} is unknown; known here: {', '.join(of)}")
    return of[name]
