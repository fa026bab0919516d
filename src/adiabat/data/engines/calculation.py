"""What a reader makes of an engine's output: steps that are labels, and steps that are not, each with its reason.

A reader walks once through the lines and fills a `Calculation`; what may become a label is decided here, for all engines:
an energy (and whatever stands beside it) of a step whose self-consistency the file itself calls converged.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from adiabat.data.engines.settings import Settings
from adiabat.data.labels import Factors, attach

OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
HOUSE = Factors()


@dataclass
class Step:
    """One set of positions and what was computed there, in house units; stress as six numbers with ASE's sign and order."""

    numbers: Any = ()
    positions: Any = None
    cell: Any = None
    pbc: Any = True  # where there is a cell
    energy: float | None = None  # force-consistent: the free energy where electrons are smeared
    energy_sigma0: float | None = None
    forces: Any = None
    stress: Any = None
    converged: bool | None = None
    why_not: str = ""  # in the engine's own terms, as "15 of at most 15 electronic steps"
    where_else: str = ""  # the file that has the positions, and what to do
    cure: str = "raise the number of electronic steps or mix more carefully, and compute it again"
    info: dict[str, Any] = field(default_factory=dict)
    settings: Settings | None = None  # where they differ from the file's others


@dataclass
class LeftOut:
    """What of a file is no label: where, why, what to do, and what the data gate calls it. `frame` counts the file's own steps; None is
    the file as such."""

    file: str
    frame: int | None
    why: str
    cure: str
    name: str = "no label"

    def __str__(self) -> str:
        return f"{self.file}{'' if self.frame is None else f', step {self.frame}'}: {self.why}; {self.cure}"


@dataclass
class Calculation:
    """A whole output file."""

    code: str
    settings: Settings = field(default_factory=Settings)
    steps: list[Step] = field(default_factory=list)
    fixed: list[int] = field(default_factory=list)
    ended: bool = False
    ending: str = ""  # the engine's last words, wanted where `ended` is False
    failure: str = ""  # the engine's own error message
    notes: list[str] = field(default_factory=list)

    def labels(self, path: Path) -> tuple[list[Atoms], list[LeftOut]]:
        """The steps that are labels, with the settings record in `info["adiabat"]`, and those that are not."""
        frames, left_out = [], []
        if not self.settings.code:
            self.settings.code = self.code
        for number, step in enumerate(self.steps):
            why, cure = _no_label(step)
            if why:
                left_out.append(LeftOut(str(path), number, why, cure, "unconverged" if step.converged is False else "no label"))
                continue
            try:
                frames.append(self._frame(step, number, path))
            except ValueError as error:
                left_out.append(LeftOut(str(path), number, str(error).split(": ", 1)[-1], "look at the file at this step"))
        if self.failure:
            left_out.append(
                LeftOut(str(path), None, f"{self.code} stopped with: {self.failure}", "mend the cause and run it again")
            )
        elif not self.ended:
            why = f"the file is cut: {self.ending} wanted at its end" if self.ending else "the file is cut"
            left_out.append(
                LeftOut(
                    str(path),
                    None,
                    why,
                    "fetch it again, or finish the run; complete steps before the cut are sound",
                    "truncated",
                )
            )
        return frames, left_out

    def _frame(self, step: Step, number: int, path: Path) -> Atoms:
        atoms = Atoms(numbers=step.numbers, positions=step.positions)
        if step.cell is not None:
            atoms.set_cell(step.cell)
            atoms.pbc = step.pbc
        atoms.info.update(step.info)
        if self.fixed:
            atoms.set_constraint(FixAtoms(indices=self.fixed))
        found = {"free_energy": step.energy}
        for name, value in (("energy", step.energy_sigma0), ("forces", step.forces), ("stress", step.stress)):
            if value is not None:
                found[name] = value
        labeled = attach(atoms, found, HOUSE, f"{path}, step {number}")
        record = (step.settings or self.settings).record(labeled) | (labeled.info.get("adiabat") or {})
        record |= {"converged": True, "energy": step.energy, "source": path.name, "source_step": number}
        labeled.info["adiabat"] = record
        return labeled


def _no_label(step: Step) -> tuple[str, str]:
    if step.positions is None or not len(step.numbers):
        return "no positions belong to it", step.where_else or "look whether the file is whole"
    if step.energy is None:
        return "no energy: the step was not finished", "finish the run"
    if step.converged is False:
        return f"not converged{': ' if step.why_not else ''}{step.why_not}", step.cure
    if step.converged is None:
        return "the file does not say that it converged" + (
            f": {step.why_not}" if step.why_not else ""
        ), "print the SCF cycle, and run it again"
    return "", ""


def opened(path: Path) -> IO[str]:
    """Text of any age: bytes that are no UTF-8 are taken as Latin-1's, since names and numbers are ASCII everywhere."""
    opener = OPENERS.get(path.suffix.lower())
    if opener:
        return opener(path, "rt", encoding="utf-8", errors="replace")  # type: ignore[operator]
    return open(path, encoding="utf-8", errors="replace")


def head_of(path: Path, size: int = 65536) -> str:
    """The first characters of a file, decompressed; empty where it is no text."""
    opener = OPENERS.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:  # type: ignore[operator]
            return file.read(size).decode("utf-8", errors="replace")
    except (OSError, EOFError, lzma.LZMAError):
        return ""


def rows(lines: Iterator[str], n: int, columns: slice) -> np.ndarray | None:
    """The next n lines' numbers in these columns [n, k], or None where the file ends or breaks before."""
    table = []
    for _ in range(n):
        words = next(lines, "").split()[columns]
        try:
            table.append([number(word) for word in words])
        except ValueError:
            return None
        if len(table[-1]) != len(table[0]) or not words:
            return None
    return np.array(table)


def number(word: str) -> float:
    """A Fortran number.

    >>> number("-0.75017760422D+02"), number("1.0")
    (-75.017760422, 1.0)
    """
    return float(word.replace("D", "E").replace("d", "e"))
