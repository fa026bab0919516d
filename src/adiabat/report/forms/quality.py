"""How good the potential is: errors, uncertainty, physics."""

# ruff: noqa: RUF012 - a default is copied for every form
from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from adiabat.report.forms.base import Form, Number, Series


class Verdict(Form):
    """A measured quantity held against what was aimed at. `passed` None: judged from value and target,
    where both are there; with an `error` (1σ) all of value ± 2σ must be on the right side."""

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
        doubt = 2 * (self.error or 0.0)
        return abs(self.value) + doubt <= self.target if self.better == "below" else self.value - doubt >= self.target


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
    """Calibrated spread and true error of the same atoms; `nominal` and `observed` are coverages in 0…1.

    `within_one`, `within_two`: shares of the error's components within one and two of the spread; `advice` says what they mean.
    """

    aligned = ("spread_meV_per_A", "error_meV_per_A")
    spread_meV_per_A: Series
    error_meV_per_A: Series
    nominal: Series = []
    observed: Series = []
    scale: Number = None
    rank_correlation: Number = None
    within_one: Number = None
    within_two: Number = None
    advice: str | None = None
    set: str = "test"


class NVE(Form):
    """Total energy less its start, one line a replica. `slope` ± `slope_error` (1σ) over replicas."""

    along = ("time_ps", "energy_meV_per_atom")
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

    along = ("time_ps", "temperature_K")
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
    model_mean_error: Number = None
    reference_mean: Number = None
    reference_mean_error: Number = None


class Distributions(Form):
    distributions: list[Distribution]
    reference: str = "reference"
    temperature_K: Number = None
    n_reference_frames: int | None = None
    effective_sample_size: Number = None


class Constant(Form):
    """A property of a crystal by both sides, each with its error (1σ)."""

    name: str
    unit: str = ""
    model: Number = None
    model_error: Number = None
    reference: Number = None
    reference_error: Number = None
    difference_percent: Number = None


class Crystal(Form):
    rows: list[Constant]
    reference: str = "reference"
    note: str | None = None


class RDF(Form):
    """g(r) with its standard error, and the running coordination number."""

    aligned = ("r", "g", "error", "coordination")
    r: Series
    g: Series
    error: Series = []
    coordination: Series = []
    temperature_K: Number = None


class Mode(Form):
    name: str
    model_per_cm: Number = None
    reference_per_cm: Number = None


class Vibrations(Form):
    modes: list[Mode]
    reference: str = "reference"
    note: str | None = None
