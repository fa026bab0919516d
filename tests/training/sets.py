"""Small labeled sets: water and copper by EMT, which costs nothing and is smooth."""

from __future__ import annotations

from functools import cache

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from adiabat.data.structure import labeled


def emt(atoms: Atoms, **info) -> Atoms:
    copy = atoms.copy()
    copy.calc = EMT()
    stress = copy.get_stress() if copy.pbc.all() else None
    made = labeled(atoms, energy=copy.get_potential_energy(), forces=copy.get_forces(), stress=stress)
    made.info.update(info)
    return made


@cache
def water(n: int = 14, seed: int = 0) -> tuple[Atoms, ...]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = molecule("H2O")
        atoms.rattle(0.08, rng=rng)
        frames.append(emt(atoms))
    return tuple(frames)


@cache
def copper(n: int = 24, seed: int = 0) -> tuple[Atoms, ...]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.12, rng=rng)
        frames.append(emt(atoms))
    return tuple(frames)


def without(atoms: Atoms, *names: str) -> Atoms:
    """A copy that lacks these labels."""
    results = {k: v for k, v in atoms.calc.results.items() if k in ("energy", "forces", "stress") and k not in names}
    made = labeled(atoms, **results)
    return made
