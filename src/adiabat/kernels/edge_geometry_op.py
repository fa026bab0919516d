"""`edge_geometry` as compiled operations: forward, backward and double backward from one templated source, as in `edge_conv_op`."""

# no `from __future__ import annotations`: torch.library reads the types of the signatures
import ctypes

import torch

from adiabat.kernels.dispatch import run
from adiabat.typing import Tensor


@torch.library.custom_op("adiabat::edge_forward", mutates_args=())
def edge_forward(r: Tensor, l_max: int) -> tuple[Tensor, Tensor]:
    d, Y = r.new_empty(len(r)), r.new_empty(len(r), (l_max + 1) ** 2)
    _run("forward", l_max, r=r, d=d, Y=Y)
    return d, Y


@torch.library.custom_op("adiabat::edge_backward", mutates_args=())
def edge_backward(r: Tensor, gd: Tensor, gY: Tensor, l_max: int) -> Tensor:
    rb = torch.empty_like(r)
    _run("backward", l_max, r=r, gd=gd, gY=gY, rb=rb)
    return rb


@torch.library.custom_op("adiabat::edge_double_backward", mutates_args=())
def edge_double_backward(r: Tensor, gd: Tensor, gY: Tensor, v: Tensor, l_max: int) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives of ⟨v, edge_backward⟩ with respect to (r, gd, gY)."""
    rb, d, Y = torch.empty_like(r), torch.empty_like(gd), torch.empty_like(gY)
    _run("backward_tangent", l_max, r=r, gd=gd, gY=gY, rt=v, rb=rb)
    _run("forward_tangent", l_max, r=r, rt=v, d=d, Y=Y)
    return rb, d, Y


class Edges(ctypes.Structure):
    """`struct Edges` of edge.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("n", "threads")] + [
        (name, ctypes.c_void_p) for name in "r gd gY rt d Y rb".split()
    ]


def _run(name: str, l_max: int, **tensors: Tensor) -> None:
    held = {key: x.contiguous() for key, x in tensors.items()}  # no temporary may be freed while the code runs
    call = Edges(n=len(held["r"]), threads=torch.get_num_threads(), **{key: x.data_ptr() for key, x in held.items()})
    run(str(l_max), held["r"].dtype, name, call)


def _setup(ctx, inputs, output):
    r, ctx.l_max = inputs
    ctx.save_for_backward(r)


def _forward_vjp(ctx, gd, gY):
    (r,) = ctx.saved_tensors
    gd = r.new_zeros(len(r)) if gd is None else gd
    gY = r.new_zeros(len(r), (ctx.l_max + 1) ** 2) if gY is None else gY
    return edge_backward(r, gd.contiguous(), gY.contiguous(), ctx.l_max), None


def _backward_setup(ctx, inputs, output):
    *tensors, ctx.l_max = inputs
    ctx.save_for_backward(*tensors)


def _backward_vjp(ctx, v):
    return *edge_double_backward(*ctx.saved_tensors, v.contiguous(), ctx.l_max), None


def _third(ctx, *cotangents):
    raise NotImplementedError("edge_geometry has two derivatives; for a third one set ADIABAT_KERNELS=reference")


@edge_forward.register_fake
def _(r, l_max):
    return r.new_empty(len(r)), r.new_empty(len(r), (l_max + 1) ** 2)


@edge_backward.register_fake
def _(r, gd, gY, l_max):
    return torch.empty_like(r)


@edge_double_backward.register_fake
def _(r, gd, gY, v, l_max):
    return torch.empty_like(r), torch.empty_like(gd), torch.empty_like(gY)


edge_forward.register_autograd(_forward_vjp, setup_context=_setup)
edge_backward.register_autograd(_backward_vjp, setup_context=_backward_setup)
edge_double_backward.register_autograd(_third)
