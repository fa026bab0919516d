"""Coordinates in which a sum of functions is learned quickly, and where to begin, from a few random combinations of what it should give.

Functions of atoms' surroundings are nearly dependent, and steps along gradients take thousands to tell them apart. In coordinates in
which the data see them all alike, a few are enough. Some rows of random combinations of all labels tell the data's view of the
functions to a factor near one: Avron, Maymounkov and Toledo, SIAM J. Sci. Comput. 32, 1217 (2010).
"""

from __future__ import annotations

import math

import torch

from adiabat.typing import Float, Tensor

RIDGES = 49  # that are tried


def coordinates(
    rows: Float[Tensor, "n K"], wanted: Float[Tensor, " n"], rounding: float = 1e-16
) -> tuple[Float[Tensor, "K K"], Float[Tensor, "K K"], Float[Tensor, " K"]]:
    """W, its inverse and z₀: coefficients c = W z, of which rows × c comes nearest to `wanted` at z₀, and all z count alike: Wᵀ(RᵀR + α)W = 1.

    The ridge α, of columns scaled to equal size, is chosen by generalized cross-validation (Golub, Heath and Wahba, Technometrics 21,
    215 (1979)), from `rounding` on, as a share of their largest squared singular value.

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 1e-4], [1.0, -1e-4]], dtype=torch.float64)
    >>> W, _, z = coordinates(rows, rows @ torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> [round(float(c), 4) for c in W @ z], bool(((rows @ W).T @ (rows @ W) - torch.eye(2)).abs().max() < 1e-6)
    ([1.0, 2.0], True)
    """
    size = rows.square().sum(0).sqrt()
    scale = torch.where(size > 1e-10 * size.max(), 1 / size.clamp_min(1e-300), 0.0)  # what no frame excites stays silent
    A = rows * scale
    n = len(A)
    whole = torch.cat([A, wanted[:, None]], 1)
    if n > A.shape[1] + 1:
        whole = torch.linalg.qr(whole, mode="r").R
    U, s, Vh = torch.linalg.svd(whole[:, :-1], full_matrices=False)
    y = U.T @ whole[:, -1]
    rest = (whole[:, -1].square().sum() - y.square().sum()).clamp_min(0.0)
    square = s.square()
    best, alpha = torch.inf, 1e-300
    for ridge in (torch.logspace(math.log10(rounding), 0, RIDGES, dtype=torch.float64) * square[0]).tolist():
        kept = square / (square + ridge)
        score = float((rest + ((1 - kept) * y).square().sum()) / max(n - float(kept.sum()), 1e-3) ** 2)
        if score < best:
            best, alpha = score, ridge
    root = (square + alpha).sqrt()
    V = Vh.T
    W = V @ ((1 / root - alpha**-0.5)[:, None] * Vh) + alpha**-0.5 * torch.eye(len(V), dtype=V.dtype)
    inverse = V @ ((root - alpha**0.5)[:, None] * Vh) + alpha**0.5 * torch.eye(len(V), dtype=V.dtype)
    return scale[:, None] * W, inverse * size.clamp_min(1e-300), V @ (s * y / root)
