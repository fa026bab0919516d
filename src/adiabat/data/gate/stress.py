"""Stress: its sign, its unit, the order of its components. Strained frames of one parent tell by their energies (`strain`); of other
frames a quickly fitted pair model tells.

E = Σ_pairs Σ_k c_k φ_k(d) is linear in c, so a least-squares fit to forces takes a second; the same c give a stress,
σ = (1/V) Σ φ'(d) r⊗r/d, tension positive. Its shear components come from geometry alone and know their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations_with_replacement, permutations

import numpy as np
from vesin import NeighborList

from adiabat.data.gate import strain
from adiabat.data.gate.finding import Finding, Set, finding
from adiabat.data.gate.strain import NAMES, UNITS

CUTOFF, BASIS, FRAMES, KINDS = 6.0, 14, 40, 10  # Å; functions a pair of elements; frames fitted; pairs of elements at most
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def stress(given: Set) -> list[Finding]:
    """Each kind of frame by itself: some sets were converted with another order a kind."""
    slope = given.works.slope
    if slope is not None and not 0.25 < slope < 4:
        return []  # forces or energies first: the model is fitted to them
    kinds: dict[str, list[int]] = defaultdict(list)
    for k, (atoms, known) in enumerate(zip(given.frames, given.labels)):
        if "stress" in known and atoms.pbc.all() and abs(atoms.cell.volume) > 0.1:
            kinds[str(atoms.info.get("config_type", ""))].append(k)
    everyone = [k for ks in kinds.values() for k in ks]
    found: list[Finding] = []
    open_ = []
    for ks in kinds.values() if len(kinds) > 1 else [everyone]:
        seen = strain.witness(given, ks)
        told = strain.judged(seen, ks) if seen is not None else None
        if told is not None:
            found += told
        elif len(ks) >= 8:
            open_.append(ks)
    fitted = [k for k in everyone if "forces" in given.labels[k]]
    some = fitted[:: max(1, len(fitted) // FRAMES)][:FRAMES]
    model = _Model.fit(given, some) if open_ and len(fitted) >= 8 else None
    if model is not None:
        for ks in open_:
            found += _judge(given, model, ks)
    return _joined(found)


def _judge(given: Set, model: _Model, ks: list[int]) -> list[Finding]:
    some = ks[:: max(1, len(ks) // FRAMES)][:FRAMES]
    told = np.array([given.labels[k]["stress"] for k in some])  # K 6
    guess = np.array([model.stress(given.frames[k]) for k in some])
    found: list[Finding] = []
    # Pressure knows the sign and the unit; a constant offset is the embedding a pair model lacks.
    a, b = (x - x.mean(axis=0) for x in (guess, told))
    together, slope = _line(a, b)
    if abs(together) > 0.6 and slope < 0:
        message = f"stresses of {{n}} change against a pair model fitted to the forces (correlation {together:.2f}): compression is positive"
        found += finding(
            "stress sign", "fault", ks, message, "multiply by −1: house stress is positive under tension", together, ("scale", {"stress": -1.0})
        )  # fmt: skip
    if abs(together) > 0.6 and not 0.1 < abs(slope) < 10:
        near = sorted((abs(np.log(abs(slope) * size)), unit, size) for unit, size in UNITS.items())
        off, unit, size = near[0]
        sure = off < 1.0
        message = (
            f"stresses of {{n}} are {abs(slope):.3g} times those of a pair model fitted to the forces: they look like {unit}"
        )
        found += finding(
            "units of stress", "fault", ks, message, f"read the file again with units={{'stress': '{unit}', ...}}", abs(slope),
            ("scale", {"stress": size}) if sure else None,
        )  # fmt: skip
    sign = -1.0 if slope < 0 else 1.0
    shear = guess[:, 3:] * sign
    if np.abs(told[:, 3:]).max() > 1e-4 * max(np.abs(told).max(), 1e-12):
        marks = {order: _line(shear, told[:, [3 + o for o in order]], center=False)[0] for order in permutations(range(3))}
        best = max(marks, key=lambda order: marks[order])
        right = marks[(0, 1, 2)]
        if marks[best] > 0.7 and marks[best] - right > 0.25:
            came = [NAMES[list(best).index(place)] for place in range(3)]
            message = (
                f"shear stresses of {{n}} fit a pair model in the order {', '.join(came)} ({marks[best]:.2f}) and not as "
                f"yz, xz, xy ({right:.2f})"
            )
            order = (0, 1, 2, *(3 + o for o in best))
            found += finding(
                "stress order", "fault", ks, message, "write xx, yy, zz, yz, xz, xy", marks[best], ("reorder stress", order)
            )
    return found


def _line(x: np.ndarray, y: np.ndarray, center: bool = True) -> tuple[float, float]:
    """Correlation and slope of y on x through zero."""
    xx, yy, xy = float((x * x).sum()), float((y * y).sum()), float((x * y).sum())
    return (xy / np.sqrt(xx * yy), xy / xx) if xx > 0 and yy > 0 else (0.0, 1.0)


def _joined(found: Sequence[Finding]) -> list[Finding]:
    """Findings of several kinds with one remedy become one."""
    groups: dict[tuple, list[Finding]] = defaultdict(list)
    for f in found:
        groups[(f.name, str(f.remedy))].append(f)
    joined = []
    for same in groups.values():
        first = same[0]
        frames = sorted(k for f in same for k in f.frames)
        message = first.message.replace(f"{len(first.frames)} frames", f"{len(frames)} frames")
        joined.append(Finding(first.name, first.grade, frames, message, first.cure, first.value, first.remedy))
    return joined


class _Model:
    """A pair potential, linear in its coefficients."""

    def __init__(self, kinds: dict[tuple[int, int], int]) -> None:
        self.kinds = kinds
        self.centers = np.linspace(0.8, CUTOFF, BASIS)
        self.width = 1.2 * (self.centers[1] - self.centers[0])
        self.c = np.zeros(BASIS * len(kinds))

    @classmethod
    def fit(cls, given: Set, ks: Sequence[int]) -> _Model | None:
        elements = sorted({int(z) for k in ks for z in given.frames[k].numbers})
        kinds = {pair: n for n, pair in enumerate(combinations_with_replacement(elements, 2))}
        if len(kinds) > KINDS:
            return None
        model = cls(kinds)
        normal, right = np.zeros((len(model.c), len(model.c))), np.zeros(len(model.c))
        for k in ks:
            design = model._forces(given.frames[k])  # 3N K
            normal += design.T @ design
            right += design.T @ given.labels[k]["forces"].ravel()
        if not np.trace(normal) > 0:
            return None
        model.c = np.linalg.solve(normal + 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal)), right)
        return model

    def stress(self, atoms) -> np.ndarray:
        _, r, slopes, kind = self._pairs(atoms)
        pull = (slopes * self.c.reshape(-1, BASIS)[kind]).sum(axis=1)  # φ' of each pair
        d = np.linalg.norm(r, axis=1)
        whole = np.einsum("p,pa,pb->ab", pull / d, r, r) / (2 * abs(atoms.cell.volume))  # each pair came twice
        return np.array([whole[a, b] for a, b in VOIGT])

    def _forces(self, atoms) -> np.ndarray:
        """∂F/∂c: a pair pulls its center along r where φ rises."""
        i, r, slopes, kind = self._pairs(atoms)
        unit = r / np.linalg.norm(r, axis=1)[:, None]
        design = np.zeros((len(self.kinds), len(atoms), 3 * BASIS))
        np.add.at(design, (kind, i), (unit[:, :, None] * slopes[:, None, :]).reshape(-1, 3 * BASIS))
        return design.reshape(len(self.kinds), len(atoms), 3, BASIS).transpose(1, 2, 0, 3).reshape(3 * len(atoms), -1)

    def _pairs(self, atoms):
        cell = atoms.cell.array
        found = NeighborList(cutoff=CUTOFF, full_list=True).compute(atoms.positions, cell, True, "ijD")
        i, j, r = found[0].astype(int), found[1].astype(int), found[2]
        z = np.sort(atoms.numbers[np.stack([i, j])], axis=0)
        kind = np.array([self.kinds.get((a, b), 0) for a, b in z.T.tolist()], dtype=int)
        d = np.linalg.norm(r, axis=1)[:, None]
        u = (d - self.centers) / self.width
        bump, fade = np.exp(-(u**2)), 0.5 * (1 + np.cos(np.pi * d / CUTOFF))
        slopes = bump * (-2 * u / self.width * fade - 0.5 * np.pi / CUTOFF * np.sin(np.pi * d / CUTOFF))
        return i, r, slopes, kind
