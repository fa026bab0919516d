"""What was done, round by round, and what it took."""

# ruff: noqa: RUF012 - a default is copied for every form
from __future__ import annotations

from typing import Any

from adiabat.report.forms.base import Form, Number, Series


class Settings(Form):
    """What was done, with what. `engine` and `model` are records (name → value), shown as they are."""

    system: str | None = None
    n_atoms: int | None = None
    level_of_theory: str | None = None
    engine: dict[str, Any] = {}
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    exploration: dict[str, Any] = {}


class Methods(Form):
    """Paragraphs in place of those the report composes from the settings."""

    paragraphs: list[str]


class Round(Form):
    """One turn of the loop: what was found, what was chosen, what was decided and why."""

    round: int
    temperature_K: Number = None
    candidates: int | None = None
    uncertain: int | None = None
    chosen: int | None = None
    labels: int | None = None
    threshold_meV_per_A: Number = None
    spread_median_meV_per_A: Number = None
    spread_max_meV_per_A: Number = None
    decision: str | None = None


class Rounds(Form):
    rounds: list[Round]
    stop_rule: str | None = None
    stopped_because: str | None = None


class Stage(Form):
    """One exploration run: a line of spread a walker over `time_fs`; `stopped_at_fs` one a walker (None: ran to its end)."""

    along = ("time_fs", "spread_meV_per_A")
    temperature_K: Number
    time_fs: Series
    spread_meV_per_A: list[Series]
    stopped_at_fs: Series = []
    threshold_meV_per_A: Number = None
    round: int | None = None
    reason: str | None = None


class Exploration(Form):
    stages: list[Stage]


class Curve(Form):
    aligned = ("epoch", "loss", "validation_loss", "learning_rate")
    name: str
    epoch: Series
    loss: Series = []
    validation_loss: Series = []
    learning_rate: Series = []
    best_epoch: Number = None


class Training(Form):
    """The last training of each committee member (or of the one model)."""

    curves: list[Curve]


class LabelRow(Form):
    kind: str
    labels: int
    wall_s: Number = None
    cpu_s: Number = None
    failed: int = 0


class LabelCost(Form):
    """`wall_s` of a row is the sum over its labels, each timed on its own worker."""

    rows: list[LabelRow]
    workers: int | None = None
    wall_s: Number = None


class StageTime(Form):
    name: str
    wall_s: Number
    budget_s: Number = None
    cpu_s: Number = None


class TimeBudget(Form):
    stages: list[StageTime]
    budget_s: Number = None
