"""The data gate as a command: findings, an offline page of them, and the safe cures written into a new file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.frames import GateFaults, gate_json, read_all
from adiabat.data.formats import write
from adiabat.data.gate import Finding
from adiabat.data.gate import check as findings_of
from adiabat.data.gate.cures import cure
from adiabat.data.store import Dataset
from adiabat.report import Sections
from adiabat.report import write as write_page

PASSES = 3  # a cure may uncover what it hid: stress is judged once the forces are right
PARTS = ("train", "valid", "test")  # in the order a part may know of the next


def parts(names: Sequence[str], counts: Sequence[int]) -> dict[str, list[int]]:
    """Frames of each part of a split, where the names of files tell it: train, valid… or test within them.

    >>> parts(["train.xyz", "test.xyz"], [2, 1])
    {'train': [0, 1], 'test': [2]}
    >>> parts(["a.xyz", "test.xyz"], [2, 1])
    {}
    """
    of: dict[str, list[int]] = {}
    begin = 0
    for name, count in zip(names, counts):
        part = next((p for p in PARTS if p in Path(name).name.lower()), "")
        of.setdefault(part, []).extend(range(begin, begin + count))
        begin += count
    return {} if "" in of or len(of) < 2 else {part: of[part] for part in PARTS if part in of}


def read_parts(data: Sequence[str], *, units=None, keys=None):
    """Frames, notes and refused frames of all files, and the parts of a split where the files' names tell them (else None)."""
    frames: list[Atoms] = []
    notes: list[str] = []
    refused: dict[int, Any] = {}
    counts = []
    for name in data:
        mine: dict[int, Any] = {}
        more, said = read_all([name], units=units, keys=keys, refused=mine)
        begin = len(frames) + len(refused)
        refused |= {begin + k: error for k, error in mine.items()}
        frames += more
        notes += said
        counts.append(len(more))
    return frames, notes, refused, parts(data, counts) or None


def fix(frames: Sequence[Atoms], to: str | Path, *, overwrite: bool = False) -> tuple[list[str], list[Finding]]:
    """Write a mended copy of the set; what was done, in words, and what is left for a person to decide."""
    to = Path(to)
    if to.exists() and not overwrite:
        raise FileExistsError(f"{to}: exists already; name a new file, the set itself is never changed")
    done: list[str] = []
    mended, left = list(frames), findings_of(frames)
    for _ in range(PASSES):
        told = cure(mended, left)
        if not told.done:
            break
        done += told.done
        mended = told.frames
        if not mended:
            raise GateFaults(f"{to}: nothing to write, every frame has a fault", left)
        left = findings_of(mended)
    if to.suffix == ".db":
        with Dataset(to) as store:
            store.add(mended)
    else:
        write(to, mended, overwrite=overwrite)
    return done, [f for f in left if f.grade != "note"]


def page(findings: Sequence[Finding], n: int, title: str, to: str | Path) -> Path:
    """The findings as one offline HTML page, drawn by the report room."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / (Path(title).stem or "data")
        folder.mkdir()
        faults = sum(f.grade == "fault" for f in findings)
        sections = Sections(folder)
        sections.put("data_gate", gate_json(findings, n))
        sections.put("settings", system=f"{title}: {n} structures, {faults} fault{'s' * (faults != 1)}")
        drawn = write_page(folder).read_text(encoding="utf-8")
    to = Path(to)
    to.write_text(drawn, encoding="utf-8")
    return to
