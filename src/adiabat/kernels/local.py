"""Local terms frozen into one C call each, on the same outputs: `networks` on descriptors, `pairs`.

A `Call` is a topology and the outputs of all terms; each adds its energies, forces and strain gradients. Several members of a
committee are one evaluator: geometry and descriptors are worked out once. Small systems live by what a call costs beyond its
arithmetic: a topology's half of the `Call` is made once and kept with it, and nothing here is a tensor operation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.cpp_each_pair import EachPair
from adiabat.kernels.ir import LocalTerm
from adiabat.typing import Float, Int, Tensor

ATOMS_A_THREAD = 32  # fewer are not worth waking one
LISTS = ("numbers", "first", "j", "reverse", "structure")
FAULTS = (
    "the row pointers do not span the edges",
    "an element is unknown to the model",
    "an atom belongs to no structure",
    "a neighbor or a counter-edge is out of range, or does not lead back",
    "an edge is not a number: look at the positions and the cell",
    "two atoms lie at one place; remove one of them",
    "no memory is left; evaluate fewer atoms at once",
    "more sets of sums than members; wanted one, or one a member",
)
NO_MEMORY = 7  # what compiled code says of it: FAULTS counted from one


class Topology(Protocol):
    """What of a graph is read: everything but positions and cells."""

    @property
    def numbers(self) -> Tensor: ...
    @property
    def first(self) -> Tensor: ...
    @property
    def j(self) -> Tensor: ...
    @property
    def reverse(self) -> Tensor: ...
    @property
    def structure(self) -> Tensor: ...


class Sums(NamedTuple):
    """What terms add to, eV and Å, float64; of a committee's members side by side, with a leading axis."""

    energies: Float[Tensor, "*M N"]
    energy: Float[Tensor, "*M S"]
    forces: Float[Tensor, "*M N 3"]
    strain: Float[Tensor, "*M S 3 3"]

    @classmethod
    def zero(cls, members: tuple[int, ...], atoms: int, structures: int) -> Sums:
        # For a molecule each tensor operation costs as much as the arithmetic: no views here.
        shapes = ((atoms,), (structures,), (atoms, 3), (structures, 3, 3))
        return cls(*(torch.zeros(members + shape, dtype=torch.float64) for shape in shapes))


class Edges:
    """A topology as C reads it; keeps what it points to, and what a term worked out for it."""

    def __init__(self, topology: Topology, structures: int) -> None:
        self.kept = [getattr(topology, name).detach().to(torch.int64).contiguous() for name in LISTS]
        self.numbers, self.structure = self.kept[0], self.kept[4]
        self.atoms, self.edges, self.structures = len(self.kept[0]), len(self.kept[2]), structures
        N, E = self.atoms, self.edges
        found = [len(x) for x in self.kept]
        if found != (wanted := [N, N + 1, E, E, N]):
            raise ValueError(f"evaluator: lists {LISTS} of lengths {found} came; wanted {wanted}")
        self.pointers = [x.data_ptr() for x in self.kept]
        self.known: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # a potential frozen anew leaves nothing here

    def __reduce__(self) -> tuple:
        return Edges._again, (self.kept, self.structures)  # a copy has addresses of its own

    @staticmethod
    def _again(kept: list[Tensor], structures: int) -> Edges:
        return Edges(SimpleNamespace(**dict(zip(LISTS, kept, strict=True))), structures)


class _Call(ctypes.Structure):
    """`struct Call` of call.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in "atoms edges structures threads copies".split()] + [
        (name, ctypes.c_void_p) for name in "numbers first j reverse structure r energies energy forces strain".split()
    ]


class Call:
    """One evaluation: a topology, its edge vectors (Å, float64), and the sums that terms add to."""

    def __init__(
        self, edges: Edges, r: Float[Tensor, "E 3"], threads: int, members: int | None = None, sums: Sums | None = None
    ) -> None:
        """`members`: how many sets of sums there are, one behind the other; None: one, without an axis of its own. Terms add to
        `sums` where they are given, dense tensors of those shapes."""
        if r.shape != (edges.edges, 3) or r.dtype != torch.float64 or not r.is_contiguous():
            raise ValueError(
                f"evaluator: edge vectors {tuple(r.shape)} of {r.dtype} came; wanted {(edges.edges, 3)} of float64"
            )
        axis = () if members is None else (members,)
        self.edges, self.r, self.sums = edges, r, sums or Sums.zero(axis, edges.atoms, edges.structures)
        outs = [x.data_ptr() for x in self.sums]
        self.struct = _Call(edges.atoms, edges.edges, edges.structures, 1, members or 1, *edges.pointers, r.data_ptr(), *outs)
        self.use(threads)

    def use(self, threads: int) -> None:
        """So many threads, at most. The same bits for any number of them, so it may be chosen: one has to have some work."""
        self.struct.threads = max(1, min(threads, self.edges.atoms // ATOMS_A_THREAD))

    def made_by(self, terms: Sequence[Adds]) -> Sums:
        """The sums after all these terms."""
        for term in terms:
            term.add(self)
        return self.sums


@runtime_checkable
class Adds(Protocol):
    """A term made ready to add its energies, forces and strain gradients to a call's sums."""

    def add(self, call: Call) -> None: ...


