"""The box: a vector for every periodic direction, periodicity where the atoms have it, vacuum that is wide enough."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from adiabat.data.gate.finding import LEAVE_OUT, Finding, Set, finding
from adiabat.data.geometry import RADII

VACUUM = (4.0, 10.0)  # Å: below is the gap between bonded neighbors, above it images no longer matter
DENSE = 0.15  # volume of the covalent spheres over that of the cell: molecules in a box lie far below


def cells(given: Set) -> list[Finding]:
    """A periodic direction has a cell vector, and the cell a volume."""
    bad, left, unset, thin = [], [], [], {}
    for k, atoms in enumerate(given.frames):
        h, pbc = atoms.cell.array, atoms.pbc
        lengths, volume = np.sqrt((h**2).sum(axis=1)), float(np.linalg.det(h))
        if any(p and not length > 0.1 for p, length in zip(pbc, lengths)) or (pbc.all() and not abs(volume) > 0.1):
            bad.append(k)
            continue
        if abs(volume) < 0.1 or not len(atoms):
            continue
        if volume < 0 and pbc.all():
            left.append(k)
        if not pbc.any() and _filled(atoms, abs(volume)):
            unset.append(k)
        if pbc.any() and (width := _gap(atoms)) is not None and VACUUM[0] < width < VACUUM[1]:
            thin[k] = width
    least = min(thin.values(), default=0.0)
    return (
        finding(
            "cell", "fault", bad, "{n} {are|is} periodic along a direction without a cell vector", "set the cell, or pbc=False", None, LEAVE_OUT
        )
        + finding("left-handed cell", "note", left, "{n} {have|has} a left-handed cell; some engines refuse it", "swap two cell vectors")
        + finding(
            "periodicity not set", "fault", unset,
            "{n} {fill|fills} {their|its} cell like a crystal or a liquid and {say|says} {they are|it is} not periodic",
            "set pbc=True where the engine computed a periodic system",
        )
        + finding(
            "thin vacuum", "warning", list(thin), f"{{n}} {{have|has}} a vacuum of only {least:.3g} Å, wanted {VACUUM[1]:g} or more",
            "compute with a wider vacuum, unless the layers are meant to touch", least,
        )
    )  # fmt: skip


def mixed_periodicity(given: Set) -> list[Finding]:
    """One composition, now periodic and now not."""
    of: dict[bytes, dict[bool, list[int]]] = {}
    for k, atoms in enumerate(given.frames):
        if len(atoms) > 1:
            of.setdefault(given.formulas[k], {}).setdefault(bool(atoms.pbc.any()), []).append(k)
    rare = sorted(k for sides in of.values() if len(sides) == 2 for k in min(sides.values(), key=len))
    return finding(
        "mixed periodicity", "warning", rare, "{n} {differ|differs} in periodicity from most frames of the same composition",
        "see whether pbc was lost in a conversion",
    )  # fmt: skip


def _filled(atoms: Atoms, volume: float) -> bool:
    """The atoms reach through the whole cell, and densely."""
    if 4 / 3 * np.pi * (RADII[atoms.numbers] ** 3).sum() < DENSE * volume:
        return False
    width = _gap(atoms)
    return width is not None and width < VACUUM[0]


def _gap(atoms: Atoms) -> float | None:
    """The widest empty slice across a cell vector, Å, along any of the three; images counted: of a slab that says it has none across,
    plane waves had them all the same."""
    h = atoms.cell.array
    volume = abs(float(np.linalg.det(h)))
    if volume < 0.1:
        return None
    heights = volume / np.array([np.linalg.norm(np.cross(h[(a + 1) % 3], h[(a + 2) % 3])) for a in range(3)])
    places = np.sort(np.linalg.solve(h.T, atoms.positions.T) % 1.0, axis=1)  # 3 N
    gaps = np.diff(np.concatenate([places, places[:, :1] + 1.0], axis=1), axis=1).max(axis=1) * heights
    return float(gaps.max())
