"""The data gate as a command: findings, an offline page of them, and the safe cures written into a new file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.convert import write_set, wrong_units
from adiabat.campaign.frames import GateFaults
from adiabat.campaign.gather import Gathered
from adiabat.data.engines import LeftOut
from adiabat.data.gate import Finding
from adiabat.data.gate import check as findings_of
from adiabat.data.gate.cures import cure
from adiabat.data.gate.finding import in_number
from adiabat.data.unreadable import NAMES as UNREADABLE
from adiabat.report import Sections
from adiabat.report import write as write_page

PASSES = 3  # a cure may uncover what it hid: stress is judged once the forces are right
PARTS = ("train", "valid", "test")  # in the order a part may know of the next
# What is said of structures that cannot be read as labels, by what they are called.
LEFT = {**UNREADABLE, "unconverged": "labels that did not converge", "no label": "no labels"}


def examine(told: Gathered) -> list[Finding]:
    """Findings on all that came, numbered by the order in which it came: what cannot be read, files in other units, and what the gate
    finds in the rest, with leaks between files that are named as parts of a split."""
    numbers, foreign = told.numbers(), set[int]()
    found = _left_out(told)
    for frames, f in wrong_units(told):
        foreign |= set(frames)
        message = f"{told.places[frames[0]][0]}: {f.message}"
        found.append(
            replace(
                f,
                frames=[numbers[k] for k in frames],
                message=message,
                cure=f"convert this file by itself, with --units where they are others: {f.cure}",
                remedy=None,
            )
        )
    rest = [k for k in range(len(told.frames)) if k not in foreign]
    if rest:
        sources = [(str(s.path), len(s.frames)) for s in told.sources if s.frames and s.frames[0] not in foreign]
        sides = parts(*zip(*sources)) or None
        mine = findings_of([told.frames[k] for k in rest], sides=sides)
        found += [replace(f, frames=[numbers[rest[k]] for k in f.frames]) for f in mine]
    return sorted(found, key=lambda f: ("fault", "warning", "note").index(f.grade))


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
    write_set(to, mended, overwrite=overwrite)
    return done, [f for f in left if f.grade != "note"]


def page(told: Mapping[str, Any], title: str, to: str | Path) -> Path:
    """The object of `adiabat check --json` as one offline HTML page, drawn by the report room."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / (Path(title).stem or "data")
        folder.mkdir()
        faults = sum(f["grade"] == "fault" for f in told["findings"])
        sections = Sections(folder)
        sections.put("data_gate", n_structures=told["n_structures"], findings=told["findings"])
        sections.put("settings", system=f"{title}: {told['n_structures']} structures, {faults} fault{'s' * (faults != 1)}")
        drawn = write_page(folder).read_text(encoding="utf-8")
    to = Path(to)
    to.write_text(drawn, encoding="utf-8")
    return to


def _left_out(told: Gathered) -> list[Finding]:
    """One finding a kind of unreadable structure, with all of them and the words of the first; a file as such has no number."""
    numbers, of = told.numbers(left_out=True), dict[str, list[int]]()
    for k, one in enumerate(told.left_out):
        of.setdefault(one.name, []).append(k)
    found = []
    for name, ks in of.items():
        frames = sorted(numbers[k] for k in ks if k in numbers)
        first = _words(told.left_out[ks[0]])
        if frames:
            first = f"{'the first: ' if len(ks) > 1 else ''}{first}"
            first = f"{in_number('{n} {have|has}', len(frames))} {LEFT[name]}; {first}"
        elif len(ks) > 1:
            first += f" (and {len(ks) - 1} more files)"
        found.append(Finding(name, "fault", frames, first, f"{told.left_out[ks[0]].cure}; `adiabat convert` leaves them out"))
    return found


def _words(one: LeftOut) -> str:
    """Where and why, the place once: what a reader of frames says begins with it."""
    if one.why.startswith(("frame ", "line ")):
        return f"{one.file}, {one.why}"
    step = "" if one.frame is None or one.name in UNREADABLE else f", step {one.frame}"
    return f"{one.file}{step}: {one.why}"
