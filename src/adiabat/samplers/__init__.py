"""New structures for which forces have to be known: by a potential, by a Hessian."""

from adiabat.samplers.md import md
from adiabat.samplers.normal_modes import normal_modes

SAMPLERS = {"md": md, "normal_modes": normal_modes}

__all__ = ["SAMPLERS", "md", "normal_modes"]
