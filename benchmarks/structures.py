"""What the peers are compared on: rattled silicon, and small molecules with made-up labels (no time depends on their truth).

numpy and ASE only: a peer's environment imports this file, too.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule


def silicon(n: int = 512) -> Atoms:
    """Diamond-cubic silicon, n = 8k³ atoms rattled by 0.05 Å; 28 neighbors within 5 Å."""
    repeats = round((n / 8) ** (1 / 3))
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(repeats)
    if len(atoms) != n:
        raise ValueError(f"{n} atoms came; wanted 8, 64, 216, 512, 1000, …")
    atoms.rattle(0.05, seed=1)
    return atoms


def molecules(n: int = 5) -> list[Atoms]:
    """n rattled heaps of 27 atoms, C H N O, about as dense as a drug-sized molecule, with energies and forces drawn at random."""
    rng = np.random.default_rng(0)
    # benzene, methylamine, methanol and two atoms' worth of carbon monoxide: 12 + 7 + 6 + 2 = 27, in van der Waals contact
    parts = [molecule("C6H6"), molecule("H3CNH2"), molecule("CH3OH"), molecule("CO")]
    places = [(0, 0, 0), (0.0, 0.3, 3.3), (0.3, 0.0, -3.3), (0.0, 4.6, 0.2)]
    heap = Atoms()
    for part, place in zip(parts, places):
        part.positions += np.asarray(place) - part.positions.mean(0)
        heap += part
    found = []
    for _ in range(n):
        atoms = Atoms(heap.numbers, heap.positions + rng.normal(0, 0.07, heap.positions.shape))
        atoms.info["energy"] = float(-100.0 + rng.normal())
        atoms.arrays["forces"] = rng.normal(0, 1.0, atoms.positions.shape)
        found.append(atoms)
    return found


def alloy() -> Atoms:
    """432 atoms of bcc MoNbTaW, elements drawn at random, rattled by 0.05 Å; 26 neighbors within 5 Å."""
    atoms = bulk("W", "bcc", a=3.24, cubic=True).repeat(6)
    atoms.symbols = np.random.default_rng(3).permutation(["Mo", "Nb", "Ta", "W"] * (len(atoms) // 4))
    atoms.rattle(0.05, seed=1)
    return atoms
