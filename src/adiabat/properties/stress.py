"""Is the stress the slope of the energy? σ = (1/V) ∂E/∂ε by finite strain, beside the stress that was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.properties.answers import Ask, asked
from adiabat.properties.strain import VOIGT, strained, tensor
from adiabat.units import GPa

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class StressCheck:
    """Components in GPa, Voigt order xx yy zz yz xz xy: as told, and as the energies' slope."""

    told: Float[np.ndarray, "n"]
    slope: Float[np.ndarray, "n"]
    components: tuple[int, ...]

    @property
    def largest_difference_GPa(self) -> float:
        return float(np.abs(self.told - self.slope).max())

    def to_json(self) -> dict:
        return {
            "components": [("xx", "yy", "zz", "yz", "xz", "xy")[k] for k in self.components],
            "told_GPa": self.told.tolist(), "slope_GPa": self.slope.tolist(),
            "largest_difference": {"value": self.largest_difference_GPa, "error": None, "unit": "GPa"},
        }  # fmt: skip


def stress_check(
    atoms: Atoms, ask: Ask, *, strain: float = 1e-3, components: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
) -> StressCheck:
    """The stress against (E(+γ) − E(−γ)) / 2γV for the components wanted; atoms follow the cell.

    In plane waves which waves lie below the cutoff changes with the cell, in steps: take a strain of 0.01 there, and expect some
    hundredths of a GPa.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from adiabat.properties.answers import by_calculator
    >>> stress_check(bulk("Cu", a=3.5), by_calculator(EMT())).largest_difference_GPa < 1e-3
    True
    """
    if atoms.cell.rank < 3:
        raise ValueError(f"the cell has {atoms.cell.rank} independent vectors; a stress needs three, for a volume")
    if not 0 < strain <= 0.05:
        raise ValueError(f"strain = {strain}; wanted a small positive one, 0.001 is a usual one")
    frames = [strained(atoms, tensor(sign * strain * np.eye(6)[k])) for k in components for sign in (1, -1)]
    here, *others = asked(ask, [strained(atoms, np.zeros((3, 3))), *frames])
    energies = np.array([a.energy for a in others]).reshape(-1, 2)
    slopes = (energies[:, 0] - energies[:, 1]) / (2 * strain * atoms.get_volume())
    told = np.array([here.stress[VOIGT[k]] for k in components])
    return StressCheck(told / GPa, slopes / GPa, tuple(components))
