"""The radial distribution function g(r): how much denser than chance neighbors stand at a distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class RDF:
    """g(r) at bin centers (Å), its standard error over blocks of frames, and the running coordination number."""

    r: Float[np.ndarray, "B"]
    g: Float[np.ndarray, "B"]
    error: Float[np.ndarray, "B"]
    coordination: Float[np.ndarray, "B"]  # mean number of neighbors within the bin's outer edge, own images with them

    @property
    def first_peak(self) -> float:
        """Where g is highest, Å."""
        return float(self.r[self.g.argmax()])


def rdf(
    frames: Sequence[Atoms],
    *,
    cutoff: float,
    bins: int = 200,
    elements: tuple[str, str] | None = None,
    blocks: int = 10,
) -> RDF:
    """g(r) = n(r) V / (N_a N_b' · 4/3 π (r₊³ − r₋³)) over the atoms b around each atom a; every frame by its own volume.

    Any cell will do, however skewed, and `cutoff` may exceed half of it: all images are counted. Two finite-size errors are
    taken care of: N_b' = N − 1 between like atoms, and an atom's own images, which stand at lattice vectors whatever
    the liquid does, are left out of g. An ideal gas has g = 1 in the smallest box. The coordination number counts all neighbors
    an atom has, so that a crystal's is right in its smallest cubic cell.

    >>> from ase.build import bulk
    >>> round(rdf([bulk("Cu", cubic=True)], cutoff=3.0, bins=60).first_peak, 1)
    2.6
    """
    from ase.neighborlist import neighbor_list

    if not len(frames):
        raise ValueError("no frame came; wanted at least one")
    if not cutoff > 0 or bins < 1 or blocks < 1:
        raise ValueError(f"cutoff = {cutoff} Å, bins = {bins}, blocks = {blocks}; wanted positive ones")
    edges = np.linspace(0.0, cutoff, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    curves, neighbors = [], []
    for number, atoms in enumerate(frames):
        if not atoms.pbc.all():
            raise ValueError(
                f"frame {number} is not periodic in all directions, so it has no density to compare with; "
                "use distributions.distances for molecules and clusters"
            )
        if not np.isfinite(atoms.positions).all():
            raise ValueError(f"positions in frame {number} are not finite; leave out what comes after a run exploded")
        a, b = (_of(atoms, None if elements is None else elements[k]) for k in (0, 1))
        alike = int((a & b).sum())
        possible = int(a.sum()) * int(b.sum()) - alike
        if possible < 1:
            raise ValueError(f"frame {number} has no pair of {elements or 'atoms'}; g(r) needs two different atoms")
        i, j, d = neighbor_list("ijd", atoms, cutoff)
        wanted = a[i] & b[j]
        counts = np.histogram(d[wanted & (i != j)], edges)[0]
        curves.append(counts * atoms.get_volume() / (possible * shells))
        neighbors.append(np.cumsum(np.histogram(d[wanted], edges)[0]) / a.sum())
    curves = np.array(curves)
    parts = np.array([part.mean(0) for part in np.array_split(curves, min(blocks, len(curves)))])
    error = parts.std(0, ddof=1) / np.sqrt(len(parts)) if len(parts) > 1 else np.full(bins, np.nan)
    return RDF((edges[1:] + edges[:-1]) / 2, curves.mean(0), error, np.mean(neighbors, 0))


def _of(atoms, element):
    return np.ones(len(atoms), bool) if element is None else np.array(atoms.symbols) == element