class Several:
    """Terms that add to the same sums, one after the other."""

    def __init__(self, terms: Sequence[Adds]) -> None:
        self.terms = terms

    def add(self, call: Call) -> None:
        for term in self.terms:
            term.add(call)


class LocalProgram(Protocol):
    """What such a term is made from; a frozen dataclass."""

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""

    def times(self, eV: float) -> LocalProgram:
        """The same in other units."""

    def evaluator(self) -> Adds:
        """What computes it."""


class Evaluator:
    """A compiled term; what it works in is kept for the next call, one workspace a running thread."""

    def __init__(self, spec: LocalTerm | Abreast | EachPair, dtype: torch.dtype, facts: ctypes.Structure, kept: list) -> None:
        self.library, self.facts, self.kept = dispatch.library(str(spec), dtype), facts, kept
        self.library.make.restype = ctypes.c_void_p
        self.library.drop.argtypes = [ctypes.c_void_p]
        self.library.evaluate.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.free: list[int] = []

    def add(self, call: Call) -> None:
        try:
            workspace = self.free.pop()  # list operations are whole: threads need no lock
        except IndexError:
            workspace = self.library.make(ctypes.byref(self.facts))
        if not workspace:
            raise MemoryError(f"evaluator: {FAULTS[NO_MEMORY - 1]}")
        fault = self.library.evaluate(workspace, ctypes.byref(call.struct))
        self.free.append(workspace)
        if fault:
            raise (MemoryError if fault == NO_MEMORY else ValueError)(f"evaluator: {FAULTS[fault - 1]}")

    def __del__(self) -> None:
        for workspace in getattr(self, "free", ()):
            self.library.drop(workspace)


@dataclass(frozen=True)
class Constants:
    """E_i = the energy of its element, by atomic number: nothing to compile, and nothing to compute twice for a topology."""

    table: Float[Tensor, " Z"]
    fast: bool = True

    def times(self, eV: float) -> Constants:
        """The same in other units."""
        return replace(self, table=self.table * eV)

    def evaluator(self) -> ConstantsEvaluator:
        """What adds them."""
        return ConstantsEvaluator(self.table)


class ConstantsEvaluator:
    """Adds an energy an element."""

    def __init__(self, table: Float[Tensor, " Z"]) -> None:
        self.table = table

    def add(self, call: Call) -> None:
        edges = call.edges
        if self not in edges.known:
            energies = self.table[edges.numbers]
            edges.known[self] = energies, energies.new_zeros(edges.structures).index_add_(0, edges.structure, energies)
        energies, energy = edges.known[self]
        call.sums.energies.add_(energies)
        call.sums.energy.add_(energy)


def hold(kept: list, x: Tensor, dtype: torch.dtype) -> int:
    """The address of a copy that lives as long as `kept`; a zero stands where there is nothing to read."""
    copy = x.detach().to(dtype).contiguous().clone() if x.numel() else torch.zeros(1, dtype=dtype)
    kept.append(copy)
    return copy.data_ptr()


def kind_table(kept: list, kinds: Mapping[int, int]) -> tuple[int, int]:
    """The address of a table by atomic number (−1: unknown), and its length."""
    table: Int[Tensor, " Z"] = torch.full((max(kinds) + 1,), -1, dtype=torch.int64)
    for number, kind in kinds.items():
        table[number] = kind
    kept.append(table)
    return table.data_ptr(), len(table)
