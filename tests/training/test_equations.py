"""The digits of least squares: what is returned comes from QR, beside the same problem solved with fifty digits."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from adiabat.training.equations import Coordinates, Equations, stacked
from adiabat.training.loss import Loss
from adiabat.training.triangles import Solution, Triangles, ridge_regression
from adiabat.training.weighing import committee, regression, weighed

K, ROWS, PARTS = 10, 40, 4
GIVEN = Loss(energy=30.0, forces=1.0, stress=0.1)


def nearly_dependent() -> list[dict[str, torch.Tensor]]:
    """Rows of four parts whose columns, each of norm 1, have a condition number of 1e10."""
    rng = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(K, K, dtype=torch.float64, generator=rng)).Q
    c = torch.randn(K, dtype=torch.float64, generator=rng)
    parts = []
    for _ in range(PARTS):
        part = {}
        for kind, n in (("energy", ROWS // 4), ("forces", ROWS)):
            A = torch.randn(n, K, dtype=torch.float64, generator=rng) * torch.logspace(0, -10, K, dtype=torch.float64) @ turn
            part[kind] = torch.cat([A, (A @ c + 1e-9 * torch.randn(n, dtype=torch.float64, generator=rng))[:, None]], 1)
        parts.append(part)
    return parts


def folded(parts: list[dict[str, torch.Tensor]]) -> list[Triangles]:
    made = []
    for part in parts:
        made.append(Triangles(K + 1))
        for piece in range(4):  # streamed in four pieces
            made[-1].add({kind: (rows[piece::4], float(len(rows[piece::4]))) for kind, rows in part.items()}, 1.0)
    return made


def weighted(parts: list[dict[str, torch.Tensor]], loss: Loss) -> torch.Tensor:
    kinds = {kind: torch.cat([part[kind] for part in parts]) for kind in ("energy", "forces")}
    return torch.cat([rows * math.sqrt(loss.weights[kind] / len(rows)) for kind, rows in kinds.items()])


def exact(rows: torch.Tensor, solution: Solution) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients and predictions of the same least squares, with the same prior, in arithmetic of fifty digits."""
    with mpmath.workdps(50):
        A, y = mpmath.matrix(rows[:, :-1].tolist()), mpmath.matrix(rows[:, -1].tolist())
        # With fifty digits even normal equations lose none of the sixteen that count here.
        H = A.T * A
        for k, d in enumerate(solution.scale.tolist()):
            H[k, k] += mpmath.mpf(solution.alpha) * mpmath.mpf(d) ** 2
        c = mpmath.lu_solve(H, A.T * y)
        return (torch.tensor([float(x) for x in of], dtype=torch.float64) for of in (c, A * c))


def by_normal_equations(rows: torch.Tensor, solution: Solution) -> torch.Tensor:
    A, y = rows[:, :-1], rows[:, -1]
    H = A.T @ A + solution.alpha * torch.diag(solution.scale.square())
    return torch.linalg.solve(H, A.T @ y)


def apart(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x - y).norm() / y.norm())


def delivered(way: str, parts: list[Triangles]) -> tuple[list[Solution], list[list[int]], Loss]:
    everything = list(range(PARTS))
    if way == "given weights":
        return [ridge_regression(Triangles.joined(parts), None, GIVEN)], [everything], GIVEN
    if way == "chosen weights":
        found, loss = regression(parts, [(sorted({*everything} - {k}), [k]) for k in everything], Loss())
        return found, [everything], loss
    members = [sorted({*everything} - {m}) for m in range(3)]
    open_choice = way == "members, chosen weights"
    found, loss = committee(parts, members, None, Loss() if open_choice else GIVEN, frames_judge=open_choice)
    return found, members, loss


@pytest.mark.parametrize("way", ["given weights", "chosen weights", "members, given weights", "members, chosen weights"])
def test_what_is_returned_has_the_digits_of_qr(way):
    """Rounding ε = 2e-16, a condition number κ of 1e8 to 1e10 under the ridge: QR errs by less than εκ in coefficients, and in predictions by
    some ε, of which thirteen digits are asked here; normal equations err by εκ² and εκ, so that no digit and eight are left."""
    parts = nearly_dependent()
    found, learned, loss = delivered(way, folded(parts))
    for solution, which in zip(found, learned, strict=True):
        rows = weighted([parts[k] for k in which], loss)
        A = rows[:, :-1]
        ridged = torch.cat([A / solution.scale, math.sqrt(solution.alpha) * torch.eye(K, dtype=torch.float64)])
        of_coefficients, of_predictions = 2.2e-16 * float(torch.linalg.cond(ridged)), 1e-13
        assert 1e-9 < of_coefficients < 1e-5
        c, predicted = exact(rows, solution)
        assert apart(solution.c, c) < of_coefficients
        assert apart(A @ solution.c, predicted) < of_predictions
        squared = by_normal_equations(rows, solution)
        assert apart(squared, c) > 1e3 * of_coefficients
        assert apart(A @ squared, predicted) > 1e3 * of_predictions


@pytest.mark.parametrize("ridge", [1e-16, 1e-10])
def test_candidates_are_judged_with_more_digits_than_they_differ_by(ridge):
    """By normal equations in the coordinates of one QR; weights there and here differ by a factor of 1,000."""
    parts = nearly_dependent()
    triangles = folded(parts)
    frame = Coordinates.of(stacked(triangles, weighed(Loss()))[:, :-1], 0)
    learned, alpha = [1, 2, 3], ridge * frame.penalty.largest
    z = Equations(triangles, frame).candidate(learned, {"energy": 3.0, "forces": 30.0}, alpha)
    rows = weighted([parts[k] for k in learned], Loss(energy=3.0, forces=30.0))
    _, wanted = exact(rows, Solution(frame.penalty.norm, 0.0, "", scale=frame.penalty.norm, alpha=alpha))
    found = rows[:, :-1] / frame.penalty.norm @ torch.linalg.solve_triangular(frame.R, z[:, None], upper=True)[:, 0]
    # Candidates differ by percents; thirteen digits as of QR itself, where normal equations of the rows have eight.
    assert apart(found, wanted) < 1e-13
