"""Distances between atoms, periodic images counted, with what the gate, the split and the labelers ask of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from adiabat.elements import COVALENT_RADII

RADII = np.array(COVALENT_RADII)


@dataclass(frozen=True)
class Pair:
    """Two atoms and how close they are: in Å, and relative to the sum of their covalent radii."""

    i: int
    j: int
    distance: float
    ratio: float


def pairs(atoms: Atoms, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """i, j, d of all pairs below `cutoff` Å, each once, an atom and its own images included."""
    if atoms.pbc.any():
        from vesin import NeighborList

        cell = atoms.cell.complete().array  # axes without a vector get one, so that the box has a volume
        i, j, d = NeighborList(cutoff=cutoff, full_list=False).compute(atoms.positions, cell, list(atoms.pbc), "ijd")
        return i.astype(int), j.astype(int), d
    i, j = np.triu_indices(len(atoms), 1)
    d = np.linalg.norm(atoms.positions[i] - atoms.positions[j], axis=1)
    near = d < cutoff
    return i[near], j[near], d[near]


def closest_pair(
    atoms: Atoms, below: float = 1.0, found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
) -> Pair | None:
    """The pair that is closest relative to its covalent radii, if any is below `below` times their sum.

    `found` are the pairs, where somebody knows them already, at least as far as that.

    >>> closest_pair(Atoms("OH", [[0, 0, 0], [0, 0, 0.485]]))
    Pair(i=0, j=1, distance=0.485, ratio=0.5)
    """
    largest = RADII[atoms.numbers].max() if len(atoms) else 0.0
    i, j, d = pairs(atoms, cutoff=2 * largest * below) if found is None else found
    if not len(d):
        return None
    ratio = d / (RADII[atoms.numbers[i]] + RADII[atoms.numbers[j]])
    k = int(ratio.argmin())
    if ratio[k] >= below:
        return None
    return Pair(int(i[k]), int(j[k]), float(d[k]), float(round(ratio[k], 12)))


def longest_bridge(atoms: Atoms) -> Pair | None:
    """The longest bond one must cross to walk through a molecule: the worst edge of its minimum spanning tree.

    Bonds are ranked by distance over the sum of covalent radii; near 1 in a relaxed molecule, larger where one is being broken.

    >>> longest_bridge(Atoms("OH2", [[0, 0, 0], [0, 0, 0.97], [0, 1.94, 0]])).ratio
    2.0
    """
    if len(atoms) < 2:
        return None
    from scipy.sparse.csgraph import minimum_spanning_tree

    d = np.linalg.norm(atoms.positions[:, None] - atoms.positions[None], axis=-1)
    radii = RADII[atoms.numbers]
    ratio = d / (radii[:, None] + radii[None])
    tree = minimum_spanning_tree(ratio).tocoo()
    k = int(tree.data.argmax())
    i, j = int(tree.row[k]), int(tree.col[k])
    return Pair(i, j, float(d[i, j]), float(round(tree.data[k], 12)))
