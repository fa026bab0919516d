"""Sums over neighbors that are worked out once for fixed positions, with their first derivatives; and back: what they pull at each edge.

S_klm = Σ_j g_k(d_ij) Y_lm(r̂_ij). The derivative with respect to an edge is that of a product, so that of each edge g, Y and their slopes
are kept and not all of ∂S/∂r.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from adiabat.kernels import segment_sum
from adiabat.typing import Float, Int, Tensor


class Remembered(NamedTuple):
    """S by atom and neighbor's element, and of each edge r̂, g and Y with dg/dd and ∂Y/∂r."""

    S: Float[Tensor, "N ZKlm"]
    u: Float[Tensor, "E 3"]
    g: Float[Tensor, "E K"]
    dg: Float[Tensor, "E K"]
    Y: Float[Tensor, "E lm"]
    dY: Float[Tensor, "E 3lm"]

    @classmethod
    def of(
        cls,
        r: Float[Tensor, "E 3"],
        row: Int[Tensor, " E"],
        shape: tuple[int, int],
        radial: Callable[[Tensor], Tensor],
        harmonics: Callable[[Tensor], Tensor],
    ) -> Remembered:
        """Of g = radial(d) and Y = harmonics(r); `row` says where in S, which is of this shape before it is flattened, an edge counts."""
        d = r.detach().norm(dim=1).requires_grad_()
        g = radial(d)
        at = r.detach().requires_grad_()
        Y = harmonics(at)
        dg = [torch.autograd.grad(x.sum(), d, retain_graph=True, allow_unused=True)[0] for x in g.unbind(1)]
        dY = [
            torch.autograd.grad(x.sum(), at, retain_graph=True)[0] if x.requires_grad else torch.zeros_like(at)
            for x in Y.unbind(1)
        ]
        slopes = torch.stack([torch.zeros_like(g[:, 0]) if x is None else x for x in dg], 1)
        g, Y, d = g.detach(), Y.detach(), d.detach()
        S = segment_sum((g[:, :, None] * Y[:, None]).flatten(1), row, shape[0] * shape[1])
        u = at.detach() / torch.where(d == 0, 1.0, d)[:, None]
        return cls(S.reshape(shape[0], -1), u, g, slopes, Y, torch.stack(dY, 2).flatten(1))

    def at(self, r: Float[Tensor, "E 3"], row: Int[Tensor, " E"]) -> Float[Tensor, "N ZKlm"]:
        """S with its derivatives: the first with respect to r, and all that follow from it for whoever depends on S."""
        return _Sums.apply(r, row, *(x.to(r.dtype) for x in self))


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor, row: Tensor, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(row, *parts)
        return parts[0].clone()

    @staticmethod
    def backward(ctx: Any, to_S: Tensor) -> tuple[Tensor | None, ...]:
        row, _, *edges = ctx.saved_tensors
        return (_Pull.apply(to_S, row, *edges), *[None] * 7)


class _Pull(torch.autograd.Function):
    """∂(v·S)/∂r for a given v, which is linear in v."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, row: Tensor, *edges: Tensor) -> Tensor:
        ctx.save_for_backward(row, *edges)
        ctx.shape = v.shape
        u, g, dg, Y, dY = edges
        each = v.reshape(-1, g.shape[1], Y.shape[1]).index_select(0, row)  # E K lm
        along = (torch.bmm(each, Y[:, :, None])[:, :, 0] * dg).sum(1, keepdim=True)
        across = torch.bmm(g[:, None], each)[:, 0]
        return along * u + torch.bmm(dY.view(-1, 3, Y.shape[1]), across[:, :, None])[:, :, 0]

    @staticmethod
    def backward(ctx: Any, to_r: Tensor) -> tuple[Tensor | None, ...]:
        row, u, g, dg, Y, dY = ctx.saved_tensors
        longer = dg * (u * to_r).sum(1, keepdim=True)
        turned = torch.bmm(to_r[:, None], dY.view(-1, 3, Y.shape[1]))
        x = longer[:, :, None] * Y[:, None] + g[:, :, None] * turned  # E K lm
        found = segment_sum(x.flatten(1), row, ctx.shape.numel() // x[0].numel())
        return (found.reshape(ctx.shape), *[None] * 6)
