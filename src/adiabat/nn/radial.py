"""Radial functions of a convolution: a network of the distance, kept as a spline."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adiabat.kernels import bessel, knots, polynomial_cutoff, spline_table
from adiabat.nn.derived import Derived
from adiabat.nn.mlp import MLP
from adiabat.typing import Float, Tensor


class RadialTable(Derived):
    """R_p(d) = MLP(b(d) f_c(d)) for paths and channels, as B-splines through its values at `intervals` + 1 knots.

    b are Bessel functions, f_c the polynomial cutoff (Gasteiger et al., arXiv:2003.03123). The network is evaluated at the knots
    only, in training too: the trained function is the deployed one. Called without arguments it gives the table that
    `edge_conv` takes, [1, intervals + 3, paths, channels].
    """

    def __init__(
        self,
        cutoff: float,
        paths: int,
        channels: int,
        *,
        basis: int = 8,
        p: int = 5,
        hidden: Sequence[int] = (64, 64, 64),
        intervals: int = 256,
    ) -> None:
        super().__init__()
        self.cutoff, self.shape = cutoff, (paths, channels)
        d = knots(cutoff, intervals)
        values = bessel(d, cutoff, basis) * polynomial_cutoff(d, cutoff, p)[:, None]
        self.register_buffer("values", values.to(torch.get_default_dtype()), persistent=False)
        self.mlp = MLP([basis, *hidden, paths * channels])

    def compute(self) -> Float[Tensor, "1 rows paths channels"]:
        return spline_table(self.mlp(self.values)).unflatten(-1, self.shape)[None]
