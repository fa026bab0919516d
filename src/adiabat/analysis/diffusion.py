"""How far atoms wander: mean square displacement and the diffusion coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.analysis.motions import motions
from adiabat.analysis.quantity import Quantity

if TYPE_CHECKING:
    from ase import Atoms


def unwrap(frames: Sequence[Atoms]) -> Float[np.ndarray, "T N 3"]:
    """Positions as if atoms had never been folded back into the cell.

    Steps between frames are taken by the nearest image in fractional coordinates: no atom may move half a cell between two
    frames. With a changing cell, steps are measured in the later frame's; a cell whose vectors are chosen anew on the way
    cannot be followed.

    >>> from ase import Atoms
    >>> walk = [Atoms("H", [[x % 3.0, 0, 0]], cell=[3, 3, 3], pbc=True) for x in (2.0, 2.8, 3.6)]
    >>> unwrap(walk)[:, 0, 0].round(6).tolist()
    [2.0, 2.8, 3.6]
    """
    if not len(frames):
        raise ValueError("no frame came to unwrap; wanted at least one")
    for number, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise ValueError(
                f"frame {number} has other atoms than frame 0, or in another order; wanted one trajectory of one system"
            )
        if (atoms.pbc & ~atoms.cell.array.any(1)).any():
            raise ValueError(
                f"frame {number} is periodic along {atoms.pbc.tolist()} and lacks a cell vector there; set the cell or pbc"
            )
    steps = [frames[0].positions]
    for before, after in pairwise(frames):
        if after.pbc.any():
            cell = after.cell.complete()
            step = cell.scaled_positions(after.positions) - before.cell.complete().scaled_positions(before.positions)
            steps.append((step - np.round(step) * after.pbc) @ cell.array)
        else:
            steps.append(after.positions - before.positions)
    return np.cumsum(steps, axis=0)


def without_drift(
    positions: Float[np.ndarray, "T N 3"], masses: Float[np.ndarray, "N"] | None = None
) -> Float[np.ndarray, "T N 3"]:
    """Unwrapped positions seen from the center of mass (of geometry, without masses), which stays where it was at first.

    A box that drifts adds v²t² to every mean square displacement. Give all atoms of the box, then pick those that are wanted; without
    a drift N atoms lose a share 1/N of their diffusion by this, so leave out what does not drift.

    >>> flight = np.arange(4.0)[:, None, None] * np.ones((1, 2, 3)) + np.array([[[0.0, 0, 0], [1.0, 0, 0]]])
    >>> mean_square_displacement(without_drift(flight)).round(6).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    r = motions(positions, "positions")
    masses = np.ones(r.shape[1]) if masses is None else np.asarray(masses, float)
    if masses.shape != r.shape[1:2]:
        raise ValueError(f"masses of shape {masses.shape} for {r.shape[1]} atoms; give one an atom")
    center = np.einsum("n,tnx->tx", masses / masses.sum(), r)
    return r - (center - center[0])[:, None]


def mean_square_displacement(positions: Float[np.ndarray, "T N X"]) -> Float[np.ndarray, "T"]:
    """⟨|r(s+t) − r(s)|²⟩ over atoms and all origins s, Å², for unwrapped positions; by FFT in O(T log T).

    Σ(r(s+t) − r(s))² = Σr²(s+t) + Σr²(s) − 2 Σr(s)·r(s+t): Calandrini et al., Collection SFN 12, 201 (2011).

    >>> ballistic = np.arange(4.0)[:, None, None] * np.array([1.0, 0.0, 0.0])
    >>> mean_square_displacement(ballistic).round(6).tolist()
    [0.0, 1.0, 4.0, 9.0]
    """
    r = motions(positions, "positions")
    r = r - r.mean(0)  # digits: displacements do not know the origin
    steps = len(r)
    windows = np.arange(steps, 0, -1)
    square = (r**2).sum((1, 2))
    ends = np.concatenate([[0.0], np.cumsum(square)])
    sums = (ends[steps] - ends[:steps]) + ends[steps:0:-1]  # late ends plus early starts
    cross = np.fft.irfft((np.abs(np.fft.rfft(r, n=2 * steps, axis=0)) ** 2).sum((1, 2)))[:steps]
    return np.maximum((sums - 2 * cross) / windows / r.shape[1], 0.0)


def diffusion_coefficient(
    positions: Float[np.ndarray, "T N X"],
    interval_fs: float,
    *,
    fit: tuple[float, float] = (0.1, 0.5),
    blocks: int = 5,
    dimensions: int | None = None,
) -> Quantity:
    """D = slope of MSD(t) / 2d, Å²/fs, by least squares over lags between the two fractions of a block's length.

    The trajectory is cut in `blocks` pieces; their spread is the error, since MSD values at different lags share their origins
    and a regression's own error would be far too small. The first lags (ballistic) and the last (few origins) stay out.
    1 Å²/fs = 0.1 cm²/s.

    Positions are unwrapped ones (`unwrap`) of a box that does not drift (`without_drift`), of one kind of atom: kinds wander
    differently. `dimensions` d are as many as positions have axes unless given. A periodic box slows diffusion by
    2.84 kT/(6πηL): Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004).

    >>> steps = np.random.default_rng(0).normal(scale=0.1, size=(4000, 20, 3))
    >>> D = diffusion_coefficient(np.cumsum(steps, 0), interval_fs=1.0)
    >>> bool(abs(D.value - 0.005) < 4 * D.error), D.unit
    (True, 'Å²/fs')
    """
    positions = motions(positions, "positions")
    if not interval_fs > 0 or blocks < 1 or not 0 <= fit[0] < fit[1] <= 1:
        raise ValueError(
            f"interval_fs = {interval_fs}, blocks = {blocks}, fit = {fit}; wanted a positive time, at least one block, and two rising "
            "fractions of a block"
        )
    dimensions = positions.shape[-1] if dimensions is None else dimensions
    length = len(positions) // blocks
    low, high = int(fit[0] * length), int(fit[1] * length)
    if high - low < 3:
        raise ValueError(
            f"{len(positions)} frames in {blocks} blocks leave {high - low} lags to fit; give more frames or fewer blocks"
        )
    lags = np.arange(low, high) * interval_fs
    pieces = [positions[k * length : (k + 1) * length] for k in range(blocks)]
    values = [np.polyfit(lags, mean_square_displacement(piece)[low:high], 1)[0] / (2 * dimensions) for piece in pieces]
    error = float(np.std(values, ddof=1) / np.sqrt(blocks)) if blocks > 1 else float("nan")
    return Quantity(float(np.mean(values)), error, "Å²/fs")
