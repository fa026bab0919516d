"""The topology a model walks, with what it needs to know of species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from adiabat.kernels import pair_channel
from adiabat.typing import Tensor


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
