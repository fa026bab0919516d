"""Sparse Gaussian processes frozen into C calls; `soap.h` and `two_body.h` compute them, in double precision: coefficients are large
and cancel."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_process import MAX_L, MAX_N, Process
from adiabat.kernels.local import Adds, Call, Evaluator, hold, kind_table
from adiabat.typing import Float, Int, Tensor

DTYPE = torch.float64


@dataclass(frozen=True)
class SoapProcess:
    """E_i = eV (Σ_s a_s (p_i·p_s)^ζ − the same of a lone atom) of atoms of the element `center`; see `models.gap.Soap`."""

    center: int
    channels: tuple[int, ...]  # of each element: which kind of neighbor, −1 where it does not count
    shape: tuple[int, int]  # n_max, l_max
    cutoff: float
    width: float
    zeta: int
    table: Float[Tensor, "n3 L n"]
    reach: float
    alone: Float[Tensor, "c lm"]
    points: Float[Tensor, "M D"]
    a: Float[Tensor, " M"]
    lone: float


@dataclass(frozen=True)
class PairProcess:
    """E_i = eV Σ_j f_c(d_ij) Σ_s a_s exp(−(d_ij − d_s)²/2θ²) over the neighbors that make this pair of elements."""

    pair: tuple[int, int]
    cutoff: float
    width: float
    theta: float
    points: Float[Tensor, " M"]
    a: Float[Tensor, " M"]


@dataclass(frozen=True)
class Processes:
    """The sum of such processes."""

    elements: tuple[int, ...]
    soap: tuple[SoapProcess, ...]
    pairs: tuple[PairProcess, ...]
    eV: float = 1.0

    def times(self, eV: float) -> Processes:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def specs(self) -> list[Process]:
        """What is compiled."""
        return [*dict.fromkeys(Process(*it.shape) for it in self.soap), *([Process(0, 0)] if self.pairs else [])]

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        if any(it.shape[0] > MAX_N or it.shape[1] > MAX_L for it in self.soap):
            return False
        return all(dispatch.fast_for(spec, torch.empty(0, dtype=DTYPE)) for spec in self.specs)

    def evaluator(self) -> Several:
        """What computes it."""
        with torch.no_grad():
            made: list[Adds] = [_soap(self, it) for it in self.soap]
            return Several([*made, *([_pairs(self)] if self.pairs else [])])


class Several:
    """Terms that add to the same sums, one after the other."""

    def __init__(self, terms: Sequence[Adds]) -> None:
        self.terms = terms

    def add(self, call: Call) -> None:
        for term in self.terms:
            term.add(call)


class _Part(ctypes.Structure):
    """`struct Part` of soap.h, field by field."""

    _fields_ = [("atoms", ctypes.c_int64), *((name, ctypes.c_void_p) for name in "first channel r p slopes".split())]


class _SoapFacts(ctypes.Structure):
    """`struct Facts` of soap.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "elements kinds points columns dimensions intervals zeta".split()]
        + [(name, ctypes.c_double) for name in "cutoff width reach lone".split()]
        + [(name, ctypes.c_void_p) for name in "known center channel table alone across along a norm".split()]
    )


class _Process(ctypes.Structure):
    """`struct Process` of two_body.h, field by field."""

    _fields_ = (
        [("points", ctypes.c_int64)]
        + [(name, ctypes.c_double) for name in "cutoff width per".split()]
        + [(name, ctypes.c_void_p) for name in ("at", "a")]
    )


class _PairFacts(ctypes.Structure):
    """`struct Facts` of two_body.h, field by field."""

    _fields_ = [("elements", ctypes.c_int64), ("kinds", ctypes.c_int64), ("kind", ctypes.c_void_p), ("of", ctypes.c_void_p)]


