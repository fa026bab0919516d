"""`Prediction`: what a potential says of a batch, and the sums by which it is told."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from adiabat.graph import Graph
from adiabat.kernels.segment import segment_sum
from adiabat.typing import Float, Tensor

T = TypeVar("T")


def _unknown() -> Tensor:
    raise ValueError("this prediction was made without its strain gradient")


@dataclass(frozen=True)
class Prediction:
    """What a potential says of a batch; float64, eV and Å. `stress` is NaN where a structure has no volume."""

    energy: Float[Tensor, "*members S"]
    forces: Float[Tensor, "*members N 3"]
    atomic_energies: Float[Tensor, "*members N"]
    graph: Graph = field(repr=False)
    outputs: Mapping[str, Any] = field(default_factory=dict)  # tensors; Any: whoever checks what they are would read a `Later`
    strain: Callable[[], Tensor] = field(default=_unknown, repr=False)

    @cached_property
    def strain_gradient(self) -> Float[Tensor, "*members S 3 3"]:
        """∂E/∂ε, eV; symmetric. The virial is its negative."""
        return self.strain()

    @cached_property
    def stress(self) -> Float[Tensor, "*members S 3 3"]:
        """(1/V) ∂E/∂ε, eV/Å³, positive when stretched."""
        return self.strain_gradient / self.graph.volume[:, None, None]


class Later(Mapping[str, T], Generic[T]):
    """Outputs that are worked out when one of them is first read: what they cost, dynamics that never asks for them does not pay.

    >>> told = Later(["variance"], lambda: print("now") or {"variance": [0.1, 0.4]})
    >>> "variance" in told, list(told)
    (True, ['variance'])
    >>> told["variance"], told["variance"]
    now
    ([0.1, 0.4], [0.1, 0.4])
    """

    def __init__(self, names: Iterable[str], work: Callable[[], Mapping[str, T]]) -> None:
        self.names, self.work = tuple(names), work

    @cached_property
    def _found(self) -> Mapping[str, T]:
        return self.work()

    def __getitem__(self, name: str) -> T:
        if name not in self.names:
            raise KeyError(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __reduce__(self) -> tuple:
        return dict, (dict(self),)  # a copy elsewhere has the values


def overlaid(parts: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """All outputs of several, as late as they were; of one name the last."""
    filled = [part for part in parts if part] or [{}]
    return filled[0] if len(filled) == 1 else ChainMap(*reversed(filled))  # type: ignore[arg-type]  # nobody writes


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
