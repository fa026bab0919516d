"""Moments of an atom's neighbors, M_{μ,ν} = Σ_j f_μ(d_ij) r̂_ij^{⊗ν}, and their contractions to numbers: what MTP is linear in.

Shapeev, Multiscale Model. Simul. 14, 1153 (2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations, product
from math import factorial, prod
from typing import Any

import torch

from adiabat.kernels import segment_sum
from adiabat.typing import Float, Int, Tensor

MOST_MOMENTS = 4  # in one contraction: five-body terms, as the levels of MLIP-2 have them


def moments(
    f: Float[Tensor, "e mu"],
    u: Float[Tensor, "e 3"],
    i: Int[Tensor, "e"],
    n: int,
    directions: tuple[Tensor, Tensor, Tensor],
    rounds: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]],
    count: int,
) -> Float[Tensor, "m n"]:
    """All moments of n atoms, `count` of them: the basic ones, then the products; `u` are unit vectors, `i` the edges' centers."""
    kinds, of_kind, column = directions
    powers = torch.stack([torch.ones_like(u), *_powers(u, int(kinds.max()) if len(kinds) else 0)], 1)  # e p 3
    shapes = powers[:, kinds[:, 0], 0] * powers[:, kinds[:, 1], 1] * powers[:, kinds[:, 2], 2]
    m = segment_sum(f[:, column] * shapes[:, of_kind], i, n).T  # basics first
    total = torch.cat([m, m.new_zeros(count - len(m), m.shape[1])])
    for a, b, factor, t in rounds:
        total = total.index_add(0, t, total[a] * total[b] * factor.to(m.dtype)[:, None])
    return total


def directions_of(basics: Int[Tensor, "b 4"]) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct exponents (a, b, c); which of them, and which μ, each basic moment has."""
    kinds, of_kind = torch.unique(basics[:, 1:], dim=0, return_inverse=True)
    return kinds, of_kind, basics[:, 0]


def depths_of(basics: Int[Tensor, "b 4"], times: Int[Tensor, "t 4"]) -> list[int]:
    """How many products of basic moments each moment is at most behind."""
    depth = [0] * max(len(basics), 1 + int(times[:, 3].max()) if len(times) else 0)
    for a, b, _, t in times.tolist():
        depth[t] = max(depth[t], 1 + max(depth[a], depth[b]))
    return depth


def rounds_of(times: Int[Tensor, "t 4"], depths: Sequence[int]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The products in rounds: none needs a moment of its own round or a later one."""
    depth = torch.tensor(depths)[times[:, 3]]
    rounds = [times[depth == k] for k in range(1, int(depth.max()) + 1 if len(depth) else 1)]
    return [(x[:, 0], x[:, 1], x[:, 2], x[:, 3]) for x in rounds]


def _powers(u: Tensor, most: int) -> list[Tensor]:
    found: list[Tensor] = []
    for _ in range(most):
        found.append(found[-1] * u if found else u)
    return found


@cache
def moment_tables(level: int, kinds: int = 1) -> tuple[Int[Tensor, "b 4"], Int[Tensor, "t 4"], Int[Tensor, "s"]]:
    """Basic moments, products and scalars of a level.

    A contraction is a multigraph: its vertices are moments (μ, ν), its edges contracted indices, so that ν is a vertex's degree.
    Over an edge bundle of n indices the sum runs over exponents s = (a, b, c), n in all, each n!/(a! b! c!) times. Vertices are
    taken one by one: T_k(w) sums over all exponents between the first k + 1 of them, w_b being what waits for a later vertex b.
    Several `kinds` of neighbors: the first column of the basic moments is μ × kinds + kind, and all mixtures are there.

    >>> [len(moment_tables(level)[2]) for level in (2, 4, 6, 8, 10, 12)]
    [1, 2, 5, 9, 16, 29]
    """
    basics: dict[tuple[int, ...], int] = {}
    place: dict[tuple, int] = {}
    steps: list[tuple[Any, int, tuple[int, ...], tuple]] = []
    ends: list[Any] = []
    for graph in contractions(level, kinds):
        mus, edges, n = [row[0] for row in graph], [row[1:] for row in graph], len(graph)
        known: dict[tuple, tuple[Any, int]] = {}  # T_k(w): a moment, and how many times
        for w in product(*map(_exponents, edges[0][1:])):
            vertex = (mus[0], *_sum(w))
            basics.setdefault(vertex, 0)
            known[w] = vertex, prod(map(_multinomial, w))
        for k in range(1, n):
            after: dict[tuple, tuple[Any, int]] = {}
            waiting = [sum(edges[a][b] for a in range(k + 1)) for b in range(k + 1, n)]
            for w in product(*map(_exponents, waiting)):
                node = (graph[: k + 1], w)
                after[w] = node, 1
                if node in place:
                    continue
                place[node] = len(place)
                for own in product(*(_exponents(edges[k][b]) for b in range(k + 1, n))):
                    before = [tuple(x - y for x, y in zip(v, o)) for v, o in zip(w, own, strict=True)]
                    if any(min(v) < 0 for v in before):
                        continue
                    for v in _exponents(sum(edges[a][k] for a in range(k))):
                        vertex = (mus[k], *_sum((v, *own)))
                        basics.setdefault(vertex, 0)
                        moment, times = known[(v, *before)]
                        steps.append((moment, times * prod(map(_multinomial, own)), vertex, node))
            known = after
        ends.append(known[()][0])
    order = sorted(basics, key=lambda v: (v[0], sum(v[1:]), *(-x for x in v[1:])))
    index: dict[Any, int] = {vertex: k for k, vertex in enumerate(order)}
    index |= {node: len(order) + k for node, k in place.items()}
    table = [(index[moment], index[vertex], times, index[node]) for moment, times, vertex, node in steps]
    return torch.tensor(order), torch.tensor(table, dtype=torch.int64).reshape(-1, 4), torch.tensor([index[e] for e in ends])


