"""What the generator generates from: a path list and a sparse table of coefficients.

Two operations cover the equivariant families. A `Convolution` is bilinear in features and harmonics, with a radial weight per
path; a `Contraction` is a polynomial of one atom's features. Both are small values made of integers: their text form
(`str`) names a compiled kernel, travels in model files, and is parsed by `of`, which admits nothing but these two grammars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations_with_replacement
from math import factorial, prod, sqrt
from typing import NamedTuple

import numpy as np

from adiabat.irreps import Irrep, Irreps, clebsch_gordan

MAX_L = 6
MAX_CORRELATION = 4


class Path(NamedTuple):
    """One way a message is made: the input irrep at place `input`, coupled with the harmonic l, gives the irrep `output`."""

    input: int
    l: int
    output: Irrep


class Coefficient(NamedTuple):
    """out[path, c] += value · R[path] · h[a] · Y[m], rows counted within all of h, all of Y and the path's own output."""

    path: int
    a: int
    m: int
    c: int
    value: float


@dataclass(frozen=True)
class Convolution:
    """A sum over neighbors of (radial × Y_lm × h_j) along a list of paths; see `edge_conv`.

    >>> conv = Convolution.between("0e+1o", 1, "0e+1o")
    >>> str(conv)
    '0e+1o|0.0.0e,1.1.0e,0.1.1o,1.0.1o'
    >>> Convolution.of(str(conv)) == conv
    True
    """

    irreps: Irreps
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        for path in self.paths:
            if not 0 <= path.input < len(self.irreps):
                raise ValueError(f"path {path} names input {path.input}; there are {len(self.irreps)}: {self.irreps}")
            l1, p1 = self.irreps[path.input]
            if not abs(l1 - path.l) <= path.output.l <= l1 + path.l or max(l1, path.l, path.output.l) > MAX_L:
                raise ValueError(f"{l1} and {path.l} do not couple to {path.output.l} with every l ≤ {MAX_L}")
            if p1 * (-1) ** path.l != path.output.p:
                raise ValueError(f"parity: {self.irreps[path.input]} times Y_{path.l} cannot be {path.output}")
        if not self.paths:
            raise ValueError("a convolution without paths: no harmonic couples these irreps")

    @classmethod
    def between(cls, irreps: str | Irreps, l_max: int, outputs: str | Irreps) -> Convolution:
        """Every allowed path from `irreps` by harmonics up to l_max to `outputs`, in the order of the outputs."""
        irreps, outputs = Irreps.of(irreps), Irreps.of(outputs)
        paths = [
            Path(k, l, out)
            for out in outputs
            for k, (l1, p1) in enumerate(irreps)
            for l in range(l_max + 1)
            if abs(l1 - l) <= out.l <= l1 + l and p1 * (-1) ** l == out.p
        ]
        return cls(irreps, tuple(paths))

    @classmethod
    def of(cls, text: str) -> Convolution:
        irreps, _, paths = text.partition("|")
        found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+[eo])", path) for path in paths.split(",")]
        if not all(found):
            raise ValueError(f"{text!r} is not a convolution; wanted irreps|input.l.output,…")
        return cls(Irreps.of(irreps), tuple(Path(int(f[1]), int(f[2]), Irrep.of(f[3])) for f in found if f))

    def __str__(self) -> str:
        return f"{self.irreps}|" + ",".join(f"{p.input}.{p.l}.{p.output}" for p in self.paths)

    @property
    def l_max(self) -> int:
        return max(path.l for path in self.paths)

    @cached_property
    def outputs(self) -> Irreps:
        """The distinct output irreps, in the order of their first path."""
        return Irreps(dict.fromkeys(path.output for path in self.paths))

    @cached_property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """For each path its output irrep (an index into `outputs`) and its place among the paths that share it."""
        seen = dict.fromkeys(self.outputs, 0)
        slots = []
        for path in self.paths:
            slots.append((self.outputs.index(path.output), seen[path.output]))
            seen[path.output] += 1
        return tuple(slots)

    @cached_property
    def multiplicity(self) -> tuple[int, ...]:
        """How many paths share each output irrep."""
        return tuple(sum(path.output == out for path in self.paths) for out in self.outputs)

    @cached_property
    def n_rows(self) -> int:
        """Rows of all outputs together."""
        return sum(path.output.dim for path in self.paths)

    @cached_property
    def coefficients(self) -> tuple[Coefficient, ...]:
        """√(2l₃+1) times the real coupling coefficients: along (0, l, l) the message is R·h·Y_l, with coefficient 1."""
        table = []
        for k, path in enumerate(self.paths):
            l1, row = self.irreps[path.input].l, self.irreps.rows[path.input].start
            C = clebsch_gordan(l1, path.l, path.output.l) * sqrt(path.output.dim)
            table += [Coefficient(k, row + a, path.l**2 + m, c, float(C[a, m, c])) for a, m, c in np.argwhere(C).tolist()]
        return tuple(table)


