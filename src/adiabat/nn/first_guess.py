"""Where training begins, for models of few numbers with units: as near the labeled forces as a guess and one factor come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch

from adiabat.nn.surroundings import WithVectors
from adiabat.typing import Float, Tensor

FRAMES = 50  # by which guesses are judged


class Labeled(WithVectors, Protocol):
    """A topology with edge vectors and labels, each of which has `value` and `mask`; a `Graph` is one."""

    @property
    def labels(self) -> Mapping[str, Any]: ...


G = TypeVar("G", bound=Labeled)
Guess = TypeVar("Guess")


def best_guess(
    graphs: Sequence[G], guesses: Iterable[Guess], forces: Callable[[Guess, G], Float[Tensor, "N 3"]]
) -> tuple[Guess, float]:
    """The guess whose forces, times a factor, miss the labels' least; and that factor, 1 where it would be none that is positive."""
    some = [graph for graph in graphs[:: -(-len(graphs) // FRAMES)] if "forces" in graph.labels]
    masks = [graph.labels["forces"].mask for graph in some]
    theirs = torch.cat([torch.zeros(1)] + [g.labels["forces"].value[m].flatten() for g, m in zip(some, masks)]).to(
        torch.float64
    )
    judged = []
    for guess in guesses:
        ours = torch.cat([torch.zeros(1)] + [forces(guess, g)[m].flatten() for g, m in zip(some, masks)]).to(torch.float64)
        factor = max(float(ours @ theirs) / max(float(ours @ ours), 1e-300), 0.0)
        judged.append((float((theirs - factor * ours).square().sum()), factor or 1.0, guess))
    _, factor, guess = min(judged, key=lambda it: it[0])
    return guess, factor
