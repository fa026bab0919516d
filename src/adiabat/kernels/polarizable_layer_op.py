"""`polarizable_layers` as three nodes of autograd: forth, back, and the way back taken back.

A layer's way is one compiled call (`layer.h`, its matrix products in `products.h`):

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

from collections.abc import Sequence
from typing import NamedTuple

import torch

from adiabat.kernels.engine import asked
from adiabat.kernels.polarizable import Dense, PolarizableLayer
from adiabat.kernels.polarizable_layer_call import BEFORE, OF_ONE, About, Call, Located, Parts, Sizes
from adiabat.kernels.polarizable_reference import reference_polarizable_layers
from adiabat.typing import Tensor


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
        given = [x if x.ndim == 2 and k > BEFORE and x.T.is_contiguous() else x.contiguous() for k, x in enumerate(given)]
        s, v, r, *weights = given
        each = _each(weights)
        located = Located.of(given, about)
        memory = []
        for of_one in each:
            s, v, *both = _forward([s, v, r, *of_one], located)
            memory.append(both)
        kept, extra = zip(*memory, strict=True)
        s, v = s.clone(), v.clone()  # what stands in `kept` and `extra` is nobody's to change
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
        it = Known.of(tensors, L)
        s, v, r, *weights = it.given
        gs, gv = it.g
        each, wanted = _each(weights), _each(needs[BEFORE:])
        sizes = [Sizes.of([s, v, r, *one]) for one in each]
        located, rb = Located(about, it.edges), torch.zeros_like(r) if needs[2] else None
        grads: list[list[Tensor | None]] = [[None] * OF_ONE for _ in range(L)]
        saved: list[list[Tensor]] = []
        # Layers below the first that somebody asks of are left alone.
        least = 0 if any(needs[:BEFORE]) else next((t for t in range(L) if any(wanted[t])), L)
        for t in reversed(range(least, L)):
            of_inputs = [t > least, t > least] if t else needs[:2]
            before = [*it.before(t, sizes), r, *each[t]]
            sb, vb, grads[t], made = _backward(
                before, it.kept[t], gs, gv, it.extra[t], injected[t], [*of_inputs, *wanted[t]], rb, located
            )
            saved.insert(0, [gs, gv, made])
            gs, gv = sb, vb
            if t > least and injected[t - 1] is not None:
                gv = gv + Parts(sizes[t - 1].told, injected[t - 1].contiguous())("of_vn", s.shape[1]).view_as(gv)
        ctx.set_materialize_grads(False)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*tensors, *(x for layer in saved for x in layer))
            ctx.about, ctx.layers, ctx.again = about, L, any(x is not None for x in injected)
        return gs if needs[0] else None, gv if needs[1] else None, rb, *(x for one in grads for x in one)

    @staticmethod
    def backward(ctx, st, vt, rt, *others):
        if ctx.again:
            return _third()
        tensors, L = ctx.saved_tensors, ctx.layers
        needs = asked(ctx, BEFORE + OF_ONE * L + L + 2)
        if any(x is not None for x in others):
            found = _by_reference(Known.of(tensors, L), (st, vt, rt, *others), ctx.about)
        else:
            found = _Double.apply(*tensors, L, st, vt, rt, needs, ctx.about)
        return *(x if need else None for x, need in zip(found, needs, strict=True)), *[None] * (L + 4)


class _Double(torch.autograd.Function):
    """Of ⟨(s̄, v̄, r̄), tangents⟩ the derivatives with respect to what was given, what was kept, gs and gv."""

    @staticmethod
    def forward(ctx, *inputs):
        *tensors, L, st, vt, rt, needs, about = inputs
        it = Known.of(tensors, L)
        s, v, r, *weights = it.given
        each, wanted = _each(weights), _each(needs[BEFORE : BEFORE + OF_ONE * L])
        sizes = [Sizes.of([s, v, r, *one]) for one in each]
        st, vt = (None if x is None else x.contiguous() for x in (st, vt))
        rt = torch.zeros_like(r) if rt is None else rt.contiguous()
        located, rb = Located(about, it.edges).moving(it.given, rt), torch.zeros_like(r) if needs[2] else None
        told = [torch.empty_like(x) for x in it.kept]
        of_v = [Parts(at.told, x)("of_vn", at.C) for at, x in zip(sizes, told, strict=True)]  # after each layer
        vtb = torch.empty_like(v) if needs[1] and sizes[0].paths == 3 and st is not None else None
        grads: list[Tensor | None] = []
        for t in range(L):
            into = of_v[t - 1] if t else vtb
            if t and sizes[t].paths == 2:
                of_v[t - 1].zero_()
            before = [*it.before(t, sizes), r, *each[t]]
            gs, gv, made = it.saved[3 * t : 3 * t + 3]
            st, vt, found = _double(
                before, it.kept[t], gs, gv, it.extra[t], made, st, vt, rt, wanted[t], told[t], into, rb, located
            )
            grads += found
        of_v[-1].zero_()
        return None, vtb, rb, *grads, *told, st, vt

    @staticmethod
    def backward(ctx, *_):
        return _third()


def _third():
    raise NotImplementedError("polarizable_layers has two derivatives; for a third one set ADIABAT_KERNELS=reference")


def _each(flat: Sequence) -> list[list]:
    """What belongs to each layer."""
    return [list(flat[k : k + OF_ONE]) for k in range(0, len(flat), OF_ONE)]


class Known(NamedTuple):
    """What the way back knows, and, in the end, saved for its own derivative."""

    given: Sequence[Tensor]
    kept: Sequence[Tensor]
    g: Sequence[Tensor]  # cotangents of s and v after the last layer
    extra: Sequence[Tensor]
    edges: Tensor
    saved: Sequence[Tensor]

    @classmethod
    def of(cls, flat: Sequence[Tensor], L: int) -> Known:
        a = BEFORE + OF_ONE * L
        b, c, d = a + L, a + L + 2, a + 2 * L + 2
        return cls(flat[:a], flat[a:b], flat[b:c], flat[c:d], flat[d], flat[d + 1 :])

    def before(self, t: int, sizes: Sequence[Sizes]) -> Sequence[Tensor]:
        """Scalars and vectors that came to layer t."""
        if t == 0:
            return self.given[:2]
        at = sizes[t - 1]
        vn = Parts(at.kept, self.kept[t - 1])("vn", at.C)
        return Parts(at.extra, self.extra[t - 1])("sn", at.C), vn.view_as(self.given[1])


# ---------------------------------------------------------------------------------------------------------- one call after the other
def _forward(given, located):
    s, v, r, table, _, b1, _, b2, _, _, c1, _, c2 = given
    at = Sizes.of(given)
    kept, extra = s.new_empty(at.kept.size), s.new_empty(at.extra.size)
    call = Call(at, located, s=s, v=v, r=r, table=table, b1=b1, b2=b2, c1=c1, c2=c2)
    call.weights(given)
    k, e = call.place(at.kept, kept), call.place(at.extra, extra)
    call.run("forward_layer")
    return e("sn", at.C), k("vn", at.C).view_as(v), kept, extra


def _backward(given, kept, gs, gv, extra, injected, needs, rb, located):
    """s̄, v̄, the gradients of the table and weights, and what the next derivative reads; r̄ is added to `rb`."""
    s, v, r, table = given[: BEFORE + 1]
    at = Sizes.of(given)
    of_s, of_v, of_table, *of_weights = needs
    of_first, of_b1, of_second, of_b2, *_ = of_weights
    inner = of_s or of_first or of_b1  # somebody waits beyond φ
    nodes = inner or of_second or of_b2 or (of_v and at.paths == 3)
    made = s.new_empty(at.made.size)
    sb = torch.empty_like(s) if of_s else None
    vb = torch.empty_like(v) if of_v and at.paths == 3 else None
    grads = [torch.zeros_like(table) if of_table else None, *_room(given, of_weights)]
    call = Call(at, located, s=s, v=v, r=r, table=table, gs=gs, gv=gv, rb=rb, vb=vb, sb=sb, **dict(zip(OF_WEIGHTS, grads)))
    call.weights(given)
    call.place(at.kept, kept), call.place(at.extra, extra)
    m = call.place(at.made, made, None if inner else "h1b" if nodes else "phib")
    if injected is not None:
        call.place(at.told, injected.contiguous())
    call.run("backward_layer")
    if of_v and vb is None:
        vb = m("v1b", at.C).view_as(v).clone()
    return sb, vb, grads, made


def _double(given, kept, gs, gv, extra, made, st, vt, rt, needs, told, vtb, rb, located):
    """Tangents of s and v after the layer, and what ⟨gradients, tangents⟩ has as gradients of the table and weights; `told` is written,
    `vtb` is, `rb` is added to."""
    s, v, r, table = given[: BEFORE + 1]
    at = Sizes.of(given)
    of_table, *of_weights = needs
    # biases have none; without tangents of s nothing moves before the sums over edges
    asked = [need and (k in (4, 5, 7) or (k in (0, 2) and st is not None)) for k, need in enumerate(of_weights)]
    tangents = s.new_empty(at.tangents.size)
    grads = [torch.zeros_like(table) if of_table else None, *_room(given, asked)]
    call = Call(
        at,
        located,
        s=s,
        v=v,
        r=r,
        table=table,
        gs=gs,
        gv=gv,
        st=st,
        vt=vt,
        rt=rt,
        rb=rb,
        vtb=vtb,
        **dict(zip(OF_WEIGHTS, grads)),
    )
    call.weights(given)
    call.place(at.kept, kept), call.place(at.extra, extra), call.place(at.told, told), call.place(at.made, made)
    t = call.place(at.tangents, tangents)
    if st is None:
        told[: at.kept.starts["phi"]] = 0  # z₁ hears nothing
        if vt is None:
            call.without("phit")
        else:
            t("phit", at.C).zero_()
    call.run("double_layer")
    return t("snt", at.C), t("vnt", at.C).view_as(v), grads


OF_WEIGHTS = "tableb Phi1b b1b Phi2b b2b UVb A1b c1b A2b c2b".split()


def _room(given: Sequence[Tensor], asked: Sequence[bool]) -> list[Tensor | None]:
    """Where the gradients of weights go, each laid as its weight is."""
    return [torch.empty_like(x) if need else None for x, need in zip(given[BEFORE + 1 :], asked, strict=True)]


def _by_reference(known: Known, tangents, about: About):
    """As `_Double`, with tangents for tables and weights, too."""
    with torch.enable_grad():
        s, v, r, *weights, gs, gv = x = [x.detach().requires_grad_() for x in (*known.given, *known.g)]
        C = s.shape[1]
        layers = [PolarizableLayer(w[0], Dense(*w[1:5]), w[5][:, :C], w[5][:, C:], Dense(*w[6:])) for w in _each(weights)]
        out = reference_polarizable_layers(s, v, r, layers, *about)
        found = torch.autograd.grad(out, x[:-2], (gs, gv), create_graph=True, allow_unused=True)
        along = sum((f * t).sum() for f, t in zip(found, tangents, strict=True) if t is not None and f is not None)
        *given, gs, gv = torch.autograd.grad(along, x, allow_unused=True)
    return *given, *[None] * len(known.kept), gs, gv
