"""Output of electronic-structure codes: one file a format, known by what is in it.

A reader takes only what the file itself calls converged, and says of the rest why it is no label. A new format is one file with
`NAME`, `recognizes(head)` and `read(path)`, and its line here.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ase import Atoms

from adiabat.data.engines import cp2k, espresso, gaussian, gpaw, orca, outcar, pyscf, vasprun
from adiabat.data.engines.calculation import LeftOut, head_of

ENGINES: tuple[ModuleType, ...] = (vasprun, outcar, espresso, cp2k, gpaw, gaussian, orca, pyscf)

__all__ = ["ENGINES", "LeftOut", "read_output", "recognized"]


def recognized(path: Path) -> ModuleType | None:
    """The reader that knows this file by its first lines, or None."""
    head = head_of(path)
    return next((engine for engine in ENGINES if engine.recognizes(head)), None)


def read_output(path: Path, engine: ModuleType | None = None) -> tuple[list[Atoms], list[LeftOut], list[str]]:
    """Labels with their settings record, what was left out and why, and notes."""
    engine = engine or recognized(path)
    if engine is None:
        raise ValueError(f"{path}: no engine's output is known by its first lines; known: {', '.join(e.NAME for e in ENGINES)}")
    told = engine.read(path)
    frames, left_out = told.labels(path)
    return frames, left_out, told.notes
