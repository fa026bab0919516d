"""PySCF's log, as `verbose=4` writes it: positions, functional, convergence, gradients.

The checkpoint file (HDF5) has neither convergence nor forces and is refused in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, opened
from adiabat.data.engines.espresso import _element
from adiabat.data.engines.settings import Settings
from adiabat.units import bohr, hartree

NAME = "PySCF"


def recognizes(head: str) -> bool:
    return bool(re.search(r"^PySCF version ", head, re.MULTILINE)) or ("\0mol" in head and "scf" in head and head[1:4] == "HDF")


def read(path: Path) -> Calculation:
    with open(path, "rb") as file:
        if file.read(4) == b"\x89HDF":
            raise ValueError(
                f"{path}: a PySCF checkpoint came, which tells neither whether it converged nor forces; wanted the log of "
                "verbose=4; run it again with Mole(verbose=4, output='NAME.log')"
            )
    told = Calculation("PySCF")
    with opened(path) as file:
        _walk(iter(file), told)
    # PySCF has no closing line: a log that stops before an SCF has ended shows it by the step itself
    told.ended = not told.steps or told.steps[-1].energy is not None
    told.ending = "the end of its last SCF"
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    settings = told.settings = Settings(code="PySCF")
    numbers: list[int] = []
    positions: list[list[float]] = []
    info: dict[str, int] = {}
    step: Step | None = None
    for line in lines:
        if line.startswith("PySCF version"):
            settings.version = line.split()[2]
        elif line.startswith("[INPUT] num. atoms"):
            numbers, positions = [], []
        elif line.startswith("[INPUT] charge ="):
            info["charge"] = int(line.split("=")[1])
        elif line.startswith("[INPUT] spin"):
            info["multiplicity"] = int(line.split("=")[-1]) + 1
        elif (found := re.match(r"\[INPUT\]\s*\d+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+AA", line)) is not None:
            numbers.append(_element(found[1]))
            positions.append([float(found[k]) for k in (2, 3, 4)])
        elif line.startswith("New geometry"):
            positions = _moved(lines, len(numbers))
        elif line.startswith("basis ="):
            settings.basis = line.split("=")[1].strip()
        elif line.startswith("XC functionals ="):
            settings.functional = line.split("=")[1].strip().upper()
        elif line.startswith("method =") and not settings.functional:
            settings.functional = "HF" if "HF" in line else ""
        elif line.startswith("SCF conv_tol ="):
            settings.convergence["energy_eV"] = float(f"{float(line.split('=')[1]) * hartree:.6g}")
        elif line.startswith("init E="):
            step = Step(numbers=numbers, positions=np.array(positions) if positions else None, info=dict(info))
            told.steps.append(step)
        elif (found := re.match(r"converged SCF energy = (\S+)", line)) is not None and step is not None:
            step.energy, step.converged = float(found[1]) * hartree, True
        elif line.startswith("SCF not converged") and step is not None:
            step.energy, step.converged, step.why_not = float("nan"), False, "PySCF says: SCF not converged"
            step.cure = "raise max_cycle, level_shift or newton(), and compute it again"
        elif re.match(r"-+ \S+ gradients -+", line) and step is not None:
            step.forces = _forces(lines, len(numbers))


def _moved(lines: Iterator[str], n: int) -> list[list[float]]:
    """Rows of a scanner's new geometry: number, element, x, y, z in Å (then in bohr)."""
    found: list[list[float]] = []
    for line in lines:
        words = line.replace("[INPUT]", " ").split()
        if len(words) >= 5 and words[0].isdigit():
            found.append([float(w) for w in words[2:5]])
        if len(found) == n:
            break
    return found


def _forces(lines: Iterator[str], n: int) -> np.ndarray | None:
    next(lines, "")
    found = []
    for line in lines:
        words = line.split()
        if len(words) != 5:
            break
        found.append([-float(w) for w in words[2:]])
    return np.array(found) * hartree / bohr if len(found) == n else None
