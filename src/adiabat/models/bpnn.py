"""Behler–Parrinello networks: symmetry functions of each atom's surroundings, one small network an element.

Behler and Parrinello, PRL 98, 146401 (2007); the symmetry functions as in Behler, J. Chem. Phys. 134, 074106 (2011).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import segment_sum, symmetry_functions
from adiabat.kernels.networks import ACTIVATIONS as COMPILED
from adiabat.kernels.networks import Member, Networks
from adiabat.nn.symmetry_list import SymmetryFunction, SymmetryList
from adiabat.potential import Model
from adiabat.typing import Float, Tensor


class BPNN(Model):
    """E_i = NN_{Z_i}(G_i) − NN_{Z_i}(0): an atom without neighbors has its reference energy.

    | symbol | here |
    |---|---|
    | G²: Σ_j e^{−η(d_ij − R_s)²} f_c(d_ij) | `radial` functions for each neighbor element |
    | G⁴: 2^{1−ζ} Σ_{j<k} (1 + λ cos θ)^ζ e^{−η(d_ij² + d_ik² + d_jk²)} f_c f_c f_c | `zetas` × {−1, +1} × `angular` for each pair of elements |

    Their parameters follow from the cutoff: R_s in even steps Δ from 0.5 Å to the cutoff with η = 1/2Δ²; angular η = 1/2R² with
    R in even steps from a quarter of the cutoff to all of it. Descriptors are shifted and scaled by the training data's mean and
    standard deviation.

    Instead, `functions` may list other functions for each element, of any kind in `nn.symmetry_list`, as `SymmetryFunction.plain`
    writes them; `cutoff` is then the largest of theirs.

    `cutoff` in Å; `hidden` are the layers' widths, `activations` names of ACTIVATIONS, one for all of them or one each and the
    output's; both for all elements, or by element. `elements` may be left to the training data.
    """

    name = "bpnn"

    def __init__(
        self,
        cutoff: float = 5.0,
        elements: list[str] | None = None,
        radial: int = 12,
        angular: int = 2,
        zetas: list[float] = [1.0, 4.0, 16.0],  # noqa: B006 (recorded, never changed)
        hidden: list[int] | dict[str, list[int]] = [32, 32],  # noqa: B006
        functions: dict[str, list[dict[str, Any]]] | None = None,
        activations: list[str] | dict[str, list[str]] = ["tanh"],  # noqa: B006
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.descriptor: SymmetryFunctions | SymmetryList
        if functions is None:
            self.descriptor = SymmetryFunctions(self.cutoff, self.elements, radial, angular, zetas)
        else:
            listed = {element: [SymmetryFunction.of(f) for f in those] for element, those in functions.items()}
            self.descriptor = SymmetryList(self.elements, listed)
            self.cutoff, self.one_by_one = self.descriptor.cutoff, True  # type: ignore[misc]
            if any(f.fade == "hard" for those in listed.values() for f in those):
                self.waived = dict.fromkeys(SMOOTH, "a symmetry function with a hard cutoff ends in a step")  # type: ignore[misc]
        for part in ("mean", "scale"):
            self.register_buffer(part, torch.full((len(self.elements), self.descriptor.size), float(part == "scale")))
        names = [periodic_table.symbol(z) for z in self.elements]
        self.networks = nn.ModuleList(
            MLP([size, *_of(hidden, name, "hidden"), 1], _of(activations, name, "activations"))
            for size, name in zip(self.descriptor.sizes, names, strict=True)
        )

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("bpnn: its elements are not known yet; give them, or let `fit` take them from the training data")
        G = self.describe(graph)  # N D
        energies = torch.zeros(graph.n_atoms, dtype=G.dtype, device=G.device)
        for kind, (number, network) in enumerate(zip(self.elements, self.networks, strict=True)):
            atoms = graph.atoms_of(number)
            if len(atoms):
                # The last row is the atom without neighbors, whose energy is the zero.
                x = torch.cat([G.index_select(0, atoms), G.new_zeros(1, G.shape[1])])
                x = ((x - self.mean[kind]) * self.scale[kind])[:, : self.descriptor.sizes[kind]]
                e = network(x)[:, 0]
                energies = energies.index_add(0, atoms, e[:-1] - e[-1])
        return {"energies": energies}

    def describe(self, graph: Graph) -> Float[Tensor, "N D"]:
        """The descriptors; remembered ones where the graph carries them, with their exact first derivative."""
        remembered = graph.features.get(self.descriptor.key)
        if remembered is None:
            return self.descriptor(graph)
        G, J = (x.to(graph.r.dtype) for x in remembered)
        step = graph.r - graph.r.detach()  # zero, but its derivative is not
        return G + segment_sum(torch.einsum("edk,ek->ed", J, step), graph.i, graph.n_atoms)

    def program(self) -> Networks | None:
        if self.elements is None or len({len(network.layers) for network in self.networks}) != 1:
            return None
        names = [network.names for network in self.networks]
        if any(last != "linear" or not set(hidden) <= set(COMPILED) for *hidden, last in names):
            return None
        dense = [[(x.weight, x.bias) for x in network.layers] for network in self.networks]
        if isinstance(it := self.descriptor, SymmetryFunctions):
            member = Member(self.mean, self.scale, dense)
            eta, R_s, angular_eta, zetas, lists = it.eta, it.R_s, it.angular_eta, it.zetas, None
        else:
            wide = [
                [(nn.functional.pad(weight, (0, it.size - size)), bias), *rest]
                for ((weight, bias), *rest), size in zip(dense, it.sizes, strict=True)
            ]
            member = Member(self.mean, self.scale, wide)
            eta = R_s = angular_eta = torch.zeros(0)
            zetas, lists = (), [[f.compiled(self.elements) for f in one] for one in it.lists]
            if any(f.radial.eta < 0 for one in lists for f in one):
                return None  # exponentials are those of negative numbers
        return Networks(
            self.elements, self.cutoff, eta, R_s, angular_eta, zetas, (member,), self.mean.dtype, activations=names, lists=lists
        )

    def uncompiled(self) -> str:
        return (
            f"compiled are networks of one depth with a linear end and {', '.join(COMPILED)} before it, on functions of η ≥ 0"
        )

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        G = torch.cat([self.describe(g).to(torch.float64) for g in graphs])
        numbers = torch.cat([g.numbers for g in graphs])
        for kind, number in enumerate(self.elements or ()):
            mine = G[numbers == number]
            if len(mine) > 1:
                spread = mine.std(0)
                # A function no structure excites must stay silent, not be blown up when one does.
                self.scale[kind] = torch.where(spread > 1e-4 * spread.max(), 1 / spread.clamp_min(1e-12), 0.0)
                self.mean[kind] = mine.mean(0)

    def remember(self, graph: Graph) -> Graph:
        G, J = with_jacobian(self.descriptor, graph)
        return graph.replace(features={**graph.features, self.descriptor.key: (G, J)})


class SymmetryFunctions(nn.Module):
    """The descriptors G [N, D] of all atoms: radial functions by neighbor element, then angular ones by pair of elements."""

    def __init__(self, cutoff: float, elements: Sequence[int], radial: int, angular: int, zetas: Sequence[float]) -> None:
        super().__init__()
        self.cutoff, self.elements = cutoff, tuple(elements)
        # float64, whatever torch's default is: a potential and its model file must agree to the last bit.
        centers = torch.linspace(min(0.5, cutoff / 4), cutoff, radial + 1, dtype=torch.float64)[:-1]
        step = (cutoff - float(centers[0])) / radial
        widths = np.linspace(cutoff / 4, cutoff, angular) if angular > 1 else [cutoff] * angular
        self.zetas = tuple(float(zeta) for zeta in zetas)
        self.register_buffer("R_s", centers, persistent=False)
        self.register_buffer("eta", torch.full((radial,), 1 / (2 * step**2), dtype=torch.float64), persistent=False)
        angular_eta = torch.tensor([1 / (2 * float(w) ** 2) for w in widths], dtype=torch.float64)
        self.register_buffer("angular_eta", angular_eta, persistent=False)
        n = len(self.elements)
        self.size = n * radial + n * (n + 1) // 2 * 2 * angular * len(self.zetas)
        self.sizes = [self.size] * n
        self.key = f"symmetry functions {cutoff} {self.elements} {radial} {angular} {tuple(zetas)}"

    def forward(self, graph: Graph) -> Float[Tensor, "N D"]:
        species = graph.once(("species", self.elements), lambda: self._species(graph))
        return symmetry_functions(
            graph.r, species, graph, len(self.elements), self.cutoff, self.eta, self.R_s, self.angular_eta, self.zetas,
            pairs=lambda: graph.triplets,
        )  # fmt: skip

    def _species(self, graph: Graph) -> Tensor:
        table = torch.full((max(self.elements) + 1,), -1, dtype=torch.int64, device=graph.device)
        table[torch.tensor(self.elements, device=graph.device)] = torch.arange(len(self.elements), device=graph.device)
        return table[graph.numbers[graph.j]]


def with_jacobian(
    descriptor: SymmetryFunctions | SymmetryList, graph: Graph
) -> tuple[Float[Tensor, "N D"], Float[Tensor, "E D 3"]]:
    """G and J = ∂G_i/∂r_e for the edges e of center i; no other edge moves G_i."""
    r = graph.r.detach().requires_grad_()
    G = descriptor(graph.replace(r=r))
    columns = [torch.autograd.grad(G[:, k].sum(), r, retain_graph=True, allow_unused=True)[0] for k in range(descriptor.size)]
    zero = torch.zeros_like(r)
    return G.detach(), torch.stack([zero if c is None else c for c in columns], 1)


class MLP(nn.Module):
    """Dense layers with activations behind them; weights drawn by Glorot and Bengio (AISTATS 2010).

    `activations`: one a layer, or one for all layers but the last, which is linear then.
    """

    def __init__(self, sizes: Sequence[int], activations: Sequence[str] = ("tanh",)) -> None:
        super().__init__()
        depth = len(sizes) - 1
        self.names = [*list(activations) * (depth - 1), "linear"] if len(activations) == 1 else list(activations)
        wrong = [name for name in self.names if name not in ACTIVATIONS]
        if wrong or len(self.names) != depth:
            raise ValueError(f"bpnn.activations: {activations} came; wanted one, or {depth}, of {', '.join(ACTIVATIONS)}")
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n 1"]:
        for name, layer in zip(self.names, self.layers, strict=True):
            x = ACTIVATIONS[name](layer(x))
        return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "softplus": lambda x: nn.functional.softplus(x, threshold=40),  # beyond it torch takes x, and 20 leaves 2e-9
    "relu": torch.relu,
    "gaussian": lambda x: torch.exp(-0.5 * x.square()),
    "cosine": torch.cos,
    "falling": lambda x: torch.sigmoid(-x),
    "exp": lambda x: torch.exp(-x),
    "square": torch.square,
}

# Laws of the tests and gates that a step breaks
SMOOTH = ("a_pair_parts_smoothly", "an_atom_leaves_a_molecule_smoothly")


def _of(lists: Sequence[Any] | Mapping[str, Sequence[Any]], element: str, what: str) -> Sequence[Any]:
    if not isinstance(lists, Mapping):
        return lists
    if element not in lists:
        raise ValueError(f"bpnn.{what}: those of {element} are missing; it has {', '.join(lists)}")
    return lists[element]
