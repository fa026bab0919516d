"""Candidates of a choice of weights and ridge, judged in good coordinates; what is chosen is solved for by QR.

A choice tries dozens of candidates, each on several shares of the frames. Normal equations of the descriptors would square a condition number
of 1e9 and more; in the coordinates of one QR of all rows it is near 1, where one Cholesky decomposition a candidate finds errors on frames
left out to many more digits than they differ by. No coefficient that a model gets comes from it: those are of `Coordinates.solve`, by QR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from adiabat.training.loss import Loss
from adiabat.training.triangles import Triangles
from adiabat.typing import Float, Tensor

RIDGES = tuple(10.0**k for k in range(-16, -6))  # of the largest squared singular value of the scaled columns


def stacked(parts: Sequence[Triangles], loss: Loss) -> Tensor:
    """Rows whose squared error is the loss of all parts together."""
    rows = []
    for kind, weight in loss.weights.items():
        of_kind = [part.of[kind] for part in parts if kind in part.of and part.of[kind].weight]
        total = sum(t.weight for t in of_kind)
        rows += [t.R * math.sqrt(weight / total) for t in of_kind if weight]
    if not rows:
        raise ValueError("no frame has a label that the loss weighs; nothing can be solved for")
    return torch.cat(rows)


@dataclass(frozen=True)
class Coordinates:
    """z = R c/scale, in which the problem is well conditioned whatever the weights: candidates may be judged by normal equations there."""

    scale: Float[Tensor, "k"]
    R: Float[Tensor, "k k"]
    largest: float  # squared singular value of the scaled columns

    @classmethod
    def of(cls, A: Float[Tensor, "n k"], free: int) -> Coordinates:
        scale = A.square().sum(0).sqrt()
        # A column without data gets no coefficient.
        scale = torch.where(scale > max(1e-12 * float(scale.max()), 1e-300), scale, torch.inf)
        if free:
            scale[-free:] *= 1e-3
        if not bool(torch.isfinite(scale).any()):
            raise ValueError(
                "every descriptor is zero in every frame: no atom has a neighbor within the model's cutoff; raise it"
            )
        scaled = A / scale
        largest = largest_square(scaled)
        return cls(scale, _qr(scaled, RIDGES[0] * largest), largest)

    def solve(self, rows: Float[Tensor, "n columns"], alpha: float) -> Float[Tensor, "k"]:
        """Coefficients of least |A c − y|² + α |scale · c|², by QR."""
        A, y = rows[:, :-1] / self.scale, rows[:, -1:]
        k = A.shape[1]
        ridged = math.sqrt(alpha) * torch.eye(k, k + 1, dtype=A.dtype)
        R = torch.linalg.qr(torch.cat([torch.cat([A, y], 1), ridged]), mode="r").R
        return torch.linalg.solve_triangular(R[:k, :k], R[:k, k:], upper=True)[:, 0] / self.scale


def largest_square(A: Tensor) -> float:
    """The largest squared singular value, to some percent: a ridge is known to a factor."""
    v = torch.ones(A.shape[1], dtype=A.dtype)
    for _ in range(20):
        v = A.T @ (A @ (v / v.norm()))
    return float(v.norm())


def _qr(A: Tensor, ridge: float) -> Tensor:
    return torch.linalg.qr(torch.cat([A, math.sqrt(ridge) * torch.eye(A.shape[1], dtype=A.dtype)]), mode="r").R


@dataclass(frozen=True)
class Part:
    """A part's rows by kind of label in those coordinates: Z, y, the weight, ZᵀZ where the rows are many, and Zᵀy."""

    of_kind: dict[str, tuple[Tensor, Tensor, float, Tensor | None, Tensor]]

    @classmethod
    def of(cls, part: Triangles, frame: Coordinates) -> Part:
        found = {}
        for kind, t in part.of.items():
            if t.weight:
                R = t.R
                Z = torch.linalg.solve_triangular(frame.R, R[:, :-1] / frame.scale, upper=True, left=False)
                y = R[:, -1]
                found[kind] = Z, y, t.weight, Z.T @ Z if 2 * len(Z) > Z.shape[1] else None, Z.T @ y
        return cls(found)


class Equations:
    """Normal equations of each part, to be summed in any combination for a candidate. `step` is called as they get on."""

    def __init__(self, parts: Sequence[Triangles], frame: Coordinates, step: Callable[[], None] = lambda: None) -> None:
        self.frame, self.parts = frame, []
        inverse = torch.linalg.solve_triangular(frame.R, torch.eye(len(frame.R), dtype=frame.R.dtype), upper=True)
        self.prior = inverse.T @ inverse
        for part in parts:
            self.parts.append(Part.of(part, frame))
            step()

    def candidate(self, learned: Sequence[int], weights: Mapping[str, float], alpha: float) -> Float[Tensor, "k"] | None:
        """z of least loss of these parts + α |scale · c|²; None where they leave a direction open that others know."""
        H, b = alpha * self.prior, torch.zeros(len(self.prior), dtype=torch.float64)
        for kind, weight in weights.items():
            of_kind = [self.parts[k].of_kind[kind] for k in learned if kind in self.parts[k].of_kind]
            total = sum(it[2] for it in of_kind)
            for Z, _, _, square, product in of_kind if weight else ():
                share = weight / total
                if square is None:
                    H.addmm_(Z.T, Z, alpha=share)
                else:
                    H.add_(square, alpha=share)
                b.add_(product, alpha=share)
        L, failed = torch.linalg.cholesky_ex(H)
        return None if int(failed) else torch.cholesky_solve(b[:, None], L)[:, 0]
