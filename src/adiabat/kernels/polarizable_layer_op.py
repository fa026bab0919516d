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
from functools import cache
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


KEPT = "z1 phi w uv both dot z2 a".split()  # `both` is (s₁, norm)
EXTRA = "h1 v1 h2 edges".split()
TANGENTS = "z1t h1t phit wt botht v1t uvt dott z2t h2t at edgest".split()
MADE = "ab h2b z2b bothb uvb s1b v1b phib wb h1b z1b".split()


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
            ctx.save_for_backward(*given, kept, gs, gv, extra, *made)
            ctx.about, ctx.again = about, injected is not None
        return grads

    @staticmethod
    def backward(ctx, st, vt, rt, *others):
        if ctx.again:
            return _third()
        tensors, n = ctx.saved_tensors, GIVEN + 4
        needs = asked(ctx, GIVEN + 3)
        if any(x is not None for x in others):
            found = _by_reference(tensors[:GIVEN], *tensors[GIVEN + 1 : n - 1], (st, vt, rt, *others), ctx.about)
        else:
            found = _Double.apply(*tensors[:n], tensors[n:], st, vt, rt, needs, ctx.about)
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
    sn, vn, kept = s.new_empty(n, C), s.new_empty(n, 3, C), s.new_empty(sum(at.kept))
    extra = s.new_empty(sum(at.extra))
    k, e = at.named(KEPT, kept), at.named(EXTRA, extra)
    call = Call(at, about, s=s, v=v, r=r, table=table, b1=b1, b2=b2, c1=c1, c2=c2, sn=sn, vn=vn, **k, **e)
    call.check()
    torch.mm(s, first, out=k["z1"].view(n, C))
    call.run("forward_first")
    torch.mm(e["h1"].view(n, C), second, out=k["phi"].view(n, -1))
    call.run("forward_message")
    torch.mm(e["v1"].view(-1, C), mixed, out=k["uv"].view(-1, 2 * C))
    call.run("forward_products")
    torch.mm(k["both"].view(n, -1), afirst, out=k["z2"].view(n, C))
    call.run("forward_second")
    torch.mm(e["h2"].view(n, C), asecond, out=k["a"].view(n, -1))
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
    k, e = at.named(KEPT, kept), at.named(EXTRA, extra)
    told = {} if injected is None else at.named(KEPT, injected.contiguous())
    m = at.named(MADE[:7], s.new_empty(sum(at.made[:7])))
    if nodes:
        m |= {name + "b": told[name].clone() if told else torch.zeros_like(k[name]) for name in ("phi", "w")[: at.paths - 1]}
    if inner:
        m |= {name: s.new_empty(n, C) for name in ("h1b", "z1b")}
    g: dict[str, Tensor] = {}
    if of_r:
        g["rb"] = torch.empty_like(r)
    if of_table:
        g["tableb"] = torch.zeros_like(table)
    if of_v and at.paths == 3:
        g["vb"] = torch.empty_like(v)
    told = {f"of_{name}": x for name, x in told.items()}
    call = Call(at, about, s=s, v=v, r=r, table=table, gs=gs, gv=gv, **k, **e, **m, **g, **told)
    call.run("backward_update")
    torch.mm(m["ab"].view(n, -1), asecond.T, out=m["h2b"].view(n, C))
    call.run("backward_second")
    torch.mm(m["z2b"].view(n, C), afirst.T, out=m["bothb"].view(n, -1))
    call.run("backward_products")
    v1b = m["v1b"].view(-1, C).addmm_(m["uvb"].view(-1, 2 * C), mixed.T)
    call.run("backward_message")
    sb = None
    if inner:
        torch.mm(m["phib"].view(n, -1), second.T, out=m["h1b"])
        call.run("backward_first")
        sb = torch.addmm(m["s1b"].view(n, C), m["z1b"], first.T) if of_s else None
    vb = g.get("vb") if at.paths == 3 else v1b.view(n, 3, C) if of_v else None
    rows = {name: m[name].view(n, -1) for name in ("ab", "z2b", "phib") if name in m}
    grads = (
        sb, vb, g.get("rb"), g.get("tableb"),
        product(s, m["z1b"], first) if of_first else None, m["z1b"].sum(0) if of_b1 else None,
        product(e["h1"].view(n, C), rows["phib"], second) if of_second else None, rows["phib"].sum(0) if of_b2 else None,
        product(e["v1"].view(-1, C), m["uvb"].view(-1, 2 * C), mixed) if of_mixed else None,
        product(k["both"].view(n, -1), rows["z2b"], afirst) if of_afirst else None, rows["z2b"].sum(0) if of_c1 else None,
        product(e["h2"].view(n, C), rows["ab"], asecond) if of_asecond else None, rows["ab"].sum(0) if of_c2 else None,
    )  # fmt: skip
    return grads, [m.get(name) for name in MADE]


