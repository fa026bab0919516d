"""`edge_conv` as compiled operations: forward, backward and double backward from one templated source.

With s = ⟨g, conv(x)⟩ for x = (h, Y, d, table), the backward operation returns ∂s/∂x. Its own derivative, for cotangents v of those
gradients, is by the symmetry of second derivatives the tangent of ∂s/∂x in the direction v, and for g the tangent of conv itself:
the same code on dual numbers. A third derivative is refused.
"""

# no `from __future__ import annotations`: torch.library reads the types of the signatures
import ctypes
from collections.abc import Callable

import torch

from adiabat.kernels.dispatch import library, parse, run
from adiabat.kernels.engine import asked
from adiabat.kernels.ir import MAX_OUTPUTS, Convolution
from adiabat.typing import Tensor

KEPT = 32  # rearranged copies held at most, the oldest dropped first
BLOCK = 16  # channels are padded to a multiple of this, whatever the vector length


def fast_edge_conv(h, Y, d, table, cutoff, kind, edges, conv: Convolution) -> list[Tensor]:
    """See `edge_conv`; here channels are padded to whole vectors."""
    C = h.shape[-1]
    extra = -C % BLOCK
    if extra:
        h = torch.nn.functional.pad(h, (0, extra))
        narrow = table
        table = kept(narrow, "padded", lambda: torch.nn.functional.pad(narrow, (0, extra)))
    lists = [edges.first, edges.i, edges.j, kind]
    out = conv_forward(h, Y, d, table, lists, cutoff, str(conv))
    return [x[..., :C] for x in out] if extra else out


@torch.library.custom_op("adiabat::conv_forward", mutates_args=())
def conv_forward(h: Tensor, Y: Tensor, d: Tensor, table: Tensor, lists: list[Tensor], cutoff: float, spec: str) -> list[Tensor]:
    out = _outputs(h, lists, spec)
    call = Call(spec, h, Y, d, table, lists, cutoff, out=out)
    call.check(len(d))
    call.run("forward")
    return out


