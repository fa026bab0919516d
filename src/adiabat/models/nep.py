"""Neuroevolution potential: a small network of learned radial and angular descriptors, fast enough for millions of atoms.

Fan et al., PRB 104, 104309 (2021); NEP3: Fan et al., J. Chem. Phys. 157, 114801 (2022); NEP4: Song et al., Nat. Commun. 15, 10208
(2024). Files of GPUMD are read by `adiabat import nep.txt`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.irreps import wigner_3j
from adiabat.kernels.chebyshev import NeighborBasis, neighbor_sums
from adiabat.kernels.invariants import InvariantNetworks
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor

PRODUCTS = ("222", "1111", "112", "123", "233", "134")  # in the order of the descriptor


class NEP(Model):
    """E_i = Σ_μ w_μ tanh(Σ_ν w_μν q_ν − b_μ), less that of an atom without neighbors, which has its reference energy.

    | symbol | here |
    |---|---|
    | f_k(d) = ½ [T_k(2 (d/r_c − 1)² − 1) + 1] f_c(d) | `neighbor_sums`, `basis_size` + 1 of them |
    | g_n(d) = Σ_k c_nk^{ij} f_k(d) | `radial`, `angular`: [center, n, neighbor, k], `n_max` + 1 of them |
    | q_n = Σ_j g_n(d_ij) within `cutoff` | radial descriptors |
    | A_nlm = Σ_j g_n(d_ij) Y_lm(r̂_ij) within `angular_cutoff` | 1 ≤ l ≤ `l_max` |
    | q_nl = Σ_m A_nlm² | three-body descriptors |
    | q_{n l₁l₂l₃} = Σ (l₁ l₂ l₃; m₁ m₂ m₃) A_{nl₁m₁} A_{nl₂m₂} A_{nl₃m₃}, Y_lm orthonormal | four-body `products` "222", "112", "123", "233", "134" |
    | q_{n 1111} = 7/15 (Σ_m A_n1m²)² | the five-body product "1111" |
    | w, b | `networks`: one in all in `version` 3, one an element in 4 |

    Numbers by pairs are [radial, angular], as nep.in has them. Descriptors are multiplied by `scale`, the reciprocal of their spread in
    the training data. `cutoffs` gives elements cutoffs [radial, angular] of their own: a pair has the mean of its elements'. Lengths in Å;
    `elements` may be left to the training data.
    """  # noqa: E501 (a table's row is a line)

    name = "nep"

    def __init__(
        self,
        cutoff: float = 6.0,
        angular_cutoff: float = 5.0,
        elements: list[str] | None = None,
        n_max: list[int] = [8, 6],  # noqa: B006 (recorded, never changed)
        basis_size: list[int] = [8, 8],  # noqa: B006
        l_max: int = 4,
        products: list[str] = ["222", "1111"],  # noqa: B006
        neuron: int = 30,
        version: int = 4,
        cutoffs: dict[str, list[float]] | None = None,
    ) -> None:
        super().__init__()
        self.cutoff = max([float(cutoff)] if cutoffs is None else [float(long) for long, _ in cutoffs.values()])
        self.products = tuple(name for name in PRODUCTS if name in products)
        if len(self.products) < len(products):
            raise ValueError(f"nep.products: {', '.join(products)} came; wanted some of {', '.join(PRODUCTS)}, each once")
        if any(int(l) > l_max for name in self.products for l in name):
            raise ValueError(f"nep.products: {', '.join(products)} need harmonics beyond l_max {l_max}")
        if version not in (3, 4):
            raise ValueError(f"nep.version: {version} came; wanted 3 (one network) or 4 (one an element)")
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        both = [_own(cutoffs, z) or (float(cutoff), float(angular_cutoff)) for z in self.elements]
        K, K_angular, Z = basis_size[0] + 1, basis_size[1] + 1, len(self.elements)
        self.basis = NeighborBasis(K, K_angular, l_max, tuple(a for a, _ in both), tuple(b for _, b in both))
        # f_k are of one sign: sums over a row of random numbers would be almost the same for every n
        self.radial = nn.Parameter(torch.randn(Z, n_max[0] + 1, Z, K))
        self.angular = nn.Parameter(torch.randn(Z, n_max[1] + 1, Z, K_angular))
        size = n_max[0] + 1 + (n_max[1] + 1) * (l_max + len(self.products))
        self.register_buffer("scale", torch.ones(size))
        self.networks = nn.ModuleList(Network(size, neuron) for _ in range(Z if version == 4 else 1))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        sums = self.sums(graph)
        energies = torch.zeros(graph.n_atoms, dtype=sums.dtype, device=graph.device)
        for kind, number in enumerate(self.elements or ()):
            atoms = graph.atoms_of(number)
            if len(atoms):
                q = self.scale * self.descriptors(sums.index_select(0, atoms), kind)
                network = self.networks[kind % len(self.networks)]
                energies = energies.index_add(0, atoms, network(q) - network(torch.zeros_like(q[:1])))
        return {"energies": energies}

    def sums(self, graph: Graph) -> Float[Tensor, "N S"]:
        """What the radial functions are mixed of."""
        if self.elements is None:
            raise ValueError("nep: its elements are not known yet; give them, or let `fit` take them from the training data")
        pairs = graph.once(("pairs", self.elements), lambda: _pairs(graph, self.elements or ()))
        return neighbor_sums(graph.r, pairs, graph, self.basis)

    def descriptors(self, sums: Float[Tensor, "a S"], kind: int) -> Float[Tensor, "a D"]:
        """q of atoms of one element, n running fastest: radial ones, l = 1…l_max, `products`."""
        basis, a = self.basis, len(sums)
        split = basis.kinds * basis.radial
        q = [sums[:, :split] @ self.radial[kind].flatten(1).T]
        A = sums[:, split:].reshape(a, basis.rows, -1) @ self.angular[kind].flatten(1).T / math.sqrt(4 * math.pi)  # a lm n
        by_l = [A[:, l * l - 1 : l * l + 2 * l] for l in range(1, basis.l_max + 1)]
        q += [x.square().sum(1) for x in by_l]
        for name in self.products:
            if name == "1111":
                q.append(7 / 15 * by_l[0].square().sum(1).square())
            else:
                one, two, three = (by_l[int(l) - 1] for l in name)
                pairs = (one[:, :, None] * two[:, None]).flatten(1, 2)  # a m₁m₂ n
                C = torch.from_numpy(wigner_3j(*map(int, name))).to(pairs)
                q.append((three * torch.einsum("cp,apn->acn", C.flatten(0, 1).T, pairs)).sum(1))
        return torch.cat(q, 1)

    def program(self) -> InvariantNetworks | None:
        if self.elements is None:
            return None
        dense = [
            [(it.hidden.weight, it.hidden.bias), (it.out.weight, it.out.weight.new_zeros(1))]
            for it in (self.networks[kind % len(self.networks)] for kind in range(len(self.elements)))
        ]
        return InvariantNetworks(
            self.elements, self.basis, self.products, self.radial, self.angular, self.scale, dense, self.scale.dtype
        )

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        q = [
            self.descriptors(sums[atoms], kind)
            for graph in graphs
            for sums in [self.sums(graph.replace(r=graph.r.to(self.scale.dtype)))]
            for kind, number in enumerate(self.elements or ())
            if len(atoms := graph.atoms_of(number))
        ]
        if q:
            spread = torch.cat(q).amax(0) - torch.cat(q).amin(0)
            # A descriptor that no structure excites must stay silent, not be blown up when one does.
            self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), 1 / spread.clamp_min(1e-30), 0.0))


class Network(nn.Module):
    """Σ_μ w_μ tanh(Σ_ν w_μν q_ν − b_μ); weights drawn by Glorot and Bengio (AISTATS 2010)."""

    def __init__(self, size: int, neuron: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(size, neuron), nn.Linear(neuron, 1, bias=False)
        for layer in (self.hidden, self.out):
            nn.init.xavier_normal_(layer.weight)
        nn.init.normal_(self.hidden.bias, std=0.1)

    def forward(self, q: Float[Tensor, "a D"]) -> Float[Tensor, " a"]:
        return self.out(torch.tanh(self.hidden(q)))[:, 0]


def _own(cutoffs: Mapping[str, Sequence[float]] | None, number: int) -> tuple[float, float] | None:
    if cutoffs is None:
        return None
    symbol = periodic_table.symbol(number)
    if symbol not in cutoffs:
        raise ValueError(f"nep.cutoffs: those of {symbol} are missing; it has {', '.join(cutoffs)}")
    long, short = cutoffs[symbol]
    return float(long), float(short)


def _pairs(graph: Graph, elements: Sequence[int]) -> Int[Tensor, " E"]:
    """Z · element of the center + element of the neighbor, of each edge."""
    kind = torch.searchsorted(torch.tensor(elements, device=graph.device), graph.numbers)
    return kind[graph.i] * len(elements) + kind[graph.j]
