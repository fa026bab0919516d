"""`polarizable_layers` as three nodes of autograd: forth, back, and the way back taken back.

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

These are `torch.autograd.Function`s, not operations of torch.library: three of those cost a step half a millisecond more.
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
from adiabat.kernels.polarizable_layer import reference_polarizable_layers
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


class About(NamedTuple):
    """What has no derivative."""

    cutoff: float
    epsilon: float
    kind: Tensor
    edges: Edges


def fast_polarizable_layers(s, v, r, layers: Sequence[PolarizableLayer], cutoff, epsilon, kind, edges) -> tuple[Tensor, Tensor]:
    """See `polarizable_layers`; channels in multiples of BLOCK."""
    given = [s, v, r]
    for layer in layers:
        phi, a = (
            by if by.more is not None else by._replace(more=by.second.new_zeros(by.second.shape[1]))
            for by in (layer.phi, layer.a)
        )
        given += [layer.table, *phi, torch.cat([layer.U, layer.V], 1), *a]
    sn, vn, *_ = _Forward.apply(*given, About(cutoff, epsilon, kind.contiguous(), edges))
    return sn, vn


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        *given, about = inputs
        given = [x.contiguous() if k % OF_ONE == BEFORE or k < BEFORE else x for k, x in enumerate(given)]
        s, v, r, *weights = given
        each = _each(weights)
        located = Located.of(given, about)
        kept, extra = [], []
        for of_one in each:
            s, v, *memory = _forward([s, v, r, *of_one], located)
            kept.append(memory[0]), extra.append(memory[1])
        v = v.clone()
        ctx.mark_non_differentiable(*extra, located.edges)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, *kept, *extra, located.edges)
        ctx.about, ctx.layers = about, len(each)
        return s, v, *kept, *extra, located.edges

    @staticmethod
    def backward(ctx, gs, gv, *others):
        tensors, L = ctx.saved_tensors, ctx.layers
        n = BEFORE + OF_ONE * L
        gs = torch.zeros_like(tensors[0]) if gs is None else gs.contiguous()
        gv = torch.zeros_like(tensors[1]) if gv is None else gv.contiguous()
        needs = asked(ctx, n)
        return *_Backward.apply(*tensors[: n + L], gs, gv, *tensors[n + L :], others[:L], needs, ctx.about), None


class _Backward(torch.autograd.Function):
    """Cotangents of what was given, None where nobody asks; `injected` are those of what was kept."""

    @staticmethod
    def forward(ctx, *inputs):
        *tensors, injected, needs, about = inputs
        L = len(injected)
        n = BEFORE + OF_ONE * L
        given, kept, (gs, gv), extra, edges = (
            tensors[:n],
            tensors[n : n + L],
            tensors[n + L : n + L + 2],
            tensors[n + L + 2 : -1],
            tensors[-1],
        )
        s, v, r, *weights = given
        located = Located(about, edges)
        rb = torch.zeros_like(r) if needs[2] else None
        grads: list[Tensor | None] = []
        saved = []
        below = any(needs[:BEFORE])
        each, asked_of = _each(weights), _each(needs[BEFORE:])
        lower = [below or any(any(one) for one in asked_of[:t]) for t in range(L)]
        sizes = [Sizes.of([s, v, r, *one]) for one in each]
        for t in reversed(range(L)):
            before = _before(s, v, kept, extra, t, sizes)
            of_inputs = [lower[t], lower[t]] if t else [needs[0], needs[1]]
            saved = [gs, gv, *saved]
            sb, vb, found, made = _backward(
                [*before, r, *each[t]], kept[t], gs, gv, extra[t], injected[t], [*of_inputs, *asked_of[t]], rb, located
            )
            grads, saved = [*found, *grads], [*saved[:2], made, *saved[2:]]
            gs, gv = sb, vb
            if t and injected[t - 1] is not None and gv is not None:
                gv = gv + Parts(sizes[t - 1].told, injected[t - 1].contiguous())("of_vn", s.shape[1]).view_as(gv)
            if t and not lower[t]:
                grads = [None] * OF_ONE * t + grads
                gs = gv = None
                break
        ctx.set_materialize_grads(False)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*tensors, *saved)
            ctx.about, ctx.layers, ctx.again = about, L, any(x is not None for x in injected)
        return gs if needs[0] else None, gv if needs[1] else None, rb, *grads

    @staticmethod
    def backward(ctx, st, vt, rt, *others):
        if ctx.again:
            return _third()
        tensors, L = ctx.saved_tensors, ctx.layers
        n = BEFORE + OF_ONE * L
        needs = asked(ctx, n + L + 2)
        if any(x is not None for x in others):
            found = _by_reference(tensors[:n], *tensors[n + L : n + L + 2], (st, vt, rt, *others), ctx.about, L)
        else:
            found = _Double.apply(*tensors, L, st, vt, rt, needs, ctx.about)
        return *(x if need else None for x, need in zip(found, needs, strict=True)), *[None] * (L + 4)


class _Double(torch.autograd.Function):
    """Of ⟨(s̄, v̄, r̄), tangents⟩ the derivatives with respect to what was given, what was kept, gs and gv."""

    @staticmethod
    def forward(ctx, *inputs):
        *tensors, L, st, vt, rt, needs, about = inputs
        n = BEFORE + OF_ONE * L
        given, kept, extra, edges = tensors[:n], tensors[n : n + L], tensors[n + L + 2 : n + 2 * L + 2], tensors[n + 2 * L + 2]
        saved = tensors[n + 2 * L + 3 :]
        s, v, r, *weights = given
        each, asked_of = _each(weights), _each(needs[BEFORE:n])
        st, vt = (None if x is None else x.contiguous() for x in (st, vt))
        rt = torch.zeros_like(r) if rt is None else rt.contiguous()
        located = Located(about, edges).moving(given, rt)
        rb = torch.zeros_like(r) if needs[2] else None
        told = [torch.empty_like(x) for x in kept]
        grads: list[Tensor | None] = []
        vtb = torch.empty_like(v) if needs[1] and each[0][0].shape[2] == 3 and st is not None else None
        sizes = [Sizes.of([s, v, r, *one]) for one in each]
        for t in range(L):
            before = _before(s, v, kept, extra, t, sizes)
            into = Parts(sizes[t - 1].told, told[t - 1])("of_vn", s.shape[1]) if t else vtb
            if t and sizes[t].paths == 2:
                into = into.zero_()
            gs, gv, made = saved[3 * t : 3 * t + 3]
            st, vt, found = _double(
                [*before, r, *each[t]], kept[t], gs, gv, extra[t], made, st, vt, rt, asked_of[t], told[t], into, rb, located
            )
            grads += found
        Parts(sizes[-1].told, told[-1])("of_vn", s.shape[1]).zero_()
        return None, vtb, rb, *grads, *told, st, vt

    @staticmethod
    def backward(ctx, *_):
        return _third()


def _third():
    raise NotImplementedError("polarizable_layers has two derivatives; for a third one set ADIABAT_KERNELS=reference")


def _each(flat: Sequence) -> list[list]:
    """What belongs to each layer."""
    return [list(flat[k : k + OF_ONE]) for k in range(0, len(flat), OF_ONE)]


def _before(s, v, kept, extra, t: int, sizes: Sequence[Sizes]) -> tuple[Tensor, Tensor]:
    """Scalars and vectors that came to layer t."""
    if t == 0:
        return s, v
    at = sizes[t - 1]
    return Parts(at.extra, extra[t - 1])("sn", at.C), Parts(at.kept, kept[t - 1])("vn", at.C).view_as(v)


# ---------------------------------------------------------------------------------------------------------- one call after the other
def _forward(given, located):
    s, v, r, table, first, b1, second, b2, mixed, afirst, c1, asecond, c2 = given
    at = Sizes.of(given)
    C = at.C
    kept, extra = s.new_empty(at.kept.size), s.new_empty(at.extra.size)
    call = Call(at, located, s=s, v=v, r=r, table=table, b1=b1, b2=b2, c1=c1, c2=c2)
    k, e = call.place(at.kept, kept), call.place(at.extra, extra)
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
    return e("sn", C), k("vn", C).view_as(v), kept, extra


def _backward(given, kept, gs, gv, extra, injected, needs, rb, located):
    """s̄, v̄, the gradients of the table and weights, and what the next derivative reads; r̄ is added to `rb`."""
    s, v, r, table, first, _, second, _, mixed, afirst, _, asecond, _ = given
    at = Sizes.of(given)
    C = at.C
    of_s, of_v, of_table, of_first, of_b1, of_second, of_b2, of_mixed, of_afirst, of_c1, of_asecond, of_c2 = needs
    inner = of_s or of_first or of_b1  # somebody waits beyond φ
    nodes = inner or of_second or of_b2 or (of_v and at.paths == 3)
    made = s.new_empty(at.made.size)
    tableb = torch.zeros_like(table) if of_table else None
    vb = torch.empty_like(v) if of_v and at.paths == 3 else None
    call = Call(at, located, s=s, v=v, r=r, table=table, gs=gs, gv=gv, rb=rb, tableb=tableb, vb=vb)
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
        tableb,
        product(s, z1b, first) if of_first else None, z1b.sum(0) if of_b1 else None,
        product(e("h1", C), phib, second) if of_second else None, phib.sum(0) if of_b2 else None,
        product(e("v1", C), uvb, mixed) if of_mixed else None,
        product(k("both", 2 * C), z2b, afirst) if of_afirst else None, z2b.sum(0) if of_c1 else None,
        product(e("h2", C), ab, asecond) if of_asecond else None, ab.sum(0) if of_c2 else None,
    )  # fmt: skip
    return sb, v1b.view_as(v).clone() if of_v and at.paths == 2 else vb, grads, made


def _double(given, kept, gs, gv, extra, made, st, vt, rt, needs, told, vtb, rb, located):
    """Tangents of s and v after the layer, and what ⟨gradients, tangents⟩ has as gradients of the table and weights; `told` is written,
    `vtb` is, `rb` is added to."""
    s, v, r, table, first, _, second, _, mixed, afirst, _, asecond, _ = given
    at = Sizes.of(given)
    C = at.C
    of_table, of_first, _, of_second, _, of_mixed, of_afirst, _, of_asecond, _ = needs
    tangents = s.new_empty(at.tangents.size)
    tableb = torch.zeros_like(table) if of_table else None
    call = Call(at, located, s=s, v=v, r=r, table=table, gs=gs, gv=gv, st=st, vt=vt, rt=rt, rb=rb, tableb=tableb, vtb=vtb)
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
    grads = (
        tableb,
        product(st, m("z1b", C), first) if of_first and st is not None else None, None,
        product(t("h1t", C), m("phib", at.paths * C), second) if of_second and st is not None else None, None,
        product(t("v1t", C), m("uvb", 2 * C), mixed) if of_mixed else None,
        product(t("botht", 2 * C), m("z2b", C), afirst) if of_afirst else None, None,
        product(t("h2t", C), m("ab", at.parts * C), asecond) if of_asecond else None, None,
    )  # fmt: skip
    return t("snt", C), t("vnt", C).view_as(v), grads


def product(x: Tensor, y: Tensor, like: Tensor) -> Tensor:
    """xᵀ y laid out as the weight is that it is added to."""
    return torch.mm(x.T, y) if like.is_contiguous() else torch.mm(y.T, x).T


def _by_reference(given, gs, gv, tangents, about, L):
    """As `_Double`, with tangents for tables and weights, too."""
    with torch.enable_grad():
        s, v, r, *weights, gs, gv = x = [x.detach().requires_grad_() for x in (*given, gs, gv)]
        layers = [PolarizableLayer(w[0], Dense(*w[1:5]), *w[5].chunk(2, 1), Dense(*w[6:])) for w in _each(weights)]
        out = reference_polarizable_layers(s, v, r, layers, *about)
        found = torch.autograd.grad(out, x[:-2], (gs, gv), create_graph=True, allow_unused=True)
        along = sum((f * t).sum() for f, t in zip(found, tangents, strict=True) if t is not None and f is not None)
        *given, gs, gv = torch.autograd.grad(along, x, allow_unused=True)
    return *given, *[None] * L, gs, gv


# ------------------------------------------------------------------------------------------------------------------ memory
INTEGERS = "atoms C paths parts intervals kinds threads".split()
LISTS = "first j kind".split()
ARGUMENTS = "s v r table b1 b2 c1 c2".split()
KEPT = "z1 phi w uv both dot z2 a vn".split()  # `both` is (s₁, norm)
EXTRA = "h1 v1 h2 sn".split()
MADE = "ab h2b z2b bothb uvb s1b v1b phib wb h1b z1b".split()
TANGENTS = "z1t h1t phit wt botht v1t uvt dott z2t h2t at snt vnt".split()
TOLD = [f"of_{name}" for name in KEPT]
# `struct Layer` of layer.h, field by field, each of eight bytes
FIELDS = [*INTEGERS, "cutoff", "epsilon", *LISTS, *ARGUMENTS, *KEPT, *EXTRA, "edges", "gs", "gv", *MADE]
FIELDS += ["vb", "rb", "tableb", "st", "vt", "rt", *TANGENTS, "vtb", "edgest", *TOLD]
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

    def stretch(self, first: str, last: str) -> Tensor:
        """From the first's start to the last's end."""
        return self.flat[self.group.starts[first] : self.group.starts[last] + self.group.lengths[last]]


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
            raise ValueError(f"polarizable_layers: {FAULTS[fault - 1]}")

    def run(self, name: str) -> None:
        getattr(self.library, name + "_of")(self.words)
