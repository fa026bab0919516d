"""PaiNN: the polarizable atom interaction neural network.

Schütt, Unke and Gastegger, ICML 2021 (arXiv:2102.03150).
"""

from __future__ import annotations

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import Convolution, bessel, cosine_cutoff, distance, edge_conv, edge_geometry
from adiabat.nn import RadialTable, WithLoneAtoms
from adiabat.potential import Model
from adiabat.typing import Tensor


class PaiNN(Model):
    """E_i = readout(s_i) after `layers` of message and update, less the same for a lone atom.

    | symbol of the paper | here |
    |---|---|
    | s_i, v_i: scalars and vectors | `s` [N, F], `v` [N, 3, F], rows y, z, x |
    | Δs_i = Σ_j φ_s(s_j) ∘ W_s(d_ij) | `Message`, path 0e → 0e |
    | Δv_i = Σ_j v_j ∘ φ_vv(s_j) ∘ W_vv(d_ij) + φ_vs(s_j) ∘ W_vs(d_ij) r̂_ij | `Message`, paths 1o → 1o and 0e → 1o |
    | Δs_i = a_ss + a_sv ⟨U v_i, V v_i⟩, Δv_i = a_vv U v_i, all a of (s_i, ‖V v_i‖) | `Update` |

    `cutoff` in Å; `channels` is F; `radial` the number of Bessel functions; `elements` may be left to the training data.
    """

    name = "painn"

    def __init__(
        self, cutoff: float = 5.0, channels: int = 128, layers: int = 3, radial: int = 20, elements: list[str] | None = None
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.embedding = nn.Parameter(torch.randn(len(self.elements), channels))
        self.messages = nn.ModuleList(Message(self.cutoff, channels, radial, first=t == 0) for t in range(layers))
        self.updates = nn.ModuleList(Update(channels) for _ in range(layers))
        self.readout = dense(channels, channels // 2, 1)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("painn: its elements are not known yet; give them, or let `fit` take them from the training data")
        surroundings = graph.once(("lone atoms too", self.elements), lambda: WithLoneAtoms(graph, self.elements))
        d, Y = edge_geometry(graph.r, 1)  # 1 and √3 r̂: the factor is one that W_vs learns
        s = self.embedding[surroundings.species]  # N F
        v = torch.zeros_like(s)[:, None].expand(-1, 3, -1)  # N 3 F
        for message, update in zip(self.messages, self.updates, strict=True):
            s, v = update(*message(s, v, Y, d, surroundings))
        return {"energies": surroundings.relative(self.readout(s)[:, 0])}


class Message(nn.Module):
    """What the neighbors say; in the first layer all v_j are zero, and so is their path."""

    def __init__(self, cutoff: float, channels: int, radial: int, first: bool) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.conv = Convolution.of("0e+0e|0.0.0e,1.1.1o" if first else "0e+0e+1o|0.0.0e,1.1.1o,2.0.1o")
        self.phi = dense(channels, channels, len(self.conv.paths) * channels)

        def basis(d: Tensor) -> Tensor:  # the 1 is the bias of W, faded like the rest
            return torch.cat([bessel(d, cutoff, radial), torch.ones_like(d)[:, None]], 1) * cosine_cutoff(d, cutoff)[:, None]

        self.filter = RadialTable(cutoff, basis, len(self.conv.paths), channels)

    def forward(self, s: Tensor, v: Tensor, Y: Tensor, d: Tensor, at: WithLoneAtoms) -> tuple[Tensor, Tensor]:
        phi = self.phi(s).unflatten(-1, (len(self.conv.paths), -1))  # φ_s, φ_vs, φ_vv
        x = torch.cat([phi[:, :2], *(v * phi[:, k, None] for k in range(2, phi.shape[1]))], 1)  # N 5 F
        ds, dv = edge_conv(x, Y, d, self.filter(), self.cutoff, at.kind, at, self.conv)
        return s + ds[:, 0, 0], v + dv.sum(2)


class Update(nn.Module):
    """What an atom makes of it: scalars and vectors mix through norms and scalar products."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.U = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.V = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.a = dense(2 * channels, channels, 3 * channels)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        Uv, Vv = v @ self.U, v @ self.V  # N 3 F
        a_ss, a_sv, a_vv = self.a(torch.cat([s, distance(Vv.transpose(1, 2))], 1)).chunk(3, 1)
        return s + a_ss + a_sv * (Uv * Vv).sum(1), v + a_vv[:, None] * Uv


def dense(a: int, hidden: int, b: int) -> nn.Sequential:
    """Two layers with silu between them; weights by Glorot and Bengio (AISTATS 2010), as in the paper's code."""
    layers = nn.Sequential(nn.Linear(a, hidden), nn.SiLU(), nn.Linear(hidden, b))
    for layer in (layers[0], layers[2]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layers