def _exponents(n: int) -> list[tuple[int, int, int]]:
    return [(a, b, n - a - b) for a in range(n, -1, -1) for b in range(n - a, -1, -1)]


def _multinomial(s: tuple[int, ...]) -> int:
    return factorial(sum(s)) // prod(map(factorial, s))


def _sum(parts: Sequence[tuple[int, ...]]) -> tuple[int, int, int]:
    return tuple(sum(p[x] for p in parts) for x in range(3))  # type: ignore[return-value]


@cache
def contractions(level: int, kinds: int = 1) -> list[tuple[tuple[int, ...], ...]]:
    """Every multigraph of a level once: rows (μ, edges to vertex 0, 1, …), of all orders of like vertices the least.

    >>> contractions(6)
    [((0, 0),), ((0, 0, 0), (0, 0, 0)), ((1, 0),), ((0, 0, 1), (0, 1, 0)), ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))]
    """
    found = set()
    for vertices in _vertices(level, kinds):
        for edges in _edges([nu for _, nu in vertices]):
            found.add(min(tuple((vertices[a][0], *(edges[a][b] for b in p)) for a in p) for p in _orders(vertices)))
    return sorted(found, key=lambda g: (sum(2 + 4 * (row[0] // kinds) + sum(row[1:]) for row in g), len(g), g))


def _vertices(level: int, kinds: int) -> Iterator[list[tuple[int, int]]]:
    """Moments (μ, ν) whose indices can all be contracted, Σ (2 + 4μ + ν) at most the level, in order."""
    labels = range((level // 4 + 1) * kinds)
    all_kinds = [(mu, nu) for mu in labels for nu in range(level) if 2 + 4 * (mu // kinds) + nu <= level]

    def more(start: int, left: int, chosen: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        if chosen:
            yield chosen
        if len(chosen) == MOST_MOMENTS:
            return
        for k in range(start, len(all_kinds)):
            mu, nu = all_kinds[k]
            if (cost := 2 + 4 * (mu // kinds) + nu) <= left:
                yield from more(k, left - cost, [*chosen, (mu, nu)])

    for chosen in more(0, level, []):
        total = sum(nu for _, nu in chosen)
        if total % 2 == 0 and all(2 * nu <= total for _, nu in chosen):
            yield chosen


def _edges(degrees: Sequence[int]) -> Iterator[list[list[int]]]:
    """Symmetric matrices of counts with zero diagonal and these row sums."""
    if not degrees:
        yield []
        return
    first, *others = degrees
    for counts in product(*(range(min(first, degree) + 1) for degree in others)):
        if sum(counts) == first:
            for rest in _edges([degree - count for degree, count in zip(others, counts)]):
                yield [[0, *counts], *([count, *row] for count, row in zip(counts, rest))]


def _orders(kinds: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Orders of the vertices that permute like ones only; those without edges stay."""
    groups = [[k for k, other in enumerate(kinds) if other == kind] for kind in dict.fromkeys(kinds)]
    for parts in product(*(permutations(g) if kinds[g[0]][1] else [tuple(g)] for g in groups)):
        yield tuple(k for part in parts for k in part)
