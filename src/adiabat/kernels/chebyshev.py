"""Sums over an atom's neighbors of Chebyshev functions of the distance, alone and times spherical harmonics: what NEP is made of.

They hold no learned number: a family that learns its radial functions as combinations of these mixes the sums, not the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.geometry import L_MAX, distance, spherical_harmonics
from adiabat.kernels.ir import Chebyshev
from adiabat.kernels.radial import cosine_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.symmetry import Edges
from adiabat.typing import Float, Int, Tensor


@dataclass(frozen=True)
class NeighborBasis:
    """`radial` functions f_k within the longer cutoff, `angular` ones within the shorter times harmonics l = 1…l_max.

    Cutoffs (Å) are an element's: a pair of elements has the mean of theirs.
    """

    radial: int
    angular: int
    l_max: int
    cutoffs: tuple[float, ...]
    angular_cutoffs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (self.radial >= 1 and self.angular >= 1 and 0 <= self.l_max <= L_MAX):
            raise ValueError(
                f"{self.radial} radial and {self.angular} angular functions, l_max {self.l_max} came; wanted 1 or more, l_max 0…{L_MAX}"
            )
        for long, short in zip(self.cutoffs, self.angular_cutoffs, strict=True):
            if not 0 < short <= long:
                raise ValueError(f"an angular cutoff of {short} Å came; wanted one within 0…{long} Å, the cutoff")

    @property
    def kinds(self) -> int:
        """Z: how many elements there are."""
        return len(self.cutoffs)

    @property
    def rows(self) -> int:
        """How many harmonics: (l_max + 1)² − 1."""
        return (self.l_max + 1) ** 2 - 1

    @property
    def size(self) -> int:
        """D: how many sums an atom has."""
        return self.kinds * (self.radial + self.rows * self.angular)


def neighbor_sums(
    r: Float[Tensor, "E 3"], pairs: Int[Tensor, " E"], edges: Edges, basis: NeighborBasis
) -> Float[Tensor, "N D"]:
    """Σ_j f_k(d_ij) [Z, k], then Σ_j f_k(d_ij) Y_lm(r_ij/d_ij) [lm, Z, k], by the neighbors' element.

    f_k(d) = ½ [T_k(x) + 1] f_c(d) with x = 2 (d/r_c − 1)² − 1 and the cosine cutoff; Fan et al., PRB 104, 104309 (2021). The harmonics
    are those of `spherical_harmonics`. `pairs` are Z · element of the center + element of the neighbor (0…Z − 1).

    >>> from types import SimpleNamespace
    >>> edges = SimpleNamespace(i=torch.tensor([0]), first=torch.tensor([0, 1]))
    >>> r = torch.tensor([[0.0, 0, 2.0]], dtype=torch.float64)
    >>> neighbor_sums(r, torch.tensor([0]), edges, NeighborBasis(3, 1, 1, (4.0,), (4.0,)))
    tensor([[0.5000, 0.1250, 0.1250, 0.0000, 0.8660, 0.0000]], dtype=torch.float64)
    """
    spec = Chebyshev(basis.radial, basis.angular, basis.l_max)
    if len(r) and not torch._C._functorch.is_batchedtensor(pairs) and dispatch.fast_for(spec, r, vmapped=True):
        from adiabat.kernels.symmetry_op import symmetry_forward

        long, short = (x.to(r.dtype) for x in pair_cutoffs(basis))
        return symmetry_forward(r, edges.first, pairs, long, short, short[:0], basis.kinds**2, max(basis.cutoffs), str(spec))
    return reference_neighbor_sums(r, pairs, edges, basis)


def reference_neighbor_sums(r, pairs, edges, basis: NeighborBasis) -> Tensor:
    """The meaning of `neighbor_sums`."""
    n, Z, d = len(edges.first) - 1, basis.kinds, distance(r)
    long, short = (x.to(r)[pairs] for x in pair_cutoffs(basis))
    row = edges.i * Z + pairs % Z
    alone = segment_sum(functions(d, long, basis.radial), row, n * Z).view(n, -1)
    if not basis.l_max:
        return alone
    Y = spherical_harmonics(r / d[:, None], basis.l_max)[:, 1:, None]  # E lm 1
    turned = segment_sum((Y * functions(d, short, basis.angular)[:, None]).flatten(1), row, n * Z)
    return torch.cat([alone, turned.view(n, Z, basis.rows, basis.angular).transpose(1, 2).flatten(1)], 1)


def functions(d: Float[Tensor, " E"], cutoff: Float[Tensor, " E"], count: int) -> Float[Tensor, "E k"]:
    """f_k of distances, k = 0…count − 1."""
    x = 2 * (d / cutoff - 1).square() - 1
    T = [torch.ones_like(x), x]
    for _ in range(count - 2):
        T.append(2 * x * T[-1] - T[-2])
    return 0.5 * (torch.stack(T[:count], 1) + 1) * cosine_cutoff(d / cutoff, 1.0)[:, None]


@cache
def pair_cutoffs(basis: NeighborBasis) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
    """Both cutoffs of each pair of elements (Å)."""
    own = (torch.tensor(x, dtype=torch.float64) for x in (basis.cutoffs, basis.angular_cutoffs))
    long, short = ((0.5 * (x[:, None] + x)).flatten() for x in own)
    return long, short
