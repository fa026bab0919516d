"""Structures drawn from the harmonic Boltzmann distribution about a minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adiabat.analysis.vibrations import Vibrations
from adiabat.build.rattle import closest_approach, varied
from adiabat.units import ACCELERATION, PER_CM, k_B

if TYPE_CHECKING:
    from ase import Atoms

TRIES = 100
ELSEWHERE = 0.1  # Å: a relaxation's leftover is below, another conformer or orientation above


def normal_modes(
    atoms: Atoms,
    vibrations: Vibrations,
    count: int,
    *,
    temperature_K: float,
    rng: np.random.Generator,
    softest_per_cm: float = 50.0,
    closest: float = 0.7,
) -> list[Atoms]:
    """x = x₀ + M^(−½) Σ_k q_k e_k with q_k ~ N(0, kT/ω_k²): each mode carries ½ kT of potential energy, classically.

    `vibrations` are those of `atoms` at rest (`analysis.harmonic_frequencies`). Modes below `softest_per_cm`, imaginary ones with
    them, are drawn as if they had that frequency: a straight line in Cartesian coordinates is no good picture of a torsion. Drawn
    anew where atoms come closer than `closest` times the sum of their covalent radii.

    Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017) made ANI-1 this way.

    >>> from ase import Atoms
    >>> from adiabat.analysis.vibrations import modes_of
    >>> hydrogen = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.diag([0.0, 0.0, 35.0]))
    >>> modes = modes_of(spring, hydrogen.positions, hydrogen.get_masses())
    >>> frames = normal_modes(hydrogen, modes, 500, temperature_K=300.0, rng=np.random.default_rng(0))
    >>> spread = np.std([a.get_distance(0, 1) for a in frames])  # √(kT/k)
    >>> round(float(np.sqrt(k_B * 300 / 35)), 4), bool(abs(spread - 0.0272) < 0.003)
    (0.0272, True)
    """
    if vibrations.modes.shape[1] != len(atoms):
        raise ValueError(
            f"the modes are of {vibrations.modes.shape[1]} atoms, the structure has {len(atoms)}; give its own modes"
        )
    moved = atoms.positions - vibrations.positions
    off = float(np.abs(moved - moved.mean(0)).max())
    if off > ELSEWHERE or not np.allclose(atoms.get_masses(), vibrations.masses, rtol=1e-3):
        raise ValueError(
            f"the modes are of other masses or positions (up to {off:.3g} Å away, beside a common shift); give the structure's own modes, "
            "in its orientation and order of atoms"
        )
    if not 0 <= temperature_K < np.inf:
        raise ValueError(f"temperature_K = {temperature_K}; wanted zero or more")
    floor = (2 * np.pi * softest_per_cm / PER_CM) ** 2 / ACCELERATION
    widths = np.sqrt(k_B * temperature_K / np.maximum(vibrations.curvatures, floor))  # √amu Å
    shapes = vibrations.modes / np.sqrt(vibrations.masses)[:, None]
    return [_drawn(atoms, widths, shapes, rng, closest, temperature_K) for _ in range(count)]


def _drawn(atoms, widths, shapes, rng, closest, temperature_K) -> Atoms:
    for _ in range(TRIES):
        new = varied(atoms, "normal_modes")
        new.positions += np.einsum("k,kax->ax", widths * rng.normal(size=len(widths)), shapes)
        if closest_approach(new) >= closest:
            new.info["temperature_K"] = float(temperature_K)
            return new
    raise ValueError(
        f"{TRIES} draws at {temperature_K} K all brought atoms too close; lower the temperature or raise softest_per_cm"
    )
