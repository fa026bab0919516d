"""Settings of plane-wave calculations that follow from the structure: cutoff by element, k-points by density, spin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms

from adiabat.elements import number, symbol

# eV, for GPAW's PAW data of 2024 (gpaw-data 1.2). Hard 2p shells and d shells need most: at 300 eV the forces of water are off by
# more than 1 eV/Å, at 600 eV by less than 0.09 (and the same at all positions). Measured: H, O, Si; the others are cautious.
CUTOFFS_eV = {
    350.0: "Al Si".split(),
    400.0: "H Mg P S Cl Ar K Ca Ge Se Br Kr Rb Sr Sn Te I Xe Cs Ba".split(),
    600.0: "O F Ne".split(),
}
OTHERS_eV = 500.0  # B, C, N, the 3d, 4d and 5d metals, semicore shells
BY_ELEMENT = {s: cutoff for cutoff, symbols in CUTOFFS_eV.items() for s in symbols}
MAGNETIC = {number(s) for s in "Cr Mn Fe Co Ni".split()}


def plane_waves(numbers: Iterable[int]) -> float:
    """The cutoff in eV that the hardest of these elements needs.

    >>> plane_waves([14]), plane_waves([14, 8]), plane_waves([26])
    (350.0, 600.0, 500.0)
    """
    return max(BY_ELEMENT.get(symbol(int(z)), OTHERS_eV) for z in set(map(int, numbers)))


def grid(atoms: Atoms, spacing_per_angstrom: float) -> tuple[int, int, int]:
    """The smallest grid n = ⌈|b|/spacing⌉ along the periodic directions, with reciprocal vectors b that have 2π in them.

    Twice the cell has half the points: supercells are sampled alike.

    >>> from ase.build import bulk
    >>> si = bulk("Si", cubic=True, a=5.43)
    >>> grid(si, 0.3), grid(si * (2, 1, 1), 0.3)
    ((4, 4, 4), (2, 4, 4))
    """
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    # A hair below an integer is that integer: rounding must not give a cell and its twin different grids.
    sizes = np.maximum(1, np.ceil(lengths / spacing_per_angstrom - 1e-6)).astype(int)
    return tuple(int(n) if periodic else 1 for n, periodic in zip(sizes, atoms.pbc))  # type: ignore[return-value]


def magnetic(numbers: Iterable[int]) -> bool:
    """Whether an element among them is a ferromagnet or an antiferromagnet as a solid."""
    return bool(MAGNETIC & set(map(int, numbers)))
