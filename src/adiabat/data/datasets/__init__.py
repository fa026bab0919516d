"""Public sets: one file a set, known by what is in it; each frame carries the set's licence and citation in `info["adiabat"]`.

Nothing is downloaded and no pickle is opened. A new set is one file with `NAME`, `recognizes(path, head)` and `read(path)`, and its line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ase import Atoms

from adiabat.data.datasets import ani, materials, md17, oc20, qm9
from adiabat.data.engines.calculation import OPENERS, LeftOut

DATASETS: tuple[ModuleType, ...] = (md17, qm9, ani, oc20, materials)

__all__ = ["DATASETS", "citations", "read_set", "recognized"]


def recognized(path: Path) -> ModuleType | None:
    """The reader that knows this file by its first bytes (and, of containers, their names), or None."""
    opener = OPENERS.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:  # type: ignore[operator]
            head = file.read(65536)
    except (OSError, EOFError, ValueError):
        return None
    return next((one for one in DATASETS if one.recognizes(path, head)), None)


def read_set(path: Path, dataset: ModuleType) -> tuple[list[Atoms], list[LeftOut], list[str]]:
    """Labels, what was left out and why, and how to cite the set."""
    frames = dataset.read(path)
    note = f"{frames.card.name}: {frames.card.citation}; licence: {frames.card.licence} ({frames.card.url})"
    return frames.kept, frames.left_out, [note]


def citations(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of records that come from public sets: each set once, with its citation and licence."""
    told = (f"{r['dataset']}: {r['citation']}; licence: {r['licence']} ({r['url']})" for r in records if "dataset" in r)
    return list(dict.fromkeys(told))
