"""Edges of edges: what messages between bonds run along, with the angle between two bonds as the new edge's label.

An edge a and another edge b of the same center, both below a second cutoff, are joined. M3GNet and CHGNet let b speak to a so; in
DimeNet the message j → i hears those of k → j, which is the same list seen from the other end: (reverse[a], b).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from adiabat.typing import Float, Int, Tensor


class LineGraph(NamedTuple):
    """Ordered pairs of edges (a, b), a ≠ b, sorted by a, then b; `first[e]:first[e + 1]` are the pairs of edge e as a."""

    a: Int[Tensor, " T"]
    b: Int[Tensor, " T"]
    first: Int[Tensor, " E1"]


def line_graph(first: Int[Tensor, " N1"], d: Float[Tensor, " E"], cutoff: float) -> LineGraph:
    """The pairs of edges that share their center and are both shorter than `cutoff`, each in both orders.

    `first` are the row pointers of the edges, sorted by center; two images of one neighbor are two edges. Nothing here has a
    derivative: what is made of a pair must fade with both lengths.

    >>> line_graph(torch.tensor([0, 3, 4]), torch.tensor([1.0, 1.2, 3.0, 1.0]), 2.0)
    LineGraph(a=tensor([0, 1]), b=tensor([1, 0]), first=tensor([0, 1, 2, 2, 2]))
    """
    near = torch.nonzero(d.detach() < cutoff)[:, 0]  # K
    below = torch.cat([torch.zeros_like(first[:1]), (d.detach() < cutoff).cumsum(0)])[first]  # N1, row pointers into `near`
    size = below.diff()  # N, near edges of each center
    center = torch.repeat_interleave(size)  # K
    others = size[center] - 1  # K, pairs of each near edge
    a = torch.repeat_interleave(others)  # T, places in `near`
    rank = torch.arange(len(a), device=d.device) - (others.cumsum(0) - others)[a]
    b = below[center[a]] + rank
    b = b + (b >= a)  # all of the center's but a itself
    count = torch.zeros(len(d), dtype=torch.int64, device=d.device).index_put((near,), others)
    return LineGraph(near[a], near[b], torch.cat([torch.zeros_like(count[:1]), count.cumsum(0)]) if len(d) else first[:1])


def bond_cosine(r: Float[Tensor, "E 3"], d: Float[Tensor, " E"], pairs: LineGraph) -> Float[Tensor, " T"]:
    """cos θ between the two edges of each pair; a function of it is smooth at θ = 0 and π, where the angle itself is not.

    >>> r = torch.tensor([[1.0, 0, 0], [0, 2.0, 0]])
    >>> d = torch.tensor([1.0, 2.0])
    >>> bond_cosine(r, d, line_graph(torch.tensor([0, 2]), d, 3.0))
    tensor([0., 0.])
    """
    u = r / d[:, None]
    return (u.index_select(0, pairs.a) * u.index_select(0, pairs.b)).sum(-1)
