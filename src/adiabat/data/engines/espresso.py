"""pw.x of Quantum ESPRESSO. The line with the exclamation mark is the free energy F = E − TS; the forces belong to it.

Fixed atoms stand in the input only: `NAME.in` or `NAME.pwi` beside `NAME.out` is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, opened, rows
from adiabat.data.engines.settings import Settings
from adiabat.elements import number as atomic_number
from adiabat.units import bohr, rydberg

NAME = "Quantum ESPRESSO (pw.x)"
_FUNCTIONALS = {
    "SLA PW PBE PBE": "PBE",
    "SLA PW PBX PBC": "PBE",
    "SLA PZ NOGX NOGC": "LDA",
    "SLA PW PSX PSC": "PBEsol",
    "PBE": "PBE",
    "PZ": "LDA",
}
_ENERGY = re.compile(r"=\s*(-?\d+\.\d+)\s*Ry")


def recognizes(head: str) -> bool:
    return "Program PWSCF" in head


def read(path: Path) -> Calculation:
    told = Calculation("Quantum ESPRESSO", ending="'JOB DONE.'")
    with opened(path) as file:
        _walk(iter(file), told)
    _fixed_beside(path, told)
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    settings = told.settings = Settings(code="Quantum ESPRESSO")
    smearing = ""
    alat = 1.0
    n = 0
    cell = positions = None
    numbers: list[int] = []
    step: Step | None = None
    for line in lines:
        if "Program PWSCF v." in line:
            settings.version = line.split("v.")[1].split()[0]
        elif "lattice parameter (alat)" in line:
            alat = float(line.split("=")[1].split()[0]) * bohr
        elif "number of atoms/cell" in line:
            n = int(line.split("=")[1])
        elif "kinetic-energy cutoff" in line:
            settings.cutoff_eV = round(float(line.split("=")[1].split()[0]) * rydberg, 4)
        elif "convergence threshold" in line:
            settings.convergence["energy_eV"] = float(f"{float(line.split('=')[1]) * rydberg:.6g}")
        elif "Exchange-correlation" in line and not settings.functional:
            name = line.split("=")[1].split("(")[0].strip()
            settings.functional = _FUNCTIONALS.get(" ".join(name.split()).upper(), name)
        elif "DFT-D3 Dispersion" in line or "DFT-D Dispersion" in line:
            settings.dispersion = "D3" if "D3" in line else "D2"
        elif "read from file:" in line and "PseudoPot" in line:
            settings.pseudopotentials.append(Path(next(lines, "").strip()).name)
        elif "crystal axes:" in line:
            axes = rows(lines, 3, slice(3, 6))
            cell = None if axes is None else axes * alat
        elif "positions (alat units)" in line or "positions (a_0 units)" in line:
            numbers, positions = _sites(lines, n, alat)
        elif "number of k points=" in line:
            settings.k_points = {"number": int(line.split("=")[1].split()[0])}
            found = re.search(r"(\S.*?) smearing, width \(Ry\)=\s*([\d.]+)", line.split("=", 1)[1].split(None, 1)[-1])
            smearing = found[1].strip() if found else "none"
            settings.smearing = (
                {"type": smearing, "width_eV": round(float(found[2]) * rydberg, 5)} if found else {"type": "none"}
            )
        elif re.match(r"\s+k\(\s*1\) = \(", line):
            gamma = all(abs(float(w)) < 1e-6 for w in re.findall(r"-?\d+\.\d+", line)[:3])
            settings.k_points["centering"] = "Gamma-centered" if gamma else "shifted"
        elif line.startswith("CELL_PARAMETERS"):
            table = rows(lines, 3, slice(0, 3))
            cell = None if table is None else table * _unit(line, alat)
        elif line.startswith("ATOMIC_POSITIONS"):
            numbers, positions = _moved(lines, n, line, alat, cell)
        elif line.startswith("!") and "total energy" in line:
            step = Step(numbers=numbers, positions=positions, cell=cell, energy=float(_ENERGY.search(line)[1]) * rydberg)  # type: ignore[index]
            told.steps.append(step)
        elif "smearing contrib. (-TS)" in line and step is not None and step.energy is not None:
            # to second order in the width the mean of F and E is the energy without smearing, for these two
            if smearing in ("Gaussian", "gaussian", "Fermi-Dirac", "fermi-dirac"):
                step.energy_sigma0 = step.energy - 0.5 * float(_ENERGY.search(line)[1]) * rydberg  # type: ignore[index]
        elif "convergence has been achieved" in line and step is not None:
            step.converged = True
        elif "convergence NOT achieved" in line:
            if (
                step is None or step.converged is not None
            ):  # an energy is printed with an exclamation mark only when it converged
                step = Step(numbers=numbers, positions=positions, cell=cell, energy=float("nan"))
                told.steps.append(step)
            step.converged, step.why_not = False, " ".join(line.split())
            step.cure = "raise electron_maxstep or lower mixing_beta, and compute it again"
        elif "Forces acting on atoms" in line and step is not None:
            step.forces = _forces(lines, n)
        elif "total   stress" in line and step is not None:
            table = rows(lines, 3, slice(0, 3))
            step.stress = None if table is None else -table * rydberg / bohr**3
        elif "%%%%%%" in line and "Error in routine" in (more := next(lines, "")):
            told.failure = f"{' '.join(more.split())}: {' '.join(next(lines, '').split())}"
        elif "JOB DONE" in line:
            told.ended = True
    for k, one in enumerate(told.steps):
        if one.converged is None and k < len(told.steps) - 1 and one.forces is None:
            one.why_not = "an energy inside a cycle of exact exchange"
    told.steps = [one for one in told.steps if one.why_not != "an energy inside a cycle of exact exchange"]


def _sites(lines: Iterator[str], n: int, alat: float) -> tuple[list[int], np.ndarray | None]:
    numbers, positions = [], []
    for _ in range(n):
        words = next(lines, "").replace("(", " ").replace(")", " ").split()
        if len(words) < 7:
            return [], None
        numbers.append(_element(words[1]))
        positions.append([float(w) * alat for w in words[-3:]])
    return numbers, np.array(positions)


def _moved(lines: Iterator[str], n: int, head: str, alat: float, cell) -> tuple[list[int], np.ndarray | None]:
    numbers, positions = [], []
    for _ in range(n):
        words = next(lines, "").split()
        if len(words) < 4:
            return [], None
        numbers.append(_element(words[0]))
        positions.append([float(w) for w in words[1:4]])
    table = np.array(positions)
    return numbers, table @ cell if "crystal" in head and cell is not None else table * _unit(head, alat)


def _forces(lines: Iterator[str], n: int) -> np.ndarray | None:
    found: list[list[float]] = []
    for line in lines:
        if "force =" in line and line.lstrip().startswith("atom"):
            found.append([float(w) for w in line.split("=")[1].split()[:3]])
        elif found or "Total force" in line:
            break
        if len(found) == n:
            break
    return np.array(found) * rydberg / bohr if len(found) == n else None


def _unit(head: str, alat: float) -> float:
    given = re.search(r"alat\s*=\s*([\d.]+)", head)
    if given:
        return float(given[1]) * bohr
    return 1.0 if "angstrom" in head else bohr if "bohr" in head else alat


def _element(label: str) -> int:
    """Fe1, Fe_up, FE → Fe.

    >>> _element("Fe1"), _element("H_a")
    (26, 1)
    """
    letters = re.match(r"[A-Za-z]{1,2}", label)
    word = letters[0].capitalize() if letters else label
    try:
        return atomic_number(word)
    except (ValueError, KeyError):
        return atomic_number(word[:1])


def _fixed_beside(path: Path, told: Calculation) -> None:
    from adiabat.data.engines.vasp import hold

    name = path.name
    for ending in (".gz", ".xz", ".bz2", ".out", ".pwo", ".log"):
        name = name.removesuffix(ending)
    beside = next((p for e in (".in", ".pwi") if (p := path.parent / (name + e)).is_file()), None)
    if beside is None or not told.steps:
        return
    text = beside.read_text(errors="replace")
    kinds = re.search(r"K_POINTS\s*[({]?\s*automatic\s*[)}]?\s*\n\s*([\d ]+)", text, re.IGNORECASE)
    if kinds and len(words := kinds[1].split()) >= 3:
        told.settings.k_points["grid"] = [int(w) for w in words[:3]]
    found = re.search(r"ATOMIC_POSITIONS[^\n]*\n(.*)", text, re.DOTALL | re.IGNORECASE)
    lines = found[1].splitlines() if found else []
    flags = [line.split()[4:7] for line in [x for x in lines if x.strip()][: len(told.steps[0].numbers)]]
    if any(len(f) == 3 for f in flags):
        hold(told, np.array([[w != "0" for w in f] if len(f) == 3 else [True] * 3 for f in flags]), beside.name)
