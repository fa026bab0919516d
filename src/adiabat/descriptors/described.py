"""What a descriptor gives back: an array with names for its columns, and how it changes when atoms move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.typing import Int, Tensor


@dataclass(frozen=True)
class Described:
    """Descriptors of atoms: `values` [N, D] and a name for each of the D columns.

    `derivatives` [N, D, N, 3], where asked for: ∂values[i, k]/∂R[a, x] in 1/Å, analytic, periodic images moving together.
    """

    values: np.ndarray
    names: tuple[str, ...]
    derivatives: np.ndarray | None = field(default=None, repr=False)


def described(graph: Graph, functions: Callable[[Tensor], Tensor], names: Sequence[str], derivatives: bool) -> Described:
    """Evaluate `functions`, edge vectors [E, 3] → [N, D] where an atom's row depends on its own edges alone, and their slopes."""
    r = graph.r.detach().requires_grad_(derivatives)
    G = functions(r)
    if G.shape[1] != len(names):
        raise ValueError(f"{G.shape[1]} columns and {len(names)} names")
    slopes = None
    if derivatives:
        N, D = G.shape
        slopes = np.zeros((N, D, N, 3))
        i, j = graph.i.numpy(), graph.j.numpy()
        for k in range(D):
            (g,) = torch.autograd.grad(G[:, k].sum(), r, retain_graph=True, allow_unused=True)
            if g is not None:  # r = R_j − R_i
                np.add.at(slopes[:, k], (i, j), g.numpy())
                np.subtract.at(slopes[:, k], (i, i), g.numpy())
    return Described(G.detach().numpy(), tuple(names), slopes)


def species_of(graph: Graph, elements: Sequence[str] | None) -> tuple[list[str], Int[Tensor, " E"]]:
    """The elements' symbols by atomic number (those of the structure where none are given), and which each edge's neighbor is."""
    known = periodic_table.numbers(elements if elements is not None else graph.numbers.unique().tolist())
    missing = set(graph.numbers.unique().tolist()) - set(known)
    if missing:
        names, given = (", ".join(periodic_table.symbol(z) for z in sorted(zs)) for zs in (missing, known))
        raise ValueError(f"the structure has {names}, elements {given} came; name every element that occurs")
    kinds = torch.searchsorted(torch.tensor(known), graph.numbers)[graph.j]
    return [periodic_table.symbol(z) for z in known], kinds


def pairs_of(symbols: Sequence[str]) -> list[str]:
    """Names of the unordered pairs of elements, in the order of `kernels.pair_channel`.

    >>> pairs_of(["H", "O"])
    ['H-H', 'H-O', 'O-O']
    """
    return [f"{symbols[s]}-{symbols[t]}" for t in range(len(symbols)) for s in range(t + 1)]
