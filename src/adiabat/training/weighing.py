"""Weights of least squares that nobody asked for: of energies and stress against forces, and the ridge, by frames left out.

A minimizer that goes to the end takes weights at their word, and the right ones differ with the data: stress of plane-wave calculations
has errors of several meV/atom that no potential can follow, and energies of different cells may agree with forces well or badly. So
they are chosen by the product of the errors of energies and forces on frames that the coefficients have not seen, which no weight enters.
Candidates are judged by `equations`; the coefficients that are returned, each member's too, come from a QR decomposition of their own rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adiabat.training.equations import RIDGES, Coordinates, Equations, stacked
from adiabat.training.loss import Loss
from adiabat.training.penalty import Penalty
from adiabat.training.triangles import Solution, Triangles, ridge_regression

# Where too few frames are there to choose by, and where the search begins.
USUAL = {"energy": 100.0, "forces": 1.0, "stress": 1e-3}
ENERGY = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
STRESS = (1e-3, 1e-2, 1e-1)
USUAL_RIDGE = 1e-14
CHOSEN_BY = "energies and forces of frames left out"
HEAVY = 10  # so many times as long as one solution takes what is done once with each part, measured with 3,460 coefficients
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
    parts: Sequence[Triangles],
    splits: Sequence[tuple[Sequence[int], Sequence[int]]],
    loss: Loss,
    free: int = 0,
    *,
    members: Sequence[Sequence[int]] | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> tuple[list[Solution], Loss]:
    """Coefficients with the weights and the ridge of least held-out error, and the loss with these weights.

    Of each of `splits` the first parts teach and the second judge. One solution learns from all parts that teach; with `members`, one for
    each from the parts it names. The last `free` columns have nearly no prior. `tick` is called with how many steps of
    similar length are done, and of about how many.
    """
    start = weighed(loss)
    taught = sorted({k for teach, _ in splits for k in teach})
    axes = (
        ENERGY if loss.energy is None else (start.weights["energy"],),
        STRESS if loss.stress is None and any("stress" in part.of for part in parts) else (start.weights["stress"],),
        RIDGES,
    )
    # Each axis twice, less what is known then, is what a search mostly takes.
    steps = Steps(
        tick, HEAVY * (2 + len(parts) + (1 if members is None else len(members))) + 2 * sum(len(values) - 1 for values in axes)
    )
    every = stacked([parts[k] for k in taught], start)
    steps.done(HEAVY)
    frame = Coordinates.of(every[:, :-1], free)
    steps.done(HEAVY)
    equations = Equations(parts, frame, lambda: steps.done(HEAVY))
    search = _Search(equations, splits, steps.done)
    choice = [start.weights["energy"], start.weights["stress"], USUAL_RIDGE]
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
    alpha, told = choice[2] * frame.penalty.largest, search.errors[choice[0], choice[1], choice[2]]
    if members is not None:
        solutions = solutions_of(members, parts, frame.penalty, found, alpha, CHOSEN_BY, told, steps.done)
    else:
        rows = stacked([parts[k] for k in taught], found)
        n, penalty = sum(parts[k].rows for k in taught), frame.penalty
        # The ridge told is of these columns' largest singular value; the one that was chosen, of those at the usual weights.
        ridge = penalty.share(alpha, rows[:, :-1])
        solutions = [Solution(penalty.solve(rows, alpha), ridge, CHOSEN_BY, rows, penalty.scale(alpha), alpha, n, told)]
    steps.end()
    return solutions, found


def solutions_of(
    members: Sequence[Sequence[int]],
    parts: Sequence[Triangles],
    penalty: Penalty,
    loss: Loss,
    alpha: float,
    chosen_by: str,
    left_out: Mapping[str, float],
    step: Callable[[int], None],
) -> list[Solution]:
    """Each member's coefficients, of least loss of the parts it learns from, under the same prior, by QR.

    What only frames that a member has not seen determine, its prior alone decides.
    """
    found = []
    for learned in members:
        c = penalty.solve(stacked([parts[k] for k in learned], loss), alpha)
        found.append(
            Solution(c, alpha / penalty.largest, chosen_by, scale=penalty.scale(alpha), alpha=alpha, left_out=left_out)
        )
        step(HEAVY)
    return found


def committee(
    parts: Sequence[Triangles],
    members: Sequence[Sequence[int]],
    held: Triangles | None,
    loss: Loss,
    *,
    frames_judge: bool,
    tick: Callable[[int, int], None] | None = None,
) -> tuple[list[Solution], Loss]:
    """Coefficients of each member from the parts it learns from, with one choice of weights and ridge for all of them.

    The choice is that of one potential: by `held` frames; without them, and where `frames_judge`, by each part as the members foresee
    that do not learn from it; else weights are the usual ones, and the ridge is the most probable one for all parts.
    What members differ in is the frames they have not seen, nothing else.
    """
    everything = range(len(parts))
    if loss.open and held is not None:
        return regression([*parts, held], [(everything, [len(parts)])], loss, members=members, tick=tick)
    splits = [(learned, sorted(set(everything) - set(learned))) for learned in members]
    splits = [(learned, unseen) for learned, unseen in splits if learned and unseen]
    if loss.open and frames_judge and splits:
        return regression(parts, splits, loss, members=members, tick=tick)
    loss = weighed(loss)
    steps = Steps(tick, HEAVY * (4 + len(members)))
    whole = ridge_regression(Triangles.joined(parts), held, loss)
    steps.done(3 * HEAVY)
    penalty = Penalty.of(stacked(parts, loss)[:, :-1], 0)
    steps.done(HEAVY)
    found = solutions_of(members, parts, penalty, loss, whole.alpha, whole.chosen_by, {}, steps.done)
    steps.end()
    return found, loss


class Steps:
    """Counts steps, of about so many; one that takes as long as several counts as so many."""

    def __init__(self, tick: Callable[[int, int], None] | None, about: int) -> None:
        self.tick, self.n, self.about = tick, 0, about

    def done(self, steps: int = 1) -> None:
        self.n += steps
        if self.tick is not None:
            self.tick(self.n, max(self.about, self.n + 1))

    def end(self) -> None:
        if self.tick is not None:
            self.tick(self.n + 1, self.n + 1)


class _Search:
    """The held-out error of a choice: half the sum of the logarithms of the mean squares of energies and forces."""

    def __init__(
        self, equations: Equations, splits: Sequence[tuple[Sequence[int], Sequence[int]]], step: Callable[[], None]
    ) -> None:
        self.equations, self.splits, self.step = equations, splits, step
        self.known: dict[tuple[float, ...], float] = {}
        self.errors: dict[tuple[float, ...], dict[str, float]] = {}  # root mean squares

    def error(self, energy: float, stress: float, ridge: float, forces: float) -> float:
        if (energy, stress, ridge) not in self.known:
            weights = {"energy": energy, "forces": forces, "stress": stress}
            square: dict[str, list[float]] = {}
            self.known[energy, stress, ridge] = math.inf
            self.errors[energy, stress, ridge] = {}
            for teach, judge in self.splits:
                z = self.equations.candidate(teach, weights, ridge * self.equations.frame.penalty.largest)
                if z is None:
                    return math.inf
                for part in (self.equations.parts[k] for k in judge):
                    for kind, (Z, y, weight, _, _) in part.of_kind.items():
                        sums = square.setdefault(kind, [0.0, 0.0])
                        sums[0] += float((Z @ z - y).square().sum())
                        sums[1] += weight
            judged: list[str] = [kind for kind in ("energy", "forces") if kind in square and weights[kind]] or list(square)
            rms = {kind: math.sqrt(max(total / count, 1e-300)) for kind, (total, count) in square.items()}
            self.known[energy, stress, ridge] = sum(math.log(rms[kind]) for kind in judged)
            self.errors[energy, stress, ridge] = rms
            self.step()
        return self.known[energy, stress, ridge]