def _double(*inputs):
    *given, kept, gs, gv, extra, made, st, vt, rt, needs, about = inputs
    s, v, r, table, first, _, second, _, mixed, afirst, _, asecond, _ = given
    at = Sizes.of(given)
    n, C = at.atoms, at.C
    _, of_v, of_r, of_table, of_first, _, of_second, _, of_mixed, of_afirst, _, of_asecond, *_ = needs
    k, e, m = (
        at.named(KEPT, kept),
        at.named(EXTRA, extra),
        {name: x for name, x in zip(MADE, made, strict=True) if x is not None},
    )
    st, vt = (None if x is None else x.contiguous() for x in (st, vt))
    rt = torch.zeros_like(r) if rt is None else rt.contiguous()
    told = s.new_empty(sum(at.kept))
    told[: sum(at.kept[:3])] = 0  # sums over edges are added to these
    t = at.named(TANGENTS, s.new_empty(sum(at.tangents))) | {"st": st, "vt": vt, "rt": rt}
    t |= {"snt": torch.empty_like(s), "vnt": torch.empty_like(v)}
    if st is None and vt is not None:
        t["phit"] = torch.zeros_like(k["phi"])
    elif st is None:
        del t["phit"]
    g: dict[str, Tensor] = {}
    if of_r:
        g["rb"] = torch.empty_like(r)
    if of_table:
        g["tableb"] = torch.zeros_like(table)
    if of_v and at.paths == 3 and st is not None:
        g["vtb"] = torch.empty_like(v)
    t = {name: x for name, x in t.items() if x is not None}
    of = {f"of_{name}": x for name, x in at.named(KEPT, told).items()}
    call = Call(at, about, s=s, v=v, r=r, table=table, gs=gs, gv=gv, **k, **e, **m, **t, **g, **of)
    if st is not None:
        torch.mm(st, first, out=t["z1t"].view(n, C))
        call.run("double_first")
        torch.mm(t["h1t"].view(n, C), second, out=t["phit"].view(n, -1))
    call.run("double_message")
    torch.mm(t["v1t"].view(-1, C), mixed, out=t["uvt"].view(-1, 2 * C))
    call.run("double_products")
    torch.mm(t["botht"].view(n, -1), afirst, out=t["z2t"].view(n, C))
    call.run("double_second")
    torch.mm(t["h2t"].view(n, C), asecond, out=t["at"].view(n, -1))
    call.run("double_update")
    return (
        None, g.get("vtb"), g.get("rb"), g.get("tableb"),
        product(st, m["z1b"], first) if of_first and st is not None else None, None,
        product(t["h1t"].view(n, C), m["phib"].view(n, -1), second) if of_second and st is not None else None, None,
        product(t["v1t"].view(-1, C), m["uvb"].view(-1, 2 * C), mixed) if of_mixed else None,
        product(t["botht"].view(n, -1), m["z2b"].view(n, C), afirst) if of_afirst else None, None,
        product(t["h2t"].view(n, C), m["ab"].view(n, -1), asecond) if of_asecond else None, None,
        told, t["snt"], t["vnt"],
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


class Sizes(NamedTuple):
    """Atoms, channels, paths of the message, blocks of the update; how many numbers each tensor of KEPT, EXTRA, MADE, TANGENTS holds."""

    atoms: int
    C: int
    paths: int
    parts: int
    kept: list[int]
    extra: list[int]
    made: list[int]
    tangents: list[int]

    @classmethod
    def of(cls, given: Sequence[Tensor]) -> Sizes:
        (n, C), (E, _), asecond = given[0].shape, given[2].shape, given[11]
        return _sizes(n, C, given[3].shape[2], asecond.shape[1] // C, E, given[0].dtype)

    def named(self, names: Sequence[str], flat: Tensor) -> dict[str, Tensor]:
        """The parts of one stretch of memory."""
        lengths = {KEPT[0]: self.kept, EXTRA[0]: self.extra, MADE[0]: self.made, TANGENTS[0]: self.tangents}[names[0]]
        return dict(zip(names, flat.split(lengths[: len(names)]), strict=True))


@cache
def _sizes(n: int, C: int, P: int, parts: int, E: int, dtype: torch.dtype) -> Sizes:
    rows = {
        "phi": P,
        "w": 3 * (P == 3),
        "wt": 3 * (P == 3),
        "a": parts,
        "ab": parts,
        "at": parts,
        "phit": P,
        "v1": 3,
        "v1b": 3,
        "v1t": 3,
    }
    rows |= {"uv": 6, "uvb": 6, "uvt": 6, "both": 2, "bothb": 2, "botht": 2}
    size = dispatch.library(SPEC, dtype).edge_size
    edges = {"edges": E * size(0), "edgest": E * size(1)}
    return Sizes(
        n, C, P, parts, *([edges.get(x, n * C * rows.get(x, 1)) for x in names] for names in (KEPT, EXTRA, MADE, TANGENTS))
    )


class Layer(ctypes.Structure):
    """`struct Layer` of layer.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "atoms C paths parts intervals kinds threads".split()]
        + [(name, ctypes.c_double) for name in ("cutoff", "epsilon")]
        + [(name, ctypes.c_void_p) for name in "first j kind s v r table b1 b2 c1 c2".split()]
        + [(name, ctypes.c_void_p) for name in "edges z1 h1 phi w both v1 uv dot z2 h2 a sn vn gs gv".split()]
        + [(name, ctypes.c_void_p) for name in "ab h2b z2b bothb uvb s1b v1b phib wb h1b z1b vb rb tableb st vt rt".split()]
        + [(name, ctypes.c_void_p) for name in "edgest z1t h1t phit wt botht v1t uvt dott z2t h2t at snt vnt vtb".split()]
        + [(name, ctypes.c_void_p) for name in "of_z1 of_phi of_w of_uv of_both of_dot of_z2 of_a".split()]
    )


class Call:
    """Calls of compiled code on one set of tensors, which it holds; all of them lie in memory row after row."""

    def __init__(self, at: Sizes, about: About, /, **tensors: Tensor) -> None:
        edges = about.edges
        self.held = tensors | {"first": edges.first.contiguous(), "j": edges.j.contiguous(), "kind": about.kind}
        kinds, rows, *_ = tensors["table"].shape
        self.struct = Layer(
            atoms=at.atoms, C=at.C, paths=at.paths, parts=at.parts, intervals=rows - 3, kinds=kinds,
            threads=torch.get_num_threads(), cutoff=about.cutoff, epsilon=about.epsilon,
            **{name: x.data_ptr() for name, x in self.held.items()},
        )  # fmt: skip
        self.library, self.about = dispatch.library(SPEC, tensors["s"].dtype), about

    def check(self) -> None:
        i = self.about.edges.i.contiguous()
        fault = self.library.check_arguments(ctypes.byref(self.struct), ctypes.c_void_p(i.data_ptr()), ctypes.c_int64(len(i)))
        if fault:
            raise ValueError(f"polarizable_layer: {FAULTS[fault - 1]}")

    def run(self, name: str) -> None:
        getattr(self.library, name + "_of")(ctypes.byref(self.struct))
