"""Sums over pairs of neighbors that share a center: symmetry functions with angles.

A triplet is a pair of edges (a, b), a < b, with the same center; each unordered pair of neighbors is listed once. All
parameter sets are evaluated in one go along the last axis, and element channels are rows of one segment sum: the number
of tensor operations does not grow with the number of functions or elements.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from adiabat.kernels.geometry import distance
from adiabat.kernels.segment import segment_sum
from adiabat.typing import Float, Int, Tensor


def triplets(first: Int[Tensor, " N1"]) -> tuple[Int[Tensor, " T"], Int[Tensor, " T"]]:
    """Pairs of edges (a, b), a < b, that share a center, from row pointers: the edges of atom n are first[n]…first[n+1].

    >>> triplets(torch.tensor([0, 3, 3, 5]))
    (tensor([0, 0, 1, 3]), tensor([1, 2, 2, 4]))
    """
    last = first[1:].repeat_interleave(first.diff())  # E, one past the last edge of the same center
    edge = torch.arange(len(last), device=first.device)
    partners = last - edge - 1
    start = partners.cumsum(0) - partners
    a = edge.repeat_interleave(partners)
    return a, a + 1 + torch.arange(len(a), device=first.device) - start[a]


def pair_channel(s: Int[Tensor, "*T"], t: Int[Tensor, "*T"]) -> Int[Tensor, "*T"]:
    """The channel of an unordered pair of species: (0,0) → 0, (0,1) → 1, (1,1) → 2, (0,2) → 3, …; n(n+1)/2 for n species.

    >>> pair_channel(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
    tensor([0, 1, 1, 2])
    """
    high = torch.maximum(s, t)
    return (high * (high + 1)).div(2, rounding_mode="floor") + torch.minimum(s, t)


def radial_symmetry(
    d: Float[Tensor, " E"],
    fade: Float[Tensor, " E"],
    i: Int[Tensor, " E"],
    species: Int[Tensor, " E"],
    n: int,
    n_species: int,
    eta: Float[Tensor, " K"],
    R_s: Float[Tensor, " K"],
) -> Float[Tensor, "n n_species K"]:
    """G² of each atom, neighbor species and parameter set: G²_i = Σ_j exp(−η (d_ij − R_s)²) f_c(d_ij).

    `i` is the center, `species` the neighbor's kind (0…n_species − 1), `fade` = f_c(d).
    Behler, J. Chem. Phys. 134, 074106 (2011).

    >>> d, one = torch.tensor([1.0, 2.0]), torch.ones(2)
    >>> radial_symmetry(d, one, torch.tensor([0, 0]), torch.tensor([0, 1]), 1, 2, torch.tensor([1.0]), torch.tensor([1.0]))
    tensor([[[1.0000],
             [0.3679]]])
    """
    g = torch.exp(-eta * (d[:, None] - R_s).square()) * fade[:, None]  # E K
    return segment_sum(g, i * n_species + species, n * n_species).unflatten(0, (n, n_species))


def angular_symmetry(
    r: Float[Tensor, "E 3"],
    d: Float[Tensor, " E"],
    fade: Float[Tensor, " E"],
    pairs: tuple[Int[Tensor, " T"], Int[Tensor, " T"]],
    i: Int[Tensor, " E"],
    species: Int[Tensor, " E"],
    n: int,
    n_species: int,
    eta: Float[Tensor, " K"],
    zeta: Float[Tensor, " K"],
    lambd: Float[Tensor, " K"],
    fade_far: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "n pairs K"]:
    """G⁴ (with `fade_far`) or G⁵ (without) of each atom, unordered pair of neighbor species and parameter set.

    G⁴_i = 2^(1−ζ) Σ_{j<k} (1 + λ cos θ_jik)^ζ exp(−η (d_ij² + d_ik² + d_jk²)) f_c(d_ij) f_c(d_ik) f_c(d_jk), G⁵ the same
    without what depends on d_jk. λ is +1 or −1, ζ any number ≥ 1; `pairs` = `triplets(first)`; `fade_far` maps d_jk to
    f_c(d_jk); the middle axis is `pair_channel`; each pair of neighbors counts once. Behler, J. Chem. Phys. 134, 074106 (2011).

    >>> r = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> s, pairs, one = torch.tensor([0, 0]), (torch.tensor([0]), torch.tensor([1])), torch.ones(1)
    >>> angular_symmetry(r, torch.ones(2), torch.ones(2), pairs, s, s, 1, 1, 0 * one, one, one)
    tensor([[[1.]]])
    """
    a, b = pairs
    u, square = r / d[:, None], d.square()
    # ½(1 + λ cos θ) = ¼ |u_a + λ u_b|²: never negative by rounding, smooth at θ = 0 and π for any ζ
    u_a, u_b = u.index_select(0, a), u.index_select(0, b)  # index_select: half the time of u[a], forth and back
    half = 0.25 * torch.stack([u_a - u_b, u_a + u_b], -2).square().sum(-1)  # T 2
    spread = square.index_select(0, a) + square.index_select(0, b)
    weight = 2 * fade.index_select(0, a) * fade.index_select(0, b)
    if fade_far is not None:
        far = distance(r.index_select(0, a) - r.index_select(0, b))
        spread, weight = spread + far.square(), weight * fade_far(far)
    half = torch.where(lambd > 0, half[:, 1:], half[:, :1])  # T K
    g = half**zeta * torch.exp(-eta * spread[:, None]) * weight[:, None]  # T K
    channels = n_species * (n_species + 1) // 2
    row = i[a] * channels + pair_channel(species[a], species[b])
    return segment_sum(g, row, n * channels).unflatten(0, (n, channels))
