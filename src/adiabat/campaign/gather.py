"""All frames of files and folders, each with the place it came from, and an account of what is no label and why.

A file that is named is read strictly: what it is not is an error. What lies in a folder, or belongs to an engine, is listed instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.config import ConfigError
from adiabat.data.engines import LeftOut
from adiabat.data.formats import account, read_noted, refusal
from adiabat.data.store import is_store
from adiabat.data.unreadable import Unreadable

# Beside results in a folder lie inputs, potentials and scratch; only what may be a result is opened.
NO_RESULTS = (
    ".in", ".pwi", ".inp", ".com", ".gjf", ".upf", ".sh", ".py", ".yaml", ".yml", ".md", ".txt~", ".pdf", ".png", ".wfn", ".gbw", ".chk",
    ".restart", ".ener", ".adiabat",
)  # fmt: skip
INPUTS = (
    "INCAR", "KPOINTS", "POTCAR", "POSCAR", "CONTCAR", "XDATCAR", "WAVECAR", "CHGCAR", "CHG", "EIGENVAL", "DOSCAR", "IBZKPT", "OSZICAR",
    "PCDAT", "REPORT",
)  # fmt: skip
RANGES = 6  # shown in words; all numbers stand in the JSON


@dataclass
class Source:
    """A file as it was read; `doubtful` where nobody has said its units."""

    path: Path
    doubtful: bool
    frames: list[int] = field(default_factory=list)  # their places in Gathered.frames


@dataclass
class Gathered:
    """Frames with file and step of each, what was left out, notes."""

    frames: list[Atoms] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    @property
    def files(self) -> list[dict[str, Any]]:
        """How many frames each file gave, and how much of it was left out."""
        out = [one.file for one in self.left_out]
        return [{"file": str(s.path), "frames": len(s.frames), "left_out": out.count(str(s.path))} for s in self.sources]

    @cached_property
    def order(self) -> list[tuple[str, int, bool, int]]:
        """All structures that came, file by file and step by step, readable or not: (file, step, left out?, its place in that list)."""
        file = {name: n for n, name in enumerate(dict.fromkeys(name for name, _ in self._all()))}
        rows = [(name, step, False, k) for k, (name, step) in enumerate(self.places)]
        rows += [(one.file, one.frame, True, k) for k, one in enumerate(self.left_out) if one.frame is not None]
        return sorted(rows, key=lambda row: (file[row[0]], row[1]))

    def numbers(self, left_out: bool = False) -> dict[int, int]:
        """Place in `frames` (or in `left_out`) → number among all structures that came."""
        return {row[3]: n for n, row in enumerate(self.order) if row[2] == left_out}

    def where(self, numbers: Sequence[int]) -> str:
        """These structures in words: '0–3, 7', of several files each by its name.

        >>> told = Gathered(places=[("a.xyz", k) for k in range(3)] + [("b.xyz", 0)])
        >>> told.where([0, 1, 3])
        'a.xyz: 0–1; b.xyz: 0'
        """
        runs = []
        for file, group in groupby((self.order[k] for k in sorted(numbers)), key=lambda row: row[0]):
            runs += [(file, run) for run in ranges([row[1] for row in group])]
        many = len({row[0] for row in self.order}) > 1
        parts = [
            (f"{file}: " if many else "") + ", ".join(told for _, told in some)
            for file, some in groupby(runs[:RANGES], key=lambda r: r[0])
        ]
        return "; ".join(parts) + (f" … ({len(numbers)} in all)" if len(runs) > RANGES else "")

    def _all(self) -> list[tuple[str, int | None]]:
        return [*((str(s.path), None) for s in self.sources), *self.places, *((one.file, one.frame) for one in self.left_out)]


def gather(
    given: Sequence[str | Path],
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    partial: bool = False,
    whole: bool = False,
) -> Gathered:
    """All frames of files and folders; units and keys are for those files that do not have their own.

    Of a named file that ends inside a frame the rest is listed, with `partial` only noted; with `whole` it is an error, because whole
    frames may be missing behind the cut.
    """
    told = Gathered()
    for path, named in _files(given, told):
        own = own_units(path)
        frames: list[Atoms]
        if named and not own:
            refused: dict[int, Unreadable] = {}
            frames, notes = read_noted(path, units=_dict(units), keys=_dict(keys), partial=partial, refused=refused)
            for error in refused.values():
                if whole and (error.name == "truncated" or error.frame):
                    raise error
            left_out = [refusal(path, k, error) for k, error in sorted(refused.items())]
        else:
            frames, left_out, notes = account(path, units=None if own else _dict(units), keys=None if own else _dict(keys))
        if not named and not frames and left_out and "format unknown by its name" in left_out[0].why:
            told.notes.append(f"{path}: passed over, no file of results is known by this name or content")
            continue
        told.left_out += left_out
        told.notes += [f"{path}: {note}" for note in notes]
        if not own and not units and any(a.calc is not None for a in frames):
            told.notes.append(f"{path}: no units given: its labels are taken as eV and Å")
        first = len(told.frames)
        told.frames += frames
        out = {one.frame for one in left_out}
        free = iter(k for k in range(len(frames) + len(out)) if k not in out)
        steps = own and not is_store(path)  # elsewhere a record's step is that of another file
        told.places += [(str(path), _step(a, k) if steps else k) for a, k in zip(frames, free)]
        told.sources.append(Source(path, not own and not units, list(range(first, len(told.frames)))))
    if not told.sources:
        raise ConfigError(f"{', '.join(map(str, given))}: no file of results there; name at least one file with structures")
    return told


def ranges(steps: Sequence[int]) -> list[str]:
    """Rising numbers as people write them.

    >>> ranges([0, 1, 2, 7])
    ['0–2', '7']
    """
    found = []
    for _, group in groupby(enumerate(steps), key=lambda pair: pair[1] - pair[0]):
        run = [step for _, step in group]
        found.append(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]))
    return found


def own_units(path: Path) -> bool:
    """Whether it is a store, an engine's output or a public set, which say their units themselves."""
    from adiabat.data import datasets, engines

    if not path.is_file() or not path.stat().st_size:
        return False
    return is_store(path) or bool(engines.recognized(path)) or bool(datasets.recognized(path))


def level_of(atoms: Atoms) -> str:
    """The level of theory a frame states, '' for none."""
    record = atoms.info.get("adiabat")
    return str((record if isinstance(record, Mapping) else {}).get("level_of_theory") or "")


def _files(given: Sequence[str | Path], told: Gathered) -> list[tuple[Path, bool]]:
    """Every file, and whether it was named; of a folder all below it, sorted, inputs passed over."""
    found: list[tuple[Path, bool]] = []
    for one in map(Path, given):
        if not one.is_dir():
            found.append((one, True))
            continue
        inside = sorted(
            p for p in one.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(one).parts)
        )
        for path in inside:
            name = path.name
            xml = path.with_name(name.replace("OUTCAR", "vasprun.xml"))
            if path.suffix.lower() in NO_RESULTS or name in INPUTS or name.split("-pos-")[-1] == "1.xyz":
                continue
            if name.startswith("OUTCAR") and xml in inside and account(xml)[0]:
                told.notes.append(f"{path}: passed over, {xml.name} beside it has the same run with more digits")
                continue
            found.append((path, False))
    return list({path: (path, named) for path, named in found}.values())


def _step(atoms: Atoms, k: int) -> int:
    record = atoms.info.get("adiabat")
    return int((record if isinstance(record, Mapping) else {}).get("source_step", k))


def _dict(given: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if given is None else dict(given)
