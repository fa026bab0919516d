"""The radial distribution function g(r): how much denser than chance neighbors stand at a distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.neighbors import edges

if TYPE_CHECKING:
    from ase import Atoms


SMOOTH = 0.05  # Å, the width of the Gaussian through which peaks are looked for: thermal peaks are wider
STANDS_OUT = 0.1  # of the highest peak, both above 1: the first shell of a liquid or crystal is never that low
SIGMAS = 3.5  # of the counting noise: less may be chance


@dataclass(frozen=True)
class RDF:
    """g(r) at bin centers (Å), its standard error over blocks of frames, and the running coordination number."""

    r: Float[np.ndarray, "B"]
    g: Float[np.ndarray, "B"]
    error: Float[np.ndarray, "B"]
    coordination: Float[np.ndarray, "B"]  # mean number of neighbors within the bin's outer edge, own images with them
    pairs: Float[np.ndarray, "B"]  # how many were counted in all frames, each once, own images left out

    @property
    def first_peak(self) -> float:
        """Where the first shell of neighbors is densest, Å; NaN where none stands out.

        A shell is a range of distances with g > 1, denser than chance, seen through a Gaussian of 0.05 Å; it counts if more pairs are in
        it than chance puts there, by 3.5 times their Poisson noise, and if it is a tenth as high above 1 as the highest. Of a shell that
        the cutoff cuts at its rise no peak is known. The highest peak may belong to a later shell: in diamond it is the second's.
        """
        width = self.r[1] - self.r[0] if len(self.r) > 1 else 1.0
        reach = int(4 * SMOOTH / width)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * width / SMOOTH) ** 2)
        smooth = np.convolve(np.pad(self.g, reach), kernel / kernel.sum(), "valid")  # edges fade: nothing was counted beyond
        steps = np.diff(np.concatenate([[0], smooth > 1, [0]]))
        by_chance = np.divide(self.pairs, self.g, out=np.zeros_like(self.g), where=self.g > 0)
        for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            place = start + smooth[start:stop].argmax()
            n = self.pairs[start:stop].sum()
            told = n - by_chance[start:stop].sum() >= SIGMAS * np.sqrt(n)
            if told and smooth[place] - 1 >= STANDS_OUT * (smooth.max() - 1) and place < len(smooth) - 1:
                return float(self.r[place])
        return float("nan")


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
    if not len(frames):
        raise ValueError("no frame came; wanted at least one")
    if not cutoff > 0 or bins < 1 or blocks < 1:
        raise ValueError(f"cutoff = {cutoff} Å, bins = {bins}, blocks = {blocks}; wanted positive ones")
    bounds = np.linspace(0.0, cutoff, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(bounds**3)
    curves, neighbors, pairs = [], [], np.zeros(bins)
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
        i, j, d = _near(atoms, cutoff)
        wanted = a[i] & b[j]
        counts = np.histogram(d[wanted & (i != j)], bounds)[0]
        curves.append(counts * atoms.get_volume() / (possible * shells))
        neighbors.append(np.cumsum(np.histogram(d[wanted], bounds)[0]) / a.sum())
        pairs += counts / (2 if alike else 1)
    curves = np.array(curves)
    parts = np.array([part.mean(0) for part in np.array_split(curves, min(blocks, len(curves)))])
    error = parts.std(0, ddof=1) / np.sqrt(len(parts)) if len(parts) > 1 else np.full(bins, np.nan)
    return RDF((bounds[1:] + bounds[:-1]) / 2, curves.mean(0), error, np.mean(neighbors, 0), pairs)


def _near(atoms, cutoff):
    """Directed pairs i, j nearer than the cutoff, and their distances d."""
    found = edges(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    r = atoms.positions[found.j] - atoms.positions[found.i] + found.shift @ atoms.cell.array
    d = np.sqrt((r * r).sum(1))
    near = d < cutoff  # the last bit may have decided otherwise there
    return found.i[near], found.j[near], d[near]


def _of(atoms, element):
    return np.ones(len(atoms), bool) if element is None else np.array(atoms.symbols) == element
