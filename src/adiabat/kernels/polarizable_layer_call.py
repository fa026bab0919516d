"""Calls of `layer.h`: which tensors there are, where they lie in memory, and one struct for all its functions."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.edge_conv import Edges
from adiabat.kernels.ir import PolarizableStep
from adiabat.typing import Tensor

SPEC = str(PolarizableStep())
BEFORE, OF_ONE = 3, 10  # s v r, and of each layer: table Φ₁ b₁ Φ₂ b₂ (U V) A₁ c₁ A₂ c₂
FAULTS = (
    "the row pointers do not span the edges",
    "the edges are not sorted by their center",
    "a neighbor is out of range",
    "a kind of edge is out of range",
    "an edge vector is not a number: look at the positions and the cell",
)

INTEGERS = "atoms C paths parts intervals kinds threads".split()
LISTS = "first j kind".split()
ARGUMENTS = "s v r table b1 b2 c1 c2".split()
KEPT = "z1 phi w uv both dot z2 a vn".split()  # `both` is (s₁, norm)
EXTRA = "h1 v1 h2 sn".split()
MADE = "ab h2b z2b bothb uvb s1b v1b phib wb h1b z1b".split()
TANGENTS = "z1t h1t phit wt botht v1t uvt dott z2t h2t at snt vnt".split()
TOLD = [f"of_{name}" for name in KEPT]
WEIGHTS = "Phi1 Phi2 UV A1 A2".split()
GRADIENTS = [*(f"{name}b" for name in WEIGHTS), *"b1b b2b c1b c2b sb pack".split()]
# `struct Layer` of layer.h, field by field, each of eight bytes
FIELDS = [*INTEGERS, "cutoff", "epsilon", *LISTS, *ARGUMENTS, *KEPT, *EXTRA, "edges", "gs", "gv", *MADE]
FIELDS += ["vb", "rb", "tableb", "st", "vt", "rt", *TANGENTS, "vtb", "edgest", *TOLD]
FIELDS += [*WEIGHTS, *(f"{name}_turned" for name in WEIGHTS), *GRADIENTS]
PLACE = {name: k for k, name in enumerate(FIELDS)}


class About(NamedTuple):
    """What has no derivative."""

    cutoff: float
    epsilon: float
    kind: Tensor
    edges: Edges


class Group(NamedTuple):
    """Tensors that lie in one stretch of memory: where each starts and how many numbers it holds."""

    names: list[str]
    starts: dict[str, int]
    lengths: dict[str, int]
    size: int
    bytes: list[int]  # where each starts, in bytes

    @classmethod
    def of(cls, names: list[str], lengths: list[int], itemsize: int) -> Group:
        starts = [sum(lengths[:k]) for k in range(len(names))]
        known = dict(zip(names, starts)), dict(zip(names, lengths))
        return cls(names, *known, sum(lengths), [itemsize * start for start in starts])


class Sizes(NamedTuple):
    """Atoms, channels, paths of the message, blocks of the update, and the groups of tensors."""

    atoms: int
    C: int
    paths: int
    parts: int
    kept: Group
    extra: Group
    made: Group
    tangents: Group
    told: Group

    @classmethod
    def of(cls, given: Sequence[Tensor]) -> Sizes:
        (n, C), table, asecond = given[0].shape, given[BEFORE], given[BEFORE + 8]
        return _sizes(n, C, table.shape[2], asecond.shape[1] // C, table.dtype)


@lru_cache(maxsize=256)
def _sizes(n: int, C: int, P: int, parts: int, dtype: torch.dtype) -> Sizes:
    rows = {
        "phi": P,
        "w": 3 * (P == 3),
        "a": parts,
        "v1": 3,
        "vn": 3,
        "uv": 6,
        "both": 2,
    }  # of C channels an atom; others have one
    numbers = {name + end: n * C * k for name, k in rows.items() for end in ("", "b", "t")}
    numbers |= {f"of_{name}": numbers.get(name, n * C) for name in KEPT}
    groups = (Group.of(x, [numbers.get(y, n * C) for y in x], dtype.itemsize) for x in (KEPT, EXTRA, MADE, TANGENTS, TOLD))
    return Sizes(n, C, P, parts, *groups)


class Parts(NamedTuple):
    """One stretch of memory as matrices."""

    group: Group
    flat: Tensor

    def __call__(self, name: str, columns: int) -> Tensor:
        rows = self.group.lengths[name] // columns
        return self.flat.as_strided((rows, columns), (columns, 1), self.flat.storage_offset() + self.group.starts[name])


class Located(NamedTuple):
    """The edges with their splines and directions, once for all layers; with tangents for the second derivative."""

    about: About
    edges: Tensor
    edgest: Tensor | None = None

    @classmethod
    def of(cls, given, about: About) -> Located:
        """Checked first: what compiled code cannot survive is refused."""
        at, r = Sizes.of(given), given[2]
        located = cls(about, r.new_empty(len(r) * dispatch.library(SPEC, r.dtype).edge_size(0)))
        call = Call(at, located, r=r, table=given[BEFORE])
        call.check()
        call.run("forward_edges")
        return located

    def moving(self, given, rt: Tensor) -> Located:
        r = given[2]
        located = self._replace(edgest=r.new_empty(len(r) * dispatch.library(SPEC, r.dtype).edge_size(1)))
        Call(Sizes.of(given), located, r=r, rt=rt, table=given[BEFORE]).run("double_edges")
        return located


class Call:
    """Calls of compiled code on one set of tensors, which it holds; all of them lie in memory row after row."""

    def __init__(self, sizes: Sizes, located: Located, **tensors: Tensor | None) -> None:
        table, (about, *near) = tensors["table"], located
        edges = about.edges
        assert table is not None
        tensors |= {"edges": near[0], "edgest": near[1]}
        self.held: list[Tensor | None] = [edges.first.contiguous(), edges.j.contiguous(), about.kind, *tensors.values()]
        self.words = (ctypes.c_int64 * len(FIELDS))()
        kinds, rows, *_ = table.shape
        numbers = sizes.atoms, sizes.C, sizes.paths, sizes.parts, rows - 3, kinds, torch.get_num_threads()
        self.words[: len(numbers)] = list(numbers)
        for name, number in (("cutoff", about.cutoff), ("epsilon", about.epsilon)):
            ctypes.c_double.from_buffer(self.words, 8 * PLACE[name]).value = number
        for name, x in zip((*LISTS, *tensors), self.held):
            if x is not None:
                self.words[PLACE[name]] = x.data_ptr()
        self.library, self.about = dispatch.library(SPEC, table.dtype), about

    def weights(self, given: Sequence[Tensor]) -> None:
        """The matrices, of which each lies row after row or column after column, and room to pack one."""
        C = given[0].shape[1]
        _, first, _, second, _, mixed, afirst, _, asecond, _ = given[BEFORE:]
        for name, weight in zip(WEIGHTS, (first, second, mixed, afirst, asecond), strict=True):
            self.words[PLACE[name]] = weight.data_ptr()
            self.words[PLACE[f"{name}_turned"]] = not weight.is_contiguous()
        self.held += [*given, pack := first.new_empty(3 * C * C)]
        self.words[PLACE["pack"]] = pack.data_ptr()

    def place(self, group: Group, flat: Tensor, until: str | None = None) -> Parts:
        """A stretch of memory for a group of tensors, those before `until` if not for all."""
        self.held.append(flat)
        start, count = PLACE[group.names[0]], len(group.names) if until is None else group.names.index(until)
        base = flat.data_ptr()
        self.words[start : start + count] = [base + offset for offset in group.bytes[:count]]
        return Parts(group, flat)

    def without(self, name: str) -> None:
        self.words[PLACE[name]] = 0

    def check(self) -> None:
        i = self.about.edges.i.contiguous()
        fault = self.library.check_arguments(self.words, ctypes.c_void_p(i.data_ptr()), ctypes.c_int64(len(i)))
        if fault:
            raise ValueError(f"polarizable_layers: {FAULTS[fault - 1]}")

    def run(self, name: str) -> None:
        getattr(self.library, name + "_of")(self.words)
