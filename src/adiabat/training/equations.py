"""Candidates of a choice of weights and ridge, judged in good coordinates; what is chosen is solved for by QR.

A choice tries dozens of candidates, each on several shares of the frames. Normal equations of the descriptors would square a condition number
of 1e9 and more; in the coordinates of one QR of all rows it is near 1, where one Cholesky decomposition a candidate finds errors on frames
left out to many more digits than they differ by. No coefficient that a model gets comes from it: those are of `Penalty.solve`, by QR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from adiabat.training.loss import Loss
from adiabat.training.penalty import NEARLY_NONE, Penalty
from adiabat.training.triangles import Triangles
from adiabat.typing import Float, Tensor

RIDGES = tuple(10.0**k for k in range(-16, -6))  # of the largest squared singular value of the scaled columns that are not free


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
    """z = R c/norm, in which the problem is well conditioned whatever the weights: candidates may be judged by normal equations there."""

    penalty: Penalty
    R: Float[Tensor, "k k"]

    @classmethod
    def of(cls, A: Float[Tensor, "n k"], free: int) -> Coordinates:
        penalty = Penalty.of(A, free)
        below = torch.diag(penalty.root(RIDGES[0] * penalty.largest))
        return cls(penalty, torch.linalg.qr(torch.cat([A / penalty.norm, below]), mode="r").R)


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
                Z = torch.linalg.solve_triangular(frame.R, R[:, :-1] / frame.penalty.norm, upper=True, left=False)
                y = R[:, -1]
                found[kind] = Z, y, t.weight, Z.T @ Z if 2 * len(Z) > Z.shape[1] else None, Z.T @ y
        return cls(found)


class Equations:
    """Normal equations of each part, to be summed in any combination for a candidate. `step` is called as they get on."""

    def __init__(self, parts: Sequence[Triangles], frame: Coordinates, step: Callable[[], None] = lambda: None) -> None:
        self.frame, self.parts = frame, []
        inverse = torch.linalg.solve_triangular(frame.R, torch.eye(len(frame.R), dtype=frame.R.dtype), upper=True)
        there = len(inverse) - frame.penalty.free
        self.prior, self.nearly = (part.T @ part for part in (inverse[:there], NEARLY_NONE * inverse[there:]))
        for part in parts:
            self.parts.append(Part.of(part, frame))
            step()

    def candidate(self, learned: Sequence[int], weights: Mapping[str, float], alpha: float) -> Float[Tensor, "k"] | None:
        """z of least loss of these parts + α |D c|²; None where they leave a direction open that others know."""
        H, b = torch.add(self.nearly, self.prior, alpha=alpha), torch.zeros(len(self.prior), dtype=torch.float64)
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