@torch.library.custom_op("adiabat::conv_backward", mutates_args=())
def conv_backward(
    h: Tensor,
    Y: Tensor,
    d: Tensor,
    table: Tensor,
    g: list[Tensor],
    lists: list[Tensor],
    cutoff: float,
    spec: str,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """∂⟨g, conv⟩/∂(h, Y, d, table); what `needs` does not ask for is zero."""
    return _backward("", h, Y, d, table, g, lists, cutoff, spec, needs)


@torch.library.custom_op("adiabat::conv_double_backward", mutates_args=())
def conv_double_backward(
    h: Tensor, Y: Tensor, d: Tensor, table: Tensor, g: list[Tensor], tangents: list[Tensor], lists: list[Tensor], cutoff: float,
    spec: str, needs: list[bool],
) -> list[Tensor]:  # fmt: skip
    """The derivatives of ⟨v, conv_backward⟩ with respect to (h, Y, d, table, *g); v are the `tangents`."""
    grads = _backward("_tangent", h, Y, d, table, g, lists, cutoff, spec, needs, tangents)
    out = _outputs(h, lists, spec)
    Call(spec, h, Y, d, table, lists, cutoff, tangents, out=out).run("forward_tangent")
    return [*grads, *out]


def _outputs(h: Tensor, lists: list[Tensor], spec: str) -> list[Tensor]:
    conv, n = parse(spec), len(lists[0]) - 1
    assert isinstance(conv, Convolution)
    return [h.new_empty(n, out.dim, k, h.shape[-1]) for out, k in zip(conv.outputs, conv.multiplicity)]


def _backward(kind, h, Y, d, table, g, lists, cutoff, spec, needs, tangents=None):
    edges = needs[1] or needs[2]  # both or none
    needs = (needs[0], edges, edges, needs[3])
    grads = [torch.zeros_like(x) if need else x.new_zeros(()).expand(x.shape) for x, need in zip((h, Y, d, table), needs)]
    names = ("hb", "Yb", "db", "tableb")
    wanted = {name: grad for name, grad, need in zip(names, grads, needs) if need}
    Call(spec, h, Y, d, table, lists, cutoff, tangents, g=g, **wanted).run("backward" + kind)
    return tuple(grads)


def _setup(ctx, inputs, output):
    *tensors, lists, cutoff, spec = inputs
    ctx.save_for_backward(*tensors, *lists)
    ctx.about = cutoff, spec


def _forward_vjp(ctx, g):
    h, Y, d, table, *lists = ctx.saved_tensors
    shapes = _outputs(h, lists, ctx.about[1]) if any(x is None for x in g) else g
    g = [torch.zeros_like(shape) if x is None else x.contiguous() for x, shape in zip(g, shapes, strict=True)]
    needs = asked(ctx, 4)
    grads = conv_backward(h, Y, d, table, g, lists, *ctx.about, needs)
    return *_wanted(needs, grads), [None] * len(lists), None, None


def _backward_setup(ctx, inputs, output):
    *tensors, g, lists, cutoff, spec, _ = inputs
    ctx.save_for_backward(*tensors, *lists, *g)
    ctx.about = cutoff, spec


def _backward_vjp(ctx, *cotangents):
    h, Y, d, table, first, i, j, kind, *g = ctx.saved_tensors
    tangents = [_nothing(x) if v is None else v.contiguous() for x, v in zip((h, Y, d, table), cotangents, strict=True)]
    lists, needs = [first, i, j, kind], asked(ctx, 4)
    grads = conv_double_backward(h, Y, d, table, g, tangents, lists, *ctx.about, needs)
    return *_wanted(needs, grads[:4]), grads[4:], [None] * len(lists), None, None, None


def _wanted(needs, grads):
    return (grad if need else None for grad, need in zip(grads, needs))


_zeros: dict[tuple, Tensor] = {}


def _nothing(x: Tensor) -> Tensor:
    """Zeros that nobody writes to, the same ones every time: forces have no cotangent for tables, and tables are large."""
    key = x.shape, x.dtype
    if key not in _zeros:
        while len(_zeros) >= KEPT:
            _zeros.pop(next(iter(_zeros)))
        _zeros[key] = torch.zeros_like(x)
    return _zeros[key]


def _third(ctx, *cotangents):
    raise NotImplementedError("edge_conv has two derivatives; for a third one set ADIABAT_KERNELS=reference")


@conv_forward.register_fake
def _(h, Y, d, table, lists, cutoff, spec):
    return _outputs(h, lists, spec)


@conv_backward.register_fake
def _(h, Y, d, table, g, lists, cutoff, spec, needs):
    return tuple(torch.empty_like(x) for x in (h, Y, d, table))


@conv_double_backward.register_fake
def _(h, Y, d, table, g, tangents, lists, cutoff, spec, needs):
    return [torch.empty_like(x) for x in (h, Y, d, table, *g)]


conv_forward.register_autograd(_forward_vjp, setup_context=_setup)
conv_backward.register_autograd(_backward_vjp, setup_context=_backward_setup)
conv_double_backward.register_autograd(_third)


class Conv(ctypes.Structure):
    """`struct Conv` of conv.h, field by field."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in "centers neighbors C intervals table_rows harmonics threads".split()]
        + [("cutoff", ctypes.c_double)]
        + [(name, ctypes.c_void_p) for name in "first i j kind".split()]
        + [(name, ctypes.c_void_p) for name in "h Y d table blocked ht Yt dt tablet blockedt hb Yb db tableb".split()]
        + [(name, ctypes.c_void_p * MAX_OUTPUTS) for name in ("out", "g")]
    )


FAULTS = (
    "the row pointers do not span the edges",
    "the edges are not sorted by their center",
    "a neighbor is out of range",
    "a kind of edge is out of range",
    "a distance is not a number or negative: look at the positions and the cell",
)


class Call:
    """One call of compiled code. It holds every contiguous temporary, so that none is freed while the code runs."""

    def __init__(self, spec, h, Y, d, table, lists, cutoff, tangents=None, out=(), g=(), **more) -> None:
        self.spec, self.dtype = spec, h.dtype
        self.library = library(spec, h.dtype)
        self.kept = {
            "h": h,
            "Y": Y,
            "d": d,
            "table": table,
            **dict(zip(("first", "i", "j", "kind"), lists)),
        }
        if tangents is not None:
            self.kept |= dict(zip(("ht", "Yt", "dt", "tablet"), tangents))
        self.kept = {name: x.contiguous() for name, x in self.kept.items()}
        lanes = self.library.lanes()
        self.kept["blocked"] = kept(table, f"blocked {lanes}", lambda: _blocked(table, lanes))
        if tangents is not None:
            self.kept["blockedt"] = _blocked(tangents[3], lanes)
        self.kept |= more
        self.lists = {"out": list(out), "g": [x.contiguous() for x in g]}
        self.numbers = {
            "centers": len(lists[0]) - 1, "neighbors": len(h), "C": h.shape[-1], "intervals": table.shape[1] - 3,
            "table_rows": table.shape[0] * table.shape[1], "harmonics": Y.shape[1], "threads": torch.get_num_threads(),
            "cutoff": cutoff,
        }  # fmt: skip

    def check(self, edges: int) -> None:
        fault = self.library.check_arguments(ctypes.byref(self._struct()), ctypes.c_int64(edges))
        if fault:
            raise ValueError(f"edge_conv: {FAULTS[fault - 1]}")

    def run(self, name: str) -> None:
        run(self.spec, self.dtype, name, self._struct())

    def _struct(self) -> Conv:
        pointers = {name: x.data_ptr() for name, x in self.kept.items()}
        lists = {name: (ctypes.c_void_p * MAX_OUTPUTS)(*(x.data_ptr() for x in xs)) for name, xs in self.lists.items()}
        return Conv(**self.numbers, **pointers, **lists)


def _blocked(table: Tensor, lanes: int) -> Tensor:
    """[kinds, rows, paths, C] → [C / lanes, kinds, rows, paths, lanes]: what one block of channels reads lies together."""
    return table.unflatten(-1, (-1, lanes)).movedim(-2, 0).contiguous()


_kept: dict[tuple, tuple[Tensor, Tensor]] = {}


def kept(source: Tensor, form: str, make: Callable[[], Tensor]) -> Tensor:
    """A rearranged copy of a tensor that lives on unchanged, as tables and polynomials do while a model is evaluated.

    The source is kept too, so its address cannot become another tensor's; a change in place shows in its version.
    """
    if source.requires_grad:
        return make()
    key = (source.data_ptr(), source._version, source.shape, source.dtype, form)
    if key not in _kept:
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = source, make()
    return _kept[key][1]
