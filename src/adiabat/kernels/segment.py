"""Sums over rows that share an index: edges into atoms, triplets into atoms, atoms into structures."""

from __future__ import annotations

import torch

from adiabat.typing import Float, Int, Tensor


def segment_sum(x: Float[Tensor, "E *F"], index: Int[Tensor, " E"], n: int) -> Float[Tensor, "n *F"]:
    """Sum the rows of x that share an index: out_k = Σ_{e: index_e = k} x_e; a row nobody names is zero.

    >>> segment_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 1]), 3)
    tensor([3., 4., 0.])
    """
    return torch.zeros((n, *x.shape[1:]), dtype=x.dtype, device=x.device).index_add(0, index, x)
