"""One look at the distances of each frame, from which several checks are served: finding pairs is what the gate spends its time on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms

from adiabat.data.geometry import RADII, Pair, closest_pair, pairs
from adiabat.data.split import fingerprint, sight

NEAR = 0.5  # of the sum of covalent radii: nearer is worth a word
COMPANY = 1.6  # of the sum of covalent radii: within it nearly every atom of a sound frame has somebody
SHORTEST = 32  # distances that are kept of a cell
COLUMNS = 256  # of a fingerprint that are compared; a molecule of 23 atoms has 253 distances


class Seen(NamedTuple):
    """The closest pair below NEAR, whether every atom has company, the fingerprint's kind and its thinned vector, of a cell the shortest
    distances, sorted."""

    closest: Pair | None
    company: bool
    kind: tuple
    print: np.ndarray
    shortest: np.ndarray


def seen(atoms: Atoms) -> Seen:
    """The pairs of a frame are found once, as far as the fingerprint looks."""
    found = pairs(atoms, sight(atoms))
    kind, vector = fingerprint(atoms, found)
    step = max(1, len(vector) // COLUMNS)
    d = found[2] if atoms.pbc.any() else found[2][:0]
    shortest = np.sort(np.partition(d, SHORTEST)[:SHORTEST] if len(d) > SHORTEST else d)
    return Seen(closest_pair(atoms, NEAR, found), accompanied(atoms, found, COMPANY), kind, vector[::step].copy(), shortest)


def accompanied(atoms: Atoms, found: tuple[np.ndarray, np.ndarray, np.ndarray], reach: float) -> bool:
    """Whether every atom has another one within `reach` times the sum of their covalent radii; its own image is no company."""
    i, j, d = found
    near = (d < reach * (RADII[atoms.numbers[i]] + RADII[atoms.numbers[j]])) & (i != j)
    has = np.zeros(len(atoms), bool)
    has[i[near]] = has[j[near]] = True
    return bool(has.all())
