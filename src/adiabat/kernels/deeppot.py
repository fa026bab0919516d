"""Deep Potentials frozen into one C call; see `evaluation` for how it is called.

Embedding networks of a neighbor have become splines of the distance, the environment matrix is contracted channel by channel, and the
symmetric part of the descriptor goes into the fitting network once. Those of two neighbors are small and stay what they are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.evaluation import Compiled
from adiabat.kernels.ir import DeepPotential
from adiabat.kernels.packing import Matrix, Packing
from adiabat.typing import Float, Tensor


class FittingLayer(NamedTuple):
    """x → `copies` of x + `dt` ∘ tanh(x `weight` + `bias`)."""

    weight: Float[Tensor, "a b"]
    bias: Float[Tensor, " b"]
    dt: Float[Tensor, " b"] | None
    copies: int


class Fitting(NamedTuple):
    """The network of an element: layers, and the row that makes an energy of the last one."""

    layers: tuple[FittingLayer, ...]
    last: Float[Tensor, " b"]


class TwoBodies(NamedTuple):
    """A = background + Σ_j spline(d_ij) (1, r̂_ij); D_ma = Σ_k A_km A_ka for a < `axis`, or (`axis` 0) without directions A itself.

    `table` of every ordered pair of elements has the paths 0e and, with directions, 1o (of Y₁ with |Y₁|² = 3). Both are divided by
    numbers of neighbors already.
    """

    cutoff: float
    table: Float[Tensor, "kinds rows P M"]
    background: Float[Tensor, "Z M"]
    axis: int

    @property
    def size(self) -> int:
        M = self.table.shape[-1]
        return M * self.axis or M


class ThreeBodies(NamedTuple):
    """D_m = Σ_jk `share` θ G_m(θ) with θ = w_j · w_k, w = `over` s(d) r̂, over ordered pairs of neighbors and each with itself. A network of
    tanh layers for every unordered pair of elements, (0, 0), (0, 1), (1, 1), (0, 2), …"""

    cutoff: float
    smooth_from: float
    over: Float[Tensor, " Z"]
    share: Float[Tensor, "Z Z"]
    networks: tuple[tuple[FittingLayer, ...], ...]

    @property
    def size(self) -> int:
        return len(self.networks[0][-1].bias)


@dataclass(frozen=True)
class DeepPotProgram:
    """E_i = eV (F(D_i) − F of a lone atom), D of one or several parts side by side."""

    elements: tuple[int, ...]
    cutoff: float
    parts: tuple[TwoBodies | ThreeBodies, ...]
    fittings: tuple[Fitting, ...]
    eV: float = 1.0

    @property
    def dtype(self) -> torch.dtype:
        return self.fittings[0].last.dtype

    def times(self, eV: float) -> DeepPotProgram:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(DeepPotential(), self.fittings[0].last.detach())

    def evaluator(self) -> Compiled:
        """What computes it."""
        library = dispatch.library(str(DeepPotential()), self.dtype)
        with torch.no_grad():
            packing = _Packing(library, self)
            facts = packing.facts()
        return Compiled(library, self.elements, packing.kept, (0, 3 * self.dtype.itemsize), ctypes.byref(facts))


class _Step(ctypes.Structure):
    """`struct Step` of deeppot.h."""

    _fields_ = (
        [(name, Matrix) for name in ("w", "wt")]
        + [(name, ctypes.c_int64) for name in "inputs copies".split()]
        + [(name, ctypes.c_void_p) for name in ("bias", "dt")]
    )


class _Layer(ctypes.Structure):
    """`struct Layer` of deeppot.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("inputs", "outputs", "copies")] + [
        (name, ctypes.c_void_p) for name in ("weight", "bias", "dt")
    ]


