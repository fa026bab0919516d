"""A calculator as a worker's two calls: what is timed, and what is compared.

numpy and ASE only: a peer's environment imports this file, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

Answer = dict[str, list[float]]


def through_ase(calculator: Any, atoms: Atoms) -> tuple[Callable[[], None], Callable[[], Answer]]:
    """(step, values) for `duel.serve`: a step moves all atoms by 1e-3 Å and asks for energy, forces and, of a crystal, stress.

    The stress is asked for first: calculators that make only what is asked then make everything at once, as ours does.
    """
    atoms.calc, rest, rng = calculator, atoms.positions.copy(), np.random.default_rng(7)
    crystal = bool(atoms.pbc.all())

    def ask() -> tuple[Any, Any, Any]:
        stress = atoms.get_stress() if crystal else None
        return stress, atoms.get_forces(), atoms.get_potential_energy()

    def step() -> None:
        atoms.positions = rest + rng.normal(0, 1e-3, rest.shape)
        ask()

    def values() -> Answer:
        atoms.positions = rest
        stress, forces, energy = ask()
        told = {"energy": [float(np.ravel(energy)[0]) / len(atoms)], "forces": np.ravel(forces).tolist()}
        return told | ({"stress": stress.tolist()} if crystal else {})

    return step, values
