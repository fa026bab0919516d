"""`polynomial` as compiled operations: forward, backward and double backward from one templated source, as in `edge_conv_op`."""

# no `from __future__ import annotations`: torch.library reads the types of the signatures
import ctypes

import torch

from adiabat.kernels.dispatch import library, parse, run
from adiabat.kernels.edge_conv_op import BLOCK, kept
from adiabat.kernels.engine import asked
from adiabat.kernels.ir import Contraction
from adiabat.typing import Tensor


def fast_polynomial(x, species, coefficients, poly: Contraction) -> Tensor:
    """See `polynomial`; atoms are visited species by species, so that one species' coefficients stay in the first-level cache."""
    C = x.shape[-1]
    extra = -C % BLOCK
    if extra:
        x, c = torch.nn.functional.pad(x, (0, extra)), coefficients
        coefficients = kept(c, "padded", lambda: torch.nn.functional.pad(c, (0, extra)))
    order = torch.argsort(species, stable=True)
    out = poly_forward(x, coefficients, [order, species], str(poly))
    return out[..., :C] if extra else out


@torch.library.custom_op("adiabat::poly_forward", mutates_args=())
def poly_forward(x: Tensor, c: Tensor, lists: list[Tensor], spec: str) -> Tensor:
    out = x.new_empty(len(x), _outputs(spec), x.shape[-1])
    call = Call(spec, x, c, lists, out=out)
    if call.library.check_arguments(ctypes.byref(call.struct()), ctypes.c_int64(len(c))):
        raise ValueError(f"node_poly: a species is out of range; there are coefficients for {len(c)}")
    call.run("forward")
    return out


@torch.library.custom_op("adiabat::poly_backward", mutates_args=())
def poly_backward(x: Tensor, c: Tensor, g: Tensor, lists: list[Tensor], spec: str, need_c: bool) -> tuple[Tensor, Tensor]:
    """∂⟨g, polynomial⟩/∂(x, c); for c zeros where it is not asked for."""
    return _backward("", x, c, g, lists, spec, need_c)


@torch.library.custom_op("adiabat::poly_double_backward", mutates_args=())
def poly_double_backward(
    x: Tensor, c: Tensor, g: Tensor, tangents: list[Tensor], lists: list[Tensor], spec: str, need_c: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives of ⟨v, poly_backward⟩ with respect to (x, c, g); v are the `tangents`."""
    grads = _backward("_tangent", x, c, g, lists, spec, need_c, tangents)
    out = torch.empty_like(g)
    Call(spec, x, c, lists, tangents, out=out).run("forward_tangent")
    return *grads, out


def _backward(kind, x, c, g, lists, spec, need_c, tangents=None):
    xb, cb = torch.empty_like(x), None
    call = Call(spec, x, c, lists, tangents, g=g, xb=xb)
    if need_c:
        cb = call.kept["cb"] = torch.zeros_like(call.kept["c"])
    call.run("backward" + kind)
    return xb, torch.zeros_like(c) if cb is None else cb.movedim(1, -2).flatten(-2).contiguous()


def _setup(ctx, inputs, output):
    x, c, lists, ctx.spec = inputs
    ctx.save_for_backward(x, c, *lists)


def _forward_vjp(ctx, g):
    x, c, *lists = ctx.saved_tensors
    needs = asked(ctx, 2)
    grads = poly_backward(x, c, g.contiguous(), lists, ctx.spec, needs[1])
    return *_wanted(needs, grads), [None, None], None


def _backward_setup(ctx, inputs, output):
    x, c, g, lists, ctx.spec, _ = inputs
    ctx.save_for_backward(x, c, g, *lists)


def _backward_vjp(ctx, *cotangents):
    x, c, g, *lists = ctx.saved_tensors
    tangents = [torch.zeros_like(y) if v is None else v.contiguous() for y, v in zip((x, c), cotangents, strict=True)]
    needs = asked(ctx, 3)
    grads = poly_double_backward(x, c, g, tangents, lists, ctx.spec, needs[1])
    return *_wanted(needs, grads), [None, None], None, None


def _wanted(needs, grads):
    return (grad if need else None for grad, need in zip(grads, needs))


def _third(ctx, *cotangents):
    raise NotImplementedError("node_poly has two derivatives; for a third one set ADIABAT_KERNELS=reference")


@poly_forward.register_fake
def _(x, c, lists, spec):
    return x.new_empty(len(x), _outputs(spec), x.shape[-1])


@poly_backward.register_fake
def _(x, c, g, lists, spec, need_c):
    return torch.empty_like(x), torch.empty_like(c)


@poly_double_backward.register_fake
def _(x, c, g, tangents, lists, spec, need_c):
    return torch.empty_like(x), torch.empty_like(c), torch.empty_like(g)


poly_forward.register_autograd(_forward_vjp, setup_context=_setup)
poly_backward.register_autograd(_backward_vjp, setup_context=_backward_setup)
poly_double_backward.register_autograd(_third)


class Poly(ctypes.Structure):
    """`struct Poly` of poly.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in "n C threads".split()] + [
        (name, ctypes.c_void_p) for name in "order species x c g xt ct out xb cb".split()
    ]


class Call:
    """One call of compiled code; it holds every contiguous temporary."""

    def __init__(self, spec, x, c, lists, tangents=None, **more):
        self.spec, self.dtype = spec, x.dtype
        self.library = library(spec, x.dtype)
        lanes = self.library.lanes()
        self.kept = {
            "order": lists[0].contiguous(),
            "species": lists[1].contiguous(),
            "x": x.contiguous(),
            "c": kept(c, f"blocked {lanes}", lambda: _blocked(c, lanes)),
        }
        if tangents is not None:
            self.kept |= {"xt": tangents[0], "ct": _blocked(tangents[1], lanes)}
        self.kept |= more
        self.numbers = {"n": len(x), "C": x.shape[-1], "threads": torch.get_num_threads()}

    def run(self, name: str) -> None:
        run(self.spec, self.dtype, name, self.struct())

    def struct(self) -> Poly:
        return Poly(**self.numbers, **{name: x.data_ptr() for name, x in self.kept.items()})


def _blocked(c: Tensor, lanes: int) -> Tensor:
    """[species, terms, C] → [species, C / lanes, terms, lanes]."""
    return c.unflatten(-1, (-1, lanes)).movedim(-2, 1).contiguous()


def _outputs(spec: str) -> int:
    poly = parse(spec)
    assert isinstance(poly, Contraction)
    return poly.outputs.dim
