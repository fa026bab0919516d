"""Weights of least squares that nobody asked for: of energies and stress against forces, and the ridge, by frames left out.

A minimizer that goes to the end takes weights at their word, and the right ones differ with the data: stress of plane-wave calculations
has errors of several meV/atom that no potential can follow, and energies of different cells may agree with forces well or badly. So
they are chosen by the product of the errors of energies and forces on frames that the coefficients have not seen, which no weight enters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from adiabat.training.loss import Loss
from adiabat.training.triangles import Solution, Triangles
from adiabat.typing import Float, Tensor

# Where too few frames are there to choose by, and where the search begins.
USUAL = {"energy": 100.0, "forces": 1.0, "stress": 1e-3}
ENERGY = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
STRESS = (1e-3, 1e-2, 1e-1)
RIDGES = tuple(10.0**k for k in range(-16, -6))  # of the largest squared singular value of the scaled columns
USUAL_RIDGE = 1e-14
FOLDS = 4
ENOUGH = 20  # groups of frames, from which on folds are made
ENOUGH_HELD = 10  # frames held out anyway, from which on they are the judges


def weighed(loss: Loss) -> Loss:
    """The loss with the usual weights where none are given.

    >>> weighed(Loss(energy=5.0)).weights
    {'energy': 5.0, 'forces': 1.0, 'stress': 0.001}
    """
    missing: dict[str, Any] = {name: weight for name, weight in USUAL.items() if getattr(loss, name) is None}
    return replace(loss, **missing)


def folds_of(frames: int, together: Sequence[int] | None) -> np.ndarray | None:
    """Which of the folds each frame is in, groups whole; None where there are too few. Without groups, neighbors in the list are one.

    >>> folds_of(60, None)[:4], folds_of(60, [0] * 60)
    (array([0, 0, 0, 1]), None)
    """
    group = np.arange(frames) // 3 if together is None else np.asarray(together)
    kinds = np.unique(group)
    if len(kinds) < ENOUGH:
        return None
    fold = np.zeros(int(kinds.max()) + 1, np.int64)
    fold[kinds] = np.arange(len(kinds)) % FOLDS
    return fold[group]


def regression(
    parts: Sequence[Triangles], splits: Sequence[tuple[Sequence[int], Sequence[int]]], loss: Loss, free: int = 0
) -> tuple[Solution, Loss]:
    """Coefficients from all parts that teach, with the weights and the ridge of least held-out error; the loss with these weights.

    Of each of `splits` the first parts teach and the second judge. The last `free` columns have nearly no prior.
    """
    start = weighed(loss)
    taught = sorted({k for teach, _ in splits for k in teach})
    every = _stacked([parts[k] for k in taught], start)
    frame = _Coordinates.of(every[:, :-1], free)
    search = _Search([_Part.of(part, frame) for part in parts], splits, frame)
    choice = [start.weights["energy"], start.weights["stress"], USUAL_RIDGE]
    axes = (
        ENERGY if loss.energy is None else choice[:1],
        STRESS if loss.stress is None and any("stress" in part.of for part in parts) else choice[1:2],
        RIDGES,
    )
    before: list[float] = []
    while before != choice:  # along one axis after the other, until nothing changes
        before = list(choice)
        for axis, values in enumerate(axes):
            tried = {}
            for v in values:
                at = [*choice[:axis], v, *choice[axis + 1 :]]
                tried[v] = search.error(at[0], at[1], at[2], loss.forces)
            choice[axis] = min(tried, key=tried.__getitem__)
    found = replace(start, energy=choice[0], stress=choice[1])
    rows = _stacked([parts[k] for k in taught], found)
    # The ridge told is of these columns' largest singular value; the one that was chosen, of those at the usual weights.
    scale, alpha, largest = frame.scale, choice[2] * frame.largest, _largest(rows[:, :-1] / frame.scale)
    told = search.errors[choice[0], choice[1], choice[2]]
    return Solution(
        frame.solve(rows, alpha), alpha / largest, "energies and forces of frames left out", rows, scale, alpha, told
    ), found


def _stacked(parts: Sequence[Triangles], loss: Loss) -> Tensor:
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
class _Coordinates:
    """z = R c/scale, in which the problem is well conditioned whatever the weights: normal equations may be used there."""

    scale: Float[Tensor, "k"]
    R: Float[Tensor, "k k"]
    largest: float  # squared singular value of the scaled columns

    @classmethod
    def of(cls, A: Float[Tensor, "n k"], free: int) -> _Coordinates:
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
        largest = _largest(scaled)
        return cls(scale, _qr(scaled, RIDGES[0] * largest), largest)

    def solve(self, rows: Float[Tensor, "n columns"], alpha: float) -> Float[Tensor, "k"]:
        """Coefficients of least |A c − y|² + α |scale · c|²."""
        A, y = rows[:, :-1] / self.scale, rows[:, -1:]
        k = A.shape[1]
        ridged = math.sqrt(alpha) * torch.eye(k, k + 1, dtype=A.dtype)
        R = torch.linalg.qr(torch.cat([torch.cat([A, y], 1), ridged]), mode="r").R
        return torch.linalg.solve_triangular(R[:k, :k], R[:k, k:], upper=True)[:, 0] / self.scale


def _largest(A: Tensor) -> float:
    """The largest squared singular value, to some percent: a ridge is known to a factor."""
    v = torch.ones(A.shape[1], dtype=A.dtype)
    for _ in range(20):
        v = A.T @ (A @ (v / v.norm()))
    return float(v.norm())


def _qr(A: Tensor, ridge: float) -> Tensor:
    return torch.linalg.qr(torch.cat([A, math.sqrt(ridge) * torch.eye(A.shape[1], dtype=A.dtype)]), mode="r").R


@dataclass(frozen=True)
class _Part:
    """A part's rows by kind of label in those coordinates: Z, y, the weight, and ZᵀZ where the rows are many."""

    of_kind: dict[str, tuple[Tensor, Tensor, float, Tensor | None]]

    @classmethod
    def of(cls, part: Triangles, frame: _Coordinates) -> _Part:
        found = {}
        for kind, t in part.of.items():
            if t.weight:
                R = t.R
                Z = torch.linalg.solve_triangular(frame.R, R[:, :-1] / frame.scale, upper=True, left=False)
                found[kind] = Z, R[:, -1], t.weight, Z.T @ Z if 2 * len(Z) > Z.shape[1] else None
        return cls(found)


