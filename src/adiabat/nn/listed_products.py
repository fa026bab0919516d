"""Products of an atomic density's components that no rotation changes, as lists: which factors, and by which numbers they add up.

Drautz, PRB 99, 014104 (2019): Σ_m C_m Π_t A_{v_t m_t}, C from Wigner's 3j symbols, which leave the sum as it is when the atoms turn.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement, product
from math import sqrt

import numpy as np
import torch

from adiabat.irreps import complex_3j
from adiabat.typing import Float, Int, Tensor

MOST_FACTORS = 4


def invariant_products(
    Z: int, radial: int, n_max: int, l_max: int, most: int
) -> tuple[Int[Tensor, "products 3"], Int[Tensor, "components most"], Float[Tensor, " components"]]:
    """Of up to `most` factors, 2 to 4, around each of Z elements: products (element, first component, factors), components (place of
    each factor: μ k of single ones, else μ n l m; −1 behind a shorter one's), and their numbers.

    Single factors are the `radial` functions themselves; of several there is each set of n and l, with as many couplings as are independent
    (four factors have one for each intermediate L, and not all of them differ where factors are alike).

    >>> products, components, numbers = invariant_products(Z=1, radial=3, n_max=1, l_max=1, most=3)
    >>> [(int(factors), len(part)) for (_, first, factors), part in zip(products, np.split(components, products[1:, 1]))]
    [(1, 1), (1, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]
    """
    if most not in range(2, MOST_FACTORS + 1):
        raise ValueError(f"pace.factors: {most} came; wanted 2 to {MOST_FACTORS}, the longest product")
    found: list[tuple[int, dict[tuple[int, ...], float]]] = [(1, {(k,): 1.0}) for k in range(Z * radial)]
    for n in range(2, most + 1):
        for slots in combinations_with_replacement(product(range(l_max + 1), range(Z * n_max)), n):
            found += [
                (n, one) for one in _independent([_sorted(slots, l_max, c) for c in _couplings(tuple(l for l, _ in slots))])
            ]
    products: list[tuple[int, int, int]] = []
    components: list[tuple[int, ...]] = []
    numbers: list[float] = []
    for z in range(Z):
        for n, one in found:
            products.append((z, len(components), n))
            components += [(*places, *[-1] * (most - n)) for places in one]
            numbers += list(one.values())
    return torch.tensor(products), torch.tensor(components), torch.tensor(numbers, dtype=torch.float64)


class ProductSums:
    """Σ_v c_vp Σ_m c̃_vmp Re Π_t A_{v_t m_t} for the products of one element, of the sums S_klm = Σ_j g_k Y_lm (real harmonics).

    Turning the sign of every m conjugates a product, so each pair of components is one.
    """

    def __init__(
        self, components: Int[Tensor, "M most"], owner: Int[Tensor, " M"], factors: Int[Tensor, " M"], mine: Tensor, l_max: int
    ) -> None:
        device = components.device
        self.l = torch.tensor([l for l in range(l_max + 1) for _ in range(2 * l + 1)], device=device)
        m = torch.tensor([m for l in range(l_max + 1) for m in range(-l, l + 1)], device=device)
        middle = self.l * self.l + self.l
        self.cosine, self.sine, opposite = middle + m.abs(), middle - m.abs(), middle - m
        # Condon–Shortley: Y_l^m = (−1)^m (Y_lm + i Y_l−m)/√2, Y_l^−m = (Y_lm − i Y_l−m)/√2, m > 0
        sign = torch.where((m > 0) & (m % 2 == 1), -1.0, 1.0).double()
        self.real = torch.where(m == 0, 1.0, sign * sqrt(0.5))
        self.imaginary = torch.where(m == 0, 0.0, torch.where(m < 0, -1.0, sign) * sqrt(0.5))
        self.sign = torch.ones(len(owner), dtype=torch.float64, device=device)
        self.of: dict[int, tuple[Tensor, Tensor, list[Tensor]]] = {}
        for n in sorted(set(factors[mine].tolist())):
            rows = torch.nonzero(mine & (factors == n))[:, 0]
            places = components[rows, :n]
            if n > 1:
                size = (l_max + 1) ** 2
                there = places // size * size + opposite[places % size]
                places, there = places.sort(1).values, there.sort(1).values
                odd = m[places % size].sum(1) % 2 == 1
                first = torch.ones_like(odd)
                for column in reversed(range(n)):  # the lexicographically smaller of both
                    differs = places[:, column] != there[:, column]
                    first = torch.where(differs, places[:, column] < there[:, column], first)
                places = torch.where(first[:, None], places, there)
                self.sign[rows] = torch.where(first | ~odd, 1.0, -1.0).double()
            unique, which = torch.unique(places, dim=0, return_inverse=True)
            self.of[n] = rows, which, list(unique.unbind(1))
        self.owner = owner

    def rho(
        self,
        S: Float[Tensor, "a Z k lm"],
        c: Float[Tensor, "P D"],
        radial: Float[Tensor, "Z n l k"],
        couplings: Float[Tensor, "M D"],
    ) -> Float[Tensor, "D a"]:
        B, numbers = self.values(S, radial), []
        for rows, which, places in self.of.values():
            each = c[self.owner[rows]] * couplings[rows] * self.sign[rows, None].to(c)
            numbers.append(each.new_zeros(len(places[0]), each.shape[1]).index_add(0, which, each))
        return torch.cat(numbers).T @ B if numbers else S.new_zeros(c.shape[1], len(S))

    def products(
        self, S: Float[Tensor, "a Z k lm"], radial: Float[Tensor, "Z n l k"], couplings: Float[Tensor, " M"], count: int
    ) -> Float[Tensor, "P a"]:
        """Σ_m c̃_vm Re Π_t A_{v_t m_t} of all products, of which there are `count`, those of other elements being zero."""
        B, at = self.values(S, radial), 0
        found = B.new_zeros(count, B.shape[1])
        for rows, which, places in self.of.values():
            each = B[at : at + len(places[0])].index_select(0, which) * (couplings * self.sign.to(couplings))[rows, None]
            found, at = found.index_add(0, self.owner[rows], each), at + len(places[0])
        return found

    def values(self, S: Float[Tensor, "a Z k lm"], radial: Float[Tensor, "Z n l k"]) -> Float[Tensor, "components a"]:
        """Re Π_t A of all components."""
        found, a = [], len(S)
        if max(self.of, default=0) > 1:
            A = torch.einsum("aukm,unmk->unma", S, radial[:, :, self.l])
            x = (A[:, :, self.cosine] * self.real.to(S)[:, None]).reshape(-1, a)
            y = (A[:, :, self.sine] * self.imaginary.to(S)[:, None]).reshape(-1, a)
        for n, (_, _, places) in self.of.items():
            if n == 1:
                found.append(S[..., 0].reshape(a, -1).T.index_select(0, places[0]))
                continue
            X, Y = x.index_select(0, places[0]), y.index_select(0, places[0])
            for place in places[1:-1]:
                x_t, y_t = x.index_select(0, place), y.index_select(0, place)
                X, Y = X * x_t - Y * y_t, X * y_t + Y * x_t
            found.append(X * x.index_select(0, places[-1]) - Y * y.index_select(0, places[-1]))
        return torch.cat(found) if found else S.new_zeros(0, a)


@cache
def _couplings(ls: tuple[int, ...]) -> list[dict[tuple[int, ...], float]]:
    """The numbers of each way to couple these l to nothing, by m of each factor; a mirror changes none where Σl is even."""
    ms = [range(-l, l + 1) for l in ls]
    if sum(ls) % 2:
        return []
    if len(ls) == 2:
        return [{(m, -m): (-1.0) ** m / (2 * ls[0] + 1) for m in ms[0]}] if ls[0] == ls[1] else []
    ways: list[dict[tuple[int, ...], float]]
    if len(ls) == 3:
        ways = [{(a, b, -a - b): complex_3j(*ls, a, b) for a, b in product(*ms[:2]) if abs(a + b) <= ls[2]}]
    else:
        between = range(max(abs(ls[0] - ls[1]), abs(ls[2] - ls[3])), min(ls[0] + ls[1], ls[2] + ls[3]) + 1)
        ways = [
            {
                (a, b, c, -a - b - c): sqrt(2 * L + 1) * (-1.0) ** (a + b) * complex_3j(ls[0], ls[1], L, a, b)
                * complex_3j(L, ls[2], ls[3], a + b, c)
                for a, b, c in product(*ms[:3])
                if abs(a + b) <= L and abs(a + b + c) <= ls[3]
            }
            for L in between
        ]  # fmt: skip
    return [way for way in ways if any(way.values())]


def _sorted(
    slots: tuple[tuple[int, int], ...], l_max: int, coupling: dict[tuple[int, ...], float]
) -> dict[tuple[int, ...], float]:
    """By places in A, equal products once."""
    found: dict[tuple[int, ...], float] = {}
    for ms, c in coupling.items():
        places = tuple(sorted(a * (l_max + 1) ** 2 + l * l + l + m for (l, a), m in zip(slots, ms, strict=True)))
        found[places] = found.get(places, 0.0) + c
    return {places: c for places, c in found.items() if abs(c) > 1e-13}


def _independent(ways: list[dict[tuple[int, ...], float]]) -> list[dict[tuple[int, ...], float]]:
    """Those that no sum of earlier ones is; different products are independent, so their numbers tell."""
    if len(ways) == 1:
        return [way for way in ways if way]
    kept: list[dict[tuple[int, ...], float]] = []
    places = sorted({p for way in ways for p in way})
    basis = np.zeros((0, len(places)))
    for way in ways:
        row = np.array([way.get(p, 0.0) for p in places])
        rest = row - basis.T @ (basis @ row)
        if np.linalg.norm(rest) > 1e-9:
            kept.append(way)
            basis = np.concatenate([basis, rest[None] / np.linalg.norm(rest)])
    return kept
