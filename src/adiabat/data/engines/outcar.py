"""VASP's OUTCAR: DFT steps only, machine-learned ones passed over.

Numbers are rounded in this file (positions to 1e-5 Å); vasprun.xml of the same run is the better source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines import vasp
from adiabat.data.engines.calculation import Calculation, Step, number, opened, rows
from adiabat.elements import number as atomic_number
from adiabat.units import kbar

NAME = "VASP OUTCAR"
_TAG = re.compile(
    r"^\s*(ENCUT|EDIFF|EDIFFG|NELM|ISMEAR|ISPIN|GGA|METAGGA|LHFCALC|LUSE_VDW|IVDW|LDAU|LDIPOL|LNONCOLLINEAR)\s*=\s*([^\s;]+)"
)
_ALSO = re.compile(r"(SIGMA|AEXX|HFSCREEN)\s*=\s*([-\d.E+]+)")


def recognizes(head: str) -> bool:
    return bool(re.match(r"\s*vasp\.\d", head)) and "<?xml" not in head[:200]


def read(path: Path) -> Calculation:
    told = Calculation("VASP", ending="VASP's table of times ('General timing and accounting')")
    with opened(path) as file:
        _walk(iter(file), told)
    if told.steps:
        vasp.fixed_beside(path, told, len(told.steps[0].numbers))
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    tags: dict[str, str] = {}
    potentials: list[str] = []
    numbers: list[int] = []
    version = lexch = ""
    grid: list[int] = []
    points: list[list[float]] = []
    cell = stress = positions = forces = None
    electronic, changes, learned, machine = 0, [np.inf], 0, False
    pending = False
    for line in lines:
        if not version and "vasp." in line:
            version = line.split()[0].removeprefix("vasp.")
        elif "POTCAR:" in line:
            potentials.append(" ".join(line.split()[1:]))
        elif "exchange correlation table for" in line:
            lexch = line.split("=")[-1]
        elif "generate k-points for:" in line:
            grid = [int(w) for w in line.split(":")[1].split()]
        elif "k-points in reciprocal lattice and weights" in line and not points:
            points = _points(lines)
        elif "ions per type =" in line:
            counts = [int(w) for w in line.split("=")[1].split()]
            kinds = [p.split()[1].split("_")[0] for p in potentials[: len(counts)]]
            numbers = [atomic_number(kind) for kind, n in zip(kinds, counts) for _ in range(n)]
            potentials = list(dict.fromkeys(potentials[: len(counts)]))
        elif "=" in line and not told.steps and electronic == 0:
            found = _TAG.match(line)
            if found:
                tags[found[1]] = found[2]  # the second time with defaults filled in
            tags.update(_ALSO.findall(line))
            if (name := next((n for n in ("LDAUU", "LDAUJ") if re.search(rf"\b{n} *=", line)), "")) != "":
                tags[name] = line.split("=")[-1].strip()
        if "- Iteration" in line:
            electronic = int(line.split("(")[-1].split(")")[0])
            pending = True
        elif "total energy-change (2. order)" in line:
            changes = [_number(w) for w in re.findall(r"[-+]?\d*\.\d+E[-+]\d+", line)] or [np.inf]
        elif "FORCE on cell =-STRESS" in line:
            machine = "ML FORCE" in line
        elif line.startswith("  in kB") and not machine:
            values = np.array([_number(w) for w in line.split()[2:8]])
            stress = -values[[0, 1, 2, 4, 5, 3]] * kbar if values.shape == (6,) else None
        elif "direct lattice vectors" in line:
            cell = rows(lines, 3, slice(0, 3))
        elif "TOTAL-FORCE (eV/Angst)" in line:
            next(lines, "")
            table = rows(lines, len(numbers), slice(0, 6))
            if "(ML)" in line:
                learned += 1
            elif table is not None:
                positions, forces = table[:, :3], table[:, 3:]
        elif line.startswith("  free  energy   TOTEN"):
            step = Step(numbers=numbers, positions=positions, cell=cell, energy=_number(line.split("=")[1].split()[0]))
            step.forces, step.stress = forces, stress
            for more in lines:  # "energy  without entropy=  …  energy(sigma->0) =  …" follows within three lines
                if "energy(sigma->0)" in more:
                    step.energy_sigma0 = _number(more.split("energy(sigma->0) =")[1].split()[0])
                    break
                if "Iteration" in more:
                    break
            vasp.judge(step, electronic, int(float(tags.get("NELM", 60))), changes, float(tags.get("EDIFF", 1e-4)))
            told.steps.append(step)
            stress = positions = forces = None
            electronic, changes, pending = 0, [np.inf], False
        elif "General timing and accounting" in line:
            told.ended = True
    told.settings = vasp.settings(tags, version, lexch, potentials)
    if grid:
        told.settings.k_points = {"grid": grid, "centering": vasp.centering(np.array(points))}
    elif points:
        told.settings.k_points = {"number": len(points), "centering": vasp.centering(np.array(points))}
    if learned:
        told.notes.append(
            f"{learned} machine-learned predictions of an on-the-fly run were passed over; only DFT steps were taken"
        )
    if pending and not told.ended:
        told.ending += f"; step {len(told.steps)} was cut after {electronic} electronic steps;"


def _points(lines: Iterator[str]) -> list[list[float]]:
    found = []
    for line in lines:
        words = line.split()
        if len(words) != 4:
            break
        found.append([number(w) for w in words[:3]])
    return found


def _number(word: str) -> float:
    try:
        return number(word)
    except ValueError:  # **** where a number did not fit
        return float("nan")
