"""`symmetry_functions`, `environments` and `neighbor_sums` as compiled operations: forward, backward and double backward from one
templated source, as in `edge_conv_op`. What `eta`, `R_s` and `width` hold is between the caller and the header that `spec` names.

Inside vmap the operations run too: once where nothing they see is batched (a committee at one set of positions), else on one
topology that holds a copy of the edges for each member.
"""

# no `from __future__ import annotations`: torch.library reads the types of the signatures
import ctypes
from math import isqrt

import torch

from adiabat.kernels.dispatch import library, parse, run
from adiabat.kernels.ir import Chebyshev, Environment, Symmetry
from adiabat.typing import Tensor


@torch.library.custom_op("adiabat::symmetry_forward", mutates_args=())
def symmetry_forward(
    r: Tensor, first: Tensor, species: Tensor, eta: Tensor, R_s: Tensor, width: Tensor, n_species: int, cutoff: float, spec: str
) -> Tensor:
    out = r.new_empty(len(first) - 1, columns(spec, n_species))
    _run("forward", r, [first, species, eta, R_s, width], n_species, cutoff, spec, check=True, out=out)
    return out


@torch.library.custom_op("adiabat::symmetry_backward", mutates_args=())
def symmetry_backward(
    r: Tensor, g: Tensor, first: Tensor, species: Tensor, eta: Tensor, R_s: Tensor, width: Tensor, n_species: int, cutoff: float,
    spec: str,
) -> Tensor:  # fmt: skip
    """∂⟨g, G⟩/∂r."""
    rb = torch.zeros_like(r, memory_format=torch.contiguous_format)
    _run("backward", r, [first, species, eta, R_s, width], n_species, cutoff, spec, g=g, rb=rb)
    return rb


@torch.library.custom_op("adiabat::symmetry_double_backward", mutates_args=())
def symmetry_double_backward(
    r: Tensor, g: Tensor, v: Tensor, first: Tensor, species: Tensor, eta: Tensor, R_s: Tensor, width: Tensor, n_species: int,
    cutoff: float, spec: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The derivatives of ⟨v, symmetry_backward⟩ with respect to (r, g)."""
    rb = torch.zeros_like(r, memory_format=torch.contiguous_format)
    out = torch.empty_like(g, memory_format=torch.contiguous_format)
    lists = [first, species, eta, R_s, width]
    _run("backward_tangent", r, lists, n_species, cutoff, spec, g=g, rt=v, rb=rb)
    _run("forward_tangent", r, lists, n_species, cutoff, spec, rt=v, out=out)
    return rb, out


def columns(spec: str, n_species: int) -> int:
    """D: how many functions an atom has."""
    it = parse(spec)
    if isinstance(it, Chebyshev):  # its species are pairs
        return isqrt(n_species) * (it.radial + it.rows * it.angular)
    assert isinstance(it, Symmetry | Environment)
    angular = 2 * it.widths * len(it.zetas) if isinstance(it, Symmetry) else it.shifts * it.sections
    return n_species * it.radial + n_species * (n_species + 1) // 2 * angular


class Struct(ctypes.Structure):
    """`struct Symmetry` of symmetry.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in ("centers", "kinds", "threads")]
        + [("cutoff", ctypes.c_double)]
        + [(name, ctypes.c_void_p) for name in "first species r rt g eta center width out rb".split()]
    )


CALLED = {Symmetry: "symmetry_functions", Environment: "environments", Chebyshev: "neighbor_sums"}
FAULTS = (
    "the row pointers do not span the edges",
    "the species of a neighbor is out of range",
    "an edge vector is not a number: look at the positions and the cell",
    "two atoms are at one place: an edge has no length",
)


def _run(name, r, lists, n_species, cutoff, spec, check=False, **tensors) -> None:
    names = ("first", "species", "eta", "center", "width", "r", *tensors)
    held = [x.contiguous() for x in (*lists, r, *tensors.values())]  # no temporary may be freed while the code runs
    pointers = {key: x.data_ptr() for key, x in zip(names, held, strict=True)}
    call = Struct(centers=len(lists[0]) - 1, kinds=n_species, threads=torch.get_num_threads(), cutoff=cutoff, **pointers)
    if check:
        fault = library(spec, r.dtype).check_arguments(ctypes.byref(call), ctypes.c_int64(len(r)))
        if fault:
            raise ValueError(f"{CALLED[type(parse(spec))]}: {FAULTS[fault - 1]}")
    run(spec, r.dtype, name, call)


def _setup(ctx, inputs, output):
    *tensors, n_species, cutoff, spec = inputs
    ctx.save_for_backward(*tensors)
    ctx.about = n_species, cutoff, spec


def _forward_vjp(ctx, g):
    r, *lists = ctx.saved_tensors
    return symmetry_backward(r, g, *lists, *ctx.about), *[None] * 8


def _backward_vjp(ctx, v):
    r, g, *lists = ctx.saved_tensors
    return *symmetry_double_backward(r, g, v, *lists, *ctx.about), *[None] * 8


def _third(ctx, *cotangents):
    raise NotImplementedError("symmetry_functions has two derivatives; for a third one set ADIABAT_KERNELS=reference")


def _members(operation, given: int):
    """The vmap rule: members side by side as one topology. The first `given` arguments may differ between members."""

    def rule(info, dims, *inputs):
        first, species, *rest = inputs[given:]
        if any(dim is not None for dim in dims[given:]):
            raise NotImplementedError("symmetry_functions: vmap over the topology or the parameters")
        M = info.batch_size
        side_by_side = [
            (x.expand(M, *x.shape) if dim is None else x.movedim(dim, 0)).flatten(0, 1)
            for x, dim in zip(inputs[:given], dims, strict=False)
        ]
        starts = torch.arange(M, device=first.device)[:, None] * first[-1] + first[:-1]
        out = operation(*side_by_side, torch.cat([starts.flatten(), M * first[-1:]]), species.repeat(M), *rest)
        outs = out if isinstance(out, tuple) else (out,)
        split = tuple(x.unflatten(0, (M, len(x) // M)) for x in outs)
        return (split, (0,) * len(split)) if isinstance(out, tuple) else (split[0], 0)

    return rule


@symmetry_forward.register_fake
def _(r, first, species, eta, R_s, width, n_species, cutoff, spec):
    return r.new_empty(len(first) - 1, columns(spec, n_species))


@symmetry_backward.register_fake
def _(r, g, first, species, eta, R_s, width, n_species, cutoff, spec):
    return torch.empty_like(r, memory_format=torch.contiguous_format)


@symmetry_double_backward.register_fake
def _(r, g, v, first, species, eta, R_s, width, n_species, cutoff, spec):
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (r, g))


symmetry_forward.register_autograd(_forward_vjp, setup_context=_setup)
symmetry_backward.register_autograd(_backward_vjp, setup_context=_setup)
symmetry_double_backward.register_autograd(_third)
symmetry_forward.register_vmap(_members(symmetry_forward, given=1))
symmetry_backward.register_vmap(_members(symmetry_backward, given=2))
symmetry_double_backward.register_vmap(_members(symmetry_double_backward, given=3))
