"""What keeps atoms apart where no training data are."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from adiabat.graph import Graph
from adiabat.models import ZBL
from adiabat.potential import Potential
from adiabat.validation.gate.check import Check, Subject, name_of

NEAR = 0.25  # of the sum of the covalent radii: far inside any bond, far outside any nucleus
SHARE = 0.5  # of the screened nuclear repulsion: what is known of atoms that near, whatever their electrons do
DEEP = 2.0  # eV below its surroundings: kT at 20,000 K


def short_range(subject: Subject) -> Check:
    """Two atoms pushed onto each other meet at least half of their nuclear repulsion, alone and inside a structure.

    Ziegler, Biersack and Littmark (1985) give the repulsion; between a quarter of a bond and a bond nothing may be deeper than the
    bond itself.
    """
    least, where, message = np.inf, "", ""
    for a, b in subject.pairs:
        for base, i, j in _pairs(subject, a, b):
            share, hole = _climb(subject, base, i, j)
            if not hole <= DEEP:
                share, message = float(np.minimum(share, -hole)), f"a hole of {hole:.2g} eV below the bond"
            if least == least and not share >= least:  # NaN stays
                least, where = share, name_of(a, b) + (" in a structure" if _inside(base) else "")
    fine = bool(least >= SHARE)
    told = f"at a quarter of a bond {where} meets {least:.2g} of the nuclear repulsion"
    if not fine:
        told += f", wanted {SHARE:g} at least" + (f": {message}" if message else "")
    return Check(
        "short_range_wall", float(least), "of ZBL", SHARE, "pass" if fine else "fail", told,
        "" if fine else "add a short-range wall: train with fit.wall: true, or add ZBL() to the terms",
    )  # fmt: skip


def _pairs(subject: Subject, a: int, b: int) -> list[tuple[Atoms, int, int]]:
    """A dimer, and the closest pair of these elements in a frame."""
    found = [(Atoms([a, b], [[0, 0, 0], [subject.bond(a, b), 0, 0]]), 0, 1)]
    for atoms in subject.frames:
        d = atoms.get_all_distances(mic=True)
        d[~((atoms.numbers == a)[:, None] & (atoms.numbers == b))] = np.inf
        np.fill_diagonal(d, np.inf)
        if np.isfinite(d.min()):
            i, j = np.unravel_index(int(d.argmin()), d.shape)
            return [*found, (atoms, int(i), int(j))]
    return found


def _climb(subject: Subject, atoms: Atoms, i: int, j: int) -> tuple[float, float]:
    """Energy at a quarter of a bond, in units of ZBL there; the deepest point on the way below the start, eV."""
    bond = subject.bond(int(atoms.numbers[i]), int(atoms.numbers[j]))
    line = atoms.get_distance(i, j, mic=True, vector=True)
    start = float(np.linalg.norm(line))
    distances = np.concatenate([np.linspace(1.5, 0.8, 15), np.linspace(0.8, NEAR, 23)[1:]]) * bond
    scan = []
    for d in [start, *distances]:
        moved = atoms.copy()
        moved.positions[j] = atoms.positions[i] + line / start * d
        scan.append(moved)
    inside = _inside(atoms)
    energies = subject(scan).energy.numpy()
    outside, way = energies[:16] if not inside else energies[:1], energies[16:]
    repulsion = _nuclear(atoms.numbers[[i, j]], NEAR * bond)
    return float((energies[-1] - outside.min()) / repulsion), float(outside.min() - way.min())


def _inside(atoms: Atoms) -> bool:
    """Whether others than this pair are there: atoms, or its images."""
    return len(atoms) > 2 or bool(atoms.pbc.any())


def _nuclear(numbers: np.ndarray, distance: float) -> float:
    """The screened repulsion of two nuclei, eV, not faded out."""
    alone = Potential(ZBL(reach=10.0))
    return float(alone(Graph.of(Atoms(numbers, [[0, 0, 0], [distance, 0, 0]]), alone.cutoff)).energy)
