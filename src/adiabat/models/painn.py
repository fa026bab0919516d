"""PaiNN: the polarizable atom interaction neural network.

Schütt, Unke and Gastegger, ICML 2021 (arXiv:2102.03150).
"""

from __future__ import annotations

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import bessel, cosine_cutoff, gaussians, polarizable_layers
from adiabat.kernels.polarizable import Dense, PolarizableLayer, PolarizableProgram
from adiabat.nn import RadialTable, WithLoneAtoms
from adiabat.potential import Model
from adiabat.typing import Tensor

BASES = {"bessel": bessel, "gaussians": gaussians}


class PaiNN(Model):
    """E_i = readout(s_i) after `layers` of message and update, less the same for a lone atom.

    | symbol of the paper | here |
    |---|---|
    | s_i, v_i: scalars and vectors | `s` [N, F], `v` [N, 3, F], rows y, z, x |
    | Δs_i = Σ_j φ_s(s_j) ∘ W_s(d_ij) | `Message`, path 0 of its filter |
    | Δv_i = Σ_j v_j ∘ φ_vv(s_j) ∘ W_vv(d_ij) + φ_vs(s_j) ∘ W_vs(d_ij) r̂_ij | paths 2 and 1 |
    | Δs_i = a_ss + a_sv ⟨U v_i, V v_i⟩, Δv_i = a_vv U v_i, all a of (s_i, ‖V v_i‖) | `Update` |

    Three things the paper leaves open are as in schnetpack 2: W has a bias, faded by the cutoff like the rest; ‖V v‖ is
    √(|V v|² + ε), which has no kink at v = 0, where every centrosymmetric site lies; `basis` may be "gaussians" instead of the
    paper's "bessel". The last update moves no vectors, for nobody reads them, and the readout ends without a bias, for the lone
    atom's energy takes it away again.

    `cutoff` in Å; `channels` is F; `radial` the number of basis functions; `intervals` those of the splines that W_s, W_vv and
    W_vs are kept as; `epsilon` is ε; `elements` may be left to the training data.
    """

    name = "painn"

    def __init__(
        self,
        cutoff: float = 5.0,
        channels: int = 128,
        layers: int = 3,
        radial: int = 20,
        elements: list[str] | None = None,
        basis: str = "bessel",
        epsilon: float = 1e-8,
        intervals: int = 256,
    ) -> None:
        super().__init__()
        if basis not in BASES:
            raise ValueError(f"painn.basis: {basis!r} came; wanted {' or '.join(BASES)}")
        if not epsilon > 0:
            raise ValueError(f"painn.epsilon: {epsilon} came; wanted a small positive number, it rounds the kink of a norm")
        self.cutoff, self.epsilon = float(cutoff), epsilon
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.embedding = nn.Parameter(torch.randn(len(self.elements), channels))

        def functions(d: Tensor) -> Tensor:  # the 1 is the bias of W
            known = torch.cat([BASES[basis](d, cutoff, radial), torch.ones_like(d)[:, None]], 1)
            return known * cosine_cutoff(d, cutoff)[:, None]

        filters = (RadialTable(self.cutoff, functions, 2 + (t > 0), channels, intervals=intervals) for t in range(layers))
        self.messages = nn.ModuleList(Message(channels, table) for table in filters)
        self.updates = nn.ModuleList(Update(channels, last=t == layers - 1) for t in range(layers))
        self.readout = dense(channels, channels // 2, 1, bias=False)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        surroundings, energies = self.outright(graph)
        return {"energies": surroundings.relative(energies)}

    def outright(self, graph: Graph) -> tuple[WithLoneAtoms, Tensor]:
        """The edges with a lone atom of each species appended, and all their energies as the network tells them, eV."""
        if self.elements is None:
            raise ValueError("painn: its elements are not known yet; give them, or let `fit` take them from the training data")
        surroundings = graph.once(("lone atoms too", self.elements), lambda: WithLoneAtoms(graph, self.elements))
        s = self.embedding[surroundings.species]  # N F
        v = torch.zeros_like(s)[:, None].expand(-1, 3, -1)  # N 3 F
        at = surroundings.kind, surroundings
        s, v = polarizable_layers(s, v, graph.r, self.layers(), self.cutoff, self.epsilon, *at)
        return surroundings, self.readout(s)[:, 0]

    def layers(self) -> tuple[PolarizableLayer, ...]:
        """The numbers of message and update, layer by layer."""
        return tuple(
            PolarizableLayer(message.filter(), matrices(message.phi), update.U, update.V, matrices(update.a))
            for message, update in zip(self.messages, self.updates, strict=True)
        )

    @torch.no_grad()
    def program(self) -> PolarizableProgram | None:
        if self.elements is None:
            return None
        Z = len(self.elements)
        kinds = torch.zeros(Z, Z, dtype=torch.int64)
        return PolarizableProgram(
            self.elements, self.cutoff, self.epsilon, self.embedding, kinds, self.layers(), matrices(self.readout)
        )


class Message(nn.Module):
    """What the neighbors say: the filters W, one a path, and φ; in the first layer all v_j are zero, and so is their path."""

    def __init__(self, channels: int, filters: RadialTable) -> None:
        super().__init__()
        self.filter, paths = filters, filters.shape[0]
        self.phi = dense(channels, channels, paths * channels)


class Update(nn.Module):
    """What an atom makes of it: scalars and vectors mix through norms and scalar products."""

    def __init__(self, channels: int, last: bool) -> None:
        super().__init__()
        self.U = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.V = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.a = dense(2 * channels, channels, (2 if last else 3) * channels)


def dense(a: int, hidden: int, b: int, bias: bool = True) -> nn.Sequential:
    """Two layers with silu between them; weights by Glorot and Bengio (AISTATS 2010), as in the paper's code."""
    layers = nn.Sequential(nn.Linear(a, hidden), nn.SiLU(), nn.Linear(hidden, b, bias=bias))
    for layer in (layers[0], layers[2]):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layers


def matrices(layers: nn.Sequential) -> Dense:
    """The same as numbers that multiply from the right."""
    first, _, second = layers
    return Dense(first.weight.T, first.bias, second.weight.T, second.bias)
