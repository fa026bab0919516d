"""`polarizable_layer` as three nodes of autograd: forth, back, and the way back taken back.

Between matrix products, which are torch's, everything runs compiled (`layer.h`):

| step | equations, rows of C channels; x̄ is a cotangent |
|---|---|
| first | z₁ = s Φ₁ + b₁, h₁ = silu(z₁) |
| message | φ = h₁ Φ₂ + b₂, w = φ₂ v; s₁ = s + Σ φ₀ R₀, v₁ = v + Σ √3 r̂ φ₁ R₁ + w R₂ |
| products | (Uv, Vv) = v₁ (U, V), dot = Uv·Vv, norm = √(Vv² + ε) |
| second | z₂ = (s₁, norm) A₁ + c₁, h₂ = silu(z₂) |
| update | a = h₂ A₂ + c₂; s₁ + a₀ + a₁ dot, v₁ + a₂ Uv |

What the way forth keeps (z₁, φ, w, Uv and Vv, norm, dot, z₂, a) is an output like others, and an argument of the way back. So a force
loss's cotangents of these are told by `double backward` and met by the next `backward` on its one sweep: no product is made
twice. The way back is linear in each weight: with tangents for weights themselves the reference does it. A third derivative is
refused.

These are `torch.autograd.Function`s, not operations of torch.library: three of those cost half a millisecond more a layer and step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.edge_conv import Edges
from adiabat.kernels.engine import asked
from adiabat.kernels.ir import PolarizableStep
from adiabat.kernels.polarizable import Dense, PolarizableLayer
from adiabat.kernels.polarizable_layer import reference_polarizable_layer
from adiabat.typing import Tensor

SPEC = str(PolarizableStep())
GIVEN = 13  # s v r table, Φ₁ b₁ Φ₂ b₂ (U V) A₁ c₁ A₂ c₂
FAULTS = (
    "the row pointers do not span the edges",
    "the edges are not sorted by their center",
    "a neighbor is out of range",
    "a kind of edge is out of range",
    "an edge vector is not a number: look at the positions and the cell",
)


class About(NamedTuple):
    """What has no derivative."""

    cutoff: float
    epsilon: float
    kind: Tensor
    edges: Edges


def fast_polarizable_layer(s, v, r, layer: PolarizableLayer, cutoff, epsilon, kind, edges) -> tuple[Tensor, Tensor]:
    """See `polarizable_layer`; channels in multiples of BLOCK."""
    phi, a = (
        Dense(*by[:3], by.second.new_zeros(by.second.shape[1]) if by.more is None else by.more) for by in (layer.phi, layer.a)
    )
    given = s, v, r, layer.table, *phi, torch.cat([layer.U, layer.V], 1), *a
    sn, vn, _, _ = _Forward.apply(*given, About(cutoff, epsilon, kind.contiguous(), edges))
    return sn, vn


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        *given, about = inputs
        given = [*(x.contiguous() for x in given[:4]), *given[4:]]
        sn, vn, kept, extra = _forward(given, about)
        ctx.mark_non_differentiable(extra)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, kept, extra)
        ctx.about = about
        return sn, vn, kept, extra

    @staticmethod
    def backward(ctx, gs, gv, injected, _):
        *given, kept, extra = ctx.saved_tensors
        gs = torch.zeros_like(given[0]) if gs is None else gs.contiguous()
        gv = torch.zeros_like(given[1]) if gv is None else gv.contiguous()
        return *_Backward.apply(*given, kept, gs, gv, extra, injected, asked(ctx, GIVEN), ctx.about), None


class _Backward(torch.autograd.Function):
    """Cotangents of what was given, None where nobody asks; `injected` are those of what was kept."""

    @staticmethod
    def forward(ctx, *inputs):
        *given, kept, gs, gv, extra, injected, needs, about = inputs
        grads, made = _backward(given, kept, gs, gv, extra, injected, needs, about)
        ctx.set_materialize_grads(False)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*given, kept, gs, gv, extra, made)
            ctx.about, ctx.again = about, injected is not None
        return grads

    @staticmethod
    def backward(ctx, st, vt, rt, *others):
        if ctx.again:
            return _third()
        tensors = ctx.saved_tensors
        needs = asked(ctx, GIVEN + 3)
        if any(x is not None for x in others):
            found = _by_reference(tensors[:GIVEN], *tensors[GIVEN + 1 : GIVEN + 3], (st, vt, rt, *others), ctx.about)
        else:
            found = _Double.apply(*tensors, st, vt, rt, needs, ctx.about)
        return *(x if need else None for x, need in zip(found, needs, strict=True)), None, None, None, None


class _Double(torch.autograd.Function):
    """Of ⟨(s̄, v̄, r̄), tangents⟩ the derivatives with respect to what was given, what was kept, gs and gv."""

    @staticmethod
    def forward(ctx, *inputs):
        return _double(*inputs)

    @staticmethod
    def backward(ctx, *_):
        return _third()


def _third():
    raise NotImplementedError("polarizable_layer has two derivatives; for a third one set ADIABAT_KERNELS=reference")


# ---------------------------------------------------------------------------------------------------------- one call after the other
def _forward(given, about):
    s, v, r, table, first, b1, second, b2, mixed, afirst, c1, asecond, c2 = given
    at = Sizes.of(given)
    n, C = at.atoms, at.C
    sn, vn = torch.empty_like(s), torch.empty_like(v)
    kept, extra = s.new_empty(at.kept.size), s.new_empty(at.extra.size)
    call = Call(at, about, s=s, v=v, r=r, table=table, b1=b1, b2=b2, c1=c1, c2=c2, sn=sn, vn=vn)
    k, e = call.place(at.kept, kept), call.place(at.extra, extra)
    call.check()
    torch.mm(s, first, out=k("z1", C))
    call.run("forward_first")
    torch.mm(e("h1", C), second, out=k("phi", at.paths * C))
    call.run("forward_message")
    torch.mm(e("v1", C), mixed, out=k("uv", 2 * C))
    call.run("forward_products")
    torch.mm(k("both", 2 * C), afirst, out=k("z2", C))
    call.run("forward_second")
    torch.mm(e("h2", C), asecond, out=k("a", at.parts * C))
    call.run("forward_update")
    return sn, vn, kept, extra


def _backward(given, kept, gs, gv, extra, injected, needs, about):
    """The gradients, and what the next derivative reads."""
    s, v, r, table, first, _, second, _, mixed, afirst, _, asecond, _ = given
    at = Sizes.of(given)
    n, C = at.atoms, at.C
    of_s, of_v, of_r, of_table, of_first, of_b1, of_second, of_b2, of_mixed, of_afirst, of_c1, of_asecond, of_c2 = needs
    inner = of_s or of_first or of_b1  # somebody waits beyond φ
    nodes = inner or of_second or of_b2 or (of_v and at.paths == 3)
    made = s.new_empty(at.made.size)
    rb = torch.empty_like(r) if of_r else None
    tableb = torch.zeros_like(table) if of_table else None
    vb = torch.empty_like(v) if of_v and at.paths == 3 else None
    call = Call(at, about, s=s, v=v, r=r, table=table, gs=gs, gv=gv, rb=rb, tableb=tableb, vb=vb)
    k, e, m = call.place(at.kept, kept), call.place(at.extra, extra), call.place(at.made, made, None if nodes else "phib")
    if injected is not None:
        injected = injected.contiguous()
        call.place(at.told, injected)
    if nodes:  # sums over edges are added to these
        sums = m.stretch("phib", "wb")
        sums.zero_() if injected is None else sums.copy_(Parts(at.kept, injected).stretch("phi", "w"))
    call.run("backward_update")
    torch.mm(ab := m("ab", at.parts * C), asecond.T, out=m("h2b", C))
    call.run("backward_second")
    torch.mm(z2b := m("z2b", C), afirst.T, out=m("bothb", 2 * C))
    call.run("backward_products")
    v1b = m("v1b", C).addmm_(uvb := m("uvb", 2 * C), mixed.T)
    call.run("backward_message")
    phib, z1b, sb = m("phib", at.paths * C), m("z1b", C), None
    if inner:
        torch.mm(phib, second.T, out=m("h1b", C))
        call.run("backward_first")
        sb = torch.addmm(m("s1b", C), z1b, first.T) if of_s else None
    grads = (
        sb, v1b.view(n, 3, C) if of_v and at.paths == 2 else vb, rb, tableb,
        product(s, z1b, first) if of_first else None, z1b.sum(0) if of_b1 else None,
        product(e("h1", C), phib, second) if of_second else None, phib.sum(0) if of_b2 else None,
        product(e("v1", C), uvb, mixed) if of_mixed else None,
        product(k("both", 2 * C), z2b, afirst) if of_afirst else None, z2b.sum(0) if of_c1 else None,
        product(e("h2", C), ab, asecond) if of_asecond else None, ab.sum(0) if of_c2 else None,
    )  # fmt: skip
    return grads, made


def _double(*inputs):
    *given, kept, gs, gv, extra, made, st, vt, rt, needs, about = inputs
    s, v, r, table, first, _, second, _, mixed, afirst, _, asecond, _ = given
    at = Sizes.of(given)
    C = at.C
    _, of_v, of_r, of_table, of_first, _, of_second, _, of_mixed, of_afirst, _, of_asecond, *_ = needs
    st, vt = (None if x is None else x.contiguous() for x in (st, vt))
    rt = torch.zeros_like(r) if rt is None else rt.contiguous()
    told, tangents = s.new_empty(at.kept.size), s.new_empty(at.tangents.size)
    snt, vnt = torch.empty_like(s), torch.empty_like(v)
    rb = torch.empty_like(r) if of_r else None
    tableb = torch.zeros_like(table) if of_table else None
    vtb = torch.empty_like(v) if of_v and at.paths == 3 and st is not None else None
    call = Call(
        at,
        about,
        s=s,
        v=v,
        r=r,
        table=table,
        gs=gs,
        gv=gv,
        st=st,
        vt=vt,
        rt=rt,
        snt=snt,
        vnt=vnt,
        rb=rb,
        tableb=tableb,
        vtb=vtb,
    )
    call.place(at.kept, kept), call.place(at.extra, extra), call.place(at.told, told)
    m, t = call.place(at.made, made), call.place(at.tangents, tangents)
    if st is not None:
        torch.mm(st, first, out=t("z1t", C))
        call.run("double_first")
        torch.mm(t("h1t", C), second, out=t("phit", at.paths * C))
    else:
        told[: at.kept.starts["phi"]] = 0  # z₁ hears nothing
        if vt is None:
            call.without("phit")
        else:
            t("phit", C).zero_()
    call.run("double_message")
    torch.mm(t("v1t", C), mixed, out=t("uvt", 2 * C))
    call.run("double_products")
    torch.mm(t("botht", 2 * C), afirst, out=t("z2t", C))
    call.run("double_second")
    torch.mm(t("h2t", C), asecond, out=t("at", at.parts * C))
    call.run("double_update")
    return (
        None, vtb, rb, tableb,
        product(st, m("z1b", C), first) if of_first and st is not None else None, None,
        product(t("h1t", C), m("phib", at.paths * C), second) if of_second and st is not None else None, None,
        product(t("v1t", C), m("uvb", 2 * C), mixed) if of_mixed else None,
        product(t("botht", 2 * C), m("z2b", C), afirst) if of_afirst else None, None,
        product(t("h2t", C), m("ab", at.parts * C), asecond) if of_asecond else None, None,
        told, snt, vnt,
    )  # fmt: skip


def product(x: Tensor, y: Tensor, like: Tensor) -> Tensor:
    """xᵀ y laid out as the weight is that it is added to."""
    return torch.mm(x.T, y) if like.is_contiguous() else torch.mm(y.T, x).T


def _by_reference(given, gs, gv, tangents, about):
    """As `_Double`, with tangents for the table and weights, too."""
    with torch.enable_grad():
        s, v, r, table, first, b1, second, b2, mixed, *a, gs, gv = x = [x.detach().requires_grad_() for x in (*given, gs, gv)]
        layer = PolarizableLayer(table, Dense(first, b1, second, b2), *mixed.chunk(2, 1), Dense(*a))
        out = reference_polarizable_layer(s, v, r, layer, about.cutoff, about.epsilon, about.kind, about.edges)
        found = torch.autograd.grad(out, x[:GIVEN], (gs, gv), create_graph=True, allow_unused=True)
        along = sum((f * t).sum() for f, t in zip(found, tangents, strict=True) if t is not None and f is not None)
        *given, gs, gv = torch.autograd.grad(along, x, allow_unused=True)
    return *given, None, gs, gv


# ------------------------------------------------------------------------------------------------------------------ memory
INTEGERS = "atoms C paths parts intervals kinds threads".split()
LISTS = "first j kind".split()
ARGUMENTS = "s v r table b1 b2 c1 c2".split()
KEPT = "z1 phi w uv both dot z2 a".split()  # `both` is (s₁, norm)
EXTRA = "h1 v1 h2 edges".split()
MADE = "ab h2b z2b bothb uvb s1b v1b phib wb h1b z1b".split()
TANGENTS = "z1t h1t phit wt botht v1t uvt dott z2t h2t at edgest".split()
TOLD = [f"of_{name}" for name in KEPT]
# `struct Layer` of layer.h, field by field, each of eight bytes
FIELDS = [
    *INTEGERS,
    "cutoff",
    "epsilon",
    *LISTS,
    *ARGUMENTS,
    *KEPT,
    *EXTRA,
    "sn",
    "vn",
    "gs",
    "gv",
    *MADE,
    "vb",
    "rb",
    "tableb",
]
FIELDS += ["st", "vt", "rt", *TANGENTS, "snt", "vnt", "vtb", *TOLD]
PLACE = {name: k for k, name in enumerate(FIELDS)}


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
        (n, C), E, asecond = given[0].shape, len(given[2]), given[11]
        return _sizes(n, C, given[3].shape[2], asecond.shape[1] // C, E, given[0].dtype)


@lru_cache(maxsize=256)
def _sizes(n: int, C: int, P: int, parts: int, E: int, dtype: torch.dtype) -> Sizes:
    rows = {"phi": P, "w": 3 * (P == 3), "a": parts, "v1": 3, "uv": 6, "both": 2}  # of C channels an atom; others have one
    numbers = {name + end: n * C * k for name, k in rows.items() for end in ("", "b", "t")}
    size = dispatch.library(SPEC, dtype).edge_size
    numbers |= {"edges": E * size(0), "edgest": E * size(1)}
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

    def stretch(self, first: str, last: str) -> Tensor:
        """From the first's start to the last's end."""
        return self.flat[self.group.starts[first] : self.group.starts[last] + self.group.lengths[last]]


class Call:
    """Calls of compiled code on one set of tensors, which it holds; all of them lie in memory row after row."""

    def __init__(self, sizes: Sizes, about: About, **tensors: Tensor | None) -> None:
        edges, table = about.edges, tensors["table"]
        assert table is not None
        self.held: list[Tensor | None] = [edges.first.contiguous(), edges.j.contiguous(), about.kind, *tensors.values()]
        self.words = (ctypes.c_int64 * len(FIELDS))()
        kinds, rows, *_ = table.shape
        numbers = sizes.atoms, sizes.C, sizes.paths, sizes.parts, rows - 3, kinds, torch.get_num_threads()
        self.words[: len(numbers)] = numbers
        for name, number in (("cutoff", about.cutoff), ("epsilon", about.epsilon)):
            ctypes.c_double.from_buffer(self.words, 8 * PLACE[name]).value = number
        for name, x in zip((*LISTS, *tensors), self.held):
            if x is not None:
                self.words[PLACE[name]] = x.data_ptr()
        self.library, self.about = dispatch.library(SPEC, table.dtype), about

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
            raise ValueError(f"polarizable_layer: {FAULTS[fault - 1]}")

    def run(self, name: str) -> None:
        getattr(self.library, name + "_of")(self.words)
