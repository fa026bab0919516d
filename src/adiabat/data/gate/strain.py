"""Stress against the energies of strained frames of one parent: sign, unit and order of components without a model.

Between near strains of the same atoms the energy changes by the work of the stress, ΔE = ½ (V₁σ₁ + V₂σ₂) : ε + O(ε³), once the work
of the forces along what the strain does not explain is taken off; ε is the logarithm of h₁⁻¹h₂, cells h in rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice, permutations
from typing import NamedTuple

import numpy as np

from adiabat.data.gate.finding import Finding, Set, finding
from adiabat.units import GPa, bar, kbar

NAMES = ("yz", "xz", "xy")
UNITS = {"GPa": GPa, "kbar": kbar, "bar": bar}
SPAN = (2e-3, 0.06)  # strains between two frames: above rounding, below where the trapezoid fails
STEP = 0.3  # Å, rms of what the strain does not explain
FRAMES, LOOK, PAIRS = 60, 5000, 6  # frames of a composition and pairs of all that are looked at; pairs needed to judge
CLEAR = 0.95  # correlation of energy and work, below which nothing is said


class Witness(NamedTuple):
    """Over pairs of strained frames: work of each component of the stress [K,6] and energy it should account for [K], eV."""

    work: np.ndarray
    change: np.ndarray

    def line(self, order: Sequence[int]) -> tuple[float, float, float]:
        """With the shear components in this order: correlation, slope of the energy on the work, what is left over (rms, eV)."""
        x = self.work[:, :3].sum(axis=1) + sum(self.work_of(n, o) for n, o in enumerate(order))
        xx, yy, xy = float(x @ x), float(self.change @ self.change), float(x @ self.change)
        if not (xx > 0 and yy > 0):
            return 0.0, 1.0, np.inf
        return float(xy / np.sqrt(xx * yy)), xy / xx, float(np.sqrt(np.mean((self.change - x * xy / xx) ** 2)))

    def work_of(self, place: int, label: int) -> np.ndarray:
        """Work of the shear strain of one place with the stress that stands in another."""
        return self.work[:, 3 + 3 * place + label]


def witness(given: Set, ks: Sequence[int]) -> Witness | None:
    """Pairs of near strains among these frames; None where there are too few."""
    of: dict[bytes, list[int]] = defaultdict(list)
    for k in ks:
        if "energy" in given.labels[k]:
            of[given.frames[k].numbers.tobytes()].append(k)
    candidates = (
        (a, b)
        for same in of.values()
        for some in [same[:: max(1, len(same) // FRAMES)][:FRAMES]]
        for place, a in enumerate(some)
        for b in some[place + 1 : place + 9]
    )
    work, change = [], []
    for a, b in islice(candidates, LOOK):
        if (pair := _pair(given, a, b)) is not None:
            work.append(pair[0])
            change.append(pair[1])
    return Witness(np.array(work), np.array(change)) if len(work) >= PAIRS else None


def judged(found: Witness, ks: Sequence[int]) -> list[Finding] | None:
    """Findings by this witness; None where it does not know."""
    lines = {order: found.line(order) for order in permutations(range(3))}
    right = lines[(0, 1, 2)]
    best = max(lines, key=lambda order: abs(lines[order][0]))
    wrong_order = abs(lines[best][0]) > CLEAR and lines[best][2] < 0.3 * right[2]
    together, slope, _ = lines[best] if wrong_order else right
    if abs(together) < CLEAR:
        return None
    pairs, told = f"over {len(found.change)} pairs of strained frames", []
    if slope < 0:
        told += finding(
            "stress sign", "fault", ks, f"{pairs} the energy falls where the stresses of {{n}} do work: compression is positive",
            "multiply by −1: house stress is positive under tension", slope, ("scale", {"stress": -1.0}),
        )  # fmt: skip
    if not 1 / 3 < abs(slope) < 3:
        off, unit, size = min((abs(np.log(abs(slope) / size)), unit, size) for unit, size in UNITS.items())
        sure = off < 0.7
        looks = f"they look like {unit}" if sure else "they are no stresses in eV/Å³"
        cure = (
            f"read the file again with units={{'stress': '{unit}', ...}}"
            if sure
            else "see in which units energy and stress are"
        )
        told += finding(
            "units of stress", "fault", ks, f"{pairs} the energy changes by {abs(slope):.3g} times the work of the stresses of {{n}}: {looks}",
            cure, abs(slope), ("scale", {"stress": size}) if sure else None,
        )  # fmt: skip
    if wrong_order:
        came = ", ".join(NAMES[list(best).index(place)] for place in range(3))
        told += finding(
            "stress order", "fault", ks,
            f"{pairs} the energy changes by the work of the stresses of {{n}} with shear in the order {came}, not yz, xz, xy",
            "write xx, yy, zz, yz, xz, xy", together, ("reorder stress", (0, 1, 2, *(3 + o for o in best))),
        )  # fmt: skip
    return told


def _pair(given: Set, a: int, b: int) -> tuple[np.ndarray, float] | None:
    """Work by component (three normal ones, then nine: shear strain of each place with the stress of each), and the energy for it."""
    one, other = given.frames[a], given.frames[b]
    h, g = one.cell.array, other.cell.array
    step = np.linalg.solve(h, g) - np.eye(3)
    if not np.abs(step).max() < SPAN[1]:
        return None
    strain = step - 0.5 * step @ step  # log(1 + step)
    strain = 0.5 * (strain + strain.T)
    if not np.abs(strain).max() > SPAN[0]:
        return None
    away = np.linalg.solve(g.T, other.positions.T).T - np.linalg.solve(h.T, one.positions.T).T
    away -= np.round(away)
    away = (away - away.mean(axis=0)) @ (0.5 * (h + g))
    if np.sqrt((away**2).sum(axis=1).mean()) > STEP:
        return None
    change = given.labels[b]["energy"] - given.labels[a]["energy"]
    if np.abs(away).max() > 1e-6:
        if "forces" not in given.labels[a] or "forces" not in given.labels[b]:
            return None
        change += 0.5 * float(np.sum((given.labels[a]["forces"] + given.labels[b]["forces"]) * away))
    stress = 0.5 * (one.cell.volume * given.labels[a]["stress"] + other.cell.volume * given.labels[b]["stress"])
    shear = 2 * np.array([strain[1, 2], strain[0, 2], strain[0, 1]])
    return np.concatenate([np.diag(strain) * stress[:3], np.outer(shear, stress[3:]).ravel()]), float(change)
