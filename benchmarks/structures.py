"""What the peers are compared on: rattled silicon, water, and small molecules with made-up labels (no time depends on their truth).

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


def water() -> Atoms:
    """192 molecules at 1 g/cm³ on a lattice of 216 places, turned at random and rattled by 0.05 Å."""
    rng, a, box = np.random.default_rng(0), 17.92 / 6, Atoms()
    places = rng.permutation([(i, j, k) for i in range(6) for j in range(6) for k in range(6)])[:192]
    for place in places:
        one = molecule("H2O")
        one.euler_rotate(*rng.uniform(0, 360, 3), center="COM")
        one.positions += (place + np.array([0.5, 0.5, 0.5])) * a
        box += one
    box.set_cell([17.92] * 3)
    box.pbc = True
    box.rattle(0.05, seed=1)
    return box


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


def copper() -> Atoms:
    """500 atoms of fcc copper rattled by 0.05 Å; 78 neighbors within 6 Å."""
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True).repeat(5)
    atoms.rattle(0.05, seed=1)
    return atoms
