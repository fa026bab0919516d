"""Models that are linear in what they learn: energies are coefficients times descriptors of each atom's surroundings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch

from adiabat.nn.surroundings import WithVectors
from adiabat.typing import Float, Int, Tensor

EDGES_AT_ONCE = 500  # of which descriptors are worked out together, with their slopes
EDGES_OF_VALUES = 20_000  # without


class Edged(WithVectors, Protocol):
    """With each edge's way back and the structure of each atom."""

    @property
    def reverse(self) -> Tensor: ...
    @property
    def structure(self) -> Tensor: ...


@dataclass(frozen=True)
class Centers:
    """Consecutive atoms of a graph with their edges: `species` of the atoms and `neighbors` of the edges count a model's elements,
    `i` counts these atoms from zero, `edges` says where their edges stand in the graph."""

    species: Int[Tensor, "n"]
    neighbors: Int[Tensor, "e"]
    i: Int[Tensor, "e"]
    r: Float[Tensor, "e 3"]
    edges: slice
    atoms: slice

    @property
    def n(self) -> int:
        return len(self.species)


class Columns(NamedTuple):
    """What a structure's energy, forces and strain gradient are for each descriptor with a coefficient of 1, of every set of these."""

    energy: Float[Tensor, "b K"]
    forces: Float[Tensor, "N b 3 K"]
    strain: Float[Tensor, "b 3 3 K"]


class LinearBasis:
    """What a linear family adds to `Model`: E_i = Σ_k c_{z_i,k} B_k(surroundings of i), B = 0 without neighbors.

    It states `elements` and `size`, the number of descriptors, and gives `basis`; `derivatives` is right for every family, by one
    backward pass a descriptor, and faster where the family has its own. Fitting needs nothing else.
    """

    elements: tuple[int, ...] | None
    outputs: ClassVar[tuple[str, ...]]
    size: int
    coefficients: torch.nn.Parameter  # [elements or 1, size], or what `put` makes of that
    linear_in: tuple[str, ...] = ("coefficients",)  # the numbers that `put` sets
    shared: bool = False  # one set of coefficients for all elements
    tells_variance: bool = False
    posterior: Tensor
    noise: Mapping[str, float] | None = None  # σ of each kind of label, eV and Å: coefficients then have the Gaussian `prior`

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        raise NotImplementedError

    def derivatives(self, at: Centers) -> tuple[Float[Tensor, "n K"], Iterator[tuple[slice, Float[Tensor, "e 3 K"]]]]:
        """B, and ∂B_i/∂r_e of the edges e of i in pieces, each with the edges of `at` it is for; a piece is overwritten by the next."""
        r = at.r.detach().requires_grad_()
        B = self.basis(Centers(at.species, at.neighbors, at.i, r, at.edges, at.atoms))
        columns = [torch.autograd.grad(column.sum(), r, retain_graph=True, allow_unused=True)[0] for column in B.unbind(1)]
        J = torch.stack([torch.zeros_like(r) if c is None else c for c in columns], -1)
        return B.detach(), iter([(slice(0, len(r)), J)])

    def columns(self, near: Edged) -> Columns:
        """The descriptors of one structure's atoms, summed by set of coefficients, with what they give for forces and strain."""
        blocks, N, K = self.blocks, len(near.numbers), self.size
        energy = torch.zeros(blocks, K, dtype=torch.float64)
        forces = torch.zeros(N * blocks, 3, K, dtype=torch.float64)
        strain = torch.zeros(blocks, 3, 3, K, dtype=torch.float64)
        for at in self.centers(near, EDGES_AT_ONCE):
            B, pieces = self.derivatives(at)
            of_center = torch.zeros_like(at.species) if self.shared else at.species
            energy.index_add_(0, of_center, B)
            ends = near.j[at.edges] * blocks + of_center[at.i]
            for edges, J in pieces:
                forces.index_add_(0, ends[edges], J, alpha=-1)
                i = at.i[edges]
                for k in torch.unique_consecutive(i).tolist():
                    mine = i == k if int(i[0]) != int(i[-1]) else slice(None)
                    # One product sums the pushes on the center and the strain gradient r ⊗ g.
                    one_r = torch.cat([at.r.new_ones(len(at.r[edges][mine]), 1), at.r[edges][mine]], 1)
                    summed = (one_r.T @ J[mine].flatten(1)).view(4, 3, K)
                    block = int(of_center[k])
                    forces[(k + at.atoms.start) * blocks + block] += summed[0]
                    strain[block] += summed[1:]
        return Columns(energy, forces.view(N, blocks, 3, K), strain)

    @property
    def blocks(self) -> int:
        """How many sets of coefficients there are."""
        return 1 if self.shared else len(self.elements or ())

    def prior(self) -> Float[Tensor, "K K"]:
        """R of coefficients whose probability is exp(−|R c|²/2), c in eV."""
        raise NotImplementedError

    @torch.no_grad()
    def put(self, c: Float[Tensor, "Z K"]) -> None:
        """Take these coefficients, in eV."""
        self.coefficients.copy_(c)

    def told(self, at: Centers, energies: Float[Tensor, "n"]) -> dict[str, Tensor]:
        """What `forward` tells: energies, and their variance where a posterior is kept."""
        found = {"energies": energies}
        if self.tells_variance:
            with torch.no_grad():
                B = self.basis(Centers(at.species, at.neighbors, at.i, at.r.detach(), at.edges, at.atoms))
                variance = B.new_zeros(at.n)
                for block, root in enumerate(self.posterior):
                    mine = slice(None) if self.shared else at.species == block
                    variance[mine] = (B[mine] @ root.T.to(B)).square().sum(1)
                found["variance"] = variance.to(torch.float64)
        return found

    @torch.no_grad()
    def beside(self, graph: Edged) -> dict[str, Tensor]:
        """What `forward` tells beside energies: the variance, in parts that fit into memory."""
        if "variance" not in self.outputs:
            return {}
        return {"variance": torch.cat([self.variance(at) for at in self.centers(graph, EDGES_OF_VALUES)])}

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        """Of the atoms' energies, eV², by the posterior that is kept."""
        return self.told(at, at.r.new_zeros(at.n))["variance"]

    def keep_posterior(self, blocks: int) -> None:
        """Room for the roots W of the coefficients' covariance WᵀW by element, eV; `variance` [n], eV², is told from now on."""
        self.tells_variance = True
        self.outputs = ("energies", "variance")  # type: ignore[misc]
        self.register_buffer("posterior", torch.zeros(blocks, self.size, self.size))  # type: ignore[attr-defined]

    def centers(self, graph: Edged, most_edges: int | None = None) -> Iterator[Centers]:
        """The graph's atoms, all at once or in parts of at most so many edges (but one atom at least)."""
        assert self.elements is not None
        known = torch.tensor(self.elements, device=graph.numbers.device)
        species = torch.searchsorted(known, graph.numbers)
        first = graph.first.tolist()
        for a, b in _parts(first, most_edges):
            edges = slice(first[a], first[b])
            yield Centers(species[a:b], species[graph.j[edges]], graph.i[edges] - a, graph.r[edges], edges, slice(a, b))


def _parts(first: Sequence[int], most: int | None) -> Iterator[tuple[int, int]]:
    n, a = len(first) - 1, 0
    while a < n:
        b = a + 1
        while b < n and (most is None or first[b + 1] - first[a] <= most):
            b += 1
        yield a, b
        a = b
