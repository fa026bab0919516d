"""Sums over neighbors of (radial × harmonic × feature) along a list of paths: the one convolution of all equivariant families."""

from __future__ import annotations

from functools import cache
from typing import Protocol, runtime_checkable

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import Convolution
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.spline import spline
from adiabat.typing import Float, Int, Tensor


@runtime_checkable
class Edges(Protocol):
    """The topology a convolution walks; a `Graph` is one. Edges i → j are sorted by their center i, with row pointers `first [N+1]`."""

    @property
    def i(self) -> Tensor: ...
    @property
    def j(self) -> Tensor: ...
    @property
    def first(self) -> Tensor: ...


def edge_conv(
    h: Float[Tensor, "N rows C"],
    Y: Float[Tensor, "E lm"],
    d: Float[Tensor, "E"],
    table: Float[Tensor, "kinds n3 P C"],
    cutoff: float,
    kind: Int[Tensor, "E"],
    edges: Edges,
    conv: Convolution,
) -> list[Float[Tensor, "N _ _ C"]]:
    """For each output irrep of `conv`, the sum of its paths' messages, [N, 2l₃+1, paths, C]:

    A_i,p,m₃ = Σ_{j∈N(i)} R_p(d_ij) Σ_{m₁m₂} C^p_{m₁m₂m₃} h_{j,m₁} Y_{m₂}(r̂_ij)

    | symbol | variable |
    |---|---|
    | h_j | `h`, rows in the order of `conv.irreps` |
    | Y_lm | `Y`, rows l² + l + m (component-normalized, see `geometry`) |
    | R_p(d) | `spline(d, table, cutoff, kind)`: B-splines per kind of edge, path and channel |
    | C^p | `conv.coefficients`: √(2l₃+1) × the real Wigner 3j symbol |

    Messages are never stored by the fast path. Batzner et al., Nat. Commun. 13, 2453 (2022) (NequIP), and Batatia et al.,
    NeurIPS 2022 (arXiv:2206.07697) (MACE) write it so; l = 0 alone is SchNet's continuous-filter convolution.
    """
    _check(h, Y, d, table, kind, edges, conv)
    if dispatch.fast_for(conv, h):
        from adiabat.kernels.edge_conv_op import fast_edge_conv

        return fast_edge_conv(h, Y, d, table, cutoff, kind, edges, conv)
    return reference_edge_conv(h, Y, d, table, cutoff, kind, edges, conv)


def reference_edge_conv(h, Y, d, table, cutoff, kind, edges, conv) -> list[Tensor]:
    """The meaning of `edge_conv`, with every message written down."""
    R, n = spline(d, table, cutoff, kind), len(edges.first) - 1  # E P C
    outputs: list[list[Tensor]] = [[] for _ in conv.outputs]
    for p, (path, (o, _)) in enumerate(zip(conv.paths, conv.slots)):
        x = h[:, conv.irreps.rows[path.input]][edges.j]  # E m₁ C
        B = torch.einsum("em,amc->eca", Y[:, path.l**2 : (path.l + 1) ** 2], _coupling(str(conv), p).to(Y))
        outputs[o].append(segment_sum(R[:, p, None] * (B @ x), edges.i, n))
    return [torch.stack(paths, 2) for paths in outputs]


@cache
def _coupling(conv: str, p: int) -> Tensor:
    """√(2l₃+1) C [2l₁+1, 2l₂+1, 2l₃+1] of path p."""
    spec = Convolution.of(conv)
    path, start = spec.paths[p], spec.irreps.rows[spec.paths[p].input].start
    C = torch.zeros(spec.irreps[path.input].dim, 2 * path.l + 1, path.output.dim, dtype=torch.float64)
    for term in spec.coefficients:
        if term.path == p:
            C[term.a - start, term.m - path.l**2, term.c] = term.value
    return C


def _check(h, Y, d, table, kind, edges, conv) -> None:
    """What compiled code cannot survive is refused before it."""
    E, P = len(edges.j), len(conv.paths)
    if h.shape[-2] != conv.irreps.dim:
        raise ValueError(f"edge_conv: h has {h.shape[-2]} rows; {conv.irreps} has {conv.irreps.dim}")
    if Y.shape[-1] < (conv.l_max + 1) ** 2:
        raise ValueError(f"edge_conv: Y has {Y.shape[-1]} rows; harmonics up to l = {conv.l_max} have {(conv.l_max + 1) ** 2}")
    if table.shape[-2:] != (P, h.shape[-1]):
        raise ValueError(
            f"edge_conv: the table ends in {tuple(table.shape[-2:])}; wanted (paths, channels) = {(P, h.shape[-1])}"
        )
    if not E == len(Y) == len(d) == len(kind):
        raise ValueError(f"edge_conv: {E} edges, but {len(Y)} rows of Y, {len(d)} distances, {len(kind)} kinds")
    if len({x.dtype for x in (h, Y, d, table)}) > 1:
        raise TypeError(f"edge_conv: one precision for all, got {[str(x.dtype) for x in (h, Y, d, table)]}")
