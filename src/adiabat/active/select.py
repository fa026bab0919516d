"""Which frames to label: the ones the committee doubts, and of those the ones that differ from each other and from what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from adiabat.graph import Graph
from adiabat.models.bpnn import SymmetryFunctions

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Candidate:
    """A frame met while exploring: where it came from and how much the committee doubts it."""

    atoms: Atoms
    spread_eV_per_A: float  # the largest calibrated force spread of its atoms
    temperature_K: float
    replica: int
    time_fs: float


@dataclass(frozen=True)
class Selection:
    """How candidates are chosen.

    `per_round` frames at most; of the most uncertain `pool` times as many, those farthest from each other and from all labeled
    frames, by symmetry functions within `cutoff` (Å).
    """

    per_round: int = 12
    pool: float = 6.0
    cutoff: float = 5.0

    def choose(self, candidates: Sequence[Candidate], labeled: Sequence[Atoms], room: int) -> list[Candidate]:
        """At most min(per_round, room) candidates, the most telling first."""
        n = min(self.per_round, room)
        doubted = sorted(candidates, key=lambda c: (-c.spread_eV_per_A, c.time_fs, c.replica))[
            : int(np.ceil(self.pool * max(n, 0)))
        ]
        if n <= 0 or not doubted:
            return []
        elements = sorted({int(z) for a in (*labeled, *(c.atoms for c in doubted)) for z in a.numbers})
        known = fingerprints(labeled, elements, self.cutoff) if labeled else np.zeros((0, 1))
        new = fingerprints([c.atoms for c in doubted], elements, self.cutoff)
        if not len(known):
            known = new[:0]
        scale = np.std(np.concatenate([known, new]), axis=0)
        scale[scale < 1e-9] = np.inf  # what never varies tells nobody apart
        return [doubted[k] for k in farthest_points(new / scale, n, known / scale)]


def farthest_points(points: np.ndarray, n: int, known: np.ndarray) -> list[int]:
    """Indices of `n` rows, each the farthest from all rows chosen before it and from the `known` ones.

    Gonzalez, Theor. Comput. Sci. 38, 293 (1985): within twice the best covering radius. Rows that are equal to one chosen
    already are never taken.

    >>> farthest_points(np.array([[0.0], [1.0], [12.0]]), 2, known=np.array([[9.0]]))
    [0, 2]
    """
    distance = np.full(len(points), np.inf)
    for row in known:
        distance = np.minimum(distance, np.linalg.norm(points - row, axis=1))
    chosen: list[int] = []
    while len(chosen) < min(n, len(points)):
        k = 0 if not np.isfinite(distance).any() else int(np.argmax(distance))
        if distance[k] <= 1e-9:
            break
        chosen.append(k)
        distance = np.minimum(distance, np.linalg.norm(points - points[k], axis=1))
    return chosen


def fingerprints(frames: Sequence[Atoms], elements: Sequence[int], cutoff: float) -> np.ndarray:
    """One row a frame: mean and standard deviation of each element's symmetry functions. Blind to rotation and order of atoms."""
    functions = SymmetryFunctions(cutoff, elements, radial=8, angular=2, zetas=(1.0, 4.0)).double()
    rows = []
    for atoms in frames:
        bare = atoms.copy()
        graph = Graph.of(bare, cutoff)
        with torch.no_grad():
            G = functions(graph)
        parts = []
        for z in elements:
            mine = G[graph.numbers == z]
            empty = torch.zeros(G.shape[1], dtype=G.dtype)
            parts += [mine.mean(0) if len(mine) else empty, mine.std(0, correction=0) if len(mine) else empty]
        rows.append(torch.cat(parts).numpy())
    return np.array(rows)
