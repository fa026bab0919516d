"""Radial functions of a convolution: a network of the distance, kept as a spline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from adiabat.kernels import knots, spline_table
from adiabat.nn.derived import Derived
from adiabat.nn.mlp import MLP
from adiabat.typing import Float, Tensor

SINGLE_INTERVALS = 512  # forces of MACE: 3e-6 of their root mean square from the network's own
FOR_DOUBLE = 4096  # intervals; more are there for double precision


class RadialTable(Derived):
    """R_p(d) = MLP(b(d)) for paths and channels, as B-splines through its values at `intervals` + 1 knots.

    `basis` maps distances [n] to functions [n, K] that have faded to zero, with zero slope, at the cutoff, or to [n, kinds, K]
    where pairs of elements have functions of their own; the MLP has no biases and fades with them. The network is evaluated at the
    knots only, in training too: the trained function is the deployed one.
    Of more than FOR_DOUBLE intervals single precision skips knots down to SINGLE_INTERVALS, for it rounds more coarsely. Called without
    arguments it gives the table that `edge_conv` takes, [kinds, intervals + 3, paths, channels]. With `fades` the functions end below
    the buffer `nearest`, Å, as `fading` does; 0: it is not known yet.

    >>> from adiabat.kernels import bessel, cosine_cutoff
    >>> RadialTable(5.0, lambda d: bessel(d, 5.0, 8) * cosine_cutoff(d, 5.0)[:, None], paths=2, channels=16)().shape
    torch.Size([1, 259, 2, 16])
    """

    def __init__(
        self,
        cutoff: float,
        basis: Callable[[Tensor], Tensor],
        paths: int,
        channels: int,
        hidden: Sequence[int] = (),
        intervals: int = 256,
        fades: bool = False,
    ) -> None:
        super().__init__()
        self.shape = paths, channels
        self.distances = knots(cutoff, intervals)
        if fades:
            self.register_buffer("nearest", torch.zeros((), dtype=torch.float64))
        self.fades = fades
        values = basis(self.distances)  # float64, no buffer: a model made double would double rounded numbers
        self.values = values[:, None] if values.ndim == 2 else values
        skips = range(1, intervals // SINGLE_INTERVALS + 1) if intervals > FOR_DOUBLE else [1]
        self.stride = max(s for s in skips if intervals % s == 0)
        self._basis: Tensor | None = None
        self.mlp = MLP([self.values.shape[-1], *hidden, paths * channels])

    def compute(self) -> Float[Tensor, "kinds rows paths channels"]:
        weights = self.mlp.weights
        stride = 1 if weights[0].dtype == torch.float64 else self.stride
        values = self.values[::stride]
        if self.fades:
            values = values * fading(self.distances[::stride], self.nearest)[:, None, None]
        # Splines are linear in their values: what is solved for are the last matrix's inputs, for they are fewer.
        if len(weights) == 1:
            spline = self._spline(values).to(weights[0])
        else:
            spline = spline_table(self.mlp.hidden(values.to(weights[0])))
        return (spline.movedim(1, 0) @ weights[-1]).unflatten(-1, self.shape)

    def _spline(self, values: Tensor) -> Tensor:
        """The basis functions' own splines: no parameter moves them."""
        if self.fades:
            return spline_table(values)
        if self._basis is None or len(self._basis) != len(values) + 2:
            self._basis = spline_table(values)
        return self._basis


def fading(d: Float[Tensor, "*E"], nearest: Float[Tensor, ""] | float) -> Float[Tensor, "*E"]:
    """0 below half of the nearest distance, 1 from 0.85 of it on, twice continuously differentiable; 1 everywhere where it is not known (0).

    Frames that are a little nearer than any training frame are common, and well extrapolated to.

    >>> fading(torch.tensor([0.5, 0.9]), 1.0)
    tensor([0., 1.])
    """
    nearest = torch.as_tensor(nearest, dtype=d.dtype, device=d.device)
    x = ((d / torch.where(nearest > 0, nearest, 1.0) - 0.5) / 0.35).clamp(0, 1)
    return torch.where(nearest > 0, x**3 * (10 - x * (15 - 6 * x)), 1.0)
