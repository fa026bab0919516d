"""MTP frozen into one C call; `moments.h` computes it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace

import torch

from adiabat.kernels.abreast import Common, common, fast_for
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.local import Evaluator, hold
from adiabat.typing import Float, Int, Tensor

SPEC = Abreast("moments")
MOST_POWER, MOST_RADIAL = 16, 32  # as in moments.h


@dataclass(frozen=True)
class Moments:
    """E_i = Σ_α ξ_α m_α(i), with moments m made of basic ones by products; see `models.mtp`.

    `basics` has rows μ a b c, `products` rows a b factor to, in an order in which they can be taken; `scalars` are places among the
    moments. `radial` [Z, Z, μ, n] are coefficients of Chebyshev polynomials for a center's and a neighbor's element.
    """

    elements: tuple[int, ...]
    nearest: float
    cutoff: float
    scaling: float
    basics: Int[Tensor, "b 4"]
    products: Int[Tensor, "t 4"]
    scalars: Int[Tensor, " s"]
    coefficients: Float[Tensor, " s"]
    radial: Float[Tensor, "Z Z mu n"]

    def times(self, eV: float) -> Moments:
        """The same in other units."""
        return replace(self, coefficients=self.coefficients * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        fits = self.radial.shape[3] <= MOST_RADIAL and int(self.basics[:, 1:].max()) <= MOST_POWER
        return fits and fast_for(SPEC, self.coefficients.dtype)

    def evaluator(self) -> Evaluator:
        """What computes it."""
        dtype = self.coefficients.dtype
        kept: list = []
        Z, n = len(self.elements), self.radial.shape[3]
        radial = torch.nn.functional.pad(self.radial, (0, max(0, 2 - n)))  # two polynomials are begun with
        exponents, kind = torch.unique(self.basics[:, 1:], dim=0, return_inverse=True)
        order = torch.argsort(kind, stable=True)
        bounds = [0, *torch.bincount(kind, minlength=len(exponents)).cumsum(0).tolist()]
        directions = (_Direction * len(exponents))(
            *(_Direction(*row, a, b) for row, a, b in zip(exponents.tolist(), bounds[:-1], bounds[1:], strict=True))
        )
        products = (_Product * max(1, len(self.products)))(*(_Product(a, b, to) for a, b, _, to in self.products.tolist()))
        kept += [directions, products]
        moments = 1 + max(len(self.basics) - 1, int(self.products[:, 3].max()) if len(self.products) else 0)
        reach = torch.full((Z, Z), self.cutoff, dtype=torch.float64)
        facts = _MomentFacts(
            common(kept, self.elements, reach), len(self.basics), moments, len(self.products), len(self.scalars), len(exponents),
            self.radial.shape[2], radial.shape[3], int(exponents.max()), self.nearest, self.cutoff, self.scaling,
            hold(kept, self.basics[order, 0], torch.int64), hold(kept, order, torch.int64), ctypes.addressof(directions),
            ctypes.addressof(products), hold(kept, self.products[:, 2], dtype), hold(kept, self.scalars, torch.int64),
            hold(kept, self.coefficients, dtype), hold(kept, radial, dtype),
        )  # fmt: skip
        return Evaluator(SPEC, dtype, facts, kept)


class _Direction(ctypes.Structure):
    """`struct Direction` of moments.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("x", "y", "z", "begin", "end")]


class _Product(ctypes.Structure):
    """`struct Product` of moments.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("a", "b", "to")]


class _MomentFacts(ctypes.Structure):
    """`struct Facts` of moments.h, field by field."""

    _fields_ = (
        [("common", Common)]
        + [(name, ctypes.c_int64) for name in "basics moments products scalars directions mus radial power".split()]
        + [(name, ctypes.c_double) for name in ("nearest", "cutoff", "scaling")]
        + [(name, ctypes.c_void_p) for name in "column place direction product factor scalar coefficients f".split()]
    )
