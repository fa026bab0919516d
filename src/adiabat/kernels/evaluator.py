"""Message passing frozen into one C call: edge vectors and species in; energies, forces and the strain gradient out.

The tensors of a `MessagePassingProgram` are rearranged once and its operations compiled together (`cpp_evaluator`), so that a call
costs no tensor operation, keeps a few kB an atom, and gives the same bits for any number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.evaluation import Compiled
from adiabat.kernels.ir import MessagePassing
from adiabat.kernels.merging import Interaction, merged
from adiabat.kernels.packing import Matrix, Packing
from adiabat.typing import Float, Int, Tensor

IRREPS, SLOTS = 16, 2  # of evaluator.h and walk.h
BLOCK = 16  # channels are padded to a multiple of this, whatever the vector length


@dataclass(frozen=True)
class MessagePassingProgram:
    """E_i = Σ_t readout_t(h_i^(t)) less a lone atom's, h^(0) = `embedding` of the species; `kinds` is the table of a pair [Z, Z]."""

    elements: tuple[int, ...]
    cutoff: float
    embedding: Float[Tensor, "Z C"]
    kinds: Int[Tensor, "Z Z"]
    layers: tuple[Interaction, ...]
    eV: float = 1.0

    def times(self, eV: float) -> MessagePassingProgram:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def spec(self) -> MessagePassing:
        """What is compiled."""
        return MessagePassing(tuple((layer.conv, layer.product) for layer in self.layers))

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(self.spec, self.embedding.detach())

    def evaluator(self) -> Evaluator:
        """What computes it."""
        return Evaluator(self)


class _Weights(ctypes.Structure):
    """`struct Weights` of evaluator.h, field by field."""

    _fields_ = (
        [("intervals", ctypes.c_int64), ("table_rows", ctypes.c_int64), ("cutoff", ctypes.c_double)]  # type: ignore[assignment]
        + [(name, ctypes.c_void_p) for name in "kinds table coefficients constant base readout last".split()]
        + [("hidden", Matrix), ("hiddenT", Matrix)]
        + [(name, Matrix * IRREPS) for name in "up upT update updateT".split()]
        + [(name, ctypes.POINTER(Matrix) * IRREPS) for name in "mix mixT skip skipT".split()]
        + [("mixes", ctypes.c_int64)]
        + [(name, ctypes.c_int64 * IRREPS) for name in ("kept", "stored")]
        + [("stored_rows", ctypes.c_int64)]
    )


