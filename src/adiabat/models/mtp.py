"""Moment tensor potential: contractions of moment tensors of an atom's neighbors, one coefficient each.

Shapeev, Multiscale Model. Simul. 14, 1153 (2016); several elements and levels as in Gubaev, Podryabinkin, Hart and Shapeev,
Comput. Mater. Sci. 156, 148 (2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from itertools import permutations, product
from math import factorial, prod
from typing import Any

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance, segment_sum
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor

MOST_MOMENTS = 4  # in one contraction: five-body terms, as the levels of MLIP-2 have them


class MTP(LinearBasis, Model):
    """E_i = Σ_α ξ_α B_α(i), B_α a contraction of moments M_{μ,ν}(i) = Σ_j f_μ(d_ij, z_i, z_j) r̂_ij^{⊗ν} to a number.

    | symbol | here |
    |---|---|
    | f_μ(d, z_i, z_j) = s Σ_n c_{μn} T_n(x) (d − R_max)² below R_max, x from −1 at R_min to 1 at R_max | `radial_coefficients`, `scaling` |
    | components of M_{μ,ν}: x^a y^b z^c with a + b + c = ν | rows of `basics`: μ a b c |
    | products that build the contractions: m_t += factor · m_a m_b | rows of `times`: a b factor t |
    | B_α | places in m, `scalars` |
    | ξ, the same for every element | `coefficients` |

    The basis of a level holds all contractions of up to four moments with Σ (2 + 4μ + ν) at most the level. It is linear in ξ, and in
    the radial coefficients it is not: least squares leaves them as they are drawn. `sizes`, lengths of the three tables, and `radials`,
    the number of f_μ, are for imported potentials, whose tables come with their numbers. Lengths in Å; `nearest` is R_min, `cutoff` R_max.
    """

    name = "mtp"
    shared = True
    one_by_one = True  # its tables say which operations there are

    def __init__(
        self,
        cutoff: float = 5.0,
        level: int = 8,
        radial: int = 8,
        nearest: float = 0.5,
        scaling: float = 0.1,
        elements: list[str] | None = None,
        radials: int | None = None,
        sizes: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.cutoff, self.nearest, self.scaling = float(cutoff), float(nearest), float(scaling)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        tables = [torch.zeros(n, 4, dtype=torch.int64) for n in sizes[:2]] if sizes else list(moment_tables(level)[:2])
        scalars = torch.zeros(sizes[2], dtype=torch.int64) if sizes else moment_tables(level)[2]
        for name, table in zip(("basics", "times", "scalars"), (*tables, scalars), strict=True):
            self.register_buffer(name, table)
        Z, self.size = len(self.elements), len(scalars)
        mus = radials or int(tables[0][:, 0].max()) + 1
        self.radial_coefficients = nn.Parameter(torch.randn(Z, Z, mus, radial) / (1 + torch.arange(radial)))
        self.coefficients = nn.Parameter(torch.randn(1, self.size) / self.size)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("mtp: its elements are not known yet; give them, or let `fit` take them from the training data")
        (at,) = self.centers(graph)
        return {"energies": self.basis(at) @ self.coefficients[0]}

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        return self.moments(at)[self.scalars].T

    def moments(self, at: Centers) -> Float[Tensor, "m n"]:
        """All of them: the basic ones, then the products."""
        d = distance(at.r)
        u = at.r / torch.where(d == 0, 1.0, d)[:, None]
        kinds, of_kind, column = self._directions
        powers = torch.stack([torch.ones_like(u), *_powers(u, int(kinds.max()) if len(kinds) else 0)], 1)  # e p 3
        shapes = powers[:, kinds[:, 0], 0] * powers[:, kinds[:, 1], 1] * powers[:, kinds[:, 2], 2]
        f = self.radial_functions(d, at.species[at.i], at.neighbors)
        m = segment_sum(f[:, column] * shapes[:, of_kind], at.i, at.n).T  # basics first
        total = torch.cat([m, m.new_zeros(len(self._order) - len(m), m.shape[1])])
        for a, b, factor, t in self._rounds:
            total = total.index_add(0, t, total[a] * total[b] * factor.to(m.dtype)[:, None])
        return total

    def radial_functions(self, d: Float[Tensor, "e"], zi: Int[Tensor, "e"], zj: Int[Tensor, "e"]) -> Float[Tensor, "e mu"]:
        x = (2 * d - (self.nearest + self.cutoff)) / (self.cutoff - self.nearest)
        T = [torch.ones_like(x), x]
        for _ in range(self.radial_coefficients.shape[-1] - 2):
            T.append(2 * x * T[-1] - T[-2])
        smooth = self.scaling * (d - self.cutoff).square() * (d < self.cutoff)
        T_n = torch.stack(T[: self.radial_coefficients.shape[-1]], -1) * smooth[:, None]
        Z = len(self.elements or ())
        if Z == 1:
            return T_n @ self.radial_coefficients[0, 0].T
        c = self.radial_coefficients.flatten(0, 1)[zi * Z + zj]
        return torch.einsum("en,emn->em", T_n, c)

    @cached_property
    def _directions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Distinct exponents (a, b, c); which of them, and which μ, each basic moment has."""
        kinds, of_kind = torch.unique(self.basics[:, 1:], dim=0, return_inverse=True)
        return kinds, of_kind, self.basics[:, 0]

    @cached_property
    def _order(self) -> list[int]:
        """How many products of basic moments each moment is at most behind."""
        depth = [0] * max(len(self.basics), 1 + int(self.times[:, 3].max()) if len(self.times) else 0)
        for a, b, _, t in self.times.tolist():
            depth[t] = max(depth[t], 1 + max(depth[a], depth[b]))
        return depth

    @cached_property
    def _rounds(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The products in rounds: none needs a moment of its own round or a later one."""
        depth = torch.tensor(self._order)[self.times[:, 3]]
        return [self.times[depth == k].unbind(1) for k in range(1, int(depth.max()) + 1 if len(depth) else 1)]


def _powers(u: Tensor, most: int) -> list[Tensor]:
    found: list[Tensor] = []
    for _ in range(most):
        found.append(found[-1] * u if found else u)
    return found


@cache
def moment_tables(level: int) -> tuple[Int[Tensor, "b 4"], Int[Tensor, "t 4"], Int[Tensor, "s"]]:
    """Basic moments, products and scalars of a level.

    A contraction is a multigraph: its vertices are moments (μ, ν), its edges contracted indices, so that ν is a vertex's degree.
    Over an edge bundle of n indices the sum runs over exponents s = (a, b, c), n in all, each n!/(a! b! c!) times. Vertices are
    taken one by one: T_k(w) sums over all exponents between the first k + 1 of them, w_b being what waits for a later vertex b.

    >>> [len(moment_tables(level)[2]) for level in (2, 4, 6, 8, 10, 12)]
    [1, 2, 5, 9, 16, 29]
    """
    basics: dict[tuple[int, ...], int] = {}
    place: dict[tuple, int] = {}
    steps: list[tuple[Any, int, tuple[int, ...], tuple]] = []
    ends: list[Any] = []
    for graph in _graphs(level):
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


def _graphs(level: int) -> list[tuple[tuple[int, ...], ...]]:
    """Every multigraph of a level once: rows (μ, edges to vertex 0, 1, …), of all orders of like vertices the least."""
    found = set()
    for kinds in _vertices(level):
        for edges in _edges([nu for _, nu in kinds]):
            found.add(min(tuple((kinds[a][0], *(edges[a][b] for b in p)) for a in p) for p in _orders(kinds)))
    return sorted(found, key=lambda g: (sum(2 + 4 * row[0] + sum(row[1:]) for row in g), len(g), g))


def _vertices(level: int) -> Iterator[list[tuple[int, int]]]:
    """Moments (μ, ν) whose indices can all be contracted, Σ (2 + 4μ + ν) at most the level, in order."""
    all_kinds = [(mu, nu) for mu in range(level // 4 + 1) for nu in range(level) if 2 + 4 * mu + nu <= level]

    def more(start: int, left: int, chosen: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        if chosen:
            yield chosen
        if len(chosen) == MOST_MOMENTS:
            return
        for k in range(start, len(all_kinds)):
            mu, nu = all_kinds[k]
            if 2 + 4 * mu + nu <= left:
                yield from more(k, left - 2 - 4 * mu - nu, [*chosen, (mu, nu)])

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
