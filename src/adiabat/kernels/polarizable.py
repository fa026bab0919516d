"""Scalars and vectors that pass messages (PaiNN), frozen into one C call; see `evaluation` for how it is called."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.evaluation import Compiled
from adiabat.kernels.ir import Polarizable
from adiabat.kernels.packing import Matrix, Packing
from adiabat.typing import Float, Int, Tensor


class Dense(NamedTuple):
    """x → silu(x `first` + `bias`) `second` + `more`; matrices multiply from the right."""

    first: Float[Tensor, "a h"]
    bias: Float[Tensor, " h"]
    second: Float[Tensor, "h b"]
    more: Float[Tensor, " b"] | None = None


@dataclass(frozen=True)
class PolarizableLayer:
    """Message and update. `table` has the paths 0e → 0e, 0e → 1o (of Y₁ with |Y₁|² = 3) and, after the first layer, 1o → 1o; `phi` gives
    as many blocks of channels, `a` gives a_ss, a_sv and, before the last layer, a_vv of (s, ‖V v‖)."""

    table: Float[Tensor, "kinds rows P C"]
    phi: Dense
    U: Float[Tensor, "C C"]
    V: Float[Tensor, "C C"]
    a: Dense


@dataclass(frozen=True)
class PolarizableProgram:
    """E_i = eV (readout(s_i) − readout of a lone atom); s starts as the species' `embedding`, v as zero; ‖x‖ = √(|x|² + ε)."""

    elements: tuple[int, ...]
    cutoff: float
    epsilon: float
    embedding: Float[Tensor, "Z C"]
    kinds: Int[Tensor, "Z Z"]
    layers: tuple[PolarizableLayer, ...]
    readout: Dense
    eV: float = 1.0

    def times(self, eV: float) -> PolarizableProgram:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(Polarizable(), self.embedding.detach())

    def evaluator(self) -> Compiled:
        """What computes it."""
        library = dispatch.library(str(Polarizable()), self.embedding.dtype)
        with torch.no_grad():
            packing = _Packing(library, self)
            facts = packing.facts()
        return Compiled(library, self.elements, packing.kept, self.needs(facts.C), ctypes.byref(facts))

    def needs(self, channels: int) -> tuple[int, int]:
        """Bytes of workspace an atom and an edge: what `reserve` in polarizable.h asks for."""
        size, between = self.embedding.element_size(), len(self.layers) - 1
        return (between * (10 + 10) + 10 * (between > 0)) * channels * size + 16, (12 + 3 + 12) * size + 16


class _Dense(ctypes.Structure):
    """`struct Dense` of polarizable.h."""

    _fields_ = [(name, Matrix) for name in "first firstT second secondT".split()] + [
        (name, ctypes.c_void_p) for name in ("bias", "more")
    ]


class _Weights(ctypes.Structure):
    """`struct Weights` of polarizable.h."""

    _fields_ = [
        ("rows", ctypes.c_int64), ("table", ctypes.c_void_p), ("phi", _Dense), ("a", _Dense), ("mixed", Matrix), ("mixedT", Matrix),
    ]  # fmt: skip


class _Said(ctypes.Structure):
    """`struct Said` of polarizable.h."""

    _fields_ = [(name, Matrix) for name in "s sT z zT v vT uv uvT".split()]


