"""What least squares keeps of its data: a triangle a kind of label, and the coefficients of least loss that it leads to.

Each frame's rows are folded into a triangle by blocked QR at once: what is kept is bounded by the square of the basis, whatever the
data. Normal equations would square the condition number, which is 1e9 and more here. A triangle for each kind of label (and for
held-out frames) leaves weights and ridge open until the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from adiabat.training.loss import Loss
from adiabat.training.penalty import NEARLY_NONE, Penalty
from adiabat.typing import Float, Tensor

RIDGES = np.logspace(-20, 0, 41)  # of the largest squared singular value of the scaled columns that are not free


class Triangle:
    """R of the QR decomposition of all rows added so far, weights included; the last column is what they should give.

    >>> t = Triangle(2)
    >>> t.add(torch.tensor([[1.0, 2.0], [1.0, 4.0], [1.0, 3.0]], dtype=torch.float64), 1.0, components=3)
    >>> c = t.R[0, 1] / t.R[0, 0]
    >>> round(float(c), 6), round(float(t.loss(torch.tensor([c]))), 6)
    (3.0, 0.666667)
    """

    def __init__(self, columns: int) -> None:
        self.columns, self.weight, self.rows = columns, 0.0, 0
        self._R = torch.zeros(0, columns, dtype=torch.float64)
        self._new: list[Tensor] = []
        self._pending = 0

    def add(self, rows: Float[Tensor, "n columns"], weight: float, components: float) -> None:
        """Rows of one frame; the loss is a mean, so `components` says how many numbers they speak for."""
        if weight == 0 or not len(rows):
            return
        self._new.append(rows * math.sqrt(weight))
        self._pending += len(rows)
        self.weight, self.rows = self.weight + weight * components, self.rows + len(rows)
        if self._pending > 2 * self.columns:
            self._fold()

    def join(self, other: Triangle) -> None:
        """All rows of another triangle."""
        self._new.append(other.R)
        self._pending += len(other.R)
        self.weight, self.rows = self.weight + other.weight, self.rows + other.rows

    @property
    def R(self) -> Float[Tensor, "n columns"]:
        if self._pending:
            self._fold()
        return self._R

    def _fold(self) -> None:
        together = torch.cat([self._R, *self._new])
        self._R = torch.linalg.qr(together, mode="r").R if len(together) > self.columns else together
        self._new, self._pending = ([], 0)

    def loss(self, c: Float[Tensor, "k"]) -> Tensor:
        """Mean squared error of coefficients c."""
        R = self.R
        return (R[:, :-1] @ c - R[:, -1]).square().sum() / max(self.weight, 1e-300)


@dataclass
class Triangles:
    """One triangle a kind of label."""

    columns: int
    of: dict[str, Triangle] = field(default_factory=dict)

    def add(self, rows: Mapping[str, tuple[Tensor, float]], weight: float) -> None:
        for kind, (part, components) in rows.items():
            self.of.setdefault(kind, Triangle(self.columns)).add(part, weight, components)

    @classmethod
    def joined(cls, parts: Sequence[Triangles]) -> Triangles:
        """What the rows of all parts together would have given."""
        whole = cls(parts[0].columns)
        for part in parts:
            for kind, t in part.of.items():
                whole.of.setdefault(kind, Triangle(whole.columns)).join(t)
        return whole

    def stacked(self, loss: Loss) -> Tensor:
        """Rows whose squared error is the loss."""
        parts = [
            t.R * math.sqrt(loss.weights[kind] / t.weight) for kind, t in self.of.items() if loss.weights[kind] and t.weight
        ]
        if not parts:
            raise ValueError("no frame has a label that the loss weighs; nothing can be solved for")
        return torch.cat(parts)

    def loss(self, c: Tensor, loss: Loss) -> float:
        return float(sum(loss.weights[kind] * t.loss(c) for kind, t in self.of.items() if t.weight))

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.of.values())


@dataclass(frozen=True)
class Solution:
    """Coefficients, the ridge they were found with (of the largest squared singular value; None: a prior for each coefficient), and by what it
    was chosen; of what they are the least squares: rows A of `n` labeled numbers with what they should give behind, |A c − y|² + α |D c|²,
    no coefficient where D is infinite; and by kind of label the root mean square error on frames left out, by coefficients of the others."""

    c: Float[Tensor, "k"]
    ridge: float | None
    chosen_by: str
    rows: Tensor | None = None
    scale: Tensor | None = None  # D
    alpha: float = 0.0
    n: int = 0
    left_out: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)  # what else a model file says of how it was found

    def covariance_root(self) -> Float[Tensor, "k k"]:
        """M of the coefficients' covariance M Mᵀ = σ² (AᵀA + αD²)⁻¹; σ² is the misfit of one of the `n` labeled numbers.

        MacKay, Neural Computation 4, 415 (1992): the noise at its most probable value.
        """
        assert self.rows is not None
        assert self.scale is not None
        A, k = self.rows[:, :-1] / self.scale, len(self.c)
        known = torch.isfinite(self.scale)
        ridged = math.sqrt(self.alpha) * torch.eye(k, dtype=A.dtype)
        R = torch.linalg.qr(torch.cat([A, ridged]), mode="r").R
        scaled = torch.where(known, self.c * torch.where(known, self.scale, 0.0), 0.0)
        misfit = (A @ scaled - self.rows[:, -1]).square().sum() + self.alpha * scaled.square().sum()
        return (
            (misfit / self.n).sqrt()
            * torch.linalg.solve_triangular(R, torch.eye(k, dtype=R.dtype), upper=True)
            / self.scale[:, None]
        )


def ridge_regression(train: Triangles, held: Triangles | None, loss: Loss, free: int = 0) -> Solution:
    """The coefficients of least loss under a Gaussian prior, whose width is chosen; the last `free` columns have nearly none."""
    rows = train.stacked(loss)
    penalty = Penalty.of(rows[:, :-1], free)
    n, k = train.rows, rows.shape[1] - 1 - free
    # Free columns first: below their rows stands what they cannot say, and the ridge is chosen by that alone.
    parts = rows[:, k:-1] / penalty.norm[k:], rows[:, :k] / penalty.norm[:k], rows[:, -1:]
    nearly = NEARLY_NONE * torch.eye(free, k + free + 1, dtype=rows.dtype)
    R = torch.linalg.qr(torch.cat([torch.cat(parts, 1), nearly]), mode="r").R
    A, y = R[free:, free:-1], R[free:, -1]
    U, S, Vh = torch.linalg.svd(A, full_matrices=False)
    q = U.T @ y
    rest = float((y - U @ q).square().sum())

    def at(ridge: float) -> Tensor:
        c = Vh.T @ (S / (S.square() + ridge * penalty.largest) * q)
        left = R[:free, -1] - R[:free, free:-1] @ c
        return torch.cat([c, torch.linalg.solve_triangular(R[:free, :free], left[:, None], upper=True)[:, 0]]) / penalty.norm

    def evidence(ridge: float) -> float:
        """log p(labels | ridge), the noise at its most probable value."""
        alpha = ridge * penalty.largest
        misfit = float((alpha / (S.square() + alpha) * q.square()).sum()) + rest
        return -0.5 * (n * math.log(max(misfit, 1e-300) / n) + float(torch.log1p(S.square() / alpha).sum()))

    if held is not None:
        worth: Callable[[float], float] = lambda ridge: -held.loss(at(ridge), loss)  # noqa: E731
    else:
        worth = evidence
    best = float(max(RIDGES, key=worth))
    by, alpha = "evidence" if held is None else "held-out loss", best * penalty.largest
    return Solution(at(best), best, by, rows, penalty.scale(alpha), alpha, n)


def posterior_mean(train: Triangle, prior: Float[Tensor, "k k"]) -> Solution:
    """Coefficients of a sparse Gaussian process: min |A c − y|² + |R c|², R its `prior`; columns beyond those of R have none.

    Foster et al., J. Mach. Learn. Res. 10, 857 (2009), section 3.3: by QR, as the square root of the normal equations.
    """
    k, free = len(prior), train.columns - 1 - len(prior)
    known = torch.nn.functional.pad(prior, (0, free + 1))
    nearly = torch.nn.functional.pad(1e-9 * torch.eye(free, dtype=torch.float64), (k, 1))  # an element without any energy
    R = torch.linalg.qr(torch.cat([train.R, known, nearly]), mode="r").R
    c = torch.linalg.solve_triangular(R[:-1, :-1] if len(R) > k + free else R[:, :-1], R[: k + free, -1:], upper=True)
    return Solution(c[:, 0], 0.0, "the model's prior")
