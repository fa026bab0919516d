"""Temperature from velocities, counted over the motions that are really there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from adiabat.units import ACCELERATION, k_B


def kinetic_energy(
    velocities: Float[np.ndarray, "... N 3"], masses: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "..."] | float:
    """½ Σ m v² in eV, from Å/fs and amu.

    >>> round(float(kinetic_energy(np.array([[0.01, 0.0, 0.0]]), np.array([1.0]))), 5)
    0.00518
    """
    return 0.5 * (np.asarray(masses)[:, None] * np.asarray(velocities) ** 2).sum((-1, -2)) / ACCELERATION


def temperature_K(
    kinetic_energy_eV: Float[np.ndarray, "..."] | float, degrees_of_freedom: int
) -> Float[np.ndarray, "..."] | float:
    """T = 2 E_kin / (f k_B); NaN where nothing can move (f = 0).

    Count f with `rigid.degrees_of_freedom`: 3N for a water molecule whose momentum and rotation were removed would show half
    its true temperature.

    >>> round(float(temperature_K(0.5 * 3 * k_B * 300, 3)), 6)
    300.0
    """
    if degrees_of_freedom < 0:
        raise ValueError(
            f"degrees_of_freedom = {degrees_of_freedom}; wanted zero or more, as rigid.degrees_of_freedom counts them"
        )
    if degrees_of_freedom == 0:
        return np.full(np.shape(kinetic_energy_eV), np.nan)
    return 2 * np.asarray(kinetic_energy_eV) / (degrees_of_freedom * k_B)


def thermal_interval(degrees_of_freedom: int, samples: int = 1, sigmas: float = 4.0) -> tuple[float, float]:
    """Where T_measured/T lies with near certainty for independent canonical samples: 1 ± sigmas √(2/(f·samples)).

    2E_kin/kT is a χ² variable of f degrees of freedom: mean f, variance 2f.

    >>> [round(x, 3) for x in thermal_interval(3, 1000)]
    [0.897, 1.103]
    """
    half = sigmas * np.sqrt(2.0 / (degrees_of_freedom * samples))
    return 1.0 - float(half), 1.0 + float(half)
