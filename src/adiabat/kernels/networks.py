"""Networks on descriptors frozen into one C call: a committee's members share geometry and descriptors.

The descriptors are symmetry functions (even sets, or free lists), ANI's environment vectors or NEP's invariants; `networks.h` walks the
atoms, and `descriptor.h`, `listed.h`, `environment.h` or `invariants.h` tells it of one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import Environment, Invariants, Listed, LocalTerm
from adiabat.kernels.listed import Function, pack
from adiabat.kernels.local import LISTS, Call, Edges, Evaluator, hold, kind_table
from adiabat.typing import Float, Tensor

ACTIVATIONS = ("tanh", "celu", "logistic", "falling", "softplus", "relu", "linear")  # in the order of dense.h


@dataclass(frozen=True)
class Member:
    """One member's numbers, an entry or row an element: descriptors are shifted by `mean`, multiplied with `scale`, and go through
    dense layers (weight [out, in], bias [out]) with the activation between."""

    mean: Float[Tensor, "Z D"]
    scale: Float[Tensor, "Z D"]
    networks: Sequence[Sequence[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Networks:
    """E_i = eV (NN_{Z_i}(G_i) − NN_{Z_i}(0)), with the symmetry functions of `symmetry_functions`, or, where `environment` is
    given, those of `environments` or NEP's (parameters as in aev.h, invariants.h), or those that `lists` names for each element; one
    or several members. `activations` of the hidden layers, by element or the same for all."""

    elements: tuple[int, ...]
    cutoff: float
    eta: Float[Tensor, " _"]
    R_s: Float[Tensor, " K"]
    angular_eta: Float[Tensor, " A"]
    zetas: tuple[float, ...]
    members: tuple[Member, ...]
    dtype: torch.dtype
    activations: Sequence[Sequence[str]] | str = "tanh"
    eV: float = 1.0
    environment: Environment | Invariants | None = None
    lists: Sequence[Sequence[Function]] | None = None

    def times(self, eV: float) -> Networks:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    def together(self, others: Sequence[Networks]) -> Networks:
        """One evaluation of several members that differ in their numbers only."""
        return replace(self, members=tuple(member for each in (self, *others) for member in each.members))

    @property
    def spec(self) -> LocalTerm | None:
        from adiabat.kernels.symmetry import spec_of

        if self.lists is not None:
            return LocalTerm(Listed())
        symmetry = self.environment or spec_of(len(self.eta), len(self.angular_eta), self.zetas)
        return None if symmetry is None else LocalTerm(symmetry)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return self.spec is not None and dispatch.fast_for(self.spec, torch.empty(0, dtype=self.dtype))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        with torch.no_grad():
            return _Packing(self).evaluator()


class _Layer(ctypes.Structure):
    """`struct Layer` of dense.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("K", "N", "activation")] + [
        (name, ctypes.c_void_p) for name in ("w", "wt", "b")
    ]


class _Functions(ctypes.Structure):
    """`struct Functions` of descriptor.h and its kin, field by field; what it points to is theirs."""

    _fields_ = [
        ("kinds", ctypes.c_int64), ("columns", ctypes.c_int64), ("cutoff", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("eta", "center", "width")),
    ]  # fmt: skip


class _NetworkFacts(ctypes.Structure):
    """`struct Facts` of networks.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "elements members depth columns widest widths".split()]
        + [("eV", ctypes.c_double), ("functions", _Functions)]
        + [(name, ctypes.c_void_p) for name in "kind mean layers lone".split()]
    )


class _Packing:
    """Networks as the library wants them: widths padded to whole vectors, the scale folded into the first layer."""

    def __init__(self, it: Networks) -> None:
        self.it = it
        self.kept: list = []
        assert it.spec is not None
        self.lanes = dispatch.library(str(it.spec), it.dtype).lanes()

    def evaluator(self) -> Evaluator:
        it, Z = self.it, len(self.it.elements)
        D, depth = it.members[0].mean.shape[1], len(it.members[0].networks[0])
        layers = [self.layer(member, z, t) for member in it.members for z in range(Z) for t in range(depth)]
        block = (_Layer * len(layers))(*layers)
        lone = torch.zeros(len(it.members), Z, dtype=torch.float64)
        self.kept += [block, lone]
        wide = -(-D // self.lanes) * self.lanes
        hidden = [layers[z * depth + t].N for z in range(Z) for t in range(depth - 1)]
        widths = max(sum(layers[z * depth + t].N for t in range(depth - 1)) for z in range(Z))
        kind, elements = kind_table(self.kept, {number: z for z, number in enumerate(it.elements)})
        if it.lists is None:
            numbers = [self.hold(self.wide(it.eta, 0)), self.hold(self.wide(it.R_s, 0)), self.hold(it.angular_eta)]
        else:
            numbers = [pack(self.kept, it.elements, it.lists)]
        functions = _Functions(Z, D, it.cutoff, *numbers)
        mean = self.hold(torch.stack([self.wide(member.mean, 1) for member in it.members]))
        facts = _NetworkFacts(
            elements, len(it.members), depth, wide, max([wide, *hidden]), widths, it.eV, functions, kind, mean,
            ctypes.addressof(block), lone.data_ptr(),
        )  # fmt: skip
        assert it.spec is not None
        made = Evaluator(it.spec, it.dtype, facts, self.kept)
        lone.copy_(self.alone(made))  # the pointer stays: later calls subtract what this one found
        made.free, old = [], made.free
        for workspace in old:
            made.library.drop(workspace)
        return made

    def alone(self, evaluator: Evaluator) -> Tensor:
        """Every member's energy of an atom of each element without neighbors."""
        Z = len(self.it.elements)
        nothing = torch.zeros(0, dtype=torch.int64)

        lists = (torch.tensor(self.it.elements), torch.zeros(Z + 1), nothing, nothing, torch.zeros(Z))
        lone = SimpleNamespace(**dict(zip(LISTS, lists, strict=True)))
        call = Call(Edges(lone, 1), torch.zeros(0, 3, dtype=torch.float64), 1, len(self.it.members))
        return call.made_by([evaluator]).energies

    def layer(self, member: Member, z: int, t: int) -> _Layer:
        weight, bias = (x.detach().to(torch.float64) for x in member.networks[z][t])
        if t == 0:
            weight = weight * member.scale[z].to(torch.float64)
        last = t == len(member.networks[z]) - 1
        w = self.wide(weight.T, 0) if last else self.wide(self.wide(weight.T, 0), 1)
        b = bias if last else self.wide(bias, 0)
        name = "linear" if last else it if isinstance(it := self.it.activations, str) else it[z][t]
        return _Layer(w.shape[0], w.shape[1], ACTIVATIONS.index(name), self.hold(w), self.hold(w.T), self.hold(b))

    def wide(self, x: Tensor, axis: int) -> Tensor:
        """Zeros up to whole vectors."""
        return torch.nn.functional.pad(x.movedim(axis, -1), (0, -x.shape[axis] % self.lanes)).movedim(-1, axis)

    def hold(self, x: Tensor) -> int:
        return hold(self.kept, x, self.it.dtype)
