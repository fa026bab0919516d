"""GPAW: the text log, and the .gpw file (ASE's ULM: JSON and arrays, no code in it).

The free energy is the label, the extrapolated one stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, opened, rows
from adiabat.data.engines.espresso import _element
from adiabat.data.engines.settings import Settings

NAME = "GPAW"
NEW = 4  # version of the .gpw layout since which no word of convergence stands in it


def recognizes(head: str) -> bool:
    return bool(re.search(r"\|__ \|  _\|___\|_____\|", head)) or (head.startswith("- of Ulm") and "gpaw" in head[:64].lower())


def read(path: Path) -> Calculation:
    with open(path, "rb") as file:
        binary = file.read(8) == b"- of Ulm"
    if binary:
        return _gpw(path)
    told = Calculation("GPAW", ending="its table of times ('Total:' or 'Date:')")
    with opened(path) as file:
        _walk(iter(file), told)
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    settings = told.settings = Settings(code="GPAW")
    numbers: list[int] = []
    positions = None
    cell: list[list[float]] = []
    pbc: list[bool] = []
    converged: bool | None = None
    why = ""
    sigma0: float | None = None
    step: Step | None = None
    for line in lines:
        low = line.strip().lower()
        if not settings.version and (found := re.search(r"\|__ \|  _\|___\|_____\|\s+(\S+)", line)):
            settings.version = found[1]
        elif low.startswith("xc:") and not settings.functional:
            settings.functional = line.split(":", 1)[1].strip().strip("'\"")
        elif "ecut:" in low and settings.cutoff_eV is None and (found := re.search(r"ecut:\s*([\d.]+)", low)):
            settings.cutoff_eV = float(found[1])
        elif (found := re.match(r"(\d+) k-points?: (\d+) x (\d+) x (\d+)(.*)", low)) is not None:
            kind = (
                "shifted" if ("monkhorst" in found[5] and any(int(found[k]) % 2 == 0 for k in (2, 3, 4))) else "Gamma-centered"
            )
            settings.k_points = {"grid": [int(found[k]) for k in (2, 3, 4)], "centering": kind}
        elif (
            found := re.search(r"(fermi-dirac|marzari-vanderbilt|methfessel-paxton).*?(?:width[=: ]+)([\d.]+)", low)
        ) is not None:
            settings.smearing = {"type": found[1].title(), "width_eV": float(found[2])}
        elif low == "positions:":
            numbers, positions = _sites(lines)
        elif low == "unit cell:":
            cell, pbc = _cell(lines)
        elif re.match(r"converged (after|in) \d+", low):
            converged = True
        elif "did not converge" in low:
            converged, why = False, line.strip()
        elif low.startswith("free energy:"):
            step = Step(numbers=numbers, positions=positions, cell=np.array(cell) if any(pbc) else None)
            step.energy, step.converged, step.why_not = float(low.split()[2]), converged, why
            step.pbc = pbc
            told.steps.append(step)
            converged, why = None, ""
        elif low.startswith("extrapolated:") and step is not None:
            sigma0 = float(low.split()[1])
            step.energy_sigma0 = sigma0
        elif low.startswith("forces in ev/ang") and step is not None:
            step.forces = rows(lines, len(numbers), slice(-3, None))
        elif low.startswith("stress tensor") and step is not None:
            step.stress = rows(lines, 3, slice(-3, None))
        elif low.startswith(("total:", "date:")) and step is not None:
            told.ended = True
    if converged is False:  # GPAW raises before it prints an energy
        told.ended = True
        told.steps.append(Step(numbers=numbers, positions=positions, energy=float("nan"), converged=False, why_not=why))


def _sites(lines: Iterator[str]) -> tuple[list[int], np.ndarray]:
    numbers, positions = [], []
    for line in lines:
        words = line.split()
        if len(words) < 5 or not words[0].isdigit():
            break
        numbers.append(_element(words[1]))
        positions.append([float(w) for w in words[2:5]])
    return numbers, np.array(positions)


def _cell(lines: Iterator[str]) -> tuple[list[list[float]], list[bool]]:
    cell, pbc = [], []
    for line in lines:
        found = re.match(r"\s*\d\. axis:\s+(yes|no)\s+(\S+)\s+(\S+)\s+(\S+)", line)
        if found:
            pbc.append(found[1] == "yes")
            cell.append([float(found[k]) for k in (2, 3, 4)])
        if len(cell) == 3:
            break
    return cell, pbc


def _gpw(path: Path) -> Calculation:
    from ase.io import ulm
    from ase.io.trajectory import read_atoms

    told = Calculation("GPAW", ended=True)
    try:
        reader = ulm.open(path)
        results = reader.results.asdict() if "results" in reader else {}
        atoms = read_atoms(reader.atoms)
    except Exception as error:  # whatever a cut file makes ULM raise
        told.ended, told.ending = False, f"a whole .gpw file ({type(error).__name__}: {error}) is"
        return told
    with reader:
        parameters: dict[str, Any] = reader.parameters.asdict() if "parameters" in reader else {}
        converged = reader.scf.get("converged") if "scf" in reader else None
        layout = int(reader.get("version") or 0)
        version = str(reader.get("gpaw_version") or reader.get("version") or "")
    criteria = parameters.get("convergence")
    if converged is None and layout >= NEW and not (isinstance(criteria, dict) and "maximum iterations" in criteria):
        converged = True  # this GPAW raises where its SCF does not converge, and has no results to write then
    mode = parameters.get("mode") or {}
    told.settings = Settings(code="GPAW", version=version, functional=_name(parameters.get("xc") or "LDA"))
    if isinstance(mode, dict) and mode.get("ecut"):
        told.settings.cutoff_eV = float(mode["ecut"])
    else:
        told.settings.basis = str(parameters.get("basis") or mode)
    if isinstance(parameters.get("occupations"), dict):
        given = parameters["occupations"]
        told.settings.smearing = {"type": str(given.get("name")), **({"width_eV": given["width"]} if "width" in given else {})}
    points = parameters.get("kpts")
    if isinstance(points, dict):
        told.settings.k_points = {"grid" if k == "size" else k: np.array(v).tolist() for k, v in points.items()}
    elif points is not None and np.shape(points) == (3,):
        told.settings.k_points = {"grid": [int(k) for k in points]}
    step = Step(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array if atoms.pbc.any() else None)
    step.energy = results.get("free_energy", results.get("energy"))
    step.energy_sigma0, step.forces, step.stress = results.get("energy"), results.get("forces"), results.get("stress")
    step.converged = None if converged is None else bool(converged)
    step.pbc = atoms.pbc
    told.fixed = sorted({int(i) for c in atoms.constraints if type(c).__name__ == "FixAtoms" for i in c.get_indices()})
    told.steps.append(step)
    return told


def _name(xc: Any) -> str:
    return str(xc.get("name") or xc) if isinstance(xc, dict) else str(xc)
