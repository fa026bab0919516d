"""Gaussian's log. Forces are in the axes of the input; positions in standard orientation do not belong to them.

With `geom=PrintInputOrient`, `nosymm`, `#P`, or an optimization, positions are printed in the axes of the input, and these are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step, number, opened
from adiabat.data.engines.settings import Settings
from adiabat.units import bohr, hartree

NAME = "Gaussian"
_DISPERSION = {"gd2": "D2", "gd3": "D3", "gd3bj": "D3(BJ)", "gd4": "D4"}
_AFTER_SCF = {  # method of the route → what the log calls its energy
    "mp2": re.compile(r"EUMP2 =\s*(-?[\d.D+-]+)"), "ccsd(t)": re.compile(r"^ CCSD\(T\)=\s*(-?\d\.\d+D[-+]\d+)"), "ccsd": re.compile(r"E\(CORR\)=\s*(-?[\d.]+)"),  # noqa: E501
    "mp4": re.compile(r"UMP4\(SDTQ\)=\s*(-?[\d.D+-]+)"),
}  # fmt: skip


def recognizes(head: str) -> bool:
    return "Entering Gaussian System" in head or "Gaussian, Inc." in head


def read(path: Path) -> Calculation:
    told = Calculation("Gaussian", ending="'Normal termination'")
    with opened(path) as file:
        _walk(iter(file), told)
    return told


def _walk(lines: Iterator[str], told: Calculation) -> None:
    settings = told.settings = Settings(code="Gaussian")
    route, method = "", ""
    info: dict[str, int] = {}
    given = standard = None  # numbers, positions, cell
    unmet = ""
    step: Step | None = None
    in_standard: list[Step] = []
    rule = False
    for line in lines:
        after_rule, rule = rule, line.startswith(" ---")
        if not settings.version and (found := re.match(r" Gaussian (\d+), Revision (\S+),", line)):
            settings.version = f"{found[1]} {found[2]}"
        elif line.startswith(" #") and after_rule:
            route = _route(line, lines)
            settings = told.settings = Settings(code="Gaussian", version=settings.version)
            settings.functional, settings.basis = _method(route)
            found = re.search(r"empiricaldispersion=\(?(\w+)", route)
            settings.dispersion = _DISPERSION.get(found[1], found[1]) if found else "none"
            method = next((m for m in ("ccsd(t)", "ccsd", "mp4", "mp2") if settings.functional.lower().endswith(m)), "")
            given = standard = step = None
            told.ended = False
        elif (found := re.match(r" Charge =\s*(-?\d+)\s+Multiplicity =\s*(\d+)", line)) is not None:
            info = {"charge": int(found[1]), "multiplicity": int(found[2])}
        elif "Input orientation:" in line:
            given = _sites(lines)
        elif "Standard orientation:" in line:
            standard = _sites(lines)
        elif "Convergence criterion not met" in line or "Convergence failure" in line:
            unmet = "Gaussian says: " + line.strip(" >\n")
            if step is not None and "failure" in line:
                step.converged, step.why_not = False, unmet
        elif "SCF Done:" in line:
            energy = number(line.split("=")[1].split()[0])
            if not method:  # E(RB3LYP), E(UHF): the wave function's kind before the method's name
                settings.functional = re.sub(r"^(RO|R|U)", "", line.split("E(")[1].split(")")[0])
            place = given or standard
            step = Step(info=dict(info), energy=energy * hartree if not method else None, converged=not unmet, why_not=unmet)
            step.settings = settings
            step.cure = "SCF=XQC or another guess, and compute it again"
            if place is not None:
                step.numbers, step.positions, step.cell = place
            if given is None and "nosym" not in route:
                in_standard.append(step)
            told.steps.append(step)
            unmet = ""
        elif method and step is not None and (after := _AFTER_SCF[method].search(line)) is not None:
            step.energy = number(after[1]) * hartree
        elif "Forces (Hartrees/Bohr)" in line and step is not None:
            step.forces = _forces(lines, len(step.numbers))
        elif "Normal termination" in line:
            told.ended = True
        elif "Error termination" in line:
            told.failure = " ".join(line.split())[:120]
    for step in in_standard:
        if step.forces is not None:
            step.converged, step.why_not = (
                False,
                "its positions are in standard orientation, its forces in the axes of the input",
            )
            step.cure = "run it again with geom=PrintInputOrient or nosymm"
    told.steps = [s for k, s in enumerate(told.steps) if not _repeated(s, told.steps[k - 1] if k else None)]
    if told.failure and any(s.converged is False for s in told.steps):
        told.failure, told.ended = "", True  # the step has said why


def _repeated(step: Step, before: Step | None) -> bool:
    """The frequencies after an optimization compute its last point once more."""
    if before is None or step.energy is None or before.energy is None or step.positions is None or before.positions is None:
        return False
    same = np.shape(step.positions) == np.shape(before.positions) and np.allclose(step.positions, before.positions, atol=1e-6)
    return bool(same and before.converged and abs(step.energy - before.energy) < 1e-6 and before.forces is not None)


def _route(line: str, lines: Iterator[str]) -> str:
    parts = [line.rstrip("\n")[1:]]
    for more in lines:
        if more.startswith(" ---"):
            break
        parts.append(more.rstrip("\n")[1:])
    return "".join(parts).lower()


def _method(route: str) -> tuple[str, str]:
    """Functional and basis of a route.

    >>> _method("#p b3lyp/6-31g(d,p) opt"), _method("# b3lyp 6-31g* freq nosymm"), _method("#pm6d3 force")
    (('B3LYP', '6-31g(d,p)'), ('B3LYP', '6-31g*'), ('PM6D3', ''))
    """
    words = re.sub(r"^#[pnt]?(?=\s)", "", route.strip()).lstrip("#").split()
    for word in words:
        if "/" in word and "=" not in word:
            method, _, basis = word.partition("/")
            return method.upper(), basis
    verbs = (
        "opt",
        "freq",
        "force",
        "sp",
        "nosym",
        "scf",
        "geom",
        "guess",
        "pop",
        "int",
        "scrf",
        "iop",
        "empirical",
        "gen",
        "td",
        "maxdisk",
    )
    rest = [w for w in words if not w.startswith(verbs) and "=" not in w]
    return (rest[0].upper() if rest else ""), (rest[1] if len(rest) > 1 else "")


def _sites(lines: Iterator[str]):
    """Numbers, positions, and the cell of translation vectors (atomic number −2)."""
    for _ in range(4):
        next(lines, "")
    numbers: list[int] = []
    positions: list[list[float]] = []
    vectors: list[list[float]] = []
    for line in lines:
        words = line.split()
        if len(words) < 6:
            break
        place = [float(w) for w in words[3:6]]
        if int(words[1]) == -2:
            vectors.append(place)
        elif int(words[1]) > 0:
            numbers.append(int(words[1]))
            positions.append(place)
    return numbers, np.array(positions), np.array(vectors) if len(vectors) == 3 else None


def _forces(lines: Iterator[str], n: int) -> np.ndarray | None:
    found = []
    next(lines, "")
    next(lines, "")
    for line in lines:
        three = re.findall(r"-?\d+\.\d+", line)  # columns touch where numbers are large
        if len(three) == 3 and line[:22].split()[-1].isdigit():
            found.append([float(w) for w in three])
        elif line.startswith(" ---"):
            break
    return np.array(found) * hartree / bohr if len(found) == n else None