class Evaluator(Compiled):
    """A program of message passing made ready to be called."""

    def __init__(self, program: MessagePassingProgram) -> None:
        library = dispatch.library(str(program.spec), program.embedding.dtype)
        with torch.no_grad():
            packing = _Packing(library, program)
            weights = (_Weights * len(program.layers))(*packing.layers())
        channels = -(-program.embedding.shape[1] // BLOCK) * BLOCK
        packing.kept.append(weights)
        super().__init__(
            library,
            program.elements,
            packing.kept,
            _needs(program, channels),
            ctypes.c_int64(channels),
            ctypes.c_int64(len(program.elements)),
            ctypes.c_double(program.cutoff),
            ctypes.byref(weights),
        )


def _needs(program: MessagePassingProgram, channels: int) -> tuple[int, int]:
    """Bytes of workspace an atom and an edge: A and what is skipped of each layer but the last; u and its gradients of each but the first."""
    rows = sum(layer.product.irreps.dim for layer in program.layers[:-1])
    for layer in program.layers[1:]:
        rows += (1 + SLOTS) * layer.conv.irreps.dim
        rows += sum(layer.conv.irreps[k].dim for k in {k for k in layer.kept if k is not None})
    size = program.embedding.element_size()
    return rows * channels * size, 3 * size


class _Packing(Packing):
    def __init__(self, library: ctypes.CDLL, program: MessagePassingProgram) -> None:
        super().__init__(library, program.embedding.dtype, BLOCK)
        self.program = program
        self.merged = merged(program.embedding.cpu(), program.kinds, program.layers)

    def layers(self) -> list[_Weights]:
        rows: list[dict[int, tuple[int, int]]] = [{}]  # for each layer: irrep before → (first stored row, rows)
        for layer in self.program.layers:
            used = [k for k in layer.kept if k is not None]
            places, at = {}, 0
            for k in used:
                places[k] = at, layer.conv.irreps[k].dim
                at += layer.conv.irreps[k].dim
            rows.append(places)
        return [
            self.layer(t, layer, rows[t + 1], rows[t + 2] if t + 2 < len(rows) else {})
            for t, layer in enumerate(self.merged.layers)
        ]

    def layer(self, t: int, layer: Interaction, before: dict, after: dict) -> _Weights:
        w, final = _Weights(), t == len(self.program.layers) - 1
        wide = self.wide
        kinds = self.merged.kinds[t].to(torch.int64).contiguous().numpy()
        self.kept.append(kinds)
        w.kinds = kinds.ctypes.data
        table = wide(layer.table, -1)
        w.cutoff, w.intervals, w.table_rows = self.program.cutoff, table.shape[1] - 3, table.shape[0] * table.shape[1]
        w.table = self.hold(table.unflatten(-1, (-1, self.lanes)).movedim(-2, 0))
        w.coefficients = self.hold(wide(layer.coefficients, -1).unflatten(-1, (-1, self.lanes)).movedim(-2, 1))
        if t == 0:
            w.constant = self.hold(wide(self.merged.constant, -1))
            embedding = self.program.embedding.cpu().double()
            base = torch.zeros_like(embedding)
            if layer.kept[0] is not None:
                skipped = torch.einsum("zc,zcd->zd", embedding, layer.skip[0])
                base[:, : skipped.shape[1]] = skipped
            w.base = self.hold(wide(base, -1))
        w.mixes = max(1 if weights is None else len(weights) for weights in layer.mix)
        for o, weights in enumerate(layer.mix):
            w.mix[o], w.mixT[o] = self.all([None] if weights is None else weights, layer.conv.multiplicity[o])
        for k, weight in enumerate(layer.up):
            w.up[k], w.upT[k] = self.maybe(weight)
        skips = iter(layer.skip)
        for o, (weight, k) in enumerate(zip(layer.update, layer.kept, strict=True)):
            w.update[o], w.updateT[o] = self.both(weight)
            w.kept[o] = -1 if k is None else before[k][0]
            if k is not None:
                w.skip[o], w.skipT[o] = self.all(next(skips))
            w.stored[o] = after[o][0] if o in after else -1
        w.stored_rows = sum(rows for _, rows in after.values())
        *hidden, last = layer.readout
        assert last is not None, "a readout ends in numbers"
        if (hidden and not final) or len(hidden) > 1:
            raise ValueError(
                f"evaluator: a readout of {len(layer.readout)} matrices in layer {t}; wanted 1, in the last layer 1 or 2"
            )
        if hidden:
            w.hidden, w.hiddenT = self.maybe(hidden[0], len(last))
        w.last = self.hold(wide(last[:, 0] * self.program.eV, 0))
        return w

    def maybe(self, weight: Tensor | None, width: int | None = None, rows: int = 1) -> tuple[Matrix, Matrix]:
        """A matrix and its transpose; for None the identity of as many channels, or of `width`."""
        if weight is not None:
            return self.both(weight, rows)
        n = -(-(width or self.program.embedding.shape[1]) // BLOCK) * BLOCK
        return Matrix(None, n, n), Matrix(None, n, n)

    def all(self, weights: Sequence[Tensor | None] | Tensor, rows: int = 1) -> list:
        """One matrix a species, and their transposes."""
        blocks = [(Matrix * len(weights))(*chosen) for chosen in zip(*(self.maybe(weight, rows=rows) for weight in weights))]
        self.kept += blocks
        return [ctypes.cast(block, ctypes.POINTER(Matrix)) for block in blocks]
