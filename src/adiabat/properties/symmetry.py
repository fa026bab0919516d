"""The rotations that map a crystal onto itself: by them few strains tell all elastic constants."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from ase import Atoms


def rotations(atoms: Atoms, tolerance_angstrom: float = 1e-3) -> list[Float[np.ndarray, "3 3"]]:
    """Cartesian rotations R, proper and improper, of the crystal's point group: row vectors x ↦ x R; the identity first.

    Rotations of the lattice are integer matrices that keep the metric of its three shortest vectors (their entries are then −1, 0
    or 1); those are kept for which some translation brings every atom onto one of its kind.

    >>> from ase.build import bulk
    >>> len(rotations(bulk("Si"))), len(rotations(bulk("Mg"))), len(rotations(bulk("ZnS", "zincblende", a=5.41)))
    (48, 24, 24)
    """
    if not atoms.pbc.all():
        raise ValueError(f"the structure is periodic along {atoms.pbc.tolist()}; wanted a crystal, periodic along all three")
    cell = _shortest(atoms.cell.array)
    metric = cell @ cell.T
    allowed = tolerance_angstrom * np.linalg.norm(cell, axis=1).max()
    entries = np.array(list(product((-1, 0, 1), repeat=9)), float).reshape(-1, 3, 3)
    keeps = np.abs(entries @ metric @ entries.transpose(0, 2, 1) - metric).max((1, 2)) < allowed
    scaled = np.linalg.solve(cell.T, atoms.positions.T).T
    found = [
        np.linalg.solve(cell, W @ cell)
        for W in entries[keeps]
        if _maps(scaled @ W, scaled, atoms.numbers, cell, tolerance_angstrom)
    ]
    return sorted(found, key=lambda R: -float(np.trace(R)))


def _shortest(cell: np.ndarray) -> np.ndarray:
    """Three shortest lattice vectors that are independent; in three dimensions they are a basis."""
    from ase.geometry import minkowski_reduce

    cell = minkowski_reduce(cell)[0]  # of a cell given askew, the shortest may be many of its vectors away
    grid = np.array(list(product(range(-1, 2), repeat=3))) @ cell
    chosen: list[np.ndarray] = []
    for vector in grid[np.argsort(np.linalg.norm(grid, axis=1).round(9), kind="stable")][1:]:
        trial = np.array([*chosen, vector])
        if np.linalg.matrix_rank(trial, tol=1e-6 * np.linalg.norm(vector)) == len(trial):
            chosen.append(vector)
        if len(chosen) == 3:
            break
    return np.array(chosen)


def _maps(turned: np.ndarray, scaled: np.ndarray, numbers: np.ndarray, cell: np.ndarray, tolerance: float) -> bool:
    """Whether some translation brings the turned atoms onto the others; fractional coordinates."""
    rarest = min(set(numbers.tolist()), key=lambda z: int((numbers == z).sum()))
    sites = np.flatnonzero(numbers == rarest)
    for target in sites:
        apart = (turned + (scaled[target] - turned[sites[0]]))[:, None] - scaled[None]
        near = np.linalg.norm((apart - apart.round()) @ cell, axis=-1) < tolerance
        if (near & (numbers[:, None] == numbers[None])).any(axis=1).all():
            return True
    return False
