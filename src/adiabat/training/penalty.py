"""The penalty of least squares, and what its ridge is a share of.

Columns are scaled to norm 1, so that the ridge, a share of the largest squared singular value of the scaled columns, has no unit. Columns of
reference energies are free: they have nearly no prior, whatever the ridge, and do not count in what it is a share of, so that a ridge is
the same prior with reference energies found along and with given ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from adiabat.typing import Float, Tensor

# Of a free column's norm: enough to tell columns apart that are the same in all frames, as of elements that come in one ratio only.
NEARLY_NONE = 1e-6


@dataclass(frozen=True)
class Penalty:
    """α |D c|², of columns of norms `norm`, infinite for those that get no coefficient; the last `free` have nearly no prior."""

    norm: Float[Tensor, "k"]
    free: int
    largest: float  # squared singular value of the scaled columns that are not free

    @classmethod
    def of(cls, A: Float[Tensor, "n k"], free: int) -> Penalty:
        """
        >>> A = torch.tensor([[3.0, 0.0, 0.0], [4.0, 0.0, 7.0]], dtype=torch.float64)
        >>> Penalty.of(A, 1)
        Penalty(norm=tensor([5., inf, 7.], dtype=torch.float64), free=1, largest=1.0)
        """
        norm = known(A.square().sum(0).sqrt(), free)
        return cls(norm, free, largest_square(A[:, : len(norm) - free] / norm[: len(norm) - free]))

    def root(self, alpha: float) -> Float[Tensor, "k"]:
        """√α D of the scaled columns."""
        root = torch.full_like(self.norm, math.sqrt(alpha))
        root[len(root) - self.free :] = NEARLY_NONE
        return root

    def scale(self, alpha: float) -> Float[Tensor, "k"]:
        """D."""
        return self.norm * self.root(alpha) / math.sqrt(alpha)

    def share(self, alpha: float, A: Float[Tensor, "n k"]) -> float:
        """α as a share of these rows' largest squared singular value, of columns scaled as here."""
        there = slice(len(self.norm) - self.free)
        return alpha / largest_square(A[:, there] / self.norm[there])

    def solve(self, rows: Float[Tensor, "n columns"], alpha: float) -> Float[Tensor, "k"]:
        """Coefficients of least |A c − y|² + α |D c|², by QR; y is the last column."""
        k = len(self.norm)
        scaled = torch.cat([rows[:, :-1] / self.norm, rows[:, -1:]], 1)
        below = torch.nn.functional.pad(torch.diag(self.root(alpha)), (0, 1))
        R = torch.linalg.qr(torch.cat([scaled, below]), mode="r").R
        return torch.linalg.solve_triangular(R[:k, :k], R[:k, k:], upper=True)[:, 0] / self.norm


def known(norm: Float[Tensor, "k"], free: int) -> Float[Tensor, "k"]:
    """Norms of columns, infinite where there are no data: there is no coefficient then.

    >>> known(torch.tensor([2.0, 1e-13, 1e9]), 1)
    tensor([2.0000e+00, inf, 1.0000e+09])
    """
    ridged = norm[: len(norm) - free]
    least = torch.full_like(norm, 1e-300)  # in units of their own: reference energies are told apart by nothing else
    if len(ridged):
        least[: len(ridged)] = max(1e-12 * float(ridged.max()), 1e-300)
    found = torch.where(norm > least, norm, torch.inf)
    if not bool(torch.isfinite(found[: len(ridged)]).any()):
        raise ValueError("every descriptor is zero in every frame: no atom has a neighbor within the model's cutoff; raise it")
    return found


def largest_square(A: Float[Tensor, "n k"]) -> float:
    """The largest squared singular value, to some percent: a ridge is known to a factor."""
    v = torch.ones(A.shape[1], dtype=A.dtype)
    for _ in range(20):
        v = A.T @ (A @ (v / v.norm()))
    return float(v.norm())
