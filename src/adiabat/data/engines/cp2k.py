"""CP2K's log. Positions of a dynamics run stand in PROJECT-pos-1.xyz; it is looked for beside the log and its frames are known by energy.

CP2K's stress is a pressure (positive when compressed). Forces are what `PRINT/FORCES` writes into the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, opened, rows
from adiabat.data.engines.espresso import _element
from adiabat.data.engines.settings import Settings
from adiabat.units import GPa, bar, bohr, hartree

NAME = "CP2K"
_STRESS = {"[GPa]": GPa, "[bar]": bar}
SAME = 5e-9  # hartree; -pos-1.xyz keeps ten decimals


def recognizes(head: str) -> bool:
    return "CP2K| version string" in head


def read(path: Path) -> Calculation:
    told = Calculation("CP2K", ending="'PROGRAM ENDED AT'")
    with opened(path) as file:
        project = _walk(iter(file), told)
    moved = [s for s in told.steps if s.positions is None]
    beside = path.parent / f"{project}-pos-1.xyz"
    if moved and beside.is_file():
        _positions_from(beside, moved)
    for step in moved:
        step.where_else = f"keep {beside.name} beside the log"
    return told


def _walk(lines: Iterator[str], told: Calculation) -> str:
    settings = told.settings = Settings(code="CP2K")
    project, spin = "PROJECT", "none"
    numbers: list[int] = []
    positions = None
    cell: list[list[float]] = []
    charge = 0
    basis: list[str] = []
    converged: bool | None = None
    why = ""
    step: Step | None = None
    for line in lines:
        if "CP2K| version string" in line:
            settings.version = line.split("version")[-1].strip()
        elif "GLOBAL| Project name" in line:
            project = line.split()[-1]
        elif re.match(r"\s*CELL\| Vector [abc] \[angstrom\]", line):
            if len(cell) == 3:
                cell = []  # a variable cell prints it anew
            cell.append([float(w) for w in line.split("]:")[1].split()[:3]])
        elif "DFT| Charge" in line:
            charge = int(line.split()[-1])
        elif "DFT| Spin unrestricted" in line:
            spin = "polarized" if line.split()[-1] in ("UKS", "T") else "none"
        elif re.match(r"\s*FUNCTIONAL\| (?!ROUTINE)([A-Z0-9_]+):", line):
            settings.functional = "+".join(filter(None, (settings.functional, line.split("|")[1].split(":")[0].strip())))
        elif "vdW POTENTIAL|" in line and "DFT-D" in line:
            settings.dispersion = "D" + line.split("DFT-D")[1].split()[0].rstrip("(")
        elif "vdW POTENTIAL|" in line and ("Damping" in line or "damping" in line) and "BJ" in line:
            settings.dispersion = "D3(BJ)"
        elif "QS| Density cutoff [a.u.]" in line:
            settings.density_cutoff_eV = round(float(line.split()[-1]) * hartree, 3)
        elif "Orbital Basis Set" in line:
            basis.append(line.split()[-1])
        elif "GTH Potential" in line or "Potential information for" in line:
            settings.pseudopotentials.append(line.split()[-1])
        elif line.strip().startswith("eps_scf:"):
            settings.convergence["eps_scf"] = float(line.split()[-1])
        elif "ATOMIC COORDINATES IN" in line and "angstrom" in line.lower():
            numbers, positions = _sites(lines)
        elif "SCF run converged in" in line or "outer SCF loop converged" in line:
            converged = True
        elif "SCF run NOT converged" in line or "outer SCF loop FAILED to converge" in line:
            converged, why = False, " ".join(line.replace("*", " ").split())
        elif "ENERGY| Total FORCE_EVAL" in line:
            energy = float(line.split()[-1])
            step = Step(numbers=numbers, positions=positions, cell=np.array(cell) if len(cell) == 3 else None)
            step.energy, step.converged, step.why_not = energy * hartree, converged, why
            step.cure = "OT with an outer loop, more SCF steps, or smaller mixing, and compute it again"
            step.info = {"charge": charge} if charge else {}
            told.steps.append(step)
            positions, converged, why = None, None, ""  # in a run that moves, the next positions are not in the log
        elif ("ATOMIC FORCES in [a.u.]" in line or "FORCES| Atomic forces [hartree/bohr]" in line) and step is not None:
            step.forces = _forces(lines, len(numbers), "FORCES|" in line)
        elif re.search(r"(STRESS TENSOR|Analytical stress tensor|STRESS\| .*tensor) \[(GPa|bar)\]", line) and step is not None:
            unit = next(size for name, size in _STRESS.items() if name in line)
            rest = (more for more in lines if re.search(r"\b[xyzXYZ]\s+-?\d", more))  # rows X, Y, Z, with or without STRESS|
            table = rows(rest, 3, slice(-3, None))
            step.stress = None if table is None else -table * unit
        elif "PROGRAM ENDED AT" in line:
            told.ended = True
        elif "[ABORT]" in line:
            told.failure = " ".join((line.split("[ABORT]")[-1] + next(lines, "")).replace("*", " ").split()) or "ABORT"
    settings.spin = spin
    settings.basis = "+".join(dict.fromkeys(basis))
    settings.pseudopotentials = list(dict.fromkeys(settings.pseudopotentials))
    return project


def _sites(lines: Iterator[str]) -> tuple[list[int], np.ndarray]:
    """Rows of atom, kind, element, its number, x, y, z; version 2022 and later repeat no number."""
    numbers, positions = [], []
    for line in lines:
        words = line.split()
        if len(words) >= 7 and words[0].isdigit():
            at = 4 if words[3].isdigit() else 3
            numbers.append(int(words[3]) if at == 4 else _element(words[2]))
            positions.append([float(w) for w in words[at : at + 3]])
        elif numbers:
            break
    return numbers, np.array(positions)


def _forces(lines: Iterator[str], n: int, new: bool) -> np.ndarray | None:
    """Old: '1 1 H fx fy fz' rows; since 2023: 'FORCES| 1 fx fy fz |f|'."""
    found = []
    for line in lines:
        words = line.replace("FORCES|", " ").split()
        if words and words[0].isdigit():
            found.append([float(w) for w in (words[1:4] if new else words[3:6])])
        elif found:
            break
        if len(found) == n:
            return np.array(found) * hartree / bohr
    return None


def _positions_from(beside: Path, steps: list[Step]) -> None:
    """By energy, which both files print; two frames of one energy are left alone."""
    known: dict[int, list[tuple[float, np.ndarray]]] = {}
    with opened(beside) as file:
        lines = iter(file)
        for head in lines:
            found = re.search(r"\bE\s*=\s*(-?\d+\.\d+)", next(lines, ""))
            n = int(head) if head.strip().isdigit() else 0
            table = rows(lines, n, slice(1, 4))
            if found is None or table is None or not n:
                break  # cut while it was written: what came before is whole
            known.setdefault(round(float(found[1]) / SAME / 4), []).append((float(found[1]), table))
    for step in steps:
        energy = (step.energy or 0.0) / hartree
        key = round(energy / SAME / 4)
        near = [table for k in (key - 1, key, key + 1) for e, table in known.get(k, []) if abs(e - energy) < SAME]
        if len(near) == 1 and len(near[0]) == len(step.numbers):
            step.positions = near[0]
