"""Where a training's graphs come from, and how they are cut into batches.

A source has a length and a number of edges, gives its graphs in order when it is iterated, and in a new order by `shuffled`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from adiabat.graph import Graph
from adiabat.training.distributed import ALONE, World


class Source(Protocol):
    """Graphs to learn from or to judge by, as often as one likes."""

    @property
    def n_edges(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Graph]: ...

    def shuffled(self, rng: np.random.Generator) -> Iterator[Graph]: ...


class InMemory:
    """Graphs that are there."""

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self.graphs = list(graphs)

    @property
    def n_edges(self) -> int:
        return sum(graph.n_edges for graph in self.graphs)

    def __len__(self) -> int:
        return len(self.graphs)

    def __iter__(self) -> Iterator[Graph]:
        return iter(self.graphs)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Graph]:
        return iter([self.graphs[k] for k in rng.permutation(len(self.graphs))])


def cut(graphs: Iterable[Graph], batch_edges: int, world: World = ALONE) -> Iterator[Graph | None]:
    """Consecutive frames together while their edges fit the budget; a frame that exceeds it alone is a batch of its own.

    Of each batch only the share of this process is made; None is an empty one.
    """
    batch: list[Graph] = []
    room = 0
    for graph in graphs:
        if batch and graph.n_edges > room:
            yield _together(world.share(batch))
            batch = []
        if not batch:
            room = batch_edges
        batch.append(graph)
        room -= graph.n_edges
    if batch:
        yield _together(world.share(batch))


def _together(graphs: Sequence[Graph]) -> Graph | None:
    return Graph.batch(graphs) if graphs else None
