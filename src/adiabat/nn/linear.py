"""Equivariant dense maps: channels mix, rows m do not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from adiabat.kernels import linear
from adiabat.typing import Float, Int, Tensor


class Linear(nn.Module):
    """One matrix per irrep: x_l [N, 2l+1, *K, C] → [N, 2l+1, D], paths K and channels C mixed; `fan_in` is K·C of each irrep."""

    def __init__(self, fan_in: Sequence[int], channels: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(n, channels) / n**0.5 for n in fan_in)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [linear(x, weight) for x, weight in zip(features, self.weights, strict=True)]


class SpeciesLinear(nn.Module):
    """One matrix per species and irrep: x_l [N, 2l+1, C] → [N, 2l+1, D] with the matrix of each atom's species."""

    def __init__(self, species: int, irreps: int, fan_in: int, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(irreps, species, fan_in, channels) / fan_in**0.5)

    def forward(self, features: Sequence[Float[Tensor, "N _ C"]], groups: Sequence[Int[Tensor, "_"]]) -> list[Tensor]:
        """`groups` are the atoms of each species."""
        if len(groups) == 1:
            return [x @ weight[0] for x, weight in zip(features, self.weights)]
        back = torch.argsort(torch.cat(list(groups)))
        return [
            torch.cat([x.index_select(0, atoms) @ w for atoms, w in zip(groups, weight, strict=True)]).index_select(0, back)
            for x, weight in zip(features, self.weights)
        ]
