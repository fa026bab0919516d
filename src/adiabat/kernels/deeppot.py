"""Deep Potentials frozen into one C call; see `evaluation` for how it is called.

Embedding networks have become splines of the distance, the environment matrix is contracted channel by channel, and the symmetric
part of the descriptor goes into the fitting network once.
"""

from __future__ import annotations

import ctypes
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


@dataclass(frozen=True)
class DeepPotProgram:
    """E_i = eV (F(D_i) − F of a lone atom), D from A = background + Σ_j spline(d_ij) (1, r̂_ij).

    `table` of every ordered pair of elements has the paths 0e and, for descriptors with directions, 1o (of Y₁ with |Y₁|² = 3). With
    directions D_ma = Σ_k A_km A_ka for a < `axis`, without (`axis` 0) it is A itself. Both are divided by numbers of neighbors already.
    """

    elements: tuple[int, ...]
    cutoff: float
    table: Float[Tensor, "kinds rows P M"]
    background: Float[Tensor, "Z M"]
    axis: int
    fittings: tuple[Fitting, ...]
    eV: float = 1.0

    def times(self, eV: float) -> DeepPotProgram:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(DeepPotential(), self.table.detach())

    def evaluator(self) -> Compiled:
        """What computes it."""
        library = dispatch.library(str(DeepPotential()), self.table.dtype)
        with torch.no_grad():
            packing = _Packing(library, self)
            facts = packing.facts()
        return Compiled(library, self.elements, packing.kept, (0, 3 * self.table.element_size()), ctypes.byref(facts))


class _Step(ctypes.Structure):
    """`struct Step` of deeppot.h."""

    _fields_ = (
        [(name, Matrix) for name in ("w", "wt")]
        + [(name, ctypes.c_int64) for name in "inputs copies".split()]
        + [(name, ctypes.c_void_p) for name in ("bias", "dt")]
    )


class _Facts(ctypes.Structure):
    """`struct Facts` of deeppot.h."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "species M C axis paths intervals layers wide".split()]
        + [("cutoff", ctypes.c_double)]
        + [(name, ctypes.c_void_p) for name in "table background steps last".split()]
    )


class _Packing(Packing):
    """Matrices in panels as wide as the registers allow; channels padded so that a vector may begin at any of them."""

    def __init__(self, library: ctypes.CDLL, program: DeepPotProgram) -> None:
        super().__init__(library, program.table.dtype, library.panel() * library.lanes())
        self.program = program

    def facts(self) -> _Facts:
        it = self.program
        _, rows, paths, M = it.table.shape
        extra = -M % self.lanes + self.lanes
        scale = it.table.new_tensor([1.0, 3**0.5][:paths])
        pad = torch.nn.functional.pad
        layers = [self.step(layer, first=t == 0) for fitting in it.fittings for t, layer in enumerate(fitting.layers)]
        steps = (_Step * len(layers))(*layers)
        self.kept.append(steps)
        wide = max(max(step.w.N, step.wt.N) for step in layers)
        last = torch.stack([pad(fitting.last * it.eV, (0, wide - len(fitting.last))) for fitting in it.fittings])
        return _Facts(
            species=len(it.elements), M=M, C=M + extra, axis=it.axis, paths=paths, intervals=rows - 3,
            layers=len(it.fittings[0].layers), wide=wide, cutoff=it.cutoff,
            table=self.hold(pad(it.table * scale[:, None], (0, extra))), background=self.hold(pad(it.background, (0, extra))),
            steps=ctypes.addressof(steps), last=self.hold(last),
        )  # fmt: skip

    def step(self, layer: FittingLayer, first: bool) -> _Step:
        weight = self.folded(layer.weight) if first and self.program.axis else layer.weight
        dt = torch.ones_like(layer.bias) if layer.dt is None else layer.dt
        return _Step(
            self.matrix(self.wide(weight, 1)), self.matrix(self.wide(weight.T, 1)), len(weight), layer.copies,
            self.hold(self.wide(layer.bias, 0)), self.hold(self.wide(dt, 0)),
        )  # fmt: skip

    def folded(self, weight: Tensor) -> Tensor:
        """Rows (m, a) with m ≥ a alone, in the order of a; (a, m) stands with (m, a), for D is symmetric where both are there."""
        axis = self.program.axis
        w = weight.unflatten(0, (-1, axis))  # M axis n
        square = w[:axis] + w[:axis].transpose(0, 1)
        square[range(axis), range(axis)] = w[range(axis), range(axis)]
        return torch.cat([part for a in range(axis) for part in (square[a:, a], w[axis:, a])])
