"""Dense maps between channels, one matrix per irrep: rows of the same irrep share it, so equivariance is untouched."""

from __future__ import annotations

import torch  # noqa: F401 - the example's

from adiabat.typing import Float, Tensor


def linear(x: Float[Tensor, "N m *K C"], weight: Float[Tensor, "KC D"]) -> Float[Tensor, "N m D"]:
    """Mix paths and channels of one irrep: out_nmD = Σ_{K,C} x_nmKC W_{(K,C),D}.

    >>> linear(torch.ones(1, 3, 2, 4), torch.ones(8, 5)).shape
    torch.Size([1, 3, 5])
    """
    return x.flatten(2) @ weight
