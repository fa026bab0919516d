"""Sparse Gaussian processes frozen into C calls; `soap.h`, `two_body.h` and `three_body.h` compute them, in double precision:
coefficients are large and cancel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_process import MAX_L, MAX_N, PAIRS, TRIPLES, Process
from adiabat.kernels.local import FAULTS, NO_MEMORY, Adds, Call, Edges, Evaluator, Several, hold, kind_table
from adiabat.kernels.soap_process import SoapProcess, spectra
from adiabat.kernels.three_body import TripleProcess, triples
from adiabat.typing import Float, Tensor

DTYPE = torch.float64
_PADDED = 96  # columns: whole panels of any processor


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
    triples: tuple[TripleProcess, ...] = ()
    eV: float = 1.0

    @classmethod
    def of(cls, elements: tuple[int, ...], listed: Sequence[SoapProcess | PairProcess | TripleProcess]) -> Processes:
        """Their sum."""
        soap, pairs, triples = (
            tuple(it for it in listed if isinstance(it, kind)) for kind in (SoapProcess, PairProcess, TripleProcess)
        )
        return cls(elements, soap, pairs, triples)  # type: ignore[arg-type]

    def times(self, eV: float) -> Processes:
        """The same in other units."""
        return replace(self, eV=self.eV * eV)

    @property
    def specs(self) -> list[Process]:
        """What is compiled."""
        distances = [spec for spec, listed in ((PAIRS, self.pairs), (TRIPLES, self.triples)) if listed]
        return [*dict.fromkeys(Process(*it.shape) for it in self.soap), *distances]

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        if any(it.shape[0] > MAX_N or it.shape[1] > MAX_L for it in self.soap):
            return False
        return all(dispatch.fast_for(spec, torch.empty(0, dtype=DTYPE)) for spec in self.specs)

    def evaluator(self) -> Several:
        """What computes it."""
        with torch.no_grad():
            made: list[Adds] = [spectra(self.elements, it, self.eV) for it in self.soap]
            made += [_pairs(replace(self, pairs=pairs)) for pairs in _apart(self.pairs)]
            if self.triples:
                made.append(triples(self.elements, self.triples, self.eV))
            return Several(made)


class _Columns(ctypes.Structure):
    """`struct Columns` of columns.h, field by field."""

    _fields_ = [("columns", ctypes.c_int64), *((name, ctypes.c_void_p) for name in "energy forces strain".split())]


class _Variances(ctypes.Structure):
    """`struct Variances` of panels.h, field by field."""

    _fields_ = [("root", ctypes.c_void_p), ("prior", ctypes.c_double), ("variance", ctypes.c_void_p)]


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


class Columns:
    """One process for a fit, compiled: its sparse points' columns of a structure's rows. Coefficients multiply them."""

    def __init__(self, evaluator: Evaluator, sparse: int) -> None:
        self.evaluator, self.sparse = evaluator, sparse
        evaluator.library.add_columns.argtypes = [ctypes.c_void_p] * 3

    @classmethod
    def of(cls, elements: tuple[int, ...], one: SoapProcess | PairProcess | TripleProcess) -> Columns | None:
        """None where nothing is compiled."""
        whole = Processes.of(elements, [one])
        if not whole.fast:
            return None
        (evaluator,) = whole.evaluator().terms
        assert isinstance(evaluator, Evaluator)
        return cls(evaluator, len(one.a))

    def __call__(
        self, edges: Edges, r: Float[Tensor, "E 3"]
    ) -> tuple[Float[Tensor, " M"], Float[Tensor, "N 3 M"], Float[Tensor, "3 3 M"]]:
        """Σ_i k(i, s) of one structure's atoms, what they give for its forces, and for its strain gradient."""
        padded = -(-self.sparse // _PADDED) * _PADDED
        energy, forces, strain = (torch.zeros(*shape, padded, dtype=DTYPE) for shape in ((), (edges.atoms, 3), (6,)))
        out = _Columns(padded, *(x.data_ptr() for x in (energy, forces, strain)))
        _call(self.evaluator, "columns", Call(edges, r.detach().to(DTYPE).contiguous(), 1), out)
        upper = torch.tensor([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
        return energy[: self.sparse], forces[..., : self.sparse], strain[upper][..., : self.sparse]


class Variances:
    """What one process leaves of the atoms' prior variance, compiled: prior − k K_MM⁻¹ kᵀ, summed over an atom's environments."""

    def __init__(self, evaluator: Evaluator, root: Float[Tensor, "M M"], prior: float) -> None:
        """`root`: the lower triangular factor of K_MM."""
        self.evaluator, self.prior, panel = evaluator, prior, evaluator.library.panel()
        inverse = torch.linalg.solve_triangular(root, torch.eye(len(root)).to(root), upper=False).T
        padded = torch.nn.functional.pad(inverse, (0, -len(root) % panel) * 2)
        self.root = padded.unflatten(1, (-1, panel)).movedim(1, 0).contiguous()
        evaluator.library.add_variances.argtypes = [ctypes.c_void_p] * 3

    @classmethod
    def of(
        cls, elements: tuple[int, ...], one: SoapProcess | PairProcess | TripleProcess, root: Float[Tensor, "M M"], prior: float
    ) -> Variances | None:
        """Of a process with the coefficients 1; None where nothing is compiled."""
        whole = Processes.of(elements, [one])
        if not whole.fast:
            return None
        if isinstance(one, SoapProcess):
            return cls(spectra(elements, one, 1.0), root, prior)
        made = _pairs(whole, panels=True) if isinstance(one, PairProcess) else triples(elements, [one], 1.0, panels=True)
        return cls(made, root, prior)

    def add(self, edges: Edges, r: Float[Tensor, "E 3"], variance: Float[Tensor, " N"], threads: int) -> None:
        """Adds each atom's, eV², to a dense tensor of float64."""
        out = _Variances(self.root.data_ptr(), self.prior, variance.data_ptr())
        _call(self.evaluator, "variances", Call(edges, r.detach().to(DTYPE).contiguous(), threads), out)


def _call(evaluator: Evaluator, name: str, call: Call, out: ctypes.Structure) -> None:
    """What is no sum of energies: called on a workspace that is not kept."""
    library = evaluator.library
    workspace = library.make(ctypes.byref(evaluator.facts))
    if not workspace:
        raise MemoryError(f"{name}: {FAULTS[NO_MEMORY - 1]}")
    fault = getattr(library, f"add_{name}")(workspace, ctypes.byref(call.struct), ctypes.byref(out))
    library.drop(workspace)
    if fault:
        raise (MemoryError if fault == NO_MEMORY else ValueError)(f"{name}: {FAULTS[fault - 1]}")


def _pairs(it: Processes, panels: bool = False) -> Evaluator:
    spec, kept = PAIRS, []  # type: tuple[Process, list]
    library, Z = dispatch.library(str(spec), DTYPE), len(it.elements)
    whole = library.panel() if panels else library.lanes()
    table = (_Process * (Z * Z))()
    for one in it.pairs:
        more = -len(one.points) % whole
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


def _apart(pairs: Iterable[PairProcess]) -> list[tuple[PairProcess, ...]]:
    """In as few lists as can be without two processes for the same elements in one: an evaluator has one a pair."""
    lists: list[dict[tuple[int, int], PairProcess]] = []
    for one in pairs:
        place = next((it for it in lists if one.pair not in it), None)
        if place is None:
            lists.append(place := {})
        place[one.pair] = one
    return [tuple(it.values()) for it in lists]
