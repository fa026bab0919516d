"""One structure's atoms moved again and again under several terms: as `moving`, with the terms' own calls on vectors and sums that
are written over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

import numpy as np
import torch

from adiabat.kernels.local import Adds, Call, ConstantsEvaluator, Edges, Sums
from adiabat.kernels.moving import Moved

VOIGT = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]  # xx yy zz yz xz xy


class MovingLocal:
    """Terms on the edges that were found at positions `built` [N, 3] with a skin; `images` [E, 3] is what a neighbor's cell adds to its
    vector, None where there are none; the structure has a `volume` (Å³) or NaN. `walk`: what a message-passing term says of edge
    vectors, to which the others add. For one thread at a time."""

    def __init__(
        self,
        terms: Sequence[Adds],
        edges: Edges,
        built: np.ndarray,
        images: np.ndarray | None,
        *,
        skin: float,
        volume: float,
        walk: Callable[[np.ndarray], Sums] | None = None,
    ) -> None:
        N, E = edges.atoms, edges.edges
        self.built, self.images, self.skin, self.volume, self.walk = built, images, skin, volume, walk
        _, first, j, _, _ = (x.numpy() for x in edges.kept)
        self.centers, self.neighbors = np.repeat(np.arange(N), np.diff(first)), j
        r, self.sums = torch.zeros(E, 3, dtype=torch.float64), Sums.zero((), N, 1)
        self.r, self.back, self.energies, self.energy, self.forces, self.strain = (
            x.numpy() for x in (r, torch.zeros_like(r), *self.sums)
        )
        self.call = Call(edges, r, 1, sums=self.sums)
        # What comes first and is the same everywhere is what the sums begin with: forces and strain at zero.
        constant = [] if walk else list(takewhile(lambda term: isinstance(term, ConstantsEvaluator), terms))
        self.terms = terms[len(constant) :]
        self.call.made_by(constant)
        self.begin = self.energies.copy(), self.energy.copy()

    def __call__(self, positions: np.ndarray, threads: int = 1) -> Moved | None:
        """None where the edges do not hold, or a position is no number."""
        way = positions - self.built
        if not 2 * np.sqrt(np.einsum("nx,nx->n", way, way).max()) < self.skin:
            return None
        r = self.r
        # "clip": the lists were accepted before, and other modes look at each index and go through a copy
        np.take(positions, self.neighbors, axis=0, out=r, mode="clip")
        np.take(positions, self.centers, axis=0, out=self.back, mode="clip")
        r -= self.back
        if self.images is not None:
            r += self.images
        if self.walk is not None:
            for sum_, found in zip(self.sums, self.walk(r), strict=True):
                sum_.copy_(found)
        else:
            self.energies[:], self.energy[:] = self.begin
            self.forces.fill(0.0)
            self.strain.fill(0.0)
        self.call.use(threads)
        self.call.made_by(self.terms)
        (strain,) = self.strain
        stress = (0.5 * (strain + strain.T) / self.volume)[VOIGT]
        return Moved(self.energy.item(), self.energies.copy(), self.forces.copy(), stress)
