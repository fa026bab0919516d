"""Automatic relevance determination: a prior of its own for each coefficient, its width chosen by evidence; what says nothing becomes zero.

MacKay, Neural Computation 4, 415 (1992); Tipping, J. Mach. Learn. Res. 1, 211 (2001). It works on the triangle that least squares keeps: each
step is one QR decomposition of it with the prior's rows below, so that the condition number is never squared.

| symbol | here |
|---|---|
| Φ, y | `rows`, of `n` labeled numbers; the last column is y |
| Λ = diag(λ): precisions of the coefficients, in units of the noise's | `precision` |
| M = min \\|Φc − y\\|² + cᵀΛc, its argument c; the noise's most probable variance M/n | `misfit`, `c` |
| log p(y given Λ) = −½ (n log M/n + log det(1 + Λ^-½ ΦᵀΦ Λ^-½)) | `evidence` |
| γ_k = 1 − λ_k Σ_kk, Σ = (ΦᵀΦ + Λ)⁻¹: how well the data determine c_k | `1 - unsaid` |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from adiabat.training.equations import stacked
from adiabat.training.loss import Loss
from adiabat.training.triangles import Solution, Triangles
from adiabat.training.weighing import Steps
from adiabat.typing import Float, Tensor

RISE = 1e-3  # of log p: a step that adds less than this is the last one
MOST_STEPS, USUAL_STEPS = 200, 20
LARGEST_FACTOR = 150.0  # of a precision in one step
DETERMINED = 1e-6  # γ below which a coefficient whose precision has no bound is zero


@dataclass(frozen=True)
class Relevance:
    """Coefficients with their precisions, infinite where there is no coefficient; log p at the start and after each step."""

    c: Float[Tensor, "k"]
    precision: Float[Tensor, "k"]
    evidence: list[float] = field(default_factory=list)


def relevances(
    rows: Float[Tensor, "n columns"],
    n: int,
    precision: Float[Tensor, "k"],
    *,
    fixed: int = 0,
    rise: float = RISE,
    tick: Callable[[], None] = lambda: None,
) -> Relevance:
    """Precisions of largest evidence, as far as steps upward lead from `precision`; the last `fixed` stay as they are.

    Every coefficient steps towards the precision that is best while the others stay (Faul and Tipping, NIPS 14, 383 (2002), here with the
    noise at its most probable value); where log p would fall the steps are halved. `precision` is infinite for columns to be left out.

    >>> rng = torch.Generator().manual_seed(0)
    >>> A = torch.randn(50, 3, dtype=torch.float64, generator=rng)
    >>> y = 2 * A[:, :1] + 0.1 * torch.randn(50, 1, dtype=torch.float64, generator=rng)
    >>> found = relevances(torch.cat([A, y], 1), 50, torch.ones(3, dtype=torch.float64))
    >>> found.c.count_nonzero().item(), round(found.c[0].item(), 1)
    (1, 2.0)
    """
    precision, there = precision.clone(), torch.isfinite(precision).nonzero()[:, 0]
    movable = torch.arange(len(precision)) < len(precision) - fixed
    R = _triangle(torch.cat([rows[:, there], rows[:, -1:]], 1))
    now = _State.at(R, precision[there], n)
    evidence, share = [now.evidence], 1.0
    for _ in range(MOST_STEPS):
        factor = torch.where(movable[there], now.factors(), 1.0)
        endless = torch.isinf(factor)
        while True:
            step = torch.exp(share * factor.log().clamp(-math.log(LARGEST_FACTOR), math.log(LARGEST_FACTOR)))
            kept = ~(endless & (1 - now.unsaid < DETERMINED))
            after = _State.at(R[:, [*kept.nonzero()[:, 0].tolist(), -1]], (now.precision * step)[kept], n)
            tick()
            if after.evidence >= now.evidence or share < 1e-6:
                break
            share /= 2
        if after.evidence < now.evidence:  # by rounding: there is no way up
            break
        rose = after.evidence - now.evidence
        if not bool(kept.all()):
            there, R = there[kept], _triangle(R[:, [*kept.nonzero()[:, 0].tolist(), -1]])
        now, share = after, min(1.0, 1.5 * share)
        evidence.append(now.evidence)
        if rose < rise and not bool(endless[kept].any()):
            break
    precision[:] = torch.inf
    precision[there] = now.precision
    c = torch.zeros_like(precision)
    c[there] = now.c
    return Relevance(c, precision, evidence)


@dataclass(frozen=True)
class _State:
    """What there is to know at these precisions, of the columns that are left."""

    precision: Float[Tensor, "m"]
    c: Float[Tensor, "m"]
    unsaid: Float[Tensor, "m"]  # λΣ, 1 − γ
    misfit: float
    n: int
    evidence: float

    @classmethod
    def at(cls, R: Float[Tensor, "r columns"], precision: Float[Tensor, "m"], n: int) -> _State:
        """By QR of Φ Λ^-½ over the identity, whose solution is Λ^½ c."""
        m, root = len(precision), precision.sqrt()
        grown = torch.cat([torch.cat([R[:, :-1] / root, R[:, -1:]], 1), torch.eye(m, m + 1, dtype=R.dtype)])
        T = torch.linalg.qr(grown, mode="r").R
        inverse = torch.linalg.solve_triangular(T[:m, :m], torch.eye(m, dtype=R.dtype), upper=True)
        misfit = max(float(T[m, m].square()), 1e-300)
        evidence = -0.5 * n * math.log(misfit / n) - float(T.diagonal()[:m].abs().log().sum())
        return cls(precision, inverse @ T[:m, m] / root, inverse.square().sum(1), misfit, n, evidence)

    def factors(self) -> Float[Tensor, "m"]:
        """By what each precision is to be multiplied to be the best one while the others stay; infinite where more is always better.

        With s = φᵀC⁻¹φ, q = φᵀC⁻¹y and M of the others alone, C their covariance: λ = s (sM − q²)/(nq² − sM). They follow
        from what is known with all: s = λγ/(1 − γ), q² = λ²c²/(1 − γ)², M − q²/(λ + s) is the misfit.
        """
        said, square = 1 - self.unsaid, self.precision * self.c.square()
        above = said * (said * self.misfit - square).clamp_min(0.0)
        below = self.n * square - said * square - said * self.unsaid * self.misfit
        return torch.where(below > 0, above / below, torch.inf).clamp_min(1e-12)


def _triangle(rows: Float[Tensor, "n columns"]) -> Float[Tensor, "r columns"]:
    return torch.linalg.qr(rows, mode="r").R if len(rows) > rows.shape[1] else rows


def each_relevant(
    found: Sequence[Solution],
    parts: Sequence[Sequence[Triangles]],
    judges: Triangles | None,
    loss: Loss,
    free: int,
    tick: Callable[[int, int], None] | None,
) -> list[Solution]:
    """Solutions with a prior for each coefficient in place of those with one ridge for all, from which they start; `parts` are what each
    learns from. Weights are theirs; errors on frames left out are told where `judges` were held out anyway."""
    steps, made = Steps(tick, USUAL_STEPS * len(found)), []
    for solution, of in zip(found, parts, strict=True):
        assert solution.scale is not None
        rows, n = stacked(of, loss), sum(part.rows for part in of)
        each = relevances(rows, n, solution.alpha * solution.scale.square(), fixed=free, tick=steps.done)
        errors = {} if judges is None else {kind: math.sqrt(float(t.loss(each.c))) for kind, t in judges.of.items() if t.weight}
        told = {
            "prior": "ard", "relevant": int(torch.isfinite(each.precision).sum()), "of": len(each.c),
            "evidence_rose_by": each.evidence[-1] - each.evidence[0],
        }  # fmt: skip
        kept = rows if len(found) == 1 else None  # a committee's spread is its uncertainty
        made.append(Solution(each.c, None, "evidence", kept, each.precision.sqrt(), 1.0, n, errors, told))
    steps.end()
    return made
