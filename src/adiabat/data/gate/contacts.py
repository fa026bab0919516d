"""Distances: atoms too near, atoms that left, and a unit of length that no bond has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from adiabat.data.gate.finding import LEAVE_OUT, Finding, Set, finding
from adiabat.data.gate.survey import NEAR, accompanied
from adiabat.data.geometry import RADII, pairs

OVERLAP = 0.1
FAR = 3.0  # of the sum of radii: an atom with nobody nearer has left
SAMPLE = 60
NOBLE = (2, 10, 18, 36, 54, 86)  # bound by dispersion, far outside their covalent radii


def contacts(given: Set) -> list[Finding]:
    """Atoms nearer than half the sum of their covalent radii, periodic images counted."""
    near = {k: seen.closest.ratio for k, seen in enumerate(given.seen) if seen.closest is not None}
    over = [k for k, ratio in near.items() if ratio < OVERLAP]
    rest = [k for k in near if k not in set(over)]
    least = min(near.values(), default=1.0)
    cure = "leave them out, unless short distances are meant to be learned"
    told = f"wanted at least {NEAR}; the nearest is {least:.2f}"
    return finding(
        "overlapping atoms", "fault", over, f"{{n}} {{have|has}} atoms below {OVERLAP} of the sum of their covalent radii",
        "leave them out", least, LEAVE_OUT,
    ) + finding(
        "near contacts", "warning", rest, f"{{n}} {{have|has}} atoms below {NEAR} of the sum of their radii, {told}", cure, least,
    )  # fmt: skip


def length(given: Set) -> list[Finding]:
    """The nearest neighbor sits near the sum of covalent radii: twice as far is bohr taken for Å."""
    some = _sample([a for a in given.frames if len(a) > 1 and not set(a.numbers.tolist()) & set(NOBLE)])
    ratios = [r for atoms in some if len(r := nearest(atoms, 4.0))]
    if not ratios:
        return []
    middle = float(np.median(np.concatenate(ratios)))
    if not 1.65 < middle < 2.8:
        return []
    message = (
        f"the nearest neighbors lie at {middle:.2f} times the sum of covalent radii, wanted about 1: lengths look like bohr"
    )
    return [
        Finding("units of length", "fault", [], message, "read the file again with units={'length': 'bohr', ...}", middle)
    ]  # fmt: skip


def departed(given: Set) -> list[Finding]:
    """Atoms with nobody near, where most atoms of the set have neighbors."""
    bad = []
    for k, atoms in enumerate(given.frames):
        if not given.seen[k].company and len(atoms) > 2 and not set(atoms.numbers.tolist()) & set(NOBLE) and _lone(atoms):
            bad.append(k)
    if len(bad) > 0.5 * len(given.frames):
        return []
    message = f"{{n}} {{have|has}} an atom with no other within {FAR:g} times the sum of covalent radii"
    return finding("lone atoms", "warning", bad, message, "see whether a molecule fell apart, or a cell is too large")


def nearest(atoms: Atoms, reach: float) -> np.ndarray:
    """For each atom the least distance over sum of covalent radii, if it is below `reach`."""
    i, j, d = pairs(atoms, min(reach * 2 * RADII[atoms.numbers].max(), 8.0))
    ratio = d / (RADII[atoms.numbers[i]] + RADII[atoms.numbers[j]])
    least = np.full(len(atoms), np.inf)
    np.minimum.at(least, i, ratio)
    np.minimum.at(least, j, ratio)
    return least[least < reach]


def _lone(atoms: Atoms) -> bool:
    found = pairs(atoms, FAR * 2 * float(RADII[atoms.numbers].max()))
    return not accompanied(atoms, found, FAR)


def _sample(frames: Sequence[Atoms]) -> Sequence[Atoms]:
    return frames[:: max(1, len(frames) // SAMPLE)][:SAMPLE]
