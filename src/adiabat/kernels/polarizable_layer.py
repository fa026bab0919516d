"""Layers of scalars and vectors that pass messages (PaiNN), for training: messages and updates as one operation."""

from __future__ import annotations

from collections.abc import Sequence

from adiabat.kernels import dispatch
from adiabat.kernels.edge_conv import Edges
from adiabat.kernels.ir import PolarizableStep
from adiabat.kernels.polarizable import PolarizableLayer
from adiabat.kernels.polarizable_reference import MESSAGES, reference_polarizable_layers
from adiabat.typing import Float, Int, Tensor

BLOCK = 16  # channels come in multiples of this, or the parts run one by one


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
