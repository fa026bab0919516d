"""What the generator generates from: a path list and a sparse table of coefficients.

Two operations cover the equivariant families, beside the `Harmonics` of their edges. A `Convolution` is bilinear in features and
harmonics, with a radial weight per path; a `Contraction` is a polynomial of one atom's features. All are small values made of
integers: their text form (`str`) names a compiled kernel, travels in model files, and is parsed by `of`, which admits nothing but
these grammars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np

from adiabat.irreps import Irrep, Irreps, clebsch_gordan
from adiabat.kernels.couplings import monomials, symmetric_couplings

MAX_L = 6
MAX_ZETA = 256  # the largest exponent of a symmetry function that is multiplied out
MAX_FUNCTIONS = 64  # Chebyshev polynomials whose sums are unrolled
MAX_CORRELATION = 4
MAX_OUTPUTS = 16  # distinct output irreps of a convolution


@dataclass(frozen=True)
class Harmonics:
    """Lengths and spherical harmonics up to l_max of edge vectors; see `edge_geometry`. Its text form is the number."""

    l_max: int

    def __post_init__(self) -> None:
        if not 0 <= self.l_max <= MAX_L:
            raise ValueError(f"harmonics up to l = {self.l_max}; wanted 0…{MAX_L}")

    @classmethod
    def of(cls, text: str) -> Harmonics:
        return cls(int(text))

    def __str__(self) -> str:
        return str(self.l_max)


@dataclass(frozen=True)
class Symmetry:
    """So many radial functions, and angular ones for each of `widths` × `zetas` × {−1, +1}; see `symmetry_functions`.

    >>> str(Symmetry.of("8;1;1.2.4"))
    '8;1;1.2.4'
    """

    radial: int
    widths: int
    zetas: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.radial < 0 or self.widths < 0 or not all(1 <= zeta <= MAX_ZETA for zeta in self.zetas):
            raise ValueError(f"symmetry functions {self}; wanted counts, and exponents within 1…{MAX_ZETA}")

    @classmethod
    def of(cls, text: str) -> Symmetry:
        radial, widths, zetas = text.split(";")
        return cls(int(radial), int(widths), tuple(int(zeta) for zeta in zetas.split(".") if zeta))

    def __str__(self) -> str:
        return f"{self.radial};{self.widths};{'.'.join(map(str, self.zetas))}"


@dataclass(frozen=True)
class Environment:
    """So many radial functions, and angular ones for each of `shifts` × `sections` with a power ζ (0: not a whole number).

    >>> str(Environment.of("aev;16;4;8;32;cosine"))
    'aev;16;4;8;32;cosine'
    """

    radial: int
    shifts: int
    sections: int
    zeta: int
    smooth: bool

    def __post_init__(self) -> None:
        if min(self.radial, self.shifts, self.sections) < 0 or not 0 <= self.zeta <= MAX_ZETA:
            raise ValueError(f"environment {self}; wanted counts, and a power within 0…{MAX_ZETA}")

    @classmethod
    def of(cls, text: str) -> Environment:
        kind, radial, shifts, sections, zeta, fade = text.split(";")
        if kind != "aev" or fade not in ("cosine", "smooth"):
            raise ValueError(f"{text!r} is no environment; wanted aev;…;cosine or aev;…;smooth")
        return cls(int(radial), int(shifts), int(sections), int(zeta), fade == "smooth")

    def __str__(self) -> str:
        return f"aev;{self.radial};{self.shifts};{self.sections};{self.zeta};{'smooth' if self.smooth else 'cosine'}"


@dataclass(frozen=True)
class Chebyshev:
    """So many Chebyshev functions of the distance, and others times harmonics up to l_max; see `neighbor_sums`.

    >>> str(Chebyshev.of("chebyshev;9;7;4"))
    'chebyshev;9;7;4'
    """

    radial: int
    angular: int
    l_max: int

    def __post_init__(self) -> None:
        if not (1 <= self.radial <= MAX_FUNCTIONS and 1 <= self.angular <= MAX_FUNCTIONS and 0 <= self.l_max <= 8):
            raise ValueError(f"{self}; wanted 1…{MAX_FUNCTIONS} functions, harmonics up to 0…8")

    @classmethod
    def of(cls, text: str) -> Chebyshev:
        kind, radial, angular, l_max = text.split(";")
        if kind != "chebyshev":
            raise ValueError(f"{text!r} is no set of neighbor sums; wanted chebyshev;…")
        return cls(int(radial), int(angular), int(l_max))

    @property
    def rows(self) -> int:
        """How many harmonics, beside that of l = 0."""
        return (self.l_max + 1) ** 2 - 1

    def __str__(self) -> str:
        return f"chebyshev;{self.radial};{self.angular};{self.l_max}"


@dataclass(frozen=True)
class Invariants:
    """So many mixed radial and angular functions of neighbor sums, and `products` of the latter; see `InvariantNetworks`.

    >>> str(Invariants.of("nep;9;9;4;9;7;222.1111"))
    'nep;9;9;4;9;7;222.1111'
    """

    sums: Chebyshev
    radial: int
    angular: int
    products: tuple[str, ...]

    def __post_init__(self) -> None:
        known = {"222", "1111", "112", "123", "233", "134"}
        if not (1 <= self.radial <= MAX_FUNCTIONS and 1 <= self.angular <= MAX_FUNCTIONS and set(self.products) <= known):
            raise ValueError(f"{self}; wanted 1…{MAX_FUNCTIONS} functions, products of {', '.join(sorted(known))}")

    @classmethod
    def of(cls, text: str) -> Invariants:
        kind, *sums, radial, angular, products = text.split(";")
        if kind != "nep":
            raise ValueError(f"{text!r} are no invariants; wanted nep;…")
        names = tuple(name for name in products.split(".") if name)
        return cls(Chebyshev.of(";".join(["chebyshev", *sums])), int(radial), int(angular), names)

    def __str__(self) -> str:
        sums = self.sums
        return f"nep;{sums.radial};{sums.angular};{sums.l_max};{self.radial};{self.angular};{'.'.join(self.products)}"


@dataclass(frozen=True)
class Listed:
    """Free lists of symmetry functions: all of their numbers are read at run time; see `listed`.

    >>> str(Listed())
    'list;'
    """

    def __str__(self) -> str:
        return "list;"


@dataclass(frozen=True)
class LocalTerm:
    """A whole local term, what `local` runs in one call: networks on symmetry functions (even sets, free lists), environments or
    invariants.

    >>> str(LocalTerm.of("networks;8;1;1.2.4"))
    'networks;8;1;1.2.4'
    """

    symmetry: Symmetry | Environment | Invariants | Listed

    @classmethod
    def of(cls, text: str) -> LocalTerm:
        kind, _, rest = text.partition(";")
        if kind != "networks":
            raise ValueError(f"{text!r} is not a local term; wanted networks;…")
        if rest.startswith("nep;"):
            return cls(Invariants.of(rest))
        if rest == str(Listed()):
            return cls(Listed())
        return cls(Environment.of(rest) if rest.startswith("aev;") else Symmetry.of(rest))

    def __str__(self) -> str:
        return f"networks;{self.symmetry}"


@dataclass(frozen=True)
class RigidMotion:
    """Drift and rotation of structures; what `rigid` takes out. All sizes are numbers at run time.

    >>> str(RigidMotion())
    'rigid;'
    """

    def __str__(self) -> str:
        return "rigid;"


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
        if len(self.outputs) > MAX_OUTPUTS:
            raise ValueError(f"{len(self.outputs)} output irreps; at most {MAX_OUTPUTS}")
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
    orders: list[tuple[int, int]] = []
    entries: list[dict[Term, float]] = []
    for o, (out, rows) in enumerate(zip(poly.outputs, poly.outputs.rows)):
        for nu in range(1, poly.correlation + 1):
            factors = monomials(poly.irreps.dim, nu)
            for path in basis[nu].get(out, []):
                where = np.argwhere(abs(path) > 1e-12).tolist()
                entries.append({Term(rows.start + M, factors[k]): float(path[M, k]) for M, k in where})
                orders.append((o, nu))
    terms = tuple(sorted({term for path in entries for term in path}))
    place, U = {term: t for t, term in enumerate(terms)}, np.zeros((len(entries), len(terms)))
    for p, path_terms in enumerate(entries):
        for term, value in path_terms.items():
            U[p, place[term]] = value
    U.setflags(write=False)
    return tuple(orders), terms, U


@dataclass(frozen=True)
class MessagePassing:
    """Layers of a convolution and the contraction of its mixed sums: what `evaluator` runs in one call.

    >>> str(MessagePassing.of("0e|0.0.0e&0e|0e|1"))
    '0e|0.0.0e&0e|0e|1'
    """

    layers: tuple[tuple[Convolution, Contraction], ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("message passing without a layer")
        before = Irreps.of("0e")
        for t, (conv, poly) in enumerate(self.layers):
            if conv.irreps != before or poly.irreps != conv.outputs:
                raise ValueError(f"layer {t} takes {conv.irreps} and contracts {poly.irreps}; {before} and {conv.outputs} come")
            before = poly.outputs

    @classmethod
    def of(cls, text: str) -> MessagePassing:
        pairs = [layer.split("&") for layer in text.split("\n")]
        return cls(tuple((Convolution.of(conv), Contraction.of(poly)) for conv, poly in pairs))

    def __str__(self) -> str:
        return "\n".join(f"{conv}&{poly}" for conv, poly in self.layers)

    @property
    def l_max(self) -> int:
        return max(conv.l_max for conv, _ in self.layers)


@dataclass(frozen=True)
class DeepPotential:
    """A whole Deep Potential. All sizes are numbers at run time.

    >>> str(DeepPotential())
    'deeppot;'
    """

    def __str__(self) -> str:
        return "deeppot;"


@dataclass(frozen=True)
class Polarizable:
    """Scalars and vectors that pass messages (PaiNN): what `polarizable` runs in one call. All sizes are numbers at run time.

    >>> str(Polarizable())
    'polarizable;'
    """

    def __str__(self) -> str:
        return "polarizable;"


@dataclass(frozen=True)
class PolarizableStep:
    """One layer of those, with two derivatives for training: what `polarizable_layer` runs between its matrix products.

    >>> str(PolarizableStep())
    'layer;'
    """

    def __str__(self) -> str:
        return "layer;"


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
