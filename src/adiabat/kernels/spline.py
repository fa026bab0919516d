"""Radial functions as cubic B-splines: one small table, two continuous derivatives, the derivative that of the spline itself.

Knots are evenly spaced on [0, r_c]; a table of n intervals has n + 3 rows. A radial network is evaluated at the knots only
(n + 1 points instead of every edge), also in training: the trained function is the deployed one. Beyond r_c a spline is zero.
"""

from __future__ import annotations

from functools import cache

import torch

from adiabat.typing import Float, Int, Tensor

BLOCK = 512  # intervals whose interpolation is solved at once
REACH = 32  # (2 − √3)^REACH = 5e-19: beyond it the inverse of an interpolation is zero in float64


def knots(cutoff: float, n: int, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, "n1"]:
    """The n + 1 distances a table of n intervals is made from, 0 and r_c included.

    >>> knots(5.0, 2)
    tensor([0.0000, 2.5000, 5.0000], dtype=torch.float64)
    """
    return torch.linspace(0, cutoff, n + 1, dtype=dtype)


def spline_table(values: Float[Tensor, "n1 *F"]) -> Float[Tensor, "n3 *F"]:
    """B-spline coefficients through values at the knots: c with (c_k + 4c_{k+1} + c_{k+2})/6 = f_k.

    The ends: no third derivative in the first interval, slope zero at r_c, where the functions of a model have faded out.
    Linear in the values and differentiable.

    >>> spline_table(torch.tensor([2.0, 2.0, 2.0, 2.0]))
    tensor([2.0000, 2.0000, 2.0000, 2.0000, 2.0000, 2.0000])
    """
    n, f = len(values) - 1, values.reshape(len(values), -1)
    if n <= BLOCK:
        return (_inverse(n).to(values) @ f).reshape(n + 3, *values.shape[1:])
    # A coefficient feels values at most REACH knots away: a long table is inverted in overlapping blocks, each by the same
    # matrix; the first and the last are whole, for the ends. The last block may overlap its neighbor by more.
    inverse, step = _inverse(BLOCK).to(values), BLOCK - 2 * REACH
    starts = [*range(0, n - BLOCK, step), n - BLOCK]
    blocks = [inverse @ f[start : start + BLOCK + 1] for start in starts]
    middles = [block[REACH : REACH + later - start] for start, later, block in zip(starts, starts[1:], blocks)]
    return torch.cat([blocks[0][:REACH], *middles, blocks[-1][REACH:]]).reshape(n + 3, *values.shape[1:])


@cache
def _inverse(n: int) -> Tensor:
    if n < 3:
        raise ValueError(f"a spline needs at least 3 intervals, got {n}")
    A = torch.zeros(n + 3, n + 3, dtype=torch.float64)
    k = torch.arange(n + 1)
    A[k, k], A[k, k + 1], A[k, k + 2] = 1 / 6, 4 / 6, 1 / 6
    A[n + 1, :4] = torch.tensor([1.0, -3.0, 3.0, -1.0], dtype=torch.float64)
    A[n + 2, n], A[n + 2, n + 2] = -0.5, 0.5
    return torch.linalg.inv(A)[:, : n + 1]


def spline(
    d: Float[Tensor, "E"], table: Float[Tensor, "kinds n3 *F"], cutoff: float, kind: Int[Tensor, "E"]
) -> Float[Tensor, "E *F"]:
    """Values of the splines `kind` at distances d: f(d) = Σ_q w_q(t) c_{k+q} with d = (k + t) r_c/n; zero at and beyond r_c.

    >>> f = spline_table(torch.tensor([4.0, 2.0, 1.0, 0.0]))[None]
    >>> spline(torch.tensor([0.0, 1.0, 3.0, 9.0]), f, 3.0, torch.tensor([0, 0, 0, 0]))
    tensor([4., 2., 0., 0.])
    """
    n = table.shape[1] - 3
    x = d * (n / cutoff)
    k = x.detach().nan_to_num().clamp(0, n - 1).long()  # NaN stays one through t; a skin edge lies beyond the table
    t = x - k
    u = 1 - t
    w = torch.stack([u**3, 3 * t**3 - 6 * t**2 + 4, 3 * u**3 - 6 * u**2 + 4, t**3], -1) / 6  # E 4
    w = w * (d < cutoff)[:, None]
    rows = table[kind[:, None], k[:, None] + torch.arange(4, device=d.device)]  # E 4 F
    return torch.einsum("eq,eq...->e...", w, rows)