class _Part(ctypes.Structure):
    """`struct Part` of deeppot.h."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "at M C axis paths intervals layers wide".split()]
        + [(name, ctypes.c_double) for name in ("cutoff", "smooth_from")]
        + [(name, ctypes.c_void_p) for name in "table background over share network".split()]
    )


class _Facts(ctypes.Structure):
    """`struct Facts` of deeppot.h."""

    _fields_ = [(name, ctypes.c_int64) for name in "species parts layers wide".split()] + [
        (name, ctypes.c_void_p) for name in "part steps last".split()
    ]


class _Packing(Packing):
    """Matrices in panels as wide as the registers allow; channels padded so that a vector may begin at any of them."""

    def __init__(self, library: ctypes.CDLL, program: DeepPotProgram) -> None:
        super().__init__(library, program.dtype, library.panel() * library.lanes())
        self.program = program

    def facts(self) -> _Facts:
        it, pad = self.program, torch.nn.functional.pad
        layers = [self.step(layer, first=t == 0) for fitting in it.fittings for t, layer in enumerate(fitting.layers)]
        # whole vectors may be written behind the last number of a row
        wide = max(layers[0].w.K + self.lanes, *(max(step.w.N, step.wt.N) for step in layers))
        last = torch.stack([pad(fitting.last * it.eV, (0, wide - len(fitting.last))) for fitting in it.fittings])
        parts, at = [], 0
        for part in it.parts:
            parts.append(self.two(part, at) if isinstance(part, TwoBodies) else self.three(part, at))
            at += _folded(part)
        return _Facts(
            species=len(it.elements), parts=len(parts), layers=len(it.fittings[0].layers), wide=wide, part=self.row(parts),
            steps=self.row(layers), last=self.hold(last),
        )  # fmt: skip

    def row(self, structs: Sequence[ctypes.Structure]) -> int:
        """The address of structs one behind the other."""
        array = (type(structs[0]) * len(structs))(*structs)
        self.kept.append(array)
        return ctypes.addressof(array)

    def doubles(self, x: Tensor) -> int:
        array = x.detach().to(torch.float64).contiguous().clone().numpy()
        self.kept.append(array)
        return array.ctypes.data

    def two(self, it: TwoBodies, at: int) -> _Part:
        _, rows, paths, M = it.table.shape
        extra = -M % self.lanes + self.lanes
        table = it.table * it.table.new_tensor([1.0, 3**0.5][:paths])[:, None]
        table, background = (self.hold(torch.nn.functional.pad(x, (0, extra))) for x in (table, it.background))
        return _Part(
            at=at, M=M, C=M + extra, axis=it.axis, paths=paths, intervals=rows - 3, cutoff=it.cutoff, table=table, background=background
        )  # fmt: skip

    def three(self, it: ThreeBodies, at: int) -> _Part:
        layers = [
            _Layer(*layer.weight.shape, layer.copies, *(self.hold(x) for x in (layer.weight, layer.bias, _steps(layer))))
            for network in it.networks
            for layer in network
        ]
        return _Part(
            at=at, M=it.size, layers=len(it.networks[0]), wide=max(max(layer.inputs, layer.outputs) for layer in layers),
            cutoff=it.cutoff, smooth_from=it.smooth_from, over=self.doubles(it.over), share=self.doubles(it.share),
            network=self.row(layers),
        )  # fmt: skip

    def step(self, layer: FittingLayer, first: bool) -> _Step:
        weight = self.folded(layer.weight) if first else layer.weight
        return _Step(
            self.matrix(self.wide(weight, 1)), self.matrix(self.wide(weight.T, 1)), len(weight), layer.copies,
            self.hold(self.wide(layer.bias, 0)), self.hold(self.wide(_steps(layer), 0)),
        )  # fmt: skip

    def folded(self, weight: Tensor) -> Tensor:
        """Of parts with directions rows (m, a) with m ≥ a alone, in the order of a; (a, m) stands with (m, a), for D is symmetric where
        both are there."""
        rows = []
        for part, w in zip(self.program.parts, weight.split([part.size for part in self.program.parts]), strict=True):
            if not (axis := getattr(part, "axis", 0)):
                rows.append(w)
                continue
            w = w.unflatten(0, (-1, axis))  # M axis n
            square = w[:axis] + w[:axis].transpose(0, 1)
            square[range(axis), range(axis)] = w[range(axis), range(axis)]
            rows += [part for a in range(axis) for part in (square[a:, a], w[axis:, a])]
        return torch.cat(rows)


def _folded(part: TwoBodies | ThreeBodies) -> int:
    """How many different numbers a part of the descriptor has."""
    axis = getattr(part, "axis", 0)
    return part.size - axis * (axis - 1) // 2


def _steps(layer: FittingLayer) -> Tensor:
    return torch.ones_like(layer.bias) if layer.dt is None else layer.dt
