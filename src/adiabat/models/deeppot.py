"""Deep Potential, smooth edition: networks of each neighbor's distance, contracted with the environment matrix.

Zhang et al., NeurIPS 2018 (arXiv:1805.09003); as in DeePMD-kit: Zeng et al., J. Chem. Phys. 159, 054801 (2023), and
J. Chem. Theory Comput. 21, 4375 (2025).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import Convolution, edge_conv, edge_geometry, pair_channel
from adiabat.kernels.deeppot import DeepPotProgram, Fitting, FittingLayer, ThreeBodies, TwoBodies
from adiabat.nn import ResNet, WithLoneAtoms
from adiabat.nn.environment_matrix import Environment, EnvironmentTable
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor


class DeepPot(Model):
    """E_i = F_{Z_i}(D_i) − F_{Z_i}(D of an atom without neighbors), with the descriptor D_i of one of three kinds, or of several.

    | symbol of the paper | here |
    |---|---|
    | s(r) = w(r)/r: w = 1 below r_cs, 0 beyond r_c, a polynomial of fifth degree between | `fading`; r_cs is `smooth_from`, r_c `cutoff` |
    | R̃_i, rows (s, s x/r, s y/r, s z/r), shifted and scaled by statistics of the training data | `Environment` |
    | G(s): the embedding network of a pair of elements, widths `neurons` (M₁ the last) | `networks` |
    | D_i = (G^T R̃)(R̃^T G^<)/N_m², G^< its first `axis_neurons` columns (M₂) | `TwoBody`, "se_e2_a" |
    | D_i = Σ_j G(s_ij)/5N_m, with distances alone | `TwoBody`, "se_e2_r" |
    | D_i = Σ_jk θ_jk G(θ_jk)/(N_j N_k), θ = R̃ R̃^T without its radial column | `ThreeBody`, "se_e3" |
    | F: the fitting network, widths `fitting` | `fittings` |
    | N_m | the sum of `sel`, the expected numbers of neighbors by element |

    DeePMD-kit pads lists of neighbors up to `sel` with entries at the cutoff, and drops the farthest neighbors when there are more. Here
    `sel` is only a number in the formulas: there are none in the sums but the neighbors, and Σ sel G at the cutoff beside them, so that
    more neighbors than `sel` are all counted and nothing jumps. Left open, `sel` follows from the training data, as the statistics do.

    In training F takes descriptors shifted and scaled by the data's mean and deviation, which its first layer could take up.
    Embedding networks are those of (center, neighbor), or with `type_one_side` of the neighbor alone. They are kept as splines of the
    distance with at least so many `intervals`. Layers have short cuts (`ResLayer`), with Δt for `embedding_dt` and `fitting_dt`.
    A hybrid descriptor is a list such as [{"descriptor": "se_e2_a"}, {"descriptor": "se_e3", "cutoff": 4.0, "neurons": [4, 8]}]:
    settings of its parts that differ from the others here. `cutoff` and `smooth_from` in Å; `elements` may be left to the data.
    """

    name = "deeppot"
    optimizer = "adamw"  # L-BFGS gets stuck, on small sets, too

    def __init__(
        self,
        cutoff: float = 6.0,
        smooth_from: float = 0.5,
        elements: list[str] | None = None,
        descriptor: str | list[dict[str, Any]] = "se_e2_a",
        neurons: list[int] = [25, 50, 100],  # noqa: B006 (recorded, never changed)
        axis_neurons: int = 16,
        fitting: list[int] = [240, 240, 240],  # noqa: B006
        type_one_side: bool = False,
        embedding_dt: bool = False,
        fitting_dt: bool = True,
        activation: str = "tanh",
        fitting_activation: str = "tanh",
        sel: dict[str, int] | None = None,
        intervals: int = 512,
    ) -> None:
        super().__init__()
        settings = {
            "descriptor": descriptor, "cutoff": cutoff, "smooth_from": smooth_from, "neurons": neurons,
            "axis_neurons": axis_neurons, "type_one_side": type_one_side, "embedding_dt": embedding_dt, "activation": activation,
            "sel": sel, "intervals": intervals,
        }  # fmt: skip
        wanted = [_checked(settings, part) for part in ([{}] if isinstance(descriptor, str) else descriptor)]
        if not wanted or not fitting:
            raise ValueError(f"deeppot: descriptor {descriptor} and fitting {fitting} came; wanted at least one of each")
        self.cutoff = max(float(part["cutoff"]) for part in wanted)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.parts = nn.ModuleList(KINDS[part.pop("descriptor")](self.elements, **part) for part in wanted)
        sizes = [sum(part.size for part in self.parts), *fitting]
        self.fittings = nn.ModuleList(ResNet(sizes, fitting_activation, fitting_dt, out=1) for _ in self.elements)
        for name in ("shift", "scale"):
            self.register_buffer(name, torch.full((len(self.elements), sizes[0]), float(name == "scale")))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        at, energies = self.outright(graph)
        return {"energies": at.relative(energies)}

    def outright(self, graph: Graph) -> tuple[WithLoneAtoms, Tensor]:
        """The edges with a lone atom of each element appended, and all their energies as the networks tell them, eV."""
        if self.elements is None:
            raise ValueError(
                "deeppot: its elements are not known yet; give them, or let `fit` take them from the training data"
            )
        at, D = self.describe(graph)
        energies = torch.zeros(len(D), dtype=D.dtype, device=D.device)
        for z, (atoms, fitting) in enumerate(zip(at.groups, self.fittings, strict=True)):
            x = (D.index_select(0, atoms) - self.shift[z]) * self.scale[z]
            energies = energies.index_add(0, atoms, fitting(x)[:, 0])
        return at, energies

    def describe(self, graph: Graph) -> tuple[WithLoneAtoms, Float[Tensor, "n D"]]:
        """The edges with a lone atom of each element appended, and all their descriptors."""
        at = graph.once(("lone atoms too", self.elements), lambda: WithLoneAtoms(graph, self.elements or ()))
        d, Y = edge_geometry(graph.r, 1)
        return at, torch.cat([part(graph, at, d, Y) for part in self.parts], 1)

    @torch.no_grad()
    def program(self) -> DeepPotProgram | None:
        if self.elements is None or not all(_tanh(net) for net in self.fittings):
            return None
        if self.fittings[0].layers[0].copies:  # of a descriptor that the compiled one has in another order and unscaled
            return None
        parts = [part.program() for part in self.parts]
        if any(part is None for part in parts):
            return None
        fittings = []
        for z, net in enumerate(self.fittings):
            layers = list(_layers(net))
            weight = self.scale[z][:, None] * layers[0].weight
            layers[0] = layers[0]._replace(weight=weight, bias=layers[0].bias - self.shift[z] @ weight)
            fittings.append(Fitting(tuple(layers), net.last[:, 0]))
        return DeepPotProgram(self.elements, self.cutoff, tuple(part for part in parts if part is not None), tuple(fittings))

    def uncompiled(self) -> str:
        return "compiled are fitting networks of tanh layers, and of se_e3 the embedding networks, too; not a short cut of the descriptor"

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        if self.elements is None:
            return
        for part in self.parts:
            part.environment.measure([graph.to(device="cpu") for graph in graphs])
        sums = torch.zeros(3, *self.scale.shape, dtype=torch.float64)  # atoms, Σ D, Σ D²
        for graph in graphs:
            at, D = self.describe(graph.replace(r=graph.r.to(self.scale.dtype)))
            for z, atoms in enumerate(at.groups):
                mine = D[atoms[:-1]].to(sums)  # the last one is the lone atom
                sums[:, z] += torch.stack([torch.ones_like(mine), mine, mine**2]).sum(1)
        mean, square = sums[1:] / sums[0].clamp_min(1)
        spread = (square - mean**2).clamp_min(0).sqrt()
        # Descriptors are small beside the networks' biases, and it takes long to learn that they matter. What no structure excites
        # stays as it is.
        known = (spread > 1e-3 * spread.amax(1, keepdim=True)) & (sums[0] > 1)
        self.shift.copy_(torch.where(known, mean, 0.0))
        self.scale.copy_(torch.where(known, 1 / spread.clamp_min(1e-30), 1.0))


class TwoBody(nn.Module):
    """ "se_e2_a" and "se_e2_r": a convolution of ones, from whose l = 0 and l = 1 parts the descriptor is made."""

    def __init__(
        self, elements: Sequence[int], cutoff: float, smooth_from: float, neurons: Sequence[int], axis_neurons: int,
        type_one_side: bool, embedding_dt: bool, activation: str, sel: Mapping[str, int] | None, intervals: int, *,
        vectors: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        Z = len(elements)
        nets = nn.ModuleList(ResNet([1, *neurons], activation, embedding_dt) for _ in range(Z if type_one_side else Z * Z))
        self.table = EnvironmentTable(Environment(elements, cutoff, smooth_from, sel), nets, vectors, intervals)
        self.channels, self.axis = neurons[-1], axis_neurons if vectors else 0
        self.size = self.channels * self.axis if vectors else self.channels
        self.conv = Convolution.of("0e|0.0.0e,0.1.1o" if vectors else "0e|0.0.0e")

    @property
    def environment(self) -> Environment:
        return self.table.environment

    @property
    def expected(self) -> Tensor:
        """What sums over neighbors are divided by."""
        return self.environment.sel.sum() * (1 if self.axis else 5)

    def forward(self, graph: Graph, at: WithLoneAtoms, d: Tensor, Y: Tensor) -> Float[Tensor, "n D"]:
        Z = len(self.environment.sel)
        kind = graph.once(("ordered pairs", self.environment.elements), lambda: at.species[at.i] * Z + at.species[at.j])
        ones = Y.new_ones(len(at.species), 1, self.channels)
        sums = edge_conv(ones, Y, d, self.table(), self.environment.cutoff, kind, at, self.conv)
        sums[0] = sums[0] + self.table.background()[at.species][:, None, None]
        A = torch.cat(sums, 1)[:, :, 0] / self.expected  # n 4 M, or n 1 M
        return torch.einsum("nkm,nka->nma", A, A[..., : self.axis]).flatten(1) if self.axis else A[:, 0]

    def program(self) -> TwoBodies:
        table, background = self.table() / self.expected, self.table.background() / self.expected
        return TwoBodies(self.environment.cutoff, table, background, self.axis)


class ThreeBody(nn.Module):
    """ "se_e3": a network of the scalar product of two neighbors' rows, for every pair of elements."""

    def __init__(
        self, elements: Sequence[int], cutoff: float, smooth_from: float, neurons: Sequence[int], embedding_dt: bool,
        activation: str, sel: Mapping[str, int] | None, **others: object,
    ) -> None:  # fmt: skip
        super().__init__()
        Z = len(elements)
        self.environment = Environment(elements, cutoff, smooth_from, sel)
        nets = [ResNet([1, *neurons], activation, embedding_dt) for _ in range(Z * (Z + 1) // 2)]
        self.networks, self.size = nn.ModuleList(nets), neurons[-1]

    def forward(self, graph: Graph, at: WithLoneAtoms, d: Tensor, Y: Tensor) -> Float[Tensor, "n D"]:
        here = self.environment
        a, b, center, places = graph.once(("three bodies", here.elements), lambda: self.triples(graph, at))
        w = Y[:, 1:4] * (here.fading(d) / (sqrt(3) * here.spread[at.species[at.i], 1]))[:, None]
        D = w.new_zeros(len(at.species), self.size)
        t = at.species[at.j]
        share = ((a != b) & (t[a] == t[b])).to(w.dtype) + 1  # of one element both orders count
        theta = (w[a] * w[b]).sum(1)
        factor = share * theta / (here.sel[t[a]] * here.sel[t[b]])
        for mine, network in zip(places, self.networks, strict=True):
            D = D.index_add(0, center[mine], factor[mine, None] * network(theta[mine, None]))
        return D

    def program(self) -> ThreeBodies | None:
        here = self.environment
        if not all(_tanh(net) for net in self.networks):
            return None
        sel = here.sel.to(torch.float64)
        over, share = 1 / here.spread[:, 1].to(torch.float64), 1 / (sel[:, None] * sel)
        return ThreeBodies(here.cutoff, here.smooth_from, over, share, tuple(_layers(net) for net in self.networks))

    def triples(self, graph: Graph, at: WithLoneAtoms) -> tuple[Tensor, Tensor, Int[Tensor, " T"], list[Tensor]]:
        """Pairs of edges of one center, each once and each edge with itself; the center; which belong to each network."""
        edges = torch.arange(len(at.j), device=at.j.device)
        a, b = (torch.cat([x, edges]) for x in graph.triplets)
        kind = pair_channel(at.species[at.j[a]], at.species[at.j[b]])
        return a, b, at.i[a], [torch.nonzero(kind == k)[:, 0] for k in range(len(self.networks))]


def _tanh(net: ResNet) -> bool:
    return all(layer.activation == "tanh" for layer in net.layers)


def _layers(net: ResNet) -> tuple[FittingLayer, ...]:
    return tuple(FittingLayer(it.weight, it.bias, it.step, it.copies) for it in net.layers)


KINDS: dict[str, Callable[..., TwoBody | ThreeBody]] = {
    "se_e2_a": partial(TwoBody, vectors=True),
    "se_e2_r": partial(TwoBody, vectors=False),
    "se_e3": ThreeBody,
}


def _checked(common: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one descriptor."""
    unknown = [key for key in part if key not in common]
    it = {**common, **part}
    if unknown or (part and "descriptor" not in part):
        raise ValueError(f"deeppot.descriptor: {dict(part)} came; wanted a descriptor, and of the others {', '.join(common)}")
    if not isinstance(it["descriptor"], str) or it["descriptor"] not in KINDS:
        raise ValueError(
            f"deeppot.descriptor: {it['descriptor']!r} came; wanted {', '.join(KINDS)}. Descriptors with type embedding or attention "
            "(se_atten, se_e3_tebd, dpa1, dpa2, dpa3) are other families"
        )
    if not 0 <= it["smooth_from"] < it["cutoff"]:
        raise ValueError(
            f"deeppot.smooth_from: {it['smooth_from']} Å came; wanted a distance below the cutoff, {it['cutoff']} Å"
        )
    if not it["neurons"] or (it["descriptor"] == "se_e2_a" and not 1 <= it["axis_neurons"] <= it["neurons"][-1]):
        raise ValueError(f"deeppot: neurons {it['neurons']} and axis_neurons {it['axis_neurons']} make no descriptor")
    return it
