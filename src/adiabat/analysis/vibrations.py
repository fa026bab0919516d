"""Harmonic vibrations from any source of forces, and two sources compared mode by mode.

Forces come as a function from a list of structures to a list of arrays: a reference engine and a potential serve alike,
and each may work on the whole list at once. ``X`` counts coordinates: three an atom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from adiabat.analysis.rigid import align, rigid_motions
from adiabat.units import ACCELERATION, PER_CM, h

if TYPE_CHECKING:
    from ase import Atoms

ForcesOf = Callable[["list[Atoms]"], "Sequence[Float[np.ndarray, 'N 3']]"]

HARMLESS = ("FixCom", "FixSymmetry")  # they guide a relaxation and hold nobody


@dataclass(frozen=True)
class Vibrations:
    """Normal modes of a structure, softest first."""

    frequencies_per_cm: Float[np.ndarray, "M"]  # an imaginary one is negative
    modes: Float[np.ndarray, "M N 3"]  # orthonormal in mass-weighted coordinates √m·x
    hessian: Float[np.ndarray, "X X"]  # eV/Å², symmetrized
    positions: Float[np.ndarray, "N 3"]
    masses: Float[np.ndarray, "N"]
    fmax: float  # largest force on an atom before displacement, eV/Å: above 0.01 these are not yet a minimum's modes
    asymmetry: float  # max |H − Hᵀ|, eV/Å²: noise of the forces plus what the finite step leaves
    turns: bool = True  # a molecule, whose rotations were taken out: nothing holds its axes

    @property
    def zero_point_energy_eV(self) -> float:
        """½ h Σ ν over the real modes."""
        real = self.frequencies_per_cm[self.frequencies_per_cm > 0]
        return float(0.5 * h * real.sum() / PER_CM)

    @property
    def curvatures(self) -> Float[np.ndarray, "M"]:
        """ω² in eV/Å²/amu: the energy along a mode is ½ ω² q² for a mass-weighted displacement q."""
        omega = 2 * np.pi * self.frequencies_per_cm / PER_CM
        return np.sign(omega) * omega**2 / ACCELERATION


def displaced(atoms: Atoms, step_angstrom: float = 0.01) -> list[Atoms]:
    """The structures of central differences, 6 an atom that is not fixed: for each coordinate one step up, then one down."""
    structures = []
    for coordinate in np.flatnonzero(np.repeat(_free(atoms), 3)):
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = None
            moved.set_constraint()  # forces are asked raw: constrained ones would be zero on fixed atoms
            moved.positions[coordinate // 3, coordinate % 3] += sign * step_angstrom
            structures.append(moved)
    return structures


def hessian(forces: Sequence[Float[np.ndarray, "N 3"]], step_angstrom: float) -> Float[np.ndarray, "X X"]:
    """H = −∂F/∂x by central differences of the forces on `displaced` structures, a row a pair of them, not yet symmetrized."""
    forces = np.array([np.asarray(f, float).ravel() for f in forces])
    return -(forces[0::2] - forces[1::2]) / (2 * step_angstrom)


def harmonic_frequencies(atoms: Atoms, forces_of: ForcesOf, step_angstrom: float = 0.01) -> Vibrations:
    """Diagonalize M^(−½) H M^(−½) in the space without rigid motions: 3N−6 modes, 3N−5 of a line, 3N−3 of a crystal at Γ.

    Rigid motions are removed before diagonalizing, so that not even a noisy Hessian shows a rotation among the modes. Atoms held by
    `FixAtoms` stay: then the others have three modes each, as an adsorbate on a held slab, and nothing is removed.

    >>> from ase import Atoms
    >>> def spring(frames):  # ½ · 30 eV/Å² (d − 1 Å)²
    ...     bonds = [a.positions[1] - a.positions[0] for a in frames]
    ...     return [np.outer([1, -1], b) * 30 * (1 - 1 / np.linalg.norm(b)) for b in bonds]
    >>> v = harmonic_frequencies(Atoms("H2", [[0, 0, 0], [0, 0, 1.0]]), spring)
    >>> v.frequencies_per_cm.round(0).tolist()  # √(k/µ)/2πc
    [4023.0]
    """
    structures = displaced(atoms, step_angstrom)
    forces = list(forces_of(structures))
    if len(forces) != len(structures):
        raise ValueError(f"forces_of gave {len(forces)} arrays for {len(structures)} structures; it must answer each in order")
    for array in forces:
        if np.shape(array) != (len(atoms), 3) or not np.isfinite(array).all():
            raise ValueError(f"forces_of must give finite forces of shape ({len(atoms)}, 3); it gave {np.shape(array)}, or NaN")
    free = _free(atoms)
    raw = np.zeros((3 * len(atoms), 3 * len(atoms)))
    moving = np.ix_(*[np.flatnonzero(np.repeat(free, 3))] * 2)
    raw[moving] = hessian([np.asarray(f)[free] for f in forces], step_angstrom)
    undisplaced = np.mean(forces, axis=0)[free]  # the mean of +h and −h is F(0) up to h²: no further label needed
    return modes_of(
        (raw + raw.T) / 2,
        atoms.positions,
        atoms.get_masses(),
        rotation=not atoms.pbc.any(),
        free=None if free.all() else free,
        fmax=float(np.linalg.norm(undisplaced, axis=1).max()),
        asymmetry=float(np.abs(raw - raw.T).max()),
    )


def _free(atoms: Atoms) -> Bool[np.ndarray, "N"]:
    """Whom no `FixAtoms` holds; constraints that hold single coordinates are refused."""
    free = np.ones(len(atoms), bool)
    for constraint in atoms.constraints:
        if type(constraint).__name__ in HARMLESS:
            continue
        if type(constraint).__name__ != "FixAtoms":
            raise ValueError(
                f"vibrations under {type(constraint).__name__} are not known here; wanted FixAtoms or no constraint"
            )
        free[constraint.get_indices()] = False
    if not free.any():
        raise ValueError("every atom is fixed, so none can vibrate; free some")
    return free


def modes_of(
    hessian: Float[np.ndarray, "X X"],
    positions: Float[np.ndarray, "N 3"],
    masses: Float[np.ndarray, "N"],
    *,
    rotation: bool = True,
    free: Bool[np.ndarray, "N"] | None = None,
    fmax: float = 0.0,
    asymmetry: float = 0.0,
) -> Vibrations:
    """Normal modes of a Hessian one already has; of the `free` atoms alone where some are held, with no rigid motion taken out."""
    from scipy.linalg import null_space

    root = np.repeat(np.sqrt(masses), 3)
    # 3N × M: everything that is not rigid, or all coordinates of those who may move
    inner = (
        null_space(rigid_motions(positions, masses, rotation=rotation))
        if free is None
        else np.eye(len(root))[:, np.repeat(free, 3)]
    )
    values, vectors = np.linalg.eigh(inner.T @ (hessian / np.outer(root, root)) @ inner)
    omega = np.sign(values) * np.sqrt(np.abs(values) * ACCELERATION)  # 1/fs
    modes = (inner @ vectors).T.reshape(-1, len(masses), 3)
    frequencies = omega / (2 * np.pi) * PER_CM
    turns = rotation and free is None
    return Vibrations(frequencies, modes, hessian, np.array(positions, float), np.array(masses, float), fmax, asymmetry, turns)


@dataclass(frozen=True)
class ModePair:
    """One mode of a reference and the mode it became."""

    reference_per_cm: float
    other_per_cm: float
    overlap: float  # cos² of the angle between them, 1 when they are the same motion

    @property
    def difference_per_cm(self) -> float:
        return self.other_per_cm - self.reference_per_cm


def compare(reference: Vibrations, other: Vibrations) -> tuple[ModePair, ...]:
    """Match modes by what moves, not by their order: the assignment with the largest total overlap.

    Molecules, each at its own minimum, are first laid upon each other; crystals are compared as they stand. Modes of equal
    frequency mix freely, so their overlaps may be small without meaning.
    """
    from scipy.optimize import linear_sum_assignment

    if reference.modes.shape != other.modes.shape:
        raise ValueError(
            f"cannot match modes of shape {other.modes.shape} with {reference.modes.shape}; give the same atoms in one order"
        )
    turn = align(other.positions, reference.positions, reference.masses) if reference.turns else np.eye(3)
    overlap = np.einsum("aix,bix->ab", reference.modes, other.modes @ turn.T) ** 2
    return tuple(
        ModePair(float(reference.frequencies_per_cm[a]), float(other.frequencies_per_cm[b]), float(overlap[a, b]))
        for a, b in zip(*linear_sum_assignment(-overlap))
    )
