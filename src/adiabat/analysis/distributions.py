"""How distances and angles are distributed, with or without weights, with errors by bootstrap over frames.

Counting comes first and once: [T, B] counts a frame and bin. Weighting and resampling frames are then matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from adiabat.elements import COVALENT_RADII
from adiabat.neighbors import edges as near

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Histogram:
    """A density over bins with a standard error a bin. ∫ density over the bins is the share of the samples that lies in them."""

    edges: Float[np.ndarray, "B1"]
    density: Float[np.ndarray, "B"]
    error: Float[np.ndarray, "B"]
    unit: str  # of the edges

    @property
    def centers(self) -> Float[np.ndarray, "B"]:
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def mean(self) -> float:
        """Of the samples within the bins."""
        shares = self.density * np.diff(self.edges)
        return float((self.centers * shares).sum() / shares.sum())


def histogram(
    samples: Sequence[Float[np.ndarray, "_"]],
    edges: Float[np.ndarray, "B1"],
    *,
    rng: np.random.Generator,
    weights: Float[np.ndarray, "T"] | None = None,
    unit: str = "",
    block: int = 1,
    resamples: int = 200,
) -> Histogram:
    """One array of samples a frame → a weighted density; frames (blocks of `block` in a row) are resampled for the error.

    Give `block` about twice the autocorrelation time, in frames, of a trajectory; 1 when the frames are independent.

    >>> halves, bins = [np.array([0.5]), np.array([1.5])], np.array([0.0, 1.0, 2.0])
    >>> flat = histogram(halves, bins, rng=np.random.default_rng(0))
    >>> flat.density.tolist()
    [0.5, 0.5]
    >>> tilted = histogram(halves, bins, rng=np.random.default_rng(0), weights=np.array([3.0, 1.0]))
    >>> tilted.density.tolist()
    [0.75, 0.25]
    """
    blocks = tally(samples, edges, weights, block)
    return of_blocks(blocks, edges, rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=resamples), unit)[
        0
    ]


def tally(
    samples: Sequence[Float[np.ndarray, "_"]],
    edges: Float[np.ndarray, "B1"],
    weights: Float[np.ndarray, "T"] | None,
    block: int = 1,
) -> Float[np.ndarray, "K B1"]:
    """Weighted counts a block of frames and bin, last those outside all bins."""
    if not len(samples) or block < 1:
        raise ValueError(f"{len(samples)} frames came in blocks of {block}; wanted at least one of each")
    counts = _counted(samples, edges).astype(float)
    weights = np.ones(len(counts)) if weights is None else weights
    if len(weights) != len(counts):
        raise ValueError(f"{len(weights)} weights for {len(counts)} frames; give one a frame")
    blocks = np.zeros((-(-len(counts) // block), counts.shape[1]))
    np.add.at(blocks, np.arange(len(counts)) // block, weights[:, None] * counts)
    return blocks


def of_blocks(
    blocks: Float[np.ndarray, "K B1"], edges: Float[np.ndarray, "B1"], picks: Int[np.ndarray, "P K"], unit: str
) -> tuple[Histogram, Float[np.ndarray, "P B"]]:
    """The histogram of all blocks with its bootstrap error, and all resampled densities; `picks` says how often."""
    density = _normalized(blocks.sum(0), edges)
    drawn = np.array([_normalized(row, edges) for row in picks @ blocks])
    error = drawn.std(0) if len(blocks) > 1 else np.full_like(density, np.nan)
    return Histogram(edges, density, error, unit), drawn


def distances(
    frames: Sequence[Atoms], pairs: Int[np.ndarray, "P 2"] | tuple[str, str], *, cutoff: float | None = None
) -> list[Float[np.ndarray, "_"]]:
    """Pair distances a frame, Å, by the shortest image: of given index pairs, or of all bonds between two elements.

    A bond is shorter than `cutoff`, by default 1.3 times the sum of covalent radii (Cordero 2008). The bonds are found anew
    in every frame; index pairs follow a bond however far it stretches.

    >>> from ase.build import molecule
    >>> distances([molecule("H2O")], ("O", "H"))[0].round(3).tolist()
    [0.969, 0.969]
    """
    return [np.linalg.norm(_pairs(atoms, pairs, cutoff), axis=1) for atoms in frames]


def angles(
    frames: Sequence[Atoms], triples: Int[np.ndarray, "P 3"] | tuple[str, str, str], *, cutoff: float | None = None
) -> list[Float[np.ndarray, "_"]]:
    """Angles a frame, degrees, the vertex in the middle: of index triples, or between all bonds of elements (end, vertex, end).

    >>> from ase.build import molecule
    >>> angles([molecule("H2O")], ("H", "O", "H"))[0].round(1).tolist()
    [104.0]
    """
    return [_angles(atoms, triples, cutoff) for atoms in frames]


def overlap(a: Histogram, b: Histogram) -> float:
    """∫ min(p, q): 1 for equal densities, 0 for disjoint ones.

    >>> rng = np.random.default_rng(0)
    >>> a, b = (histogram([np.array([x])], np.array([0.0, 1.0, 2.0]), rng=rng) for x in (0.5, 1.5))
    >>> overlap(a, a), overlap(a, b)
    (1.0, 0.0)
    """
    if a.edges.shape != b.edges.shape or not np.allclose(a.edges, b.edges):
        raise ValueError("the two histograms have different bins; count both over the same edges")
    return float((np.minimum(a.density, b.density) * np.diff(a.edges)).sum())


def _counted(samples, edges):
    """[T, B + 1]: counts a bin, the last bin closed on both sides as `np.histogram` has it, and outside."""
    flat = np.concatenate([np.asarray(x, float).ravel() for x in samples])
    frame = np.repeat(np.arange(len(samples)), [np.size(x) for x in samples])
    if np.isnan(flat).any():
        raise ValueError(f"a sample of frame {frame[np.isnan(flat)][0]} is NaN; leave the frame out, or see what made it")
    bins = len(edges) - 1
    place = np.searchsorted(edges, flat, side="right") - 1
    place[flat == edges[-1]] = bins - 1
    place[place < 0] = bins
    return np.bincount(frame * (bins + 1) + place, minlength=len(samples) * (bins + 1)).reshape(len(samples), bins + 1)


def _normalized(counts, edges):
    total = counts.sum()
    return counts[:-1] / (total * np.diff(edges)) if total > 0 else np.full(len(edges) - 1, np.nan)


def _pairs(atoms, pairs, cutoff):
    """The vectors of the wanted pairs: index pairs as they are, element pairs by bond."""
    if len(pairs) and isinstance(pairs[0], str):
        i, j, r = _bonds(atoms, pairs, cutoff)
        if pairs[0] == pairs[1]:  # each bond once
            r = r[(i < j) | ((i == j) & (_first_nonzero_sign(r) > 0))]
        return r
    pairs = np.asarray(pairs, int).reshape(-1, 2)
    return _shortest(atoms, atoms.positions[pairs[:, 1]] - atoms.positions[pairs[:, 0]])


def _angles(atoms, triples, cutoff):
    if len(triples) and isinstance(triples[0], str):
        left, vertex, right = triples
        i, _, a = _bonds(atoms, (vertex, left), cutoff)
        k, _, b = _bonds(atoms, (vertex, right), cutoff)
        one, two = _equal(i, k)
        if left == right:
            once = one < two  # the same list twice: each pair of bonds once, none with itself
            one, two = one[once], two[once]
        a, b = a[one], b[two]
    else:
        triples = np.asarray(triples, int).reshape(-1, 3)
        vertex = atoms.positions[triples[:, 1]]
        a, b = (_shortest(atoms, atoms.positions[triples[:, end]] - vertex) for end in (0, 2))
    # atan2 keeps its digits at 0° and 180°, where arccos loses half of them
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(1)))


def _equal(i, k):
    """All (a, b) with i[a] = k[b], without looking at every pair."""
    order = np.argsort(k, kind="stable")
    first, last = (np.searchsorted(k[order], i, side) for side in ("left", "right"))
    many = last - first
    one = np.repeat(np.arange(len(i)), many)
    within = np.arange(len(one)) - np.repeat(np.cumsum(many) - many, many)
    return one, order[first[one] + within]


def _shortest(atoms, vectors):
    if not atoms.pbc.any() or not len(vectors):
        return vectors
    from ase.geometry import find_mic

    return find_mic(vectors, atoms.cell, atoms.pbc)[0]


def _bonds(atoms, elements, cutoff):
    from ase.data import atomic_numbers

    a, b = (atomic_numbers[symbol] for symbol in elements)
    reach = 1.3 * (COVALENT_RADII[a] + COVALENT_RADII[b]) if cutoff is None else cutoff
    if not np.isfinite(atoms.positions).all():
        raise ValueError("positions of a frame are not finite; leave out what comes after a run exploded")
    found = near(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    wanted = (atoms.numbers[found.i] == a) & (atoms.numbers[found.j] == b)
    i, j, shift = found.i[wanted], found.j[wanted], found.shift[wanted]
    return i, j, atoms.positions[j] - atoms.positions[i] + shift @ atoms.cell.array


def _first_nonzero_sign(r):
    """±1 by a vector's first nonzero component: tells an edge to an own image from its way back."""
    return np.sign(r[np.arange(len(r)), (np.abs(r) > 1e-9).argmax(1)])
