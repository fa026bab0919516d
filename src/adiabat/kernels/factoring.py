"""Long sums of products of complex numbers, taken pair by pair: what several products share is multiplied once.

The recursive evaluation of Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021), with pairs chosen by how many products they serve. A
number and its conjugate are one: code 2 q is x_q, 2 q + 1 its conjugate, and of Re(x y) = Re(x̄ ȳ) one is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

ROUNDS = 3  # of choosing pairs by how many products the pairs chosen before serve; further ones change little

Terms = tuple[np.ndarray, np.ndarray]  # codes [M, factors], coefficients [M, D]


class Factored(NamedTuple):
    """Re Σ_v c_v Π x as products of pairs and a sum over the last ones."""

    products: np.ndarray  # P 2: x_(n + k) = x_a x_b by code; the first is no conjugate
    last: np.ndarray  # T 2: the first is no conjugate
    coefficients: np.ndarray  # T D


def factored(real: np.ndarray, terms: Mapping[int, Terms], densities: int = 1) -> Factored:
    """Of terms by their number of factors, two or more. `real` [n]: where x_q is its own conjugate, which is never asked for.

    >>> x = np.array([1 + 2j, 3 - 1j, 2 + 0.5j])
    >>> found = factored(np.zeros(3, bool), {3: (np.array([[0, 2, 4], [1, 3, 5], [0, 2, 3]]), np.ones((3, 1)))})
    >>> len(found.products), len(found.last)  # two of them are conjugate to each other
    (1, 2)
    >>> x = np.append(x, x[0] * x[1])
    >>> at = lambda code: x[code // 2].conj() if code % 2 else x[code // 2]
    >>> total = sum(c[0] * (at(a) * at(b)).real for (a, b), c in zip(found.last, found.coefficients))
    >>> bool(np.isclose(total, 2 * (x[0] * x[1] * x[2]).real + abs(x[1]) ** 2 * x[0].real))
    True
    """
    real = np.array(real, bool)
    products = [np.zeros((0, 2), np.int64)]
    waiting = {n: _merged(real, [found]) for n, found in terms.items() if len(found[0])}
    while longer := sorted(n for n in waiting if n > 2):
        n_numbers = len(real)
        pairs, chosen = _chosen(real, [waiting[n][0] for n in longer])
        a, b = pairs // (2 * n_numbers), pairs % (2 * n_numbers)
        products.append(np.stack([a, b], 1))
        real = np.append(real, (real[a // 2] & real[b // 2]) | (b == a + 1))
        shorter: dict[int, list[Terms]] = {2: [waiting[2]]} if 2 in waiting else {}
        for n, codes in zip(longer, chosen, strict=True):
            new = codes >= 2 * n_numbers
            codes = np.where(new & real[codes // 2], codes & ~1, codes)
            shorter.setdefault(codes.shape[1], []).append((codes, waiting[n][1]))
        waiting = {n: _merged(real, found) for n, found in shorter.items()}
    codes, c = waiting.get(2, (np.zeros((0, 2), np.int64), np.zeros((0, densities))))
    return Factored(np.concatenate(products), codes, c)


def _merged(real: np.ndarray, found: list[Terms]) -> Terms:
    """Equal and conjugate terms as one, in the order of their codes."""
    codes, c = (np.concatenate(x) for x in zip(*found, strict=True))
    codes = np.sort(codes, 1)
    other = np.sort(np.where(real[codes // 2], codes, codes ^ 1), 1)
    first = (codes != other).argmax(1)[:, None]
    smaller = np.take_along_axis(other, first, 1) < np.take_along_axis(codes, first, 1)
    unique, which = np.unique(np.where(smaller, other, codes), axis=0, return_inverse=True)
    total = np.zeros((len(unique), c.shape[1]))
    np.add.at(total, which.reshape(-1), c)
    kept = (total != 0).any(1)
    return unique[kept], total[kept]


def _chosen(real: np.ndarray, terms: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Pairs, and the terms as products of these and, of odd ones, one number that was left: codes [M, (factors + 1)/2].

    A pair that serves k terms costs each of them 1/k; a term takes the pairs that cost it least.
    """
    keys, flags = zip(*([*_keys(real, codes)] for codes in terms), strict=True)
    every, which = np.unique(np.concatenate([k.ravel() for k in keys]), return_inverse=True)
    ends = np.cumsum([k.size for k in keys])[:-1]
    places = [w.reshape(k.shape) for w, k in zip(np.split(which.reshape(-1), ends), keys, strict=True)]  # M, pairs of factors
    served = np.bincount(which.reshape(-1), minlength=len(every))
    for _ in range(ROUNDS):
        cost = 1 / np.maximum(served, 0.5)
        ways = [_cheapest(cost[place], codes.shape[1]) for place, codes in zip(places, terms, strict=True)]
        served = np.bincount(
            np.concatenate([p[way].ravel() for p, way in zip(places, ways, strict=True)]), minlength=len(every)
        )
    number = np.cumsum(served > 0) - 1 + len(real)
    found = []
    for codes, place, flag, way in zip(terms, places, flags, ways, strict=True):
        made = 2 * number[place[way]] + flag[way]
        found.append(np.concatenate([made, _left(codes, way)], 1))
    return every[served > 0], found


def _keys(real: np.ndarray, codes: np.ndarray) -> Iterator[np.ndarray]:
    """Of each two factors: the pair a, b as a · 2 n + b, a no conjugate, and whether its product is the conjugate."""
    i, j = np.triu_indices(codes.shape[1], 1)
    a, b = np.minimum(codes[:, i], codes[:, j]), np.maximum(codes[:, i], codes[:, j])
    real_a, real_b = real[a // 2], real[b // 2]
    flag = np.where(real_a, b & 1, a & 1)
    turned = np.where(real_b, b, b ^ flag)
    yield (a & ~1) * (2 * len(real)) + turned
    yield flag


def _cheapest(cost: np.ndarray, factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each term: its rows and the columns of `_keys` whose pairs it takes."""
    ways = _pairings(factors)
    total = np.stack([cost[:, way].sum(1) for way in ways], 1)
    return np.arange(len(cost))[:, None], np.array(ways)[total.argmin(1)]


def _left(codes: np.ndarray, way: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    factors = codes.shape[1]
    i, j = np.triu_indices(factors, 1)
    taken = np.zeros(codes.shape, bool)
    for ends in (i, j):
        np.put_along_axis(taken, ends[way[1]], True, 1)
    return codes[~taken].reshape(len(codes), factors % 2)


@cache
def _pairings(factors: int) -> list[list[int]]:
    """Every way to take factors two by two, as places among the pairs i < j.

    >>> len(_pairings(3)), len(_pairings(4)), len(_pairings(5)), len(_pairings(6))
    (3, 3, 15, 15)
    """
    i, j = np.triu_indices(factors, 1)
    place = {pair: k for k, pair in enumerate(zip(i.tolist(), j.tolist(), strict=True))}

    def ways(left: tuple[int, ...]) -> Iterator[list[int]]:
        if len(left) < 2:
            yield []
            return
        if len(left) % 2:
            for skip in range(len(left)):
                yield from ways(left[:skip] + left[skip + 1 :])
            return
        for k in range(1, len(left)):
            for rest in ways(left[1:k] + left[k + 1 :]):
                yield [place[left[0], left[k]], *rest]

    return list(ways(tuple(range(factors))))
