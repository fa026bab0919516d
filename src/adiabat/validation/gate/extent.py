"""How energies add, and how pairs enter and leave."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from adiabat.units import meV
from adiabat.validation.gate.check import Check, Subject, below, larger, name_of

# Å. A jump stays as it is however small the step; a cosine cutoff, whose second derivative jumps, makes 1e-5 eV/Å at 100 eV/Å².
STEP = 1e-7
CROSSING = STEP * np.arange(-2.0, 3.0)


def extensivity(subject: Subject) -> Check:
    """E of two far fragments is the sum of theirs; E of a doubled cell is twice as large."""
    worst, rounding = 0.0, 1e-3
    apart = 50.0 + 4 * subject.potential.cutoff
    for atoms in subject.structures:
        one = float(subject(atoms).energy)
        if atoms.pbc.any():
            two = float(subject(atoms.repeat([2 if p else 1 for p in atoms.pbc])).energy)
            times = 2 ** int(atoms.pbc.sum())
        else:
            far = atoms.copy()
            far.positions += [apart + np.ptp(atoms.positions[:, 0]), 0, 0]
            two, times = float(subject(atoms + far).energy), 2
        differ = abs(two - times * one) / (times * len(atoms)) / meV
        worst = larger(worst, differ)
        rounding = max(rounding, 1e-13 * abs(one) / meV)
    return below(
        "extensivity", worst, "meV/atom", rounding, "the energy of twice as much matter is not twice as large, by",
        "a term depends on the number of atoms; sum local energies only, or make it vanish with the distance",
    )  # fmt: skip


def smooth_cutoff(subject: Subject) -> Check:
    """Energy and forces do not jump when an atom passes a cutoff: pairs of all elements, alone and beside a third atom."""
    worst, where = 0.0, ""
    for cutoff in subject.cutoffs:
        for a, b in subject.pairs:
            for base in _bases(subject, a, cutoff):
                jump = _jump(subject, [_with(base, b, cutoff + x) for x in CROSSING])
                if worst == worst and not jump <= worst:  # NaN stays
                    worst, where = jump, f" ({name_of(a, b)} at {cutoff:g} Å)"
    return below(
        "smooth_cutoff", worst / meV, "meV/Å", 0.1, f"crossing a cutoff{where}, a force or the energy (meV) jumps by",
        "multiply what a pair adds by a function that goes to zero with its slope at the cutoff",
    )  # fmt: skip


def _bases(subject: Subject, a: int, cutoff: float) -> list[Atoms]:
    """An atom at the origin, alone and with a neighbor aside."""
    alone = Atoms([a], [[0, 0, 0]])
    aside = [
        Atoms([a, c], [[0, 0, 0], [0, 1.1 * subject.bond(a, c), 0.2]])
        for c in subject.elements
        if 1.2 * subject.bond(a, c) < cutoff
    ]
    return [alone, *aside]


def _with(base: Atoms, z: int, distance: float) -> Atoms:
    return base + Atoms([z], [[distance, 0, 0]])


def _jump(subject: Subject, scan: list[Atoms]) -> float:
    """The largest kink of a force along a scan, or step of the energy beyond what the forces say."""
    found = subject(scan)
    F = found.forces.numpy().reshape(len(scan), -1, 3)
    E = found.energy.numpy()
    work = -(F[1:, -1, 0] + F[:-1, -1, 0]) / 2 * STEP
    surprise = np.abs(np.diff(E) - work).max() - 1e-14 * np.abs(E).max()
    return larger(np.abs(np.diff(F, n=2, axis=0)).max(), surprise)