class Term(NamedTuple):
    """One monomial of one output row: out[row] += coefficient · Π x[factors], factors sorted."""

    row: int
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Contraction:
    """Symmetric equivariant polynomials of one atom's features up to a correlation order; see `node_poly`.

    >>> poly = Contraction.of("0e+1o|0e|2")
    >>> [term.factors for term in poly.terms]
    [(0,), (0, 0), (1, 1), (2, 2), (3, 3)]
    >>> poly.orders  # paths: one linear, two quadratic
    ((0, 1), (0, 2), (0, 2))
    """

    irreps: Irreps
    outputs: Irreps
    correlation: int

    def __post_init__(self) -> None:
        if not 1 <= self.correlation <= MAX_CORRELATION:
            raise ValueError(f"correlation must be within 1…{MAX_CORRELATION}, got {self.correlation}")
        if max(irrep.l for irrep in (*self.irreps, *self.outputs)) > MAX_L:
            raise ValueError(f"l must be at most {MAX_L}; got {self.irreps} → {self.outputs}")

    @classmethod
    def of(cls, text: str) -> Contraction:
        match = re.fullmatch(r"([\deo+]+)\|([\deo+]+)\|(\d)", text)
        if not match:
            raise ValueError(f"{text!r} is not a contraction; wanted irreps|outputs|correlation")
        return cls(Irreps.of(match[1]), Irreps.of(match[2]), int(match[3]))

    def __str__(self) -> str:
        return f"{self.irreps}|{self.outputs}|{self.correlation}"

    @property
    def orders(self) -> tuple[tuple[int, int], ...]:
        """For each path: the output irrep (an index into `outputs`) and the order ν of its polynomial."""
        return _contraction(self)[0]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The monomials that some path has, sorted by output row, then factors."""
        return _contraction(self)[1]

    @property
    def U(self) -> np.ndarray:
        """The couplings [paths, terms]: path p is Σ_t U_pt · monomial_t, all its 2L + 1 rows among the terms."""
        return _contraction(self)[2]


@cache
def _contraction(poly: Contraction) -> tuple[tuple[tuple[int, int], ...], tuple[Term, ...], np.ndarray]:
    basis = symmetric_couplings(poly.irreps, poly.correlation, max(out.l for out in poly.outputs))
    orders, entries = [], []
    for o, (out, rows) in enumerate(zip(poly.outputs, poly.outputs.rows)):
        for nu in range(1, poly.correlation + 1):
            monomials = _monomials(poly.irreps.dim, nu)
            for path in basis[nu].get(out, []):
                where = np.argwhere(abs(path) > 1e-12).tolist()
                entries.append({Term(rows.start + M, monomials[k]): float(path[M, k]) for M, k in where})
                orders.append((o, nu))
    terms = tuple(sorted({term for path in entries for term in path}))
    place, U = {term: t for t, term in enumerate(terms)}, np.zeros((len(entries), len(terms)))
    for p, path_terms in enumerate(entries):
        for term, value in path_terms.items():
            U[p, place[term]] = value
    U.setflags(write=False)
    return tuple(orders), terms, U


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
def _monomials(n: int, degree: int) -> list[tuple[int, ...]]:
    return list(combinations_with_replacement(range(n), degree))


@cache
def _raise(n: int, degree: int) -> np.ndarray:
    """[row, monomial of this degree] → the monomial of the next degree that is their product."""
    place = {monomial: k for k, monomial in enumerate(_monomials(n, degree + 1))}
    return np.array([[place[tuple(sorted((*monomial, row)))] for monomial in _monomials(n, degree)] for row in range(n)])


@cache
def _tensor_norm(n: int, degree: int) -> np.ndarray:
    """1/√(number of orderings): the norm of the symmetric tensor whose polynomial is that monomial."""
    orderings = [factorial(degree) / prod(factorial(m.count(k)) for k in set(m)) for m in _monomials(n, degree)]
    return 1 / np.sqrt(orderings)


def horner(terms: Sequence[Term]) -> dict[int, dict]:
    """Terms as nested sums, row by row: x_i (c_i + x_j (c_ij + …)); a node is {factor: node} with its term's index at key None.

    >>> horner([Term(0, (0,)), Term(0, (0, 1)), Term(2, (1, 1))])
    {0: {0: {None: 0, 1: {None: 1}}}, 2: {1: {1: {None: 2}}}}
    """
    tree: dict = {}
    for t, (row, factors) in enumerate(terms):
        node = tree.setdefault(row, {})
        for factor in factors:
            node = node.setdefault(factor, {})
        node[None] = t
    return tree
