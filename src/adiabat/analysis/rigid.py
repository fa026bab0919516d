"""The motions that change no shape: three translations, and as many rotations as the body has.

An atom cannot turn, a linear molecule turns about two axes, everything else about three. Vibrations project these motions
out, and a temperature counts without them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def rigid_motions(
    positions: Float[np.ndarray, "N 3"], masses: Float[np.ndarray, "N"], *, rotation: bool = True
) -> Float[np.ndarray, "K 3*N"]:
    """An orthonormal basis, in mass-weighted coordinates √m·x, of translations (and rotations): K = 3, 5 or 6.

    >>> water = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    >>> masses = np.array([16.0, 1.0, 1.0])
    >>> len(rigid_motions(water, masses)), len(rigid_motions(water[1:], masses[1:])), len(rigid_motions(water[:1], masses[:1]))
    (6, 5, 3)
    """
    positions, masses = np.asarray(positions, float), np.asarray(masses, float)
    root = np.sqrt(masses)[:, None]
    arms = positions - masses @ positions / masses.sum()
    axes = np.eye(3)
    translations = [(root * axis).ravel() for axis in axes]
    turns = [(root * np.cross(axis, arms)).ravel() for axis in axes] if rotation else []
    basis = np.linalg.svd(np.array(translations), full_matrices=False)[2]
    if turns:
        _, size, right = np.linalg.svd(np.array(turns), full_matrices=False)
        # 1e-4 of the largest: 0.01° of bending is still a line; a lone atom (size ~ 0) has no rotation at all
        basis = np.vstack([basis, right[size > max(1e-4 * size[0], 1e-6)]])
    return basis


def degrees_of_freedom(
    positions: Float[np.ndarray, "N 3"],
    masses: Float[np.ndarray, "N"],
    *,
    momentum_removed: bool,
    rotation_removed: bool = False,
) -> int:
    """How many squares carry ½kT each: 3N when free, 3N−3 at rest, 3N−6 (line: 3N−5) when it does not turn either.

    >>> degrees_of_freedom(np.eye(3), np.ones(3), momentum_removed=False)
    9
    >>> degrees_of_freedom(np.eye(3), np.ones(3), momentum_removed=True, rotation_removed=True)
    3
    """
    if rotation_removed and not momentum_removed:
        raise ValueError(
            "rotation removed but not momentum: a molecule that drifts has no fixed center to turn about; remove both"
        )
    if not momentum_removed:
        return 3 * len(positions)
    return 3 * len(positions) - len(rigid_motions(positions, masses, rotation=rotation_removed))


def inertia(positions: Float[np.ndarray, "N 3"], masses: Float[np.ndarray, "N"]) -> Float[np.ndarray, "3 3"]:
    """I = Σ m (r² 1 − r rᵀ) about the center of mass, amu Å²."""
    arms = positions - masses @ positions / masses.sum()
    return (masses[:, None, None] * ((arms**2).sum(1)[:, None, None] * np.eye(3) - arms[:, :, None] * arms[:, None, :])).sum(0)


def align(
    moving: Float[np.ndarray, "N 3"], onto: Float[np.ndarray, "N 3"], masses: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "3 3"]:
    """The rotation Q for which (moving − center) Qᵀ lies closest to (onto − center): Kabsch, Acta Cryst. A 32, 922 (1976).

    >>> turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> x = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    >>> align(x, x @ turn.T, np.ones(3)).round(6).tolist() == turn.tolist()
    True
    """
    masses = np.asarray(masses, float)
    a = moving - masses @ moving / masses.sum()
    b = onto - masses @ onto / masses.sum()
    left, _, right = np.linalg.svd(b.T @ (masses[:, None] * a))
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])  # a proper rotation, never a reflection
    return left @ mirror @ right
