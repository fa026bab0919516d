"""Dense networks without biases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from adiabat.typing import Float, Tensor

# E[(c silu(x))²] = 1 for normal x: layers keep the variance of what they get
SILU_SCALE = 1.6790


class MLP(nn.Module):
    """x → W_n c·silu(… c·silu(W_1 x)): no biases, so that zero stays zero, and radial functions fade with their basis.

    `sizes` are the widths, input and output included; weights are drawn from N(0, 1/fan-in), and c makes the second moment of
    silu one.

    >>> MLP([8, 64, 3])(torch.zeros(2, 8))
    tensor([[0., 0., 0.],
            [0., 0., 0.]], grad_fn=<MmBackward0>)
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(a, b) / a**0.5 for a, b in zip(sizes[:-1], sizes[1:]))

    def forward(self, x: Float[Tensor, "*N a"]) -> Float[Tensor, "*N b"]:
        return self.hidden(x) @ self.weights[-1]

    def hidden(self, x: Float[Tensor, "*N a"]) -> Float[Tensor, "*N h"]:
        """What the last matrix sees."""
        for weight in list(self.weights)[:-1]:
            x = torch.nn.functional.silu(x @ weight) * SILU_SCALE
        return x

    def matrices(self) -> list[Tensor]:
        """W_1 … W_n: for who evaluates this elsewhere; the constant c stands between."""
        return list(self.weights)
