"""NEP frozen into one C call: neighbor sums mixed by learned coefficients, what turns with nothing made of them, a network an element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.chebyshev import NeighborBasis, pair_cutoffs
from adiabat.kernels.ir import Chebyshev, Invariants, LocalTerm
from adiabat.kernels.local import Evaluator
from adiabat.kernels.networks import Member, Networks
from adiabat.typing import Float, Tensor


@dataclass(frozen=True)
class InvariantNetworks:
    """E_i = eV (NN_{Z_i}(q_i) − NN_{Z_i}(0)); `radial` and `angular` mix the sums of `basis`, [center, n, neighbor, k].

    Members of a committee mix differently, so that each is evaluated on its own.
    """

    elements: tuple[int, ...]
    basis: NeighborBasis
    products: tuple[str, ...]
    radial: Float[Tensor, "Z n Z k"]
    angular: Float[Tensor, "Z a Z b"]
    scale: Float[Tensor, " D"]
    networks: Sequence[Sequence[tuple[Tensor, Tensor]]]
    dtype: torch.dtype
    eV: float = 1.0

    def times(self, eV: float) -> InvariantNetworks:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def spec(self) -> LocalTerm:
        basis = self.basis
        sums = Chebyshev(basis.radial, basis.angular, basis.l_max)
        return LocalTerm(Invariants(sums, self.radial.shape[1], self.angular.shape[1], self.products))

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(self.spec, torch.empty(0, dtype=self.dtype))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        spec = self.spec
        lanes, Z = dispatch.library(str(spec), self.dtype).lanes(), len(self.elements)
        assert isinstance(spec.symmetry, Invariants)
        radial, angular = _mixing(self.radial, lanes), _mixing(self.angular / math.sqrt(4 * math.pi), lanes)
        scale = self.scale.expand(Z, -1)
        member = Member(torch.zeros_like(scale), scale, self.networks)
        whole = Networks(
            self.elements, max(self.basis.cutoffs), torch.cat(pair_cutoffs(self.basis)), radial, angular, (), (member,), self.dtype,
            eV=self.eV, environment=spec.symmetry,
        )  # fmt: skip
        return whole.evaluator()


def _mixing(c: Float[Tensor, "Z n Z k"], lanes: int) -> Float[Tensor, " M"]:
    """[center, neighbor, k, n], n in whole vectors."""
    return torch.nn.functional.pad(c.detach().permute(0, 2, 3, 1), (0, -c.shape[1] % lanes)).flatten()
