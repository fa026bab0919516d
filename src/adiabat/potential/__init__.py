"""`Potential`: the sum of terms, differentiated once, for everyone.

| file | what |
|---|---|
| `model` | `Model`: what a potential sums |
| `terms` | `ReferenceEnergies`, `Scaled` |
| `total` | `Potential`: their sum, its forces and stress |
"""

from adiabat.potential.model import Model, describe
from adiabat.potential.terms import ReferenceEnergies, Scaled
from adiabat.potential.total import Potential

__all__ = ["Model", "Potential", "ReferenceEnergies", "Scaled", "describe"]
