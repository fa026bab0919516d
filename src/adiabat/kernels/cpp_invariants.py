"""NEP's descriptors in C++: harmonics, and the products of mixed sums that do not turn, with their cotangents, unrolled; `invariants.h`
is the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from adiabat.irreps import wigner_3j
from adiabat.kernels import cpp_chebyshev
from adiabat.kernels.ir import Invariants


def sizes(spec: Invariants) -> dict[str, int]:
    count = spec.sums.l_max + len(spec.products)
    return {**cpp_chebyshev.sizes(spec.sums), "MIXED": spec.radial, "TURNING": spec.angular, "PRODUCTS": count}


def body(spec: Invariants) -> list[str]:
    values, slopes = [], []
    for place, terms in enumerate(polynomials(spec)):
        values.append(f"  q[{place}] = {' + '.join(_product(c, rows) for rows, c in terms.items())};")
        for rows, c in terms.items():
            for row, times in Counter(rows).items():
                rest = list(rows)
                rest.remove(row)
                slopes.append(f"  ab[{row}] += g[{place}] * {_product(c * times, rest)};")
    return [
        *cpp_chebyshev.body(spec.sums),
        "template <class X> static inline void invariants(const X *a, X *q) {",
        *values,
        "}",
        "template <class X> static inline void cotangents(const X *a, const X *g, X *ab) {",
        *slopes,
        "}",
    ]


def polynomials(spec: Invariants) -> list[dict[tuple[int, ...], float]]:
    """Each invariant's monomials: rows of A, ascending, and a coefficient."""
    found: list[dict[tuple[int, ...], float]] = []
    for l in range(1, spec.sums.l_max + 1):
        found.append({(m, m): 1.0 for m in range(l * l - 1, l * l + 2 * l)})
    for name in spec.products:
        terms: dict[tuple[int, ...], float] = {}
        if name == "1111":
            for a in range(3):
                for b in range(3):
                    _add(terms, (a, a, b, b), 7 / 15)
        else:
            ls = [int(l) for l in name]
            C, first = wigner_3j(*ls), [l * l - 1 for l in ls]
            for place in np.argwhere(C):
                _add(terms, [f + m for f, m in zip(first, place.tolist(), strict=True)], float(C[tuple(place)]))
        found.append({rows: c for rows, c in terms.items() if abs(c) > 1e-15})
    return found


def _add(terms: dict[tuple[int, ...], float], rows: Sequence[int], coefficient: float) -> None:
    key = tuple(sorted(rows))
    terms[key] = terms.get(key, 0.0) + coefficient


def _product(coefficient: float, rows: Sequence[int]) -> str:
    return f"(S){coefficient!r} * ({' * '.join(f'a[{row}]' for row in rows)})"
