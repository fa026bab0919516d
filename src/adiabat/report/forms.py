"""What each section of a report holds: one form a subject, every field with its unit in its name.

Only what a section cannot be drawn without is required, so a partial run still fills it. A value that is not there (or not
finite) is None; columns that belong together have one length.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Number = float | None
Series = list[Number]


class Form(BaseModel):
    """A section's fields. `aligned` names columns of one length (an empty column may be left out)."""

    model_config = ConfigDict(extra="forbid")
    aligned: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def columns_have_one_length(self):
        lengths = {name: len(column) for name in self.aligned if (column := getattr(self, name))}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}; one entry each is wanted")
        return self


class Settings(Form):
    """What was done, with what. `engine` and `model` are records (name → value), shown as they are."""

    system: str | None = None
    n_atoms: int | None = None
    level_of_theory: str | None = None
    engine: dict[str, Any] = {}
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    exploration: dict[str, Any] = {}


class Verdict(Form):
    """A measured quantity held against what was aimed at. `passed` None: judged from value and target, where both are there."""

    name: str
    value: Number = None
    unit: str = ""
    error: Number = None
    target: Number = None
    better: Literal["below", "above"] = "below"
    passed: bool | None = None
    note: str | None = None

    def verdict(self) -> bool | None:
        if self.passed is not None or self.value is None or self.target is None:
            return self.passed
        return abs(self.value) <= self.target if self.better == "below" else self.value >= self.target


class Verdicts(Form):
    verdicts: list[Verdict]


class LearningCurve(Form):
    """Errors against the number of labels: one entry a round."""

    aligned = (
        "labels", "validation_energy_mae_meV_per_atom", "validation_force_mae_meV_per_A",
        "test_energy_mae_meV_per_atom", "test_force_mae_meV_per_A",
    )  # fmt: skip
    labels: list[int]
    validation_energy_mae_meV_per_atom: Series = []
    validation_force_mae_meV_per_A: Series = []
    test_energy_mae_meV_per_atom: Series = []
    test_force_mae_meV_per_A: Series = []
    target_energy_mae_meV_per_atom: Number = None
    target_force_mae_meV_per_A: Number = None


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


class ParitySet(Form):
    """Energies one a structure (with its kind), force components flat; the two need not have one length."""

    energy_reference_eV_per_atom: Series = []
    energy_model_eV_per_atom: Series = []
    force_reference_eV_per_A: Series = []
    force_model_eV_per_A: Series = []
    kinds: list[str] = []

    @model_validator(mode="after")
    def both_sides_are_there(self):
        for what in ("energy_{}_eV_per_atom", "force_{}_eV_per_A"):
            a, b = (len(getattr(self, what.format(side))) for side in ("reference", "model"))
            if a != b:
                raise ValueError(f"{what.format('reference')} has {a} entries, {what.format('model')} {b}; one each is wanted")
        return self


class Parity(Form):
    """`sets`: usually "train" and "test", drawn in this order."""

    sets: dict[str, ParitySet]


class KindErrors(Form):
    """As in `adiabat test --json`."""

    n_structures: int
    energy_mae_meV_per_atom: Number = None
    energy_rmse_meV_per_atom: Number = None
    energy_r2: Number = None
    force_mae_meV_per_A: Number = None
    force_rmse_meV_per_A: Number = None
    force_r2: Number = None
    stress_mae_GPa: Number = None


class ErrorsByKind(Form):
    by_kind: dict[str, KindErrors]
    overall: KindErrors | None = None
    set: str = "test"


class Uncertainty(Form):
    """Calibrated spread and true error of the same atoms; `nominal` and `observed` are coverages in 0…1."""

    aligned = ("spread_meV_per_A", "error_meV_per_A")
    spread_meV_per_A: Series
    error_meV_per_A: Series
    nominal: Series = []
    observed: Series = []
    scale: Number = None
    rank_correlation: Number = None
    set: str = "test"


class Stage(Form):
    """One exploration run: a line of spread a walker over `time_fs`; `stopped_at_fs` one a walker (None: ran to its end)."""

    temperature_K: Number
    time_fs: Series
    spread_meV_per_A: list[Series]
    stopped_at_fs: Series = []
    threshold_meV_per_A: Number = None
    round: int | None = None
    reason: str | None = None


class Exploration(Form):
    stages: list[Stage]


class NVE(Form):
    """Total energy less its start, one line a replica. `slope` ± `slope_error` (1σ) over replicas."""

    time_ps: Series
    energy_meV_per_atom: list[Series]
    slopes_meV_per_atom_per_ns: Series = []
    slope_meV_per_atom_per_ns: Number = None
    slope_error_meV_per_atom_per_ns: Number = None
    target_meV_per_atom_per_ns: Number = None
    timestep_fs: Number = None
    temperature_K: Number = None
    advice: str | None = None


class NVT(Form):
    """Instantaneous kinetic temperature, one line a replica; `degrees_of_freedom` as counted (3N less what was removed)."""

    time_ps: Series
    temperature_K: list[Series]
    target_K: Number
    mean_K: Number = None
    error_K: Number = None
    degrees_of_freedom: int | None = None
    thermostat: str | None = None


class Distribution(Form):
    """A density over `x`: the model's own and the reference's, whose error band is ± `reference_error`."""

    aligned = ("x", "model", "reference", "reference_error", "model_error")
    name: str
    unit: str
    x: Series
    model: Series = []
    reference: Series = []
    reference_error: Series = []
    model_error: Series = []
    model_mean: Number = None
    reference_mean: Number = None
    reference_mean_error: Number = None


class Distributions(Form):
    distributions: list[Distribution]
    reference: str = "reference"
    temperature_K: Number = None
    n_reference_frames: int | None = None
    effective_sample_size: Number = None


class Mode(Form):
    name: str
    model_per_cm: Number = None
    reference_per_cm: Number = None


class Vibrations(Form):
    modes: list[Mode]
    reference: str = "reference"
    note: str | None = None


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


class Finding(Form):
    name: str
    grade: Literal["fault", "warning", "note"]
    message: str
    frames: list[int] = []
    cure: str | None = None


class DataGate(Form):
    """As in `adiabat check --json`."""

    n_structures: int | None = None
    findings: list[Finding] = []


class Check(Form):
    """As in `adiabat gate --json`: one object a quantity."""

    value: Number = None
    unit: str = ""
    error: Number = None
    target: Number = None
    verdict: Literal["pass", "fail", "waived", "not run"]
    message: str | None = None


class ModelGate(Form):
    checks: dict[str, Check]


class Versions(Form):
    software: dict[str, str]
    machine: dict[str, str] = {}


class Citation(Form):
    key: str
    text: str
    doi: str | None = None
    bibtex: str | None = None


class Citations(Form):
    """`used`: keys of `report.citations.WORKS`; `more`: works of the run's own."""

    used: list[str] = []
    more: list[Citation] = []


class Methods(Form):
    """Paragraphs in place of those the report composes from the settings."""

    paragraphs: list[str]
