"""Layers of scalars and vectors that pass messages (PaiNN), for training: messages and updates as one operation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import linear, silu

from adiabat.kernels import dispatch
from adiabat.kernels.edge_conv import Edges, edge_conv
from adiabat.kernels.edge_geometry import edge_geometry
from adiabat.kernels.ir import Convolution, PolarizableStep
from adiabat.kernels.polarizable import Dense, PolarizableLayer
from adiabat.typing import Float, Int, Tensor

BLOCK = 16  # channels come in multiples of this, or the parts run one by one
MESSAGES = {
    2: Convolution.of("0e+0e|0.0.0e,1.1.1o"),
    3: Convolution.of("0e+0e+1o|0.0.0e,1.1.1o,2.0.1o"),
}


def polarizable_layers(
    s: Float[Tensor, "N C"],
    v: Float[Tensor, "N 3 C"],
    r: Float[Tensor, "E 3"],
    layers: Sequence[PolarizableLayer],
    cutoff: float,
    epsilon: float,
    kind: Int[Tensor, "E"],
    edges: Edges,
) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N 3 C"]]:
    """Scalars and vectors (rows y, z, x) after these layers; Schütt, Unke and Gastegger 2021 (arXiv:2102.03150):

    message: s_i += Σ_j φ_0(s_j) R_0(d_ij),  v_i += Σ_j √3 r̂_ij φ_1(s_j) R_1(d_ij) + v_j φ_2(s_j) R_2(d_ij)
    update:  s += a_0 + a_1 ⟨U v, V v⟩,  v += a_2 U v,  with a of (s, √(|V v|² + ε))

    | symbol | variable |
    |---|---|
    | r_ij | `r`, edge vectors in Å |
    | R_p | splines of a layer's `table`, its kind by edge; with two paths there is no R_2 |
    | φ, U, V, a | the layer's; with two blocks of columns `a` has no a_2 |

    They cost their matrix products and little else: with two derivatives all together are one node of autograd each.
    """
    _check(s, v, r, layers)
    if s.ndim == 2 and s.shape[1] % BLOCK == 0 and layers and dispatch.fast_for(PolarizableStep(), s):
        from adiabat.kernels.polarizable_layer_op import fast_polarizable_layers

        return fast_polarizable_layers(s, v, r, layers, cutoff, epsilon, kind, edges)
    return reference_polarizable_layers(s, v, r, layers, cutoff, epsilon, kind, edges)


def reference_polarizable_layers(s, v, r, layers, cutoff, epsilon, kind, edges) -> tuple[Tensor, Tensor]:
    """The meaning of `polarizable_layers`, primitive by primitive."""
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


def _check(s, v, r, layers) -> None:
    """What compiled code cannot survive is refused before it."""
    C, known = s.shape[-1], [s, v, r]
    for t, layer in enumerate(layers):
        paths, parts = layer.table.shape[2], layer.a.second.shape[-1] // C
        wanted = (C, paths * C), (2 * C, parts * C)
        if paths not in MESSAGES or layer.table.shape[-1] != C or parts not in (2, 3):
            raise ValueError(
                f"polarizable_layers: layer {t} has a table {tuple(layer.table.shape)} for {C} channels, blocks {parts}"
            )
        for name, by, (inputs, outputs) in zip(("phi", "a"), (layer.phi, layer.a), wanted, strict=True):
            if by.first.shape != (inputs, C) or by.second.shape != (C, outputs):
                came = tuple(by.first.shape), tuple(by.second.shape)
                raise ValueError(f"polarizable_layers: {name} of layer {t} is {came}; wanted {(inputs, C)} and {(C, outputs)}")
        known += [layer.table, *layer.phi, layer.U, layer.V, *layer.a]
    if len({x.dtype for x in known if x is not None}) > 1:
        raise TypeError(
            f"polarizable_layers: one precision for all, got {sorted({str(x.dtype) for x in known if x is not None})}"
        )


def dense(x: Float[Tensor, "N a"], by: Dense) -> Float[Tensor, "N b"]:
    """silu(x `first` + `bias`) `second` + `more`."""
    return linear(silu(linear(x, by.first.T, by.bias)), by.second.T, by.more)
