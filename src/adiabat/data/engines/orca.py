"""ORCA's output. It prints gradients; forces are their negative. The last total energy of a step ("FINAL SINGLE POINT ENERGY") is the label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, opened
from adiabat.data.engines.settings import Settings
from adiabat.elements import number as atomic_number
from adiabat.units import bohr, hartree

NAME = "ORCA"
_BASIS = re.compile(
    r"(?i)^(sto-|3-21|4-31|6-31|6-311|def2-(?!.*/)|ma-def2|(aug-)?(d-aug-)?cc-p|pc|lanl|minix|dkh|zora-|x2c-|epr|iglo)"
)
_JOBS = (
    "sp opt copt tightopt verytightopt looseopt optts freq numfreq anfreq engrad numgrad md usesym nousesym tightscf verytightscf normalscf loosescf "  # noqa: E501
    "slowconv veryslowconv kdiis soscf nososcf keepdens noautostart autostart miniprint largeprint normalprint smallprint printbasis "
    "rks uks roks rhf uhf rohf rijcosx rijk ri nori norijcosx rijdx defgrid1 defgrid2 defgrid3 nofinalgrid trah notrah "
    "grid3 grid4 grid5 grid6 finalgrid5 finalgrid6 xyzfile bohrs angs nopop hirshfeld"
).split()


def recognizes(head: str) -> bool:
    return "* O   R   C   A *" in head


def read(path: Path) -> Calculation:
    told = Calculation("ORCA", ending="'ORCA TERMINATED NORMALLY'")
    with opened(path) as file:
        _walk(iter(file), told)
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    settings = told.settings = Settings(code="ORCA")
    numbers: list[int] = []
    positions = None
    words: list[str] = []
    info: dict[str, int] = {}
    converged: bool | None = None
    why = ""
    step: Step | None = None
    for line in lines:
        if "Program Version" in line:
            settings.version = line.split("Program Version")[1].split()[0]
        elif (found := re.match(r"\|\s*\d+>\s*!(.*)", line)) is not None:
            words += found[1].split("#")[0].split()
        elif line.startswith("CARTESIAN COORDINATES (ANGSTROEM)"):
            numbers, positions = _sites(lines)
        elif re.match(r" Total Charge\s+Charge", line):
            info["charge"] = int(line.split()[-1])
        elif re.match(r" Multiplicity\s+Mult", line):
            info["multiplicity"] = int(line.split()[-1])
        elif "SCF CONVERGED AFTER" in line:
            converged = True
        elif "SCF NOT CONVERGED" in line or "did not converge" in line.lower() or "WAVEFUNCTION NOT CONVERGED" in line.upper():
            if "geometry" not in line.lower() and "optimization" not in line.lower():
                converged, why = False, "ORCA says: " + " ".join(line.replace("*", " ").split())
        elif line.startswith("FINAL SINGLE POINT ENERGY"):
            if "not fully converged" in line:
                converged, why = False, "ORCA says: " + line.split("(")[-1].rstrip(")\n")
            value = float(line.split()[4])
            step = Step(
                numbers=numbers, positions=positions, energy=value * hartree, converged=converged, why_not=why, info=dict(info)
            )
            step.cure = "SlowConv or more iterations (%scf MaxIter), and compute it again"
            told.steps.append(step)
            converged, why = None, ""
        elif line.startswith(("CARTESIAN GRADIENT", "The final MP2 gradient")) and step is not None:
            step.forces = _forces(lines, len(numbers))
        elif "ORCA TERMINATED NORMALLY" in line:
            told.ended = True
        elif "ORCA finished by error termination" in line or "aborting the run" in line:
            told.failure = " ".join(line.split())
    if converged is False:
        told.steps.append(Step(numbers=numbers, positions=positions, energy=float("nan"), converged=False, why_not=why))
    if told.failure and any(s.converged is False for s in told.steps):
        told.failure, told.ended = "", True  # the step has said why
    method = [
        w
        for w in words
        if w.lower() not in _JOBS and not re.match(r"(?i)(pal\d|nprocs|d\d|d3|def2/|cpcm|smd|moread|.*opt$)", w)
    ]
    settings.basis = next((w.lower() for w in method if _BASIS.match(w)), "")
    settings.functional = next(
        (w.upper() for w in method if not _BASIS.match(w)),
        "HF" if any(w.lower() in ("rhf", "uhf", "hf") for w in words) else "",
    )
    found = [w.upper() for w in words if re.match(r"(?i)^d(2|3|3bj|3zero|4)$", w)]
    settings.dispersion = {"D3BJ": "D3(BJ)", "D3ZERO": "D3", "D3": "D3"}.get(found[0], found[0]) if found else "none"


def _sites(lines: Iterator[str]) -> tuple[list[int], np.ndarray]:
    next(lines, "")
    numbers, positions = [], []
    for line in lines:
        words = line.split()
        if len(words) != 4:
            break
        numbers.append(atomic_number(words[0]))
        positions.append([float(w) for w in words[1:]])
    return numbers, np.array(positions)


def _forces(lines: Iterator[str], n: int) -> np.ndarray | None:
    found = []
    for line in lines:
        words = line.split()
        if len(words) == 6 and words[2] == ":":
            found.append([-float(w) for w in words[3:]])
        elif found:
            break
        if len(found) == n:
            break
    return np.array(found) * hartree / bohr if len(found) == n else None
