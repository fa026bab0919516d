"""Which structures of a campaign its report shows: thinned, so that a page stays one that can be mailed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

COORDINATES = 18_000  # of one view: three of them are what a report's page holds


def thinned(frames: Sequence[Atoms], labels: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Frames as the report has them, evenly taken, as many as a view may have; none of a structure too large for a page.

    >>> len(thinned([Atoms("H")] * 300)), len(thinned([Atoms("H8000")]))
    (50, 0)
    """
    n = max(map(len, frames), default=0)
    most = min(50, COORDINATES // max(3 * n, 1))
    picks = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)).tolist()
    found: list[dict[str, Any]] = []
    for k in picks:
        symbols, cell = frames[k].get_chemical_symbols(), frames[k].cell
        found.append({"positions_A": frames[k].positions.round(4)})
        if not found[1:] or symbols != found[0]["symbols"]:
            found[-1]["symbols"] = symbols
        if cell.rank == 3:
            found[-1]["cell_A"] = cell.array.round(4)
        if labels:
            found[-1]["label"] = labels[k]
    return found


def first_replica(path: Path) -> tuple[list[Atoms], list[float]]:
    """Frames of a production run's first replica, and their times in fs."""
    with np.load(path, allow_pickle=False) as data:
        picks = np.unique(np.linspace(0, len(data["time_fs"]) - 1, 50).round().astype(int))
        places, times = data["positions"][picks, 0], data["time_fs"][picks].tolist()
        return [Atoms(data["numbers"], p, cell=data["cell"], pbc=data["pbc"]) for p in places], times


def worst(parity: Mapping[str, Any], frames: Sequence[Atoms], n: int = 4) -> list[tuple[int, float]]:
    """Numbers of the frames with the largest errors, and their root-mean-square force errors, eV/Å."""
    error = np.asarray(parity["force_model_eV_per_A"]) - np.asarray(parity["force_reference_eV_per_A"])
    ends = np.cumsum([3 * len(a) for a in frames])[:-1]
    rms = [float(np.sqrt(np.mean(e**2))) for e in np.split(error, ends)]
    return [(int(k), rms[k]) for k in np.argsort(rms)[::-1][:n]]
