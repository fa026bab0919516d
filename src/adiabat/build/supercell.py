"""Larger cells and missing atoms: what a crystal needs before it can vibrate and before it can have a defect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adiabat.build.rattle import varied

if TYPE_CHECKING:
    from ase import Atoms


def supercell(atoms: Atoms, repeats: int | Sequence[int]) -> Atoms:
    """The cell repeated along its vectors; directions that are not periodic are left alone.

    >>> from ase.build import bulk, fcc111
    >>> len(supercell(bulk("Si"), 3)), len(supercell(fcc111("Cu", (1, 1, 2), vacuum=5.0), 2))
    (54, 8)
    """
    wanted = np.broadcast_to(np.asarray(repeats, int), 3)
    if not atoms.pbc.any() or (wanted < 1).any():
        raise ValueError(
            f"repeats = {repeats} of a structure with pbc {atoms.pbc.tolist()}; wanted positive numbers and a crystal"
        )
    return varied(atoms, "supercell").repeat(tuple(int(n) if p else 1 for n, p in zip(wanted, atoms.pbc)))


def vacancies(atoms: Atoms, count: int, *, rng: np.random.Generator, element: str | None = None) -> list[Atoms]:
    """Copies with one atom taken out, a random one, of `element` if it is named; never the same one twice before all were taken.

    >>> from ase.build import bulk
    >>> [len(a) for a in vacancies(bulk("NaCl", "rocksalt", a=5.6, cubic=True), 2, rng=np.random.default_rng(0), element="Cl")]
    [7, 7]
    """
    sites = [k for k, s in enumerate(atoms.get_chemical_symbols()) if element in (None, s)]
    if not sites or len(atoms) < 2:
        raise ValueError(
            f"{atoms.get_chemical_formula()} has no {element or 'atom'} to spare; wanted a structure of two atoms at least"
            + (f" with {element} in it" if element else "")
        )
    order = [int(k) for _ in range(-(-count // len(sites))) for k in rng.permutation(sites)]
    found = []
    for site in order[:count]:
        new = varied(atoms, "vacancy")
        del new[site]
        found.append(new)
    return found