class _Search:
    """The held-out error of a choice: half the sum of the logarithms of the mean squares of energies and forces."""

    def __init__(
        self, parts: Sequence[_Part], splits: Sequence[tuple[Sequence[int], Sequence[int]]], frame: _Coordinates
    ) -> None:
        self.parts, self.splits, self.largest = parts, splits, frame.largest
        inverse = torch.linalg.solve_triangular(frame.R, torch.eye(len(frame.R), dtype=frame.R.dtype), upper=True)
        self.prior = inverse.T @ inverse
        self.known: dict[tuple[float, ...], float] = {}
        self.errors: dict[tuple[float, ...], dict[str, float]] = {}  # root mean squares

    def error(self, energy: float, stress: float, ridge: float, forces: float) -> float:
        if (energy, stress, ridge) not in self.known:
            weights = {"energy": energy, "forces": forces, "stress": stress}
            square: dict[str, list[float]] = {}
            for teach, judge in self.splits:
                z = self._solve([self.parts[k] for k in teach], weights, ridge)
                for part in (self.parts[k] for k in judge):
                    for kind, (Z, y, weight, _) in part.of_kind.items():
                        sums = square.setdefault(kind, [0.0, 0.0])
                        sums[0] += float((Z @ z - y).square().sum())
                        sums[1] += weight
            judged: list[str] = [kind for kind in ("energy", "forces") if kind in square and weights[kind]] or list(square)
            rms = {kind: math.sqrt(max(total / count, 1e-300)) for kind, (total, count) in square.items()}
            self.known[energy, stress, ridge] = sum(math.log(rms[kind]) for kind in judged)
            self.errors[energy, stress, ridge] = rms
        return self.known[energy, stress, ridge]

    def _solve(self, parts: Sequence[_Part], weights: dict[str, float], ridge: float) -> Tensor:
        H, b = ridge * self.largest * self.prior, torch.zeros(len(self.prior), dtype=torch.float64)
        for kind, weight in weights.items():
            of_kind = [part.of_kind[kind] for part in parts if kind in part.of_kind]
            total = sum(it[2] for it in of_kind)
            for Z, y, _, square in of_kind if weight else ():
                H += (weight / total) * (Z.T @ Z if square is None else square)
                b += (weight / total) * (Z.T @ y)
        return torch.cholesky_solve(b[:, None], torch.linalg.cholesky(H))[:, 0]