class _Facts(ctypes.Structure):
    """`struct Facts` of polarizable.h."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "C species layers intervals readouts rank".split()]
        + [(name, ctypes.c_double) for name in ("cutoff", "epsilon")]
        + [(name, ctypes.c_void_p) for name in "kinds embedding radial start said weights".split()]
        + [("read", Matrix), ("readT", Matrix), ("bias", ctypes.c_void_p), ("last", ctypes.c_void_p)]
    )


class _Packing(Packing):
    def __init__(self, library: ctypes.CDLL, program: PolarizableProgram) -> None:
        super().__init__(library, program.embedding.dtype, library.group())
        self.program = program

    def facts(self) -> _Facts:
        it = self.program
        weights = (_Weights * len(it.layers))(*(self.layer(t, layer) for t, layer in enumerate(it.layers)))
        kinds = it.kinds.to(torch.int64).contiguous().clone()
        self.kept += [weights, kinds]
        first, Z = it.layers[0], len(it.elements)
        x = torch.nn.functional.silu(it.embedding @ first.phi.first + first.phi.bias) @ first.phi.second
        x = x if first.phi.more is None else x + first.phi.more
        # The first layer's messages depend on species and distances alone: sums of a few radial functions, and matrices.
        radial, filters = factors(first.table * _unit(first.table))  # kinds·rows R · R 2 C
        s, v = (filters[:, None] * x.double().unflatten(-1, (2, -1))).unbind(2)  # R Z C
        see, mixed = first.a.first[: x.shape[1] // 2].double(), torch.cat([first.U, first.V], 1).double()
        said = (_Said * Z)()
        for z in range(Z):
            of_s, of_v = (*self.few(s[:, z]), *self.few(s[:, z] @ see)), (*self.few(v[:, z]), *self.few(v[:, z] @ mixed, 2))
            said[z] = _Said(*of_s, *of_v)
        self.kept.append(said)
        read, readT = self.both(it.readout.first)
        embedding, radial = self.wide(it.embedding, 1), self.wide(radial, 1)
        return _Facts(
            C=embedding.shape[1], species=Z, layers=len(it.layers), intervals=first.table.shape[1] - 3, readouts=read.N,
            rank=radial.shape[1], cutoff=it.cutoff, epsilon=it.epsilon, kinds=kinds.data_ptr(), embedding=self.hold(embedding),
            radial=self.hold(radial), start=self.hold(self.wide(it.embedding.double() @ see + first.a.bias, 1)),
            said=ctypes.addressof(said), weights=ctypes.addressof(weights), read=read, readT=readT,
            bias=self.hold(self.wide(it.readout.bias, 0)), last=self.hold(self.wide(it.readout.second[:, 0] * it.eV, 0)),
        )  # fmt: skip

    def few(self, weight: Tensor, columns: int = 1) -> tuple[Matrix, Matrix]:
        """A matrix of as few rows as it has, and its transpose."""
        weight = self.wide(weight.unflatten(-1, (columns, -1)), 2).flatten(1)
        return self.matrix(weight), self.matrix(self.wide(weight, 0).T)

    def layer(self, t: int, layer: PolarizableLayer) -> _Weights:
        kinds, rows, paths, _ = layer.table.shape
        if paths != (3 if t else 2) or rows != self.program.layers[0].table.shape[1]:
            raise ValueError(
                f"evaluator: layer {t} has a table {tuple(layer.table.shape)}; wanted {3 if t else 2} paths and equal rows"
            )
        C = self.program.embedding.shape[1]
        if not t:  # what is linear in its messages is in `_Said`
            of_norms = layer.a._replace(first=layer.a.first[C:], bias=torch.zeros_like(layer.a.bias))
            return _Weights(a=self.dense(of_norms, 1, self.updates(t)))
        table = self.wide(layer.table * _unit(layer.table), 3).flatten(0, 1).unflatten(-1, (-1, self.block)).movedim(2, 0)
        mixed, mixedT = self.both(torch.cat([layer.U, layer.V], 1), 1, 2)
        a = self.dense(layer.a, 2, self.updates(t))
        return _Weights(kinds * rows, self.hold(table), self.dense(layer.phi, 1, paths), a, mixed, mixedT)

    def updates(self, t: int) -> int:
        """Blocks that the update's network gives: nobody reads the last layer's vectors."""
        return 2 if t == len(self.program.layers) - 1 else 3

    def dense(self, dense: Dense, rows: int, columns: int) -> _Dense:
        if len(dense.second) != (C := self.program.embedding.shape[1]):
            raise ValueError(f"evaluator: a hidden layer of {len(dense.second)} came; wanted {C}, as many as channels")
        first, firstT = self.both(dense.first, rows)
        second, secondT = self.both(dense.second, 1, columns)
        more = torch.zeros_like(dense.second[0]) if dense.more is None else dense.more
        more = self.wide(more.unflatten(0, (columns, -1)), 1)
        return _Dense(first, firstT, second, secondT, self.hold(self.wide(dense.bias, 0)), self.hold(more))


def _unit(table: Tensor) -> Tensor:
    """Paths of Y₁ with |Y₁|² = 3 as paths of directions."""
    return table.new_tensor([1.0, 3**0.5, 1.0][: table.shape[2]])[:, None]


def factors(table: Float[Tensor, "kinds rows P C"]) -> tuple[Float[Tensor, "kinds*rows R"], Float[Tensor, "R P C"]]:
    """The few radial functions that filters are made of, and how: their product is the table, to the last bits of its precision.

    Filters that are linear in a basis of n functions give n, whatever the number of channels.

    >>> basis, weights = torch.rand(1, 50, 3), torch.rand(3, 2 * 16)
    >>> radial, filters = factors((basis @ weights).unflatten(-1, (2, 16)))
    >>> radial.shape, filters.shape
    (torch.Size([50, 3]), torch.Size([3, 2, 16]))
    """
    u, sizes, vT = torch.linalg.svd(table.flatten(0, 1).flatten(1).double(), full_matrices=False)
    rank = max(1, int((sizes > 8 * torch.finfo(table.dtype).eps * sizes[0]).sum()))
    return u[:, :rank] * sizes[:rank], vT[:rank].unflatten(-1, table.shape[2:])
