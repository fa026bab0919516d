"""What OUTCAR and vasprun.xml share: VASP's tags in the words of the settings record, fixed atoms, and when an SCF has converged.

VASP 5 writes "aborting loop because EDIFF is reached" also where it merely ran out of steps; so the steps are counted against
NELM, and the last change of the energy is compared with EDIFF.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adiabat.data.engines.calculation import Calculation, Step
from adiabat.data.engines.settings import Settings

FUNCTIONALS = {
    "PE": "PBE", "91": "PW91", "PS": "PBEsol", "RP": "RPBE", "RE": "revPBE", "CA": "LDA", "AM": "AM05", "OR": "optPBE", "BO": "optB88",
    "MK": "optB86b", "ML": "PW86R", "BF": "BEEF", "8": "PBE", "7": "PW91", "2": "LDA", "9": "RPBE", "14": "PBEsol", "1": "LDA",
}  # fmt: skip
DISPERSION = {
    "1": "D2", "10": "D2", "11": "D3", "12": "D3(BJ)", "13": "D4", "2": "TS", "20": "TS", "21": "TS/HI", "202": "MBD", "263": "MBD/FI",
    "3": "dDsC", "4": "dDsC", "5": "SDF",
}  # fmt: skip
SMEARING = {
    -5: "tetrahedron",
    -4: "tetrahedron",
    -14: "tetrahedron",
    -15: "tetrahedron",
    -2: "fixed",
    -1: "Fermi-Dirac",
    0: "Gaussian",
}


def settings(tags: dict[str, str], version: str, lexch: str, potentials: list[str]) -> Settings:
    """From INCAR's names, as the output repeats them with defaults filled in."""
    gga = tags.get("GGA", "--").strip()
    functional = (
        FUNCTIONALS.get(gga.upper()) or FUNCTIONALS.get(lexch.strip(), lexch.strip() or "") if gga in ("--", "") else gga
    )
    functional = FUNCTIONALS.get(str(functional).upper(), str(functional))
    meta = tags.get("METAGGA", "--").strip()
    if meta not in ("--", "", "F", "NONE", "none"):
        functional = meta
    if yes(tags.get("LHFCALC")):
        exact, screen = float(tags.get("AEXX") or 0.25), float(tags.get("HFSCREEN") or 0.0)
        name = {0.2: "HSE06", 0.207: "HSE06", 0.3: "HSE03", 0.0: "PBE0"}.get(round(screen, 3))
        plain = functional == "PBE" and exact == 0.25 and name
        functional = str(name) if plain else f"{functional} hybrid(exact={exact:g}, screening={screen:g})"
    ivdw = tags.get("IVDW", "0").split(".")[0].strip()
    dispersion = DISPERSION.get(ivdw, "none" if ivdw in ("0", "") else f"IVDW={ivdw}")
    if yes(tags.get("LUSE_VDW")):
        dispersion = "nonlocal vdW"
    kind = int(float(tags.get("ISMEAR") or 1))
    smearing: dict[str, Any] = {"type": SMEARING.get(kind, f"Methfessel-Paxton order {kind}")}
    if kind > -2:
        smearing["width_eV"] = float(tags.get("SIGMA") or 0.2)
    spin = (
        "noncollinear" if yes(tags.get("LNONCOLLINEAR")) else "polarized" if tags.get("ISPIN", "1").strip() == "2" else "none"
    )
    convergence = {n: float(tags[t]) for t, n in (("EDIFF", "energy_eV"), ("EDIFFG", "relaxation")) if tags.get(t)}
    told = Settings(
        code="VASP", version=version, functional=functional, dispersion=dispersion, pseudopotentials=potentials,
        cutoff_eV=float(tags["ENCUT"]) if tags.get("ENCUT") else None, smearing=smearing, spin=spin, convergence=convergence,
    )  # fmt: skip
    if yes(tags.get("LDAU")):
        told.hubbard_u = (
            " ".join(
                filter(None, (f"{n}={' '.join(tags[t].split())}" for t, n in (("LDAUU", "U"), ("LDAUJ", "J")) if t in tags))
            )
            or "on"
        )
    if yes(tags.get("LDIPOL")):
        told.slab["dipole_correction"] = True
    return told


def judge(step: Step, steps: int, most: int, changes: list[float], ediff: float) -> None:
    """Converged: fewer electronic steps than NELM, or the last changes (of the energy, of the bands) below EDIFF."""
    last = max((abs(c) for c in changes), default=np.inf)
    step.converged = steps < most or last < ediff
    if not step.converged:
        step.why_not = f"{steps} of at most {most} electronic steps, the last changed the energy by {last:.2g} eV, wanted below {ediff:.2g}"
        step.cure = "raise NELM, or another ALGO or mixing, and compute it again"


def fixed_beside(path: Path, calculation: Calculation, natoms: int) -> None:
    """Selective dynamics from the POSCAR (or CONTCAR) of the same folder, since OUTCAR does not tell it."""
    for name in ("POSCAR", "CONTCAR"):
        beside = path.parent / name
        if not beside.is_file():
            continue
        lines = beside.read_text(errors="replace").splitlines()
        at = next((k for k, line in enumerate(lines[5:9], 5) if line.strip()[:1] in ("S", "s")), None)
        flags = [line.split()[3:6] for line in lines[at + 2 : at + 2 + natoms]] if at is not None else []
        if len(flags) == natoms and all(len(f) == 3 for f in flags):
            hold(calculation, np.array([[f[:1] in "Tt" or f[:2] in (".T", ".t") for f in row] for row in flags]), name)
        return


def hold(calculation: Calculation, free: np.ndarray, where: str) -> None:
    """Atoms that move in no direction are fixed; those held in one or two are told."""
    calculation.fixed = [int(k) for k in np.flatnonzero(~free.any(axis=1))]
    partly = int((free.any(axis=1) & ~free.all(axis=1)).sum())
    if partly:
        calculation.notes.append(
            f"{partly} atoms are held along some directions only ({where}); they are kept as free, forces are raw"
        )


def centering(points: np.ndarray) -> str:
    return "Gamma-centered" if len(points) and np.abs(points).sum(axis=1).min() < 1e-6 else "shifted"


def yes(value: str | None) -> bool:
    return (value or "").strip().strip(".").upper() in ("T", "TRUE")
