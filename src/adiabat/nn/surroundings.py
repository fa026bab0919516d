"""The topology a model walks, with what it needs to know of species."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import torch

from adiabat.kernels import pair_channel
from adiabat.typing import Float, Tensor


@runtime_checkable
class Topology(Protocol):
    """Atomic numbers [N] and edges i → j [E] sorted by i with row pointers; a `Graph` is one."""

    @property
    def numbers(self) -> Tensor: ...
    @property
    def i(self) -> Tensor: ...
    @property
    def j(self) -> Tensor: ...
    @property
    def first(self) -> Tensor: ...


def neighbor_species(graph: Topology, elements: Sequence[int]) -> Tensor:
    """Which of the elements (atomic numbers, ascending) each edge's neighbor is [E]."""
    known = torch.tensor(elements, device=graph.numbers.device)
    return torch.searchsorted(known, graph.numbers)[graph.j]


class WithVectors(Topology, Protocol):
    """A topology with its edge vectors; a `Graph` is one."""

    @property
    def r(self) -> Tensor: ...


def nearest_of_each_pair(graphs: Iterable[WithVectors], elements: Sequence[int], cutoff: float) -> Float[Tensor, "P"]:
    """How far a neighbor of the one element is from an atom of the other, Å: the median over the atoms, of the nearest one each has
    within the cutoff, by `pair_channel`; infinite where they never meet."""
    known, Z = torch.tensor(elements), len(elements)
    pairs, found = Z * (Z + 1) // 2, []
    for graph in graphs:
        species = torch.searchsorted(known, graph.numbers.cpu())
        i, j, d = graph.i.cpu(), graph.j.cpu(), graph.r.detach().cpu().to(torch.float64).norm(dim=1)
        near = d < cutoff
        place = i * pairs + pair_channel(species[i], species[j])
        nearest = torch.full((len(species) * pairs,), torch.inf, dtype=torch.float64)
        found.append(nearest.scatter_reduce_(0, place[near], d[near], "amin").view(-1, pairs))
    met = torch.cat(found or [torch.empty(0, pairs, dtype=torch.float64)])
    return torch.stack(
        [column[column.isfinite()].median() if column.isfinite().any() else met.new_tensor(torch.inf) for column in met.T]
    )


class WithLoneAtoms:
    """The edges of a graph with one more atom a species, which has no neighbors: rows N, N + 1, … of every feature.

    A model that subtracts the lone atom's energy gets it in the same pass: `relative(energies)`.
    """

    def __init__(self, graph: Topology, elements: Sequence[int], pairs: bool = False) -> None:
        known = torch.tensor(elements, device=graph.numbers.device)
        self.n_atoms, self.i, self.j = len(graph.numbers), graph.i, graph.j
        self.first = torch.cat([graph.first, graph.first[-1:].expand(len(elements))])
        self.species = torch.searchsorted(known, torch.cat([graph.numbers, known]))
        self.groups = [torch.nonzero(self.species == z)[:, 0] for z in range(len(elements))]
        # Which radial table an edge has: one for all, or one a pair of elements
        self.kind = pair_channel(self.species[graph.i], self.species[graph.j]) if pairs else torch.zeros_like(graph.i)

    def relative(self, energies: Tensor) -> Tensor:
        """Per-atom energies less the lone atom's of the same species: E_i − E_lone(z_i) [N]."""
        atoms, lone = energies[: self.n_atoms], energies[self.n_atoms :]
        return atoms - lone.index_select(0, self.species[: self.n_atoms])
