"""Dense layers with short cuts, as DeePMD-kit draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from adiabat.typing import Float, Tensor


def _gelu(x: Tensor) -> Tensor:
    return nn.functional.gelu(x, approximate="tanh")


def _linear(x: Tensor) -> Tensor:
    return x


# the names of DeePMD-kit's input; its gelu is the approximation by tanh
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": _gelu,
    "gelu_tf": _gelu,
    "relu": torch.relu,
    "relu6": nn.functional.relu6,
    "silu": nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "softplus": nn.functional.softplus,
    "linear": _linear,
    "none": _linear,
}


class ResLayer(nn.Module):
    """y = short cut + Δt ∘ φ(x W + b): the short cut is x where widths are equal, (x, x) where the width doubles, else nothing.

    Δt (`timestep`) stands only where there is a short cut. Weights are drawn from N(0, 1/(a + b)), biases from N(0, 1), Δt near 0.1.
    """

    def __init__(self, a: int, b: int, activation: str, timestep: bool) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: {activation!r} came; wanted {', '.join(ACTIVATIONS)}")
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(a, b) / (a + b) ** 0.5)
        self.bias = nn.Parameter(torch.randn(b))
        self.copies = {a: 1, 2 * a: 2}.get(b, 0)  # of x in the short cut
        self.step = nn.Parameter(0.1 + 0.001 * torch.randn(b)) if timestep and self.copies else None

    def forward(self, x: Float[Tensor, "*N a"]) -> Float[Tensor, "*N b"]:
        # Not the parameters' precision but that of x: tables are made in double precision.
        y = ACTIVATIONS[self.activation](x @ self.weight.to(x.dtype) + self.bias.to(x.dtype))
        if self.step is not None:
            y = y * self.step.to(x.dtype)
        return y + torch.cat([x] * self.copies, -1) if self.copies else y


class ResNet(nn.Module):
    """So many layers one behind the other, and, with `out`, a last matrix without activation and without bias.

    >>> ResNet([1, 4, 8], "tanh", out=3)(torch.zeros(5, 1)).shape
    torch.Size([5, 3])
    """

    def __init__(self, sizes: Sequence[int], activation: str, timestep: bool = False, out: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ResLayer(a, b, activation, timestep) for a, b in zip(sizes[:-1], sizes[1:]))
        self.last = nn.Parameter(torch.randn(sizes[-1], out) / (sizes[-1] + out) ** 0.5) if out else None

    def forward(self, x: Float[Tensor, "*N a"]) -> Float[Tensor, "*N b"]:
        for layer in self.layers:
            x = layer(x)
        return x if self.last is None else x @ self.last.to(x.dtype)
