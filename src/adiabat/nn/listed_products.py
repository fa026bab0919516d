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
