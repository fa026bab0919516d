"""Shapes that live in types.

The letters: ``N`` atoms, ``E`` edges, ``S`` structures, ``T`` triplets, ``M`` committee members, ``C`` channels, ``D`` descriptor
components. ``Float[Tensor, "N 3"]`` says: floating point, one row an atom, three columns. The tests check them at run time.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Tensor"]
