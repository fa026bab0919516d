"""Units seen by magnitude: three independent witnesses.

atoms      total energies of all-electron codes are known to a percent from the elements alone
isolated   binding energies lie between −15 and a few eV an atom
work       between near structures the energy changes by the work of the forces, ΔE = −½ (F₁ + F₂)·ΔR + O(ΔR³): a slope of
           −1 is a gradient taken for a force, 1/27.2 an energy in hartree beside forces in eV/Å
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from adiabat.data.composition import is_isolated, reference_energies
from adiabat.units import ENERGY, bohr, hartree, kcal_per_mol, kJ_per_mol, rydberg

# Hartree, spin-polarized PBE; only ratios to 1 % matter. H to Ar.
ALL_ELECTRON = {
    1: -0.500, 2: -2.893, 3: -7.462, 4: -14.630, 5: -24.612, 6: -37.799, 7: -54.536, 8: -75.015, 9: -99.676, 10: -128.866,
    11: -162.173, 12: -199.955, 13: -242.236, 14: -289.234, 15: -341.116, 16: -397.953, 17: -459.974, 18: -527.346,
}  # fmt: skip
OTHER_UNITS = {"hartree": hartree, "rydberg": rydberg, "kcal/mol": kcal_per_mol, "kJ/mol": kJ_per_mol}
STEP = 0.3  # Å, the rms displacement over which the work is trusted
PAIRS = 300
Told = tuple[str, Literal["fault", "warning", "note"], list[int], str, str, float, tuple[str, Any] | None]


class Works(NamedTuple):
    """Over pairs of near frames: −½ Σ (F₁+F₂)·ΔR and ΔE in eV, the stiffness −ΔF·ΔR/|ΔR|² in eV/Å², atoms, the pair."""

    work: np.ndarray
    change: np.ndarray
    stiffness: np.ndarray
    atoms: np.ndarray
    pairs: np.ndarray

    @property
    def slope(self) -> float | None:
        """ΔE over work, 1 where units and sign are right; None where the pairs are too few or too far to tell."""
        if len(self.work) < 8 or not np.ptp(self.work) > 0 or not np.ptp(self.change) > 0:
            return None
        together = float(np.corrcoef(self.work, self.change)[0, 1])
        return float(self.work @ self.change / (self.work @ self.work)) if abs(together) >= 0.6 else None


assert set(OTHER_UNITS) <= set(ENERGY)


def scale_checks(
    frames: Sequence[Atoms], labels: Sequence[Mapping[str, Any]], isolated: Mapping[int, float], found: Works | None = None
) -> list[Told]:
    """Findings as (name, grade, frames, message, cure, value, remedy)."""
    told = _against_atoms(frames, labels)
    told += [] if told else _against_isolated(frames, labels, isolated)  # one witness is enough
    told += _against_work(works(frames, labels) if found is None else found)
    return told


def _against_atoms(frames, labels) -> list[Told]:
    """Σ E over Σ of all-electron atoms: 1 in eV, 0.0367 in hartree; pseudopotential codes lie elsewhere and say nothing."""
    ratios, compositions = [], set()
    for atoms, known in zip(frames, labels):
        if isinstance(atoms.info.get("adiabat"), Mapping):
            continue  # labeled by one of our engines, which convert their units themselves
        if "energy" in known and all(int(z) in ALL_ELECTRON for z in atoms.numbers):
            ratios.append(known["energy"] / (sum(ALL_ELECTRON[int(z)] for z in atoms.numbers) * hartree))
            compositions.add(tuple(sorted(atoms.numbers.tolist())))
    if not ratios:
        return []
    # a pseudopotential set of many compositions spreads; all-electron ones are within a percent or two of one number
    ratio, spread = float(np.median(ratios)), float(np.ptp(np.quantile(ratios, [0.05, 0.95])))
    for unit, size in OTHER_UNITS.items():
        if abs(ratio * size - 1) < 0.03 and spread * size < 0.1:
            # No all-electron molecular code writes rydberg, and valence energies of one molecule may lie there by chance.
            sure = unit != "rydberg" or len(compositions) > 2
            return [
                (
                    "units of energy", "fault" if sure else "warning", [],
                    f"energies are {ratio:.4g} of the sum of all-electron atoms in eV: they look like {unit}, wanted eV",
                    f"read the file again with units={{'energy': '{unit}', ...}}", ratio, ("scale", {"energy": size}) if sure else None,
                )
            ]  # fmt: skip
    return []


def _against_isolated(frames, labels, isolated) -> list[Told]:
    alone = dict(isolated)
    if not alone:
        known = [a for a, k in zip(frames, labels) if "energy" in k]
        if any(is_isolated(a) for a in known):
            reference = reference_energies(known)
            alone = reference.energies if reference.method == "isolated atoms" else {}
    if not alone:
        return []
    binding = {}
    for k, (atoms, known) in enumerate(zip(frames, labels)):
        if "energy" in known and len(atoms) > 1 and all(int(z) in alone for z in atoms.numbers):
            binding[k] = (known["energy"] - sum(alone[int(z)] for z in atoms.numbers)) / len(atoms)
    if not binding:
        return []
    middle = float(np.median(list(binding.values())))
    if -15 < middle < 10:
        return []
    return [
        (
            "units of energy", "fault", [],
            f"the energies lie {middle:.3g} eV an atom from the isolated atoms, wanted −15 to 10",
            "see whether both are in eV and of one level of theory", middle, None,
        )
    ]  # fmt: skip


def _against_work(found: Works) -> list[Told]:
    slope = found.slope
    # the trapezoid over thermal displacements of hydrogen alone is off by a factor of 2; units are off by 13 or more
    if slope is None or 0.25 < slope < 4:
        return []
    guess = _reading(slope)
    return [
        (
            "energies against forces", "fault", [],
            f"over {len(found.work)} pairs of near frames the energy changes by {slope:.3g} times the work of the forces, wanted 1: {guess}",
            "correct units or sign of one of them", slope, ("scale", {"forces": -1.0}) if -1.5 < slope < -0.67 else None,
        )
    ]  # fmt: skip


def _reading(slope: float) -> str:
    """What a slope of ΔE against work may come from."""
    factors = {"forces are gradients (sign)": 1.0}
    for unit, size in OTHER_UNITS.items():
        factors[f"energies in {unit} beside forces in eV/Å"] = 1 / size
        factors[f"forces in {unit}/Å beside energies in eV"] = size
    factors["forces in hartree/bohr beside energies in eV"] = hartree / bohr
    near = sorted((abs(np.log(abs(slope) / size)), name) for name, size in factors.items())
    likely = [name for off, name in near if off < 0.75][:2]
    sign = ", with a wrong sign" if slope < 0 and "forces are gradients (sign)" not in likely else ""
    return f"it looks as if {' or '.join(likely)}{sign}" if likely else "units or order of atoms differ"


def works(frames: Sequence[Atoms], labels: Sequence[Mapping[str, Any]]) -> Works:
    """Energy change, work and stiffness of pairs of near frames with the same atoms in the same order and the same cell."""
    kinds: dict[tuple, list[int]] = defaultdict(list)
    for k, (atoms, known) in enumerate(zip(frames, labels)):
        if "energy" in known and "forces" in known and len(atoms) > 1:
            kinds[(atoms.numbers.tobytes(), atoms.cell.array.round(6).tobytes(), tuple(atoms.pbc))].append(k)
    rows: list[tuple[float, float, float, int, int, int]] = []
    for ks in kinds.values():
        taken = 0
        for a, b in _near(ks):
            step, turn = _step(frames[a], frames[b])
            square = float(np.sum(step**2))
            if not 1e-4 < np.sqrt(square / len(step)) < STEP:
                continue
            one, other = labels[a]["forces"], labels[b]["forces"] @ turn
            work, stiffness = -0.5 * float(np.sum((one + other) * step)), -float(np.sum((other - one) * step)) / square
            rows.append((work, labels[b]["energy"] - labels[a]["energy"], stiffness, len(step), a, b))
            taken += 1
            if taken >= PAIRS or len(rows) >= 10 * PAIRS:
                break
    table = np.array(rows, dtype=float).reshape(-1, 6)
    return Works(table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4:].astype(int))


def _near(ks: list[int]) -> list[tuple[int, int]]:
    """Candidates for near frames: next in line, and all against the first few."""
    pairs = [(a, b) for lag in (1, 2, 3) for a, b in zip(ks, ks[lag:])]
    pairs += [(a, b) for place, a in enumerate(ks[:10]) for b in ks[place + 4 :]]
    return pairs[: 10 * PAIRS]


def _step(one: Atoms, other: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Displacements from one to the other, net translation off; a molecule is first turned onto the other (Kabsch 1976)."""
    step = other.positions - one.positions
    if one.pbc.any():
        step = find_mic(step, one.cell, one.pbc)[0]
        return step - step.mean(axis=0), np.eye(3)
    a, b = (x.positions - x.positions.mean(axis=0) for x in (one, other))
    u, _, vt = np.linalg.svd(b.T @ a)
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return b @ turn - a, turn
