"""Free lists of symmetry functions as compiled code reads them: what several functions of one element share stands there once."""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adiabat.kernels.cpp_listed import FADES


class Fade(NamedTuple):
    """f(x), one of FADES: x = (d − start) per, from `start` on; of a bump x = |d − start| per, and f(2x − x²) if `asymmetric`."""

    kind: str
    bump: bool
    asymmetric: bool
    start: float
    per: float
    gamma: float = 0.0


class Radial(NamedTuple):
    """R(d) = f(x) e^{−η (d − shift)²}."""

    fade: Fade
    eta: float
    shift: float


class Power(NamedTuple):
    """A(θ) = 2 (½ + ½ λ cos θ)^ζ."""

    zeta: float
    lambd: float


class Function(NamedTuple):
    """w R(d_ij), or w A(θ) R(d_ij) R(d_ik), or, with `far`, w A(θ) R(d_ij) R(d_ik) R(d_jk). A is a power, or a bump of 2θ.

    `neighbors`: places in the list of elements, one or two; none: all of them, weighted with their atomic numbers."""

    neighbors: tuple[int, ...]
    radial: Radial
    cutoff: float
    angular: Power | Fade | None = None
    far: bool = False


class _Struct(ctypes.Structure):
    """A struct of listed.h, field by field."""


class _FadeStruct(_Struct):
    _fields_ = [(n, ctypes.c_int64) for n in ("kind", "bump", "asymmetric")] + [
        (n, ctypes.c_double) for n in ("from", "per", "gamma")
    ]


class _PartStruct(_Struct):
    _fields_ = [("fade", ctypes.c_int64), ("eta", ctypes.c_double), ("shift", ctypes.c_double)]


class _TableStruct(_Struct):
    _fields_ = [(n, ctypes.c_int64) for n in ("fades", "parts")] + [(n, ctypes.c_void_p) for n in ("fade", "part")]


class _TermStruct(_Struct):
    _fields_ = [("column", ctypes.c_int64), ("row", ctypes.c_int64), ("weight", ctypes.c_double)]


class _AngleStruct(_Struct):
    _fields_ = [("power", ctypes.c_int64), ("zeta", ctypes.c_double), ("lambd", ctypes.c_double), ("fade", _FadeStruct)]


class _ProductStruct(_Struct):
    _fields_ = [(n, ctypes.c_int64) for n in ("one", "other", "far", "terms")] + [("term", ctypes.c_void_p)]


class _NeighborsStruct(_Struct):
    _fields_ = [("table", _TableStruct), ("terms", ctypes.c_int64), ("term", ctypes.c_void_p)]


class _ChannelStruct(_Struct):
    _fields_ = (
        [("cutoff", ctypes.c_double)]
        + [(n, ctypes.c_int64) for n in ("bumps", "angles", "products")]
        + [("far", _TableStruct), ("angle", ctypes.c_void_p), ("product", ctypes.c_void_p)]
    )


class _AroundStruct(_Struct):
    _fields_ = [("neighbors", ctypes.c_void_p), ("channel", ctypes.c_void_p)]


class _Table:
    """Radial functions by their fades, each once."""

    def __init__(self, wanted: Sequence[Radial]) -> None:
        self.parts = sorted(set(wanted))

    def struct(self, kept: list) -> _TableStruct:
        fades = sorted({part.fade for part in self.parts})
        rows = [_PartStruct(fades.index(part.fade), part.eta, part.shift) for part in self.parts]
        return _TableStruct(
            len(fades), len(rows), _array(kept, _FadeStruct, map(_fade, fades)), _array(kept, _PartStruct, rows)
        )


def pack(kept: list, elements: Sequence[int], lists: Sequence[Sequence[Function]]) -> int:
    """The address of `struct Around` of listed.h for every element; what it points to lives as long as `kept`."""
    return _array(kept, _AroundStruct, [_around(kept, elements, functions) for functions in lists])


def _around(kept: list, elements: Sequence[int], functions: Sequence[Function]) -> _AroundStruct:
    Z = len(elements)
    alone: list[list[tuple[int, Function]]] = [[] for _ in range(Z)]
    pairs: dict[tuple[int, int], list[tuple[int, Function]]] = {(s, t): [] for t in range(Z) for s in range(t + 1)}
    for column, f in enumerate(functions):
        for s in range(Z):
            if f.angular is None and f.neighbors in ((), (s,)):
                alone[s].append((column, f))
        for channel, its in pairs.items():
            if f.angular is not None and tuple(sorted(f.neighbors)) in ((), channel):
                its.append((column, f))
    tables = []
    for s in range(Z):
        tables.append(
            _Table([f.radial for _, f in alone[s]] + [f.radial for ch, its in pairs.items() if s in ch for _, f in its])
        )
    neighbors = []
    for s, (table, its) in enumerate(zip(tables, alone, strict=True)):
        terms = [_TermStruct(k, table.parts.index(f.radial), float(elements[s]) if not f.neighbors else 1.0) for k, f in its]
        neighbors.append(_NeighborsStruct(table.struct(kept), len(terms), _array(kept, _TermStruct, terms)))
    channels = []
    for (s, t), its in pairs.items():
        weight = float(elements[s] * elements[t])
        channels.append(_channel(kept, tables[s], tables[t], [(k, f, 1.0 if f.neighbors else weight) for k, f in its]))
    return _AroundStruct(_array(kept, _NeighborsStruct, neighbors), _array(kept, _ChannelStruct, channels))


def _channel(kept: list, one: _Table, other: _Table, its: Sequence[tuple[int, Function, float]]) -> _ChannelStruct:
    far, angular = _Table([f.radial for _, f, _ in its if f.far]), list(dict.fromkeys(f.angular for _, f, _ in its))
    products: defaultdict[tuple[int, int, int], list[_TermStruct]] = defaultdict(list)
    for column, f, weight in its:
        rows = one.parts.index(f.radial), other.parts.index(f.radial), far.parts.index(f.radial) if f.far else -1
        products[rows].append(_TermStruct(column, angular.index(f.angular), weight))
    made = [_ProductStruct(*rows, len(terms), _array(kept, _TermStruct, terms)) for rows, terms in products.items()]
    angles = [
        _AngleStruct(1, it.zeta, it.lambd, _FadeStruct()) if isinstance(it, Power) else _AngleStruct(0, 0, 0, _fade(it))
        for it in angular
        if it is not None
    ]
    bumps = sum(isinstance(it, Fade) for it in angular)
    return _ChannelStruct(
        max((f.cutoff for _, f, _ in its), default=0.0), bumps, len(angles), len(made), far.struct(kept),
        _array(kept, _AngleStruct, angles), _array(kept, _ProductStruct, made),
    )  # fmt: skip


def _fade(it: Fade) -> _FadeStruct:
    return _FadeStruct(FADES.index(it.kind), it.bump, it.asymmetric, it.start, it.per, it.gamma)


def _array(kept: list, kind: type[ctypes.Structure], rows: Iterable[ctypes.Structure]) -> int:
    rows = list(rows)
    array = (kind * max(1, len(rows)))(*rows)
    kept.append(array)
    return ctypes.addressof(array)
