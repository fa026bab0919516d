"""Forces and stress as differences of energies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms

from adiabat.units import GPa, meV
from adiabat.validation.gate.check import Check, Subject, below, larger

STEP = 5e-4  # Å; the five-point rule is then right to 1e-9 eV/Å of a bond
STRAIN = 2e-4
POINTS = (-2, -1, 1, 2)
WEIGHTS = np.array([1, -8, 8, -1]) / 12.0
RELATIVE = 1e-5  # of the largest force: a spline's third derivative jumps, and that is all the rule does not see


def forces(subject: Subject) -> Check:
    """F = −∂E/∂R along random directions."""
    rng, worst, allowed = np.random.default_rng(subject.seed), 0.0, RELATIVE
    for atoms in subject.structures:
        F = subject(atoms).forces.numpy()
        allowed = max(allowed, RELATIVE * np.abs(F).max())
        for direction in rng.normal(size=(3, *F.shape)):
            direction /= np.linalg.norm(direction)
            energies = lambda by: subject([_moved(atoms, k * by * direction) for k in POINTS]).energy.numpy()  # noqa: B023, E731
            worst = larger(worst, _off(energies, -(F * direction).sum(), STEP, allowed))
    return below(
        "forces", worst / meV, "meV/Å", allowed / meV, "forces differ from the energy's slope by up to",
        "a term's derivative is not that of its energy; name it by trying terms alone",
    )  # fmt: skip


def stress(subject: Subject) -> Check:
    """σ = (1/V) ∂E/∂ε along random strains; a molecule is put into a box for it."""
    rng, worst, allowed = np.random.default_rng(subject.seed), 0.0, 1e-5
    for given in subject.structures:
        atoms = _boxed(given)
        V = atoms.get_volume()
        found = subject(atoms).stress[0].numpy()
        allowed = max(allowed, RELATIVE * np.abs(found).max() / GPa)
        for strain in (np.eye(3) / 3**0.5, *rng.normal(size=(2, 3, 3))):
            strain = (strain + strain.T) / 2
            strain /= np.linalg.norm(strain)
            energies = lambda by: subject([_strained(atoms, k * by * strain) for k in POINTS]).energy.numpy()  # noqa: B023, E731
            worst = larger(worst, _off(energies, V * (found * strain).sum(), STRAIN, allowed * V * GPa) / V / GPa)
    return below(
        "stress", worst, "GPa", allowed, "stress differs from the energy's change with strain by up to",
        "a term's strain derivative is wrong: check its sign, and that it sees the strained cell",
    )  # fmt: skip


def _off(energies: Callable[[float], np.ndarray], slope: float, step: float, allowed: float) -> float:
    """How far the slope is from that of energies at `POINTS` times the step. Where that is too far, by shorter steps: a kink of the
    second derivative (celu of an ANI network, the inner end of a cutoff) is what the rule does not see, and falls with the step, as
    a wrong derivative does not."""
    off = np.inf
    for by in (step, step / 5, step / 25):
        off = min(off, abs(WEIGHTS @ energies(by) / by - slope))
        if off < allowed:
            break
    return float(off)


def _moved(atoms: Atoms, by: np.ndarray) -> Atoms:
    moved = atoms.copy()
    moved.positions += by
    return moved


def _strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return strained


def _boxed(atoms: Atoms) -> Atoms:
    """The structure with three periodic vectors; a molecule feels its images there, which is as good a solid as any."""
    boxed = atoms.copy()
    if boxed.cell.rank < 3 or not boxed.pbc.all():
        boxed.center(vacuum=1.2)
        boxed.pbc = True
    return boxed
