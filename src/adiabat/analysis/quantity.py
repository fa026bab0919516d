"""A measured number: never without its error and its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A value with its standard error (NaN where none could be estimated), printed to the error's second digit.

    >>> print(Quantity(1.2345, 0.012, "Å"))
    1.234 ± 0.012 Å
    >>> print(Quantity(300.0, 25.3, "K"), Quantity(-3.141592653, 2e-6, "eV"), sep="; ")
    300 ± 25 K; -3.1415927 ± 0.0000020 eV
    >>> Quantity(2.0, float("nan"), "K").to_json()
    {'value': 2.0, 'error': None, 'unit': 'K'}
    """

    value: float
    error: float
    unit: str

    def __str__(self) -> str:
        return f"{self._digits()} {self.unit}".strip()

    def _digits(self) -> str:
        if not (math.isfinite(self.value) and math.isfinite(self.error)):
            return f"{self.value:.4g}" if math.isnan(self.error) else f"{self.value:.4g} ± {self.error:.2g}"
        if self.error <= 0:
            return f"{self.value:.10g} ± {self.error:g}"
        places = 1 - math.floor(math.log10(self.error))
        if places > 12 or places < -5:
            return f"{self.value:.10g} ± {self.error:.2g}"
        return f"{round(self.value, places):.{max(places, 0)}f} ± {round(self.error, places):.{max(places, 0)}f}"

    def to_json(self) -> dict:
        finite = {
            name: number if number - number == 0 else None for name, number in (("value", self.value), ("error", self.error))
        }
        return {**finite, "unit": self.unit}
