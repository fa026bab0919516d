"""The same structure twice: with the same labels, with others, turned, nearly, or on two sides of a split.

Structures are compared by the fingerprint of `split`, which no rotation, order of atoms or choice of cell changes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from adiabat.data.gate.finding import LEAVE_OUT, Finding, Set, finding
from adiabat.data.geometry import pairs
from adiabat.data.split import REACH, SAME

SAME_ENERGY, SAME_FORCE = 1e-4, 5e-3  # eV/atom, eV/Å: labels of one structure may differ by this
NEAR = 2e-3  # of a fingerprint: atoms moved by some 0.005 Å
MOVED = 0.01  # Å, between nearly equal frames
LOOK = 6  # nearest twins of a frame that are looked at


def twins(given: Set) -> list[Finding]:
    """Duplicates of every degree, and what stands on both sides of a split."""
    first: dict[tuple[str, str], int] = {}
    again: list[int] = []
    against: list[int] = []
    pairs: list[tuple[int, int]] = []
    for k, atoms in enumerate(given.frames):
        other = first.setdefault((given.hashes[k], given.levels[k]), k)
        if other != k:
            (again if _agree(given.labels[other], given.labels[k], len(atoms)) else against).append(k)
            pairs.append((other, k))
    seen = set(again) | set(against)
    same, near = _alike(given, sorted(set(first.values())))
    later = sorted({b for _, b in same} - seen)
    close = sorted({b for _, b in near} - seen - set(later))
    return [
        *finding(
            "contradicting labels", "fault", against, "{n} {repeat|repeats} an earlier structure with other labels", "keep the right one"
        ),
        *finding(
            "duplicates", "warning", again, "{n} {repeat|repeats} an earlier structure and its labels", "leave them out", None, LEAVE_OUT
        ),
        *finding(
            "equivalent structures", "note", later, "{n} {equal|equals} another up to rotation, order of atoms or cell",
            "split() keeps them on one side",
        ),
        *finding(
            "near duplicates", "note", close, "{n} nearly {equal|equals} an earlier one: atoms moved by a hundredth of an Å or less",
            "take frames further apart: they cost a label and say nothing new",
        ),
        *_leaks(given, [*pairs, *same], near),
    ]  # fmt: skip


def _leaks(given: Set, same: list[tuple[int, int]], near: list[tuple[int, int]]) -> list[Finding]:
    """Frames of a later side (validation, test) that an earlier side (train) knows already."""
    side = {int(k): n for n, ks in enumerate(given.sides.values()) for k in ks}
    if len(set(side.values())) < 2:
        return []
    found: list[Finding] = []
    for name, links, word in (
        ("leakage", same, "{are|is} in an earlier part of the split too, up to rotation, order or cell"),
        ("near leakage", near, "nearly {equal|equals} a frame of an earlier part of the split"),
        (
            "leakage along a trajectory",
            _steps(given),
            "{stand|stands} next to a frame of another part of the split in {their|its} trajectory",
        ),
    ):
        leaked = sorted(
            {max(p, key=lambda k: side[k]) for p in links if p[0] in side and p[1] in side and side[p[0]] != side[p[1]]}
        )
        grade = "note" if name == "near leakage" else "warning"
        parts = ", ".join(given.sides)
        found += finding(
            name,
            grade,
            leaked,
            f"{{n}} {word} ({parts}): errors on {{them|it}} say little",
            "divide by groups, with split(), and report without them",
        )
    return found


def _steps(given: Set) -> list[tuple[int, int]]:
    """Neighbors in a trajectory that state their place in it."""
    runs: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for k, atoms in enumerate(given.frames):
        place = atoms.info.get("step", atoms.info.get("frame"))
        if "trajectory" in atoms.info and place is not None:
            runs[str(atoms.info["trajectory"])].append((float(place), k))
    return [(a, b) for run in runs.values() for (_, a), (_, b) in zip(sorted(run), sorted(run)[1:])]


def _alike(given: Set, ks: list[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(earlier, later) pairs with equal and with nearly equal fingerprints, among a frame's nearest."""
    from scipy.spatial import cKDTree

    buckets: dict[tuple, list[int]] = defaultdict(list)
    for k in ks:
        state = (given.levels[k], float(given.frames[k].info.get("charge") or 0), str(given.frames[k].info.get("multiplicity")))
        buckets[(given.seen[k].kind, state)].append(k)
    same: list[tuple[int, int]] = []
    near: list[tuple[int, int]] = []
    for bucket in buckets.values():
        values = np.array([given.seen[k].print for k in bucket])
        if len(bucket) < 2:
            continue
        if not values.shape[1]:  # single atoms in vacuum
            same += [(bucket[0], k) for k in bucket[1:]]
            continue
        # few columns of large spread find the candidates, all of them decide
        spread = values.std(axis=0)
        few = np.argsort(-spread, kind="stable")[:12]
        tree = cKDTree(values[:, few])
        _, places = tree.query(values[:, few], k=min(LOOK, len(bucket)), p=np.inf, distance_upper_bound=NEAR)
        for a, row in enumerate(places):
            for b in row:
                if b >= len(bucket) or bucket[b] >= bucket[a]:
                    continue
                off = float(np.abs(values[a] - values[b]).max())
                if off < SAME:
                    same.append((bucket[b], bucket[a]))
                elif off < NEAR and _moved_little(given, bucket[b], bucket[a]):
                    near.append((bucket[b], bucket[a]))
    return same, near


def _moved_little(given: Set, a: int, b: int) -> bool:
    """Whether no atom of the one needs to be moved by more than MOVED to become the other.

    Sums over a cell forget much: cells of many atoms rattled alike have nearly the same. Sorted distances do not: where no atom moves
    by more than MOVED, no k-th distance changes by more than twice that.
    """
    one, other = given.frames[a], given.frames[b]
    if not one.pbc.any() or len(one) != len(other):
        return True
    if _furthest(given.seen[a].shortest, given.seen[b].shortest) > 2 * MOVED:
        return False
    return _furthest(*(np.sort(pairs(atoms, REACH)[2]) for atoms in (one, other))) <= 2 * MOVED


def _furthest(d: np.ndarray, e: np.ndarray) -> float:
    n = min(len(d), len(e))
    return float(np.abs(d[:n] - e[:n]).max(initial=0.0))


def _agree(a: dict[str, Any], b: dict[str, Any], n: int) -> bool:
    if "energy" in a and "energy" in b and abs(a["energy"] - b["energy"]) > SAME_ENERGY * n:
        return False
    return not ("forces" in a and "forces" in b and np.abs(a["forces"] - b["forces"]).max(initial=0.0) > SAME_FORCE)
