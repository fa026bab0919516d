"""Train, validation and test without leaks: what is the same structure, or stood next to it in a trajectory, stays together.

The same: equal content hash, or equal up to rotation, reflection, order of atoms and choice of cell, seen by a fingerprint of
distances. Nearly the same: no atom moved by more than a thousandth of an Å. Next to it: frames of one `info["trajectory"]` are cut
into blocks, frames of one `info["group"]` stay whole.
Isolated atoms are no examples but the zero of energy, so they stand on the training side.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from adiabat.data.composition import is_isolated
from adiabat.data.geometry import pairs
from adiabat.data.structure import content_hash

BLOCK = 10  # frames of a trajectory that stay together
SAME = 1e-5  # Å between sorted distances; without unit for the sums in a cell (files rounded at 1e-8 Å differ by 1e-6)
MOVED = 1e-3  # Å: an atom moved by no more changes no sorted distance by more than twice that
NEAR = 2e-3  # of the sums in a cell: atoms moved by some 0.005 Å
SHARE = 20  # nearly equal frames stay together up to this part of the set, or BLOCK: a long chain of small steps is cut
LOOK = 8  # nearest frames of each that are looked at
REACH = 6.0  # Å, of the sums in a cell
_CENTERS = np.linspace(0.75, REACH - 0.25, 22)
_WIDTH = 0.3


class Split(NamedTuple):
    """Indices of frames."""

    train: list[int]
    validation: list[int]
    test: list[int]


class Seen(NamedTuple):
    """What a division needs of a frame: the frame itself may be gone."""

    alone: bool
    hash: str
    kind: tuple
    distances: np.ndarray
    shortest: np.ndarray
    trajectory: str | None
    place: float | None
    group: str | None


def seen(atoms: Atoms) -> Seen:
    """`place`: where in its trajectory a frame stands."""
    told = atoms.info
    trajectory, group = (str(told[name]) if name in told else None for name in ("trajectory", "group"))
    step = told.get("step", told.get("frame"))
    found = pairs(atoms, sight(atoms))
    kind, distances = fingerprint(atoms, found)
    shortest = shortest_of(found[2]) if atoms.pbc.any() else distances[:0]
    return Seen(
        is_isolated(atoms),
        content_hash(atoms),
        kind,
        distances,
        shortest,
        trajectory,
        None if step is None else float(step),
        group,
    )


def split(frames: Iterable[Atoms], fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> Split:
    """Divide frames by groups, as near to the fractions as the groups allow; the same seed gives the same split.

    >>> frames = [Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * k]]) for k in range(10)]
    >>> [len(side) for side in split(frames)]
    [8, 1, 1]
    """
    if len(fractions) != 3 or min(fractions) < 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise ValueError(f"split: fractions {fractions} came, wanted three numbers ≥ 0 that sum to 1, as (0.8, 0.1, 0.1)")
    known = [seen(atoms) for atoms in frames]
    lone = [k for k, one in enumerate(known) if one.alone]
    examples = [k for k, one in enumerate(known) if not one.alone]
    wanted = [side for side in range(3) if fractions[side] > 0]
    members: dict[int, list[int]] = {}
    for near in (True, False):  # a set of nothing but near duplicates is divided as well as it can be
        if len(members) < len(wanted):
            members = defaultdict(list)
            for k, group in zip(examples, _grouped([known[k] for k in examples], near), strict=True):
                members[group].append(k)
    if len(members) < len(wanted):
        raise ValueError(
            f"split: {len(examples)} frames form {len(members)} groups of duplicates or trajectory neighbors, wanted at least "
            f"{len(wanted)}; add other structures, or set a fraction to 0"
        )
    blocks = list(members.values())
    # In random order, whatever their length: a side of the smallest blocks alone would be no sample of the whole.
    np.random.default_rng(seed).shuffle(blocks)
    targets = [max(1.0, f * len(examples)) if f > 0 else 0.0 for f in fractions]
    targets[0] += len(examples) - sum(targets)
    sides: list[list[int]] = [[], [], []]
    for k, block in enumerate(blocks):
        empty = [side for side in wanted if not sides[side]]
        if len(blocks) - k <= len(empty):
            best = empty[0]
        else:  # the side that lacks most of its share, among those that the block brings nearer to it
            lacks = [targets[side] - len(sides[side]) for side in range(3)]
            near = [side for side in wanted if lacks[side] >= 0.5 * len(block)] or [max(wanted, key=lambda side: lacks[side])]
            best = max(near, key=lambda side: lacks[side] / targets[side])
        sides[best].extend(block)
    sides[0].extend(lone)
    return Split(*(sorted(side) for side in sides))


def groups(frames: Iterable[Atoms]) -> list[int]:
    """For each frame the number of its group. Frames are looked at once, one after the other."""
    return _grouped([seen(atoms) for atoms in frames])


def _grouped(known: Sequence[Seen], near: bool = True) -> list[int]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = [*_runs([one.hash for one in known]), *_alike([(one.kind, one.distances) for one in known]), *_trajectories(known)]
    links += _runs([one.group for one in known])
    n = len(known)
    i, j = np.array(links, dtype=int).reshape(-1, 2).T
    exact = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)[1]
    return _joined(exact, _nearly_alike(known), max(BLOCK, n // SHARE)).tolist() if near and n else exact.tolist()


def _joined(group: np.ndarray, links: Sequence[tuple[int, int]], most: int) -> np.ndarray:
    """Groups joined along links, in their order, where no more than `most` frames come together."""
    size = np.bincount(group)
    into = np.arange(len(size))

    def home(g: int) -> int:
        while into[g] != g:
            into[g] = into[into[g]]
            g = into[g]
        return g

    for a, b in links:
        g, h = home(group[a]), home(group[b])
        if g != h and size[g] + size[h] <= most:
            into[max(g, h)] = min(g, h)
            size[min(g, h)] = size[g] + size[h]
    return np.array([home(g) for g in range(len(into))])[group]


def _nearly_alike(known: Sequence[Seen]) -> list[tuple[int, int]]:
    """Pairs of frames of the same atoms whose distances differ by no more than small moves of atoms change them, the nearest first."""
    from scipy.spatial import cKDTree

    buckets: dict[tuple, list[int]] = defaultdict(list)
    for k, one in enumerate(known):
        if len(one.distances):
            buckets[(one.kind, len(one.distances), len(one.shortest))].append(k)
    found: dict[tuple[int, int], float] = {}
    for bucket in buckets.values():
        if len(bucket) < 2:
            continue
        values = np.array([known[k].distances for k in bucket])
        limit = NEAR if len(known[bucket[0]].shortest) else 2 * MOVED
        few = np.argsort(-values.std(axis=0), kind="stable")[:12]  # columns of large spread find candidates, all of them decide
        near = cKDTree(values[:, few]).query(values[:, few], k=min(LOOK, len(bucket)), p=np.inf, distance_upper_bound=limit)[1]
        for a, row in enumerate(near.reshape(len(bucket), -1)):
            for b in row[row < len(bucket)]:
                off = float(np.abs(values[a] - values[b]).max())
                k, m = sorted((bucket[a], bucket[b]))
                # Sums over a cell forget much: large cells rattled alike have nearly the same. Sorted distances do not.
                if k != m and off <= limit and np.abs(known[k].shortest - known[m].shortest).max(initial=0.0) <= 2 * MOVED:
                    found[k, m] = off
    return sorted(found, key=lambda pair: (found[pair], pair))


def equivalent(frames: Iterable[Atoms]) -> list[tuple[int, int]]:
    """Pairs of frames with equal fingerprints; each frame is paired with the nearest earlier one of its kind.

    Frames are looked at once, one after the other; only their fingerprints are kept.
    """
    return _alike([fingerprint(atoms) for atoms in frames])


def _alike(prints: Sequence[tuple[tuple, np.ndarray]]) -> list[tuple[int, int]]:
    found = []
    buckets: dict[tuple, list[int]] = defaultdict(list)
    for k, (kind, _) in enumerate(prints):
        buckets[kind].append(k)
    for bucket in buckets.values():
        values = np.array([prints[k][1] for k in bucket])
        if not values.shape[1]:  # single atoms in vacuum
            found += list(zip(bucket, bucket[1:]))
            continue
        order = np.argsort(values[:, 0] + values.mean(axis=1), kind="stable")
        key = (values[:, 0] + values.mean(axis=1))[order]
        for a in range(len(order)):
            for b in range(a + 1, len(order)):
                if key[b] - key[a] > 2 * SAME:
                    break
                if np.abs(values[order[a]] - values[order[b]]).max() < SAME:
                    found.append((bucket[order[a]], bucket[order[b]]))
                    break
    return [(min(p), max(p)) for p in found]


def fingerprint(atoms: Atoms, found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> tuple[tuple, np.ndarray]:
    """What a rotation, reflection, order of atoms or choice of cell does not change: a kind and a vector.

    A molecule: its distances, sorted within each pair of elements. A cell: per atom and pair of elements, sums of Gaussians of
    the distances below 6 Å, which are smooth, so that rounding moves nothing across an edge. `found` are the pairs within `sight`,
    where somebody knows them already.
    """
    i, j, d = pairs(atoms, sight(atoms)) if found is None else found
    symbols = Counter(atoms.numbers.tolist())
    if not atoms.pbc.any():
        kind = (False, tuple(sorted(symbols.items())))
    else:
        divisor = math.gcd(*symbols.values())
        kind = (tuple(atoms.pbc.tolist()), tuple(sorted((z, n // divisor) for z, n in symbols.items())))
    a, b = np.minimum(atoms.numbers[i], atoms.numbers[j]), np.maximum(atoms.numbers[i], atoms.numbers[j])
    code = a * 1000 + b
    if not atoms.pbc.any():
        return kind, d[np.lexsort((d, code))]
    fade = 0.5 * (1 + np.cos(np.pi * np.minimum(d / REACH, 1)))
    waves = np.exp(-(((d[:, None] - _CENTERS) / _WIDTH) ** 2)) * fade[:, None]
    kinds = [x * 1000 + y for x in sorted(symbols) for y in sorted(symbols) if x <= y]
    return kind, np.concatenate([waves[code == c].sum(axis=0) for c in kinds]) / len(atoms)


def shortest_of(distances: np.ndarray, n: int = 64) -> np.ndarray:
    """The n shortest, sorted."""
    return np.sort(np.partition(distances, n)[:n] if len(distances) > n else distances)


def sight(atoms: Atoms) -> float:
    """How far a fingerprint looks, Å: through a whole molecule, a few shells in a cell."""
    return REACH if atoms.pbc.any() else np.inf


def _runs(names: Sequence[str | None]) -> list[tuple[int, int]]:
    """Link each name to its first bearer."""
    first: dict[str, int] = {}
    return [(first.setdefault(name, k), k) for k, name in enumerate(names) if name is not None]


def _trajectories(known: Sequence[Seen]) -> list[tuple[int, int]]:
    """Link the frames of each trajectory in blocks, in the order of info["step"] (or "frame") where they have it."""
    runs: dict[str, list[int]] = defaultdict(list)
    for k, one in enumerate(known):
        if one.trajectory is not None:
            runs[one.trajectory].append(k)
    links = []
    for run in runs.values():
        run.sort(key=lambda k: float(k) if (place := known[k].place) is None else place)
        links += [(a, b) for place, (a, b) in enumerate(zip(run, run[1:]), start=1) if place % BLOCK]
    return links
