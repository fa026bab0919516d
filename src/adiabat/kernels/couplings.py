"""All ways to couple copies of one atom's features symmetrically: complete bases, found by climbing one order at a time."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np

from adiabat.irreps import Irrep, Irreps, clebsch_gordan


def symmetric_couplings(irreps: Irreps, correlation: int, l_out: int) -> list[dict[Irrep, list[np.ndarray]]]:
    """A basis of the symmetric equivariant polynomials: at [ν][irrep] arrays [2L+1, monomials of degree ν].

    Degree ν + 1 is x coupled with degree ν: monomials commute, so what comes out is symmetric already, and products with a
    complete basis span everything. Linearly dependent candidates are dropped by Gram–Schmidt in the norm of symmetric tensors;
    by Schur's lemma one row M decides. Each basis polynomial has rows of unit norm.
    """
    n = irreps.dim
    one: dict[Irrep, list[np.ndarray]] = {}
    for irrep, rows in zip(irreps, irreps.rows):
        one.setdefault(irrep, []).append(np.eye(n)[rows])
    basis: list[dict[Irrep, list[np.ndarray]]] = [{}, one]
    for nu in range(1, correlation):
        l_keep = l_out + (correlation - nu - 1) * max(irrep.l for irrep in irreps)
        up, norm = _raise(n, nu), _tensor_norm(n, nu + 1)
        found: dict[Irrep, list[np.ndarray]] = {}
        orthonormal: dict[Irrep, list[np.ndarray]] = {}
        for irrep, rows in zip(irreps, irreps.rows):
            for inner, polynomials in basis[nu].items():
                for L in range(abs(irrep.l - inner.l), min(irrep.l + inner.l, l_keep) + 1):
                    out, C = Irrep(L, irrep.p * inner.p), clebsch_gordan(irrep.l, inner.l, L)
                    for polynomial in polynomials:
                        candidate = np.zeros((2 * L + 1, len(norm)))
                        for a, row in enumerate(range(rows.start, rows.stop)):
                            # a monomial times x_row is one monomial, and different ones stay different
                            candidate[:, up[row]] += C[a].T @ polynomial
                        _keep_if_new(candidate, norm, found.setdefault(out, []), orthonormal.setdefault(out, []))
        basis.append(found)
    return basis


def _keep_if_new(candidate: np.ndarray, norm: np.ndarray, found: list[np.ndarray], orthonormal: list[np.ndarray]) -> None:
    first = candidate[0] * norm
    size = np.linalg.norm(first)
    if size < 1e-10:
        return
    rest = first / size
    for _ in range(2):  # twice is enough (Kahan)
        for vector in orthonormal:
            rest = rest - vector * (vector @ rest)
    left = np.linalg.norm(rest)
    if left > 1e-8:
        found.append(np.where(abs(candidate) < 1e-13 * size, 0.0, candidate / size))
        orthonormal.append(rest / left)


@cache
def monomials(n: int, degree: int) -> list[tuple[int, ...]]:
    """Sorted index tuples: (0, 0), (0, 1), (1, 1) for n = 2, degree 2."""
    return list(combinations_with_replacement(range(n), degree))


@cache
def _raise(n: int, degree: int) -> np.ndarray:
    """[row, monomial of this degree] → the monomial of the next degree that is their product."""
    place = {monomial: k for k, monomial in enumerate(monomials(n, degree + 1))}
    return np.array([[place[tuple(sorted((*monomial, row)))] for monomial in monomials(n, degree)] for row in range(n)])


@cache
def _tensor_norm(n: int, degree: int) -> np.ndarray:
    """1/√(number of orderings): the norm of the symmetric tensor whose polynomial is that monomial."""
    orderings = [factorial(degree) / prod(factorial(m.count(k)) for k in set(m)) for m in monomials(n, degree)]
    return 1 / np.sqrt(orderings)
