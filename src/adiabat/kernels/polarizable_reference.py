"""The meaning of `polarizable_layers`, primitive by primitive."""

from __future__ import annotations

import torch
from torch.nn.functional import linear, silu

from adiabat.kernels.edge_conv import edge_conv
from adiabat.kernels.edge_geometry import edge_geometry
from adiabat.kernels.ir import Convolution
from adiabat.kernels.polarizable import Dense
from adiabat.typing import Float, Tensor

MESSAGES = {
    2: Convolution.of("0e+0e|0.0.0e,1.1.1o"),
    3: Convolution.of("0e+0e+1o|0.0.0e,1.1.1o,2.0.1o"),
}


def reference_polarizable_layers(s, v, r, layers, cutoff, epsilon, kind, edges) -> tuple[Tensor, Tensor]:
    """Scalars and vectors after these layers; see `polarizable_layers`."""
    d, Y = edge_geometry(r, 1)
    for layer in layers:
        paths = layer.table.shape[2]
        phi = dense(s, layer.phi).unflatten(-1, (paths, -1))
        x = torch.cat([phi[:, :2], *(v * phi[:, k, None] for k in range(2, paths))], 1)  # N 5 C
        ds, dv = edge_conv(x, Y, d, layer.table, cutoff, kind, edges, MESSAGES[paths])
        s, v = s + ds[:, 0, 0], v + dv.sum(2)
        Uv, Vv = v @ layer.U, v @ layer.V  # N 3 C
        norm = (Vv.square().sum(1) + epsilon).sqrt()
        a = dense(torch.cat([s, norm], 1), layer.a).unflatten(-1, (-1, s.shape[1]))  # N (2 or 3) C
        s = s + a[:, 0] + a[:, 1] * (Uv * Vv).sum(1)
        v = v + a[:, 2, None] * Uv if a.shape[1] == 3 else v
    return s, v


def dense(x: Float[Tensor, "N a"], by: Dense) -> Float[Tensor, "N b"]:
    """silu(x `first` + `bias`) `second` + `more`."""
    return linear(silu(linear(x, by.first.T, by.bias)), by.second.T, by.more)