def _soap(it: Processes, one: SoapProcess) -> Evaluator:
    spec, kept = Process(*one.shape), []  # type: tuple[Process, list]
    library = dispatch.library(str(spec), DTYPE)
    lanes, panel = library.lanes(), library.panel()
    n_max, l_max = one.shape
    wide = -(-n_max // lanes) * lanes
    alone = torch.nn.functional.pad(one.alone[:, 0].unflatten(0, (-1, n_max)), (0, wide - n_max))
    M, D = one.points.shape
    m, d = -(-M // panel) * panel, -(-D // panel) * panel
    points = torch.nn.functional.pad(one.points, (0, d - D, 0, m - M))
    across = points[:, :D].T.unflatten(1, (-1, panel)).movedim(1, 0)  # panels of sparse points
    along = points.unflatten(1, (-1, panel)).movedim(1, 0)  # panels of dimensions
    a = torch.nn.functional.pad(one.a * it.eV, (0, m - M))
    known, length = kind_table(kept, dict.fromkeys(it.elements, 0))
    center, _ = kind_table(kept, {z: int(k == one.center) for k, z in enumerate(it.elements)})
    channel, _ = kind_table(kept, dict(zip(it.elements, one.channels, strict=True)))
    facts = _SoapFacts(
        length, len(alone), m, d, D, len(one.table) - 3, one.zeta, one.cutoff, one.width, one.reach, one.lone * it.eV, known, center, channel,
        *(
            hold(kept, x, DTYPE)
            for x in (torch.nn.functional.pad(one.table / math.sqrt(4 * math.pi), (0, wide - n_max)), alone, across, along, a,
                      torch.tensor([_norm(l, abs(m)) for l in range(l_max + 1) for m in range(-l, l + 1)], dtype=torch.float64))
        ),
    )  # fmt: skip
    return Evaluator(spec, DTYPE, facts, kept)  # type: ignore[arg-type]


_ONE_AT_A_TIME = threading.Lock()
_DESCRIBING: dict[tuple, tuple[Evaluator, int]] = {}  # what `spectra` works with, by all that it depends on


def spectra(
    one: SoapProcess, first: Int[Tensor, "n1"], channel: Int[Tensor, "e"], r: Float[Tensor, "e 3"]
) -> tuple[Float[Tensor, "n D"], Float[Tensor, "e 3 D"]] | None:
    """Normalized power spectra of atoms with their edges, and their derivatives along the edges, compiled; None where nothing is.

    `channel`: which kind of neighbor an edge leads to, −1 where it does not count. For fits: an energy's gradient needs less.
    """
    whole = Processes(tuple(range(1, 1 + len(one.channels))), (one,), ())
    if not whole.fast:
        return None
    key = (one.shape, one.cutoff, one.width, one.reach, len(one.table), tuple(one.alone[:, 0].tolist()))
    if key not in _DESCRIBING:
        evaluator = _soap(whole, replace(one, points=one.points[:1], a=one.a[:1]))
        evaluator.library.describe.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        _DESCRIBING[key] = evaluator, evaluator.library.make(ctypes.byref(evaluator.facts))
    evaluator, model = _DESCRIBING[key]
    if not model:
        raise MemoryError("spectra: no memory is left")
    lists = [x.to(torch.int64).contiguous() for x in (first, channel)]
    r = r.to(DTYPE).contiguous()
    found = (
        torch.zeros(len(first) - 1, one.points.shape[1], dtype=DTYPE),
        torch.zeros(len(r), 3, one.points.shape[1], dtype=DTYPE),
    )
    part = _Part(len(first) - 1, *(x.data_ptr() for x in (*lists, r, *found)))
    with _ONE_AT_A_TIME:
        fault = evaluator.library.describe(model, ctypes.byref(part))
    if fault:
        raise MemoryError("spectra: no memory is left; evaluate fewer atoms at once")
    return found


def _pairs(it: Processes) -> Evaluator:
    spec, kept = Process(0, 0), []  # type: tuple[Process, list]
    lanes, Z = dispatch.library(str(spec), DTYPE).lanes(), len(it.elements)
    table = (_Process * (Z * Z))()
    for one in it.pairs:
        more = -len(one.points) % lanes
        points = torch.nn.functional.pad(one.points, (0, more))
        a = torch.nn.functional.pad(one.a * it.eV, (0, more))
        made = _Process(len(points), one.cutoff, one.width, 0.5 / one.theta**2, hold(kept, points, DTYPE), hold(kept, a, DTYPE))
        for x, y in (one.pair, one.pair[::-1]):
            if table[x * Z + y].points:
                raise ValueError(f"evaluator: two processes for the pair {one.pair}; wanted one")
            table[x * Z + y] = made
            if x == y:
                break
    kept.append(table)
    kind, length = kind_table(kept, {z: k for k, z in enumerate(it.elements)})
    return Evaluator(spec, DTYPE, _PairFacts(length, Z, kind, ctypes.addressof(table)), kept)  # type: ignore[arg-type]


def _norm(l: int, m: int) -> float:
    """Of component-normalized harmonics; see `geometry`."""
    return math.sqrt((2 * l + 1) * (2 if m else 1) * math.factorial(l - m) / math.factorial(l + m))
