"""Which importer reads a file: the table of importers, and what each of them has.

An importer is a file of this folder and its name in IMPORTERS. Every one says

| name | what |
|---|---|
| `PEER` | the peer's name, one word: "mace-torch" |
| `FILES` | what it reads, in a few words, for who brings something else |
| `recognizes(path)` | whether this file or folder is one of the peer's: by its name and content; nothing in it is run |

and then one of two ways. A `Reader` is for files that are data anyone can read (texts, tables, XML):

| `load(path, elements)` | the potential, in float64; `elements` are for files that do not name theirs: see `agreed` |
| `UNITS` | only where files do not tell their units either: which ones they need; `load(path, elements, units)` gets them |

A `Converter` is for pickles, which only the peer's own package can open:

| `extract(path, trust, elements)` | plain settings and arrays, with the peer's own answers on a few clusters (`answers`) |
| `convert(extracted, intervals)` | the potential, in float64 |
| `TOLERANCE` | how far its forces may be from those answers, in their root mean square |
| `in_units(extracted, units)` | only where files do not tell their units: with a factor to eV among the settings, answers in eV |

What an importer does not support it refuses with a `ForeignModelError` that names the file and the keyword, block or section.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from adiabat.deploy.importers.extracted import Extracted, ForeignModelError
from adiabat.deploy.importers.trusted import is_pickle
from adiabat.potential import Potential

# asked in this order; the first who recognizes a file reads it
IMPORTERS = (
    "mace",
    "schnetpack",
    "ani",
    "mtp",
    "snap",
    "eam",
    "gap",
    "deepmd",
    "nep",
    "runner",
    "neurochem",
    "amp",
    "yace",
    "lammps",
)


@runtime_checkable
class Reader(Protocol):
    """An importer of files that are data."""

    PEER: str
    FILES: str

    def recognizes(self, path: Path) -> bool: ...
    def load(self, path: Path, elements: Sequence[str] | None) -> Potential: ...


@runtime_checkable
class ReaderInUnits(Protocol):
    """An importer of files that are data, in units they do not name."""

    PEER: str
    FILES: str
    UNITS: Sequence[str]

    def recognizes(self, path: Path) -> bool: ...
    def load(self, path: Path, elements: Sequence[str] | None, units: Mapping[str, str] | None = None) -> Potential: ...


@runtime_checkable
class Converter(Protocol):
    """An importer of pickles."""

    PEER: str
    FILES: str
    TOLERANCE: float

    def recognizes(self, path: Path) -> bool: ...
    def extract(self, path: Path, trust: bool, elements: Sequence[str] | None) -> Extracted: ...
    def convert(self, extracted: Extracted, intervals: int) -> Potential: ...


@runtime_checkable
class ConverterInUnits(Protocol):
    """An importer of pickles whose numbers are in units that they do not name."""

    def in_units(self, extracted: Extracted, units: Mapping[str, str] | None) -> Extracted: ...


def importers() -> list[Reader | Converter]:
    """All of them, in the table's order."""
    return [importlib.import_module(f"adiabat.deploy.importers.{name}") for name in IMPORTERS]


def importer_of(path: Path) -> Reader | Converter:
    """Who reads this file or folder."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    known = importers()
    for importer in known:
        if importer.recognizes(path):
            return importer
    files = "; ".join(f"{it.PEER}: {it.FILES}" for it in known)
    if is_pickle(path):
        raise ForeignModelError(
            f"{path}: torch.save wrote it, but it holds no model of a peer known here; if it is a checkpoint of weights without its "
            f"model, import the model's file written beside it. Read are {files}"
        )
    raise ForeignModelError(f"{path}: no importer knows this {'folder' if path.is_dir() else 'file'}; read are {files}")


def converter_of(extracted: Extracted) -> Converter:
    """Who converts these arrays."""
    for importer in importers():
        if isinstance(importer, Converter) and extracted.source.partition(" ")[0] == importer.PEER:
            return importer
    raise ForeignModelError(f"arrays extracted from {extracted.source!r}, which no importer of this Adiabat converts")
