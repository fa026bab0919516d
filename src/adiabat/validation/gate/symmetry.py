"""What must not matter: how a structure is turned, mirrored, or numbered."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from adiabat.units import meV
from adiabat.validation.gate.check import Check, Subject, below, larger

RELATIVE = 1e-8  # rounding of float64 through a few hundred operations


def rotation(subject: Subject) -> Check:
    """E(RQ) = E(R) and F(RQ) = F(R) Q, for a rotation and for one with a reflection."""
    turn = Rotation.random(rng=subject.seed + 3).as_matrix()
    worst, allowed = 0.0, RELATIVE
    for atoms in subject.structures:
        for Q in (turn, -turn):
            turned = atoms.copy()
            turned.positions = atoms.positions @ Q
            turned.set_cell(atoms.cell.array @ Q)
            worst, allowed = _compare(subject, atoms, turned, lambda F, Q=Q: F @ Q, worst, allowed)
    return below(
        "rotation", worst / meV, "meV/Å", allowed / meV, "energies (meV) and forces of turned structures differ by up to",
        "a model must see distances, angles and equivariant features alone",
    )  # fmt: skip


def permutation(subject: Subject) -> Check:
    """The order of the atoms does not matter."""
    rng, worst, allowed = np.random.default_rng(subject.seed), 0.0, RELATIVE
    for atoms in subject.structures:
        order = rng.permutation(len(atoms))
        worst, allowed = _compare(subject, atoms, atoms[order], lambda F, order=order: F[order], worst, allowed)
    return below(
        "permutation", worst / meV, "meV/Å", allowed / meV, "energies (meV) and forces of renumbered structures differ by up to",
        "a model must not know an atom by its place in the list",
    )  # fmt: skip


def _compare(subject: Subject, atoms: Atoms, other: Atoms, expected, worst: float, allowed: float) -> tuple[float, float]:
    a, b = subject(atoms), subject(other)
    F, energy = a.forces.numpy(), abs(float(b.energy - a.energy))
    differ = larger(np.abs(b.forces.numpy() - expected(F)).max(), energy)
    rounding = 1e-13 * abs(float(a.energy))  # of a total that may be a hundred thousand eV
    return larger(worst, differ), max(allowed, RELATIVE * float(np.abs(F).max()), rounding)
