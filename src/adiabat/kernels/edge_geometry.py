"""Edge vectors as what equivariant models see of them: lengths and harmonics of the directions, in one operation."""

from __future__ import annotations

import torch  # noqa: F401 - the example's

from adiabat.kernels import dispatch
from adiabat.kernels.geometry import distance, spherical_harmonics
from adiabat.kernels.ir import Harmonics
from adiabat.typing import Float, Tensor


def edge_geometry(r: Float[Tensor, "E 3"], l_max: int) -> tuple[Float[Tensor, "E"], Float[Tensor, "E lm"]]:
    """d = |r| and Y_lm(r/d), l = 0…l_max (component-normalized, see `geometry`).

    A vector of no length has no direction: its Y_00 is 1, every other is 0, and so are all derivatives.

    >>> edge_geometry(torch.tensor([[0.0, 0.0, 2.0]], dtype=torch.float64), 1)[1]
    tensor([[1.0000, 0.0000, 1.7321, 0.0000]], dtype=torch.float64)
    """
    if r.ndim == 2 and dispatch.fast_for(Harmonics(l_max), r):
        from adiabat.kernels.edge_geometry_op import edge_forward

        return edge_forward(r, l_max)
    return reference_edge_geometry(r, l_max)


def reference_edge_geometry(r: Tensor, l_max: int) -> tuple[Tensor, Tensor]:
    """The meaning of `edge_geometry`."""
    d = distance(r)
    zero = (d == 0)[..., None]
    u = (r / d[..., None].masked_fill(zero, 1.0)).masked_fill(zero, 0.0)
    return d, spherical_harmonics(u, l_max)
