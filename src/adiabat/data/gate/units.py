"""Units, each quantity by itself: energies by atoms, forces by the stiffness of bonds, both against each other.

Forces alone: between near frames −ΔF·ΔR/|ΔR|² is a mean curvature of the energy. Bonds of light elements have tens of eV/Å²,
metals some, alkali metals a few tenths; a hartree/bohr is 51.4 eV/Å, a kcal/mol/Å 1/23 eV/Å.
"""

from __future__ import annotations

import numpy as np

from adiabat.data.gate.finding import Finding, Set
from adiabat.data.scale import scale_checks
from adiabat.units import bohr, hartree, kcal_per_mol, kJ_per_mol, rydberg

FORCE_UNITS = {
    "hartree/bohr": hartree / bohr, "rydberg/bohr": rydberg / bohr, "kcal/mol/Å": kcal_per_mol, "kJ/mol/Å": kJ_per_mol, "hartree/Å": hartree,
    "rydberg/Å": rydberg, "eV/bohr": 1 / bohr, "kcal/mol/bohr": kcal_per_mol / bohr,
}  # fmt: skip


def units(given: Set) -> list[Finding]:
    """Energies by magnitude and against the work of the forces; see `scale`."""
    told = scale_checks(given.frames, given.labels, given.isolated, given.works)
    return [Finding(*one) for one in told]


def forces(given: Set) -> list[Finding]:
    """The curvature along displacements against what the lightest bond there allows."""
    w = given.works
    if len(w.stiffness) < 8:
        return []
    middle = float(np.median(np.abs(w.stiffness)))
    low, high = _span(given, w.pairs[:, 0])
    if low < middle < high:
        return []
    fit = [unit for unit, size in FORCE_UNITS.items() if low < middle * size < high]  # the usual ones first
    likely = f"they look like {' or '.join(fit[:3])}" if fit else "no usual unit makes them so"
    message = (
        f"between near frames forces change by {middle:.3g} eV/Å per Å of displacement, wanted {low:g} to {high:g} with these atoms: "
        f"{likely}"
    )
    return [Finding("units of forces", "warning", [], message, "read the file again with the units its author states", middle)]


def _span(given: Set, frames: np.ndarray) -> tuple[float, float]:
    """Least and largest curvature to expect, eV/Å²: covalent light elements against metals and salts."""
    numbers = np.concatenate([given.frames[k].numbers for k in frames[:: max(1, len(frames) // 20)]])
    light = np.isin(numbers, (1, 5, 6, 7, 8, 9)).mean()
    return (2.0, 120.0) if light > 0.5 else (0.15, 40.0)
