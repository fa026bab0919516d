"""`Prediction`: what a potential says of a batch, and the sums by which it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from adiabat.graph import Graph
from adiabat.kernels.segment import segment_sum
from adiabat.typing import Float, Tensor


def _unknown() -> Tensor:
    raise ValueError("this prediction was made without its strain gradient")


@dataclass(frozen=True)
class Prediction:
    """What a potential says of a batch; float64, eV and Å. `stress` is NaN where a structure has no volume."""

    energy: Float[Tensor, "*members S"]
    forces: Float[Tensor, "*members N 3"]
    atomic_energies: Float[Tensor, "*members N"]
    graph: Graph = field(repr=False)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    strain: Callable[[], Tensor] = field(default=_unknown, repr=False)

    @cached_property
    def strain_gradient(self) -> Float[Tensor, "*members S 3 3"]:
        """∂E/∂ε, eV; symmetric. The virial is its negative."""
        return self.strain()

    @cached_property
    def stress(self) -> Float[Tensor, "*members S 3 3"]:
        """(1/V) ∂E/∂ε, eV/Å³, positive when stretched."""
        return self.strain_gradient / self.graph.volume[:, None, None]


class Quick(Protocol):
    """A potential as it is called most quickly for values, without gradients."""

    @property
    def cutoff(self) -> float: ...

    def __call__(self, graph: Graph) -> Prediction: ...


def gathered(x: Tensor, index: Tensor, n: int, axis: int = -1) -> Tensor:
    """Sum rows along `axis` that share an index; leading axes are kept."""
    if x.dim() + axis == 0:
        return segment_sum(x, index, n)
    return segment_sum(x.movedim(axis, 0), index, n).movedim(0, axis)


def symmetric(x: Tensor) -> Tensor:
    """½ (x + xᵀ)."""
    return 0.5 * (x + x.transpose(-1, -2))
