"""How far atoms wander: mean square displacement and the diffusion coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.analysis.quantity import Quantity

if TYPE_CHECKING:
    from ase import Atoms


def unwrap(frames: Sequence[Atoms]) -> Float[np.ndarray, "T N 3"]:
    """Positions as if atoms had never been folded back into the cell.

    Steps between frames are taken by the nearest image in fractional coordinates: no atom may move half a cell between two
    frames. With a changing cell, steps are measured in the later frame's.

    >>> from ase import Atoms
    >>> walk = [Atoms("H", [[x % 3.0, 0, 0]], cell=[3, 3, 3], pbc=True) for x in (2.0, 2.8, 3.6)]
    >>> unwrap(walk)[:, 0, 0].round(6).tolist()
    [2.0, 2.8, 3.6]
    """
    steps = [frames[0].positions]
    for before, after in pairwise(frames):
        if after.pbc.any():
            cell = after.cell.complete()
            step = cell.scaled_positions(after.positions) - before.cell.complete().scaled_positions(before.positions)
            steps.append((step - np.round(step) * after.pbc) @ cell.array)
        else:
            steps.append(after.positions - before.positions)
    return np.cumsum(steps, axis=0)


def mean_square_displacement(positions: Float[np.ndarray, "T N 3"]) -> Float[np.ndarray, "T"]:
    """⟨|r(s+t) − r(s)|²⟩ over atoms and all origins s, Å², for unwrapped positions; by FFT in O(T log T).

    Σ(r(s+t) − r(s))² = Σr²(s+t) + Σr²(s) − 2 Σr(s)·r(s+t): Calandrini et al., Collection SFN 12, 201 (2011).

    >>> ballistic = np.arange(4.0)[:, None, None] * np.array([1.0, 0.0, 0.0])
    >>> mean_square_displacement(ballistic).round(6).tolist()
    [0.0, 1.0, 4.0, 9.0]
    """
    r = np.asarray(positions, float)
    r = r - r.mean(0)  # digits: displacements do not know the origin
    steps = len(r)
    windows = np.arange(steps, 0, -1)
    square = (r**2).sum((1, 2))
    ends = np.concatenate([[0.0], np.cumsum(square)])
    sums = (ends[steps] - ends[:steps]) + ends[steps:0:-1]  # late ends plus early starts
    cross = np.fft.irfft((np.abs(np.fft.rfft(r, n=2 * steps, axis=0)) ** 2).sum((1, 2)))[:steps]
    return np.maximum((sums - 2 * cross) / windows / r.shape[1], 0.0)


def diffusion_coefficient(
    positions: Float[np.ndarray, "T N 3"],
    interval_fs: float,
    *,
    fit: tuple[float, float] = (0.1, 0.5),
    blocks: int = 5,
    dimensions: int = 3,
) -> Quantity:
    """D = slope of MSD(t) / 2d, Å²/fs, by least squares over lags between the two fractions of a block's length.

    The trajectory is cut in `blocks` pieces; their spread is the error, since MSD values at different lags share their origins
    and a regression's own error would be far too small. The first lags (ballistic) and the last (few origins) stay out.
    1 Å²/fs = 0.1 cm²/s. A periodic box slows diffusion by 2.84 kT/(6πηL): Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004).

    >>> steps = np.random.default_rng(0).normal(scale=0.1, size=(4000, 20, 3))
    >>> D = diffusion_coefficient(np.cumsum(steps, 0), interval_fs=1.0)
    >>> bool(abs(D.value - 0.005) < 4 * D.error), D.unit
    (True, 'Å²/fs')
    """
    positions = np.asarray(positions, float)
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
