"""MACE: equivariant message passing with many-body messages.

Batatia, Kovács, Simm, Ortner and Csányi, NeurIPS 2022 (arXiv:2206.07697).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.irreps import Irreps
from adiabat.kernels import (
    Contraction,
    Convolution,
    bessel,
    distance,
    edge_conv,
    edge_geometry,
    pair_channel,
    polynomial_cutoff,
)
from adiabat.kernels.evaluator import Interaction, MessagePassingProgram
from adiabat.nn import MLP, Linear, Product, RadialTable, SpeciesLinear, WithLoneAtoms
from adiabat.nn.transform import transform as transformed
from adiabat.potential import Model
from adiabat.typing import Float, Tensor


class MACE(Model):
    """E_i = Σ_t readout_t(h_i^(t)), less the same for a lone atom: an atom without neighbors has its reference energy.

    | symbol of the paper | here |
    |---|---|
    | h_i^(t): features, channels k, irreps L | lists over L of [N, 2L+1, channels]; `hidden` names the irreps |
    | A_i: Σ_j R(d_ij) C Y_lm h_j, then mixed over paths | `edge_conv`, `Layer.mix`; l up to `l_max` |
    | B_i: symmetrized products of A up to order ν | `Layer.product`; ν = `correlation` (body order ν + 1) |
    | m_i = Σ W B and h^(t+1) = W m + W_z h^(t) | `Layer.update`, `Layer.skip` |
    | R(d): a network of 8 Bessel functions times the polynomial cutoff, p = 5 | `Layer.radial`: a spline through its values |
    | readout: linear, in the last layer a network | `readouts` |

    `cutoff` in Å; `radial` and `readout` are the widths of the radial and the last readout network; `elements` may be left to the
    training data. A sum over neighbors is divided by the training data's mean number of neighbors. `frequencies` counts
    the Bessel functions, or lists them in π/r_c; `p` is the cutoff's; `intervals` are the splines'. `transform` (agnesi, soft) puts
    the distances of each pair of elements on its own scale before they enter the Bessel functions. Without `residual_first` the
    first layer has no W_z h; its A is mixed by a matrix of the atom's element, `Layer.select`. With `fade` neighbors count for less
    below 0.85, for nothing below half of the training data's nearest distance, as in ACE: a network of what was never seen can be
    anything, and what is left there is the wall (`fit.wall`). The paper's does not.
    """

    name = "mace"

    def __init__(
        self,
        cutoff: float = 5.0,
        channels: int = 64,
        hidden: str = "0e+1o",
        l_max: int = 3,
        correlation: int = 3,
        layers: int = 2,
        radial: list[int] = [64, 64, 64],  # noqa: B006 (recorded, never changed)
        elements: list[str] | None = None,
        frequencies: int | list[float] = 8,
        p: int = 5,
        readout: list[int] = [16],  # noqa: B006
        residual_first: bool = True,
        intervals: int = 256,
        transform: str | dict[str, dict[str, float]] | None = None,
        fade: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.l_max, Z = l_max, len(self.elements)
        self.embedding = nn.Parameter(torch.randn(Z, channels))
        states = [Irreps.of("0e"), *[Irreps.of(hidden)] * (layers - 1), Irreps.of("0e")]

        self.pairs = transform is not None  # pairs of elements have radial functions of their own

        def basis(d: Tensor) -> Tensor:
            x = d[:, None] if transform is None else transformed(transform, where="mace.transform")(d, self._radii())
            return bessel(x, self.cutoff, frequencies) * polynomial_cutoff(d, self.cutoff, p)[:, None, None]  # n kinds K

        def table(paths: int) -> RadialTable:
            return RadialTable(self.cutoff, basis, paths, channels, radial, intervals, fade)

        self.layers = nn.ModuleList(
            Layer(self.cutoff, before, after, l_max, correlation, channels, Z, table, residual=residual_first or t > 0)
            for t, (before, after) in enumerate(zip(states, states[1:]))
        )
        last = layers - 1
        self.readouts = nn.ModuleList(MLP([channels, *(readout if t == last else []), 1]) for t in range(layers))
        self.register_buffer("neighbors", torch.tensor(1.0))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("mace: its elements are not known yet; give them, or let `fit` take them from the training data")
        surroundings = graph.once(
            ("lone atoms too", self.elements, self.pairs), lambda: WithLoneAtoms(graph, self.elements, self.pairs)
        )
        species = surroundings.species
        d, Y = edge_geometry(graph.r, self.l_max)
        h, energies = [self.embedding[species][:, None]], torch.zeros_like(species, dtype=d.dtype)
        for layer, readout in zip(self.layers, self.readouts, strict=True):
            h = layer(h, Y, d, self.neighbors, surroundings)
            energies = energies + readout(h[0][:, 0])[:, 0]
        return {"energies": surroundings.relative(energies)}

    @torch.no_grad()
    def program(self) -> MessagePassingProgram | None:
        if self.elements is None or any(len(readout.weights) > 2 for readout in self.readouts):
            return None
        Z = len(self.elements)
        layers = tuple(layer.program(self.neighbors, readout) for layer, readout in zip(self.layers, self.readouts))
        one = torch.arange(Z)
        kinds = pair_channel(one[:, None].expand(Z, Z), one.expand(Z, Z)) * self.pairs
        return MessagePassingProgram(self.elements, self.cutoff, self.embedding, kinds, layers)

    def uncompiled(self) -> str:
        return "compiled are readouts of two linear layers at most"

    def _radii(self) -> Float[Tensor, " kinds"]:
        """Sums of covalent radii, in the order of `pair_channel`."""
        radii = [periodic_table.COVALENT_RADII[number] for number in self.elements or ()]
        return torch.tensor([a + b for t, b in enumerate(radii) for a in radii[: t + 1]], dtype=torch.float64)

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        distances = torch.cat([distance(g.r) for g in graphs])
        near = distances[distances < self.cutoff]
        self.neighbors.fill_(max(1.0, len(near) / sum(g.n_atoms for g in graphs)))
        for layer in self.layers if len(near) else ():
            if layer.radial.fades:
                layer.radial.nearest.fill_(float(near.min()))


class Layer(nn.Module):
    """One interaction and its product: h^(t) → h^(t+1)."""

    def __init__(
        self, cutoff, before: Irreps, after: Irreps, l_max: int, correlation: int, channels: int, Z: int, table, residual: bool
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.conv = Convolution.between(before, l_max, Irreps.spherical(l_max))
        self.up = Linear([channels] * len(before), channels)
        self.radial = table(len(self.conv.paths))
        self.mix = Linear([k * channels for k in self.conv.multiplicity], channels)
        self.product = Product(Contraction(self.conv.outputs, after, correlation), Z, channels)
        self.update = Linear([channels] * len(after), channels)
        self.kept = [before.index(irrep) if residual and irrep in before else None for irrep in after]
        self.skip = SpeciesLinear(Z, sum(k is not None for k in self.kept), channels, channels)
        self.select = None if residual else SpeciesLinear(Z, len(self.conv.outputs), channels, channels)

    def forward(self, h: list[Tensor], Y: Tensor, d: Tensor, neighbors: Tensor, at: WithLoneAtoms) -> list[Tensor]:
        x = torch.cat(self.up(h), 1) / neighbors  # N lm C
        A = self.mix(edge_conv(x, Y, d, self.radial(), self.cutoff, at.kind, at, self.conv))
        A = A if self.select is None else self.select(A, at.groups)
        B = self.product(torch.cat(A, 1), at.species)
        rest = iter(self.skip([h[k] for k in self.kept if k is not None], at.groups))
        return [m if k is None else m + next(rest) for m, k in zip(self.update(B), self.kept, strict=True)]

    def program(self, neighbors: Tensor, readout: MLP) -> Interaction:
        """This layer as the evaluator takes it; what follows A at once is merged into the mixing."""
        mix = [w[None] for w in self.mix.weights]
        if self.select is not None:
            mix = [w @ chosen for w, chosen in zip(mix, self.select.weights)]
        return Interaction(
            conv=self.conv, product=self.product.contraction, table=self.radial(), coefficients=self.product.coefficients(),
            up=[w / neighbors for w in self.up.weights], mix=mix, update=list(self.update.weights), skip=list(self.skip.weights),
            kept=self.kept, readout=readout.matrices(),
        )  # fmt: skip
