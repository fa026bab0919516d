"""`Model`: what a potential sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from adiabat.config import recorded
from adiabat.elements import numbers as atomic_numbers
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.kernels.evaluation import Program
from adiabat.kernels.local import LocalProgram
from adiabat.typing import Tensor


class Model(nn.Module):
    """What a potential sums: (numbers, edge vectors, topology) → per-atom energies in eV, and the atomic outputs it declares.

    A subclass states `elements` (atomic numbers; None until the data say so) and `cutoff` (Å). Its constructor arguments are
    recorded: they are what a model file and a configuration hold.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ("energies",)
    inputs: ClassVar[tuple[str, ...]] = ()  # global inputs of the graph it uses; others are refused
    waived: ClassVar[Mapping[str, str]] = {}  # law → why this family's definition breaks it
    is_global: ClassVar[bool] = False  # True: sees positions and cell, and gives "energy" [S]
    one_by_one: ClassVar[bool] = False  # True: a committee's members cannot be one set of tensor operations
    in_eV: ClassVar[bool] = False  # True: its numbers have units, and training takes them as they stand
    in_double: ClassVar[bool] = False  # True: its numbers stay in double precision whatever the potential is in

    optimizer: ClassVar[str | None] = None  # that suits this family whatever the size of the set, in double precision

    elements: tuple[int, ...] | None = None
    cutoff: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = recorded(cls.__init__)  # type: ignore[method-assign]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Model:
        def kept(x: Tensor) -> Tensor:  # another place, but never another precision
            return moved if (moved := fn(x)).dtype == x.dtype else x.to(moved.device)

        return super()._apply(kept if self.in_double else fn, recurse)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        raise NotImplementedError

    def for_elements(self, elements: Iterable[str | int]) -> Model:
        """This model for these elements, if its own were left to the data."""
        if self.elements is not None:
            return self
        return type(self)(**{**self.arguments, "elements": tuple(symbol(z) for z in atomic_numbers(elements))})

    def fresh(self) -> Model:
        """Another one of these arguments, as training begins with it."""
        return type(self)(**self.arguments)

    def prepare(self, graphs: Sequence[Graph]) -> None:
        """Set what depends on the training data alone (the scaling of descriptors, say), before the first step."""

    def begin(self, graphs: Sequence[Graph]) -> None:
        """Set where training begins, by the labels of the frames that are learned from, in this model's units."""

    def settle(self) -> None:
        """Training is over: let go of what only training needs."""

    def program(self) -> Program | LocalProgram | None:
        """What the evaluator may run in one call instead of `forward`; None where there is no such list of operations."""
        return None

    def uncompiled(self) -> str:
        """Why `program` tells None, for whoever needs a compiled form."""
        return "this family has none"

    def beside(self, graph: Graph) -> dict[str, Tensor]:
        """What `forward` tells beside energies, where these come from a compiled form."""
        return {name: value for name, value in self(graph).items() if name != "energies"}

    def remember(self, graph: Graph) -> Graph:
        """The graph with what this model need not work out again for fixed positions; by default as it came."""
        return graph

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self.arguments.items() if not isinstance(v, nn.Module))


def describe(term: Model) -> dict[str, Any]:
    """A term as ``{name: arguments}``; arguments that are models themselves likewise."""
    return {term.name: {k: describe(v) if isinstance(v, Model) else v for k, v in term.arguments.items()}}
