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
        return (between * (10 + 10) + 4 + 6 * (between > 0)) * channels * size, (12 + 3 + 8) * size + 16


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


class _Facts(ctypes.Structure):
    """`struct Facts` of polarizable.h."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "C species layers intervals readouts".split()]
        + [(name, ctypes.c_double) for name in ("cutoff", "epsilon")]
        + [(name, ctypes.c_void_p) for name in ("kinds", "embedding", "constant", "weights")]
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
        first = it.layers[0].phi
        x = torch.nn.functional.silu(it.embedding @ first.first + first.bias) @ first.second
        x = x if first.more is None else x + first.more
        x = self.wide(x.unflatten(-1, (2, -1)), 2)  # Z 2 C: the first layer's messages depend on the species alone
        read, readT = self.both(it.readout.first)
        return _Facts(
            C=x.shape[2], species=len(it.elements), layers=len(it.layers), intervals=it.layers[0].table.shape[1] - 3,
            readouts=read.N, cutoff=it.cutoff, epsilon=it.epsilon, kinds=kinds.data_ptr(),
            embedding=self.hold(self.wide(it.embedding, 1)), constant=self.hold(self.grouped(x)),
            weights=ctypes.addressof(weights), read=read, readT=readT, bias=self.hold(self.wide(it.readout.bias, 0)),
            last=self.hold(self.wide(it.readout.second[:, 0] * it.eV, 0)),
        )  # fmt: skip

    def layer(self, t: int, layer: PolarizableLayer) -> _Weights:
        kinds, rows, paths, _ = layer.table.shape
        if paths != (3 if t else 2) or rows != self.program.layers[0].table.shape[1]:
            raise ValueError(
                f"evaluator: layer {t} has a table {tuple(layer.table.shape)}; wanted {3 if t else 2} paths and equal rows"
            )
        scale = layer.table.new_tensor([1.0, 3**0.5, 1.0][:paths])
        table = self.wide(layer.table * scale[:, None], 3).flatten(0, 1).unflatten(-1, (-1, self.block)).movedim(2, 0)
        mixed, mixedT = self.both(torch.cat([layer.U, layer.V], 1), 1, 2)
        a = self.dense(layer.a, 2, 2 if t == len(self.program.layers) - 1 else 3)
        return _Weights(kinds * rows, self.hold(table), self.dense(layer.phi, 1, paths), a, mixed, mixedT)

    def dense(self, dense: Dense, rows: int, columns: int) -> _Dense:
        if len(dense.second) != (C := self.program.embedding.shape[1]):
            raise ValueError(f"evaluator: a hidden layer of {len(dense.second)} came; wanted {C}, as many as channels")
        first, firstT = self.both(dense.first, rows)
        second, secondT = self.both(dense.second, 1, columns)
        more = torch.zeros_like(dense.second[0]) if dense.more is None else dense.more
        more = self.wide(more.unflatten(0, (columns, -1)), 1)
        return _Dense(first, firstT, second, secondT, self.hold(self.wide(dense.bias, 0)), self.hold(more))

    def grouped(self, x: Tensor) -> Tensor:
        """[Z, rows, C] → [Z, groups, rows, GROUP]."""
        return x.unflatten(-1, (-1, self.block)).movedim(2, 1)
