"""A measured number: never without its error and its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A value with its standard error (NaN where none could be estimated).

    >>> print(Quantity(1.2345, 0.012, "Å"))
    1.234 ± 0.012 Å
    >>> Quantity(2.0, float("nan"), "K").to_json()
    {'value': 2.0, 'error': None, 'unit': 'K'}
    """

    value: float
    error: float
    unit: str

    def __str__(self) -> str:
        digits = f"{self.value:.4g} ± {self.error:.2g}" if self.error == self.error else f"{self.value:.4g}"
        return f"{digits} {self.unit}".strip()

    def to_json(self) -> dict:
        finite = {
            name: number if number - number == 0 else None for name, number in (("value", self.value), ("error", self.error))
        }
        return {**finite, "unit": self.unit}
