"""A learning campaign's configuration: each field is an option, its default the advice for a small molecule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.active import Selection, StopRule
from adiabat.campaign.train import check_fit
from adiabat.config import ConfigError, build, checked, nearest
from adiabat.data.formats import read
from adiabat.labelers import LABELERS
from adiabat.models import MODELS
from adiabat.validation.gate import GATES

Spec = str | dict[str, Any]


@dataclass(frozen=True)
class Start:
    """The first labels, before there is a model.

    `relax` follows the reference engine's forces (of a crystal its stress, too) to the nearest minimum; `rattled` copies of it are
    displaced at random with a standard deviation of `rattle_angstrom`; of a crystal `strained` cells are stretched and sheared by up to
    `strain_largest`, and `vacancies` copies lack an atom; `hot` frames come from dynamics at `hot_temperature_K` with the cheap `engine`,
    one every `hot_every_fs`.
    """

    relax: bool = True
    fmax_eV_per_angstrom: float = 0.01
    rattled: int = 12
    rattle_angstrom: float = 0.06
    strained: int = 0
    strain_largest: float = 0.03
    vacancies: int = 0
    hot: int = 10
    hot_temperature_K: float = 500.0
    hot_every_fs: float = 25.0
    engine: Spec = field(default_factory=lambda: {"tblite": {}})


@dataclass(frozen=True)
class Explore:
    """Dynamics with the committee: `replicas` at each of `temperatures_K` in turn, `duration_fs` long, looked at every
    `look_every_fs`; a replica whose spread exceeds `halt_eV_per_angstrom` is halted. Of what is periodic `pressure_GPa` lets the cells
    breathe at that pressure (all lengths by one factor); without it they keep the volume they start with."""

    temperatures_K: list[float] = field(default_factory=lambda: [300.0, 500.0, 700.0])
    replicas: int = 16
    duration_fs: float = 500.0
    timestep_fs: float = 0.5
    look_every_fs: float = 10.0
    friction_per_fs: float = 0.02
    halt_eV_per_angstrom: float = 0.5
    pressure_GPa: float | None = None


@dataclass(frozen=True)
class Test:
    """An independent test set: `frames` labeled frames, spread evenly over the exploration's temperatures.

    They come from dynamics with the cheap `engine`, so that the potential does not choose its own examination; without an engine
    from dynamics with the potential itself, with other seeds.
    """

    __test__ = False  # not a test case of pytest's

    frames: int = 45
    every_fs: float = 40.0
    engine: Spec | None = field(default_factory=lambda: {"tblite": {}})


@dataclass(frozen=True)
class Measure:
    """What is computed with the finished potential, and held against the reference engine.

    NVE and NVT runs of `duration_fs`, after a thermostat's `equilibration_fs`, with `replicas` at `temperature_K`, of a crystal in a
    `supercell`. Of a molecule `reference_frames` of the NVT run are labeled and reweighted to the reference's own distributions, and
    harmonic `vibrations` computed.
    """

    temperature_K: float = 300.0
    duration_fs: float = 10_000.0
    equilibration_fs: float = 1000.0
    replicas: int = 16
    timestep_fs: float = 0.5
    friction_per_fs: float = 0.02
    reference_frames: int = 48
    vibrations: bool = True
    supercell: list[int] = field(default_factory=lambda: [2, 2, 2])


@dataclass(frozen=True)
class Solid:
    """What is computed of a crystal, by the potential and by the reference engine, which labels some twenty cells for it.

    The equation of state over `eos_points` with lengths changed by up to `eos_strain`; elastic constants from strains of
    `elastic_strain` times each of `elastic_steps`, atoms relaxed to `fmax_eV_per_angstrom`; the stress against the slope of the energy, for
    the engine by strains of `stress_strain`; g(r) of the hot crystal up to `rdf_cutoff_angstrom`.
    """

    eos_strain: float = 0.02
    eos_points: int = 7
    elastic_strain: float = 0.01
    elastic_steps: list[float] = field(default_factory=lambda: [1.0, 0.5])
    fmax_eV_per_angstrom: float = 0.005
    stress_strain: float = 0.01
    rdf_cutoff_angstrom: float = 8.0


@dataclass(frozen=True)
class Targets:
    """What is aimed at; the report says whether it was reached."""

    energy_mae_meV_per_atom: float = 0.2
    force_mae_meV_per_A: float = 10.0
    nve_drift_meV_per_atom_per_ns: float = 1.0


@dataclass(frozen=True)
class Campaign:
    """A learning campaign's configuration.

    `structure` is a file, or the name of a molecule ASE knows (``H2O``); `labeler` the reference engine (by case, if none is named:
    PySCF for molecules, GPAW for crystals); `model` a family with its options; `fit` options of the training in each round, `finish`
    those that differ in the last one; `members` the committee's
    size. `workers` label side by side (None: one a core), each label in `limit_minutes` at most (None: in its own time): what takes
    longer is stopped, told, and left out; `threads` train and explore: one is fastest for small graphs, whose
    operations are too short to share. `budget_s` is the wall-clock time aimed at, `budgets_s` the same by stage
    (label, sample, train, explore, md, other): nothing is stopped by them, the report says what was used beside them. `waive` names
    checks of the model gate whose failure is passed over, and stands in the model file. The blocks
    `start`, `explore`, `select`, `stop`, `test`, `measure`, `solid` and `targets` are described where they are defined.
    """

    structure: str
    labeler: Spec = "auto"
    model: Spec = field(default_factory=lambda: {"ace": {}})
    out: str = "run"
    members: int = 4
    fit: dict[str, Any] = field(default_factory=dict)
    finish: dict[str, Any] = field(default_factory=dict)
    start: Start = field(default_factory=Start)
    explore: Explore = field(default_factory=Explore)
    select: Selection = field(default_factory=Selection)
    stop: StopRule = field(default_factory=StopRule)
    test: Test = field(default_factory=Test)
    measure: Measure = field(default_factory=Measure)
    solid: Solid = field(default_factory=Solid)
    targets: Targets = field(default_factory=Targets)
    name: str = "model"
    waive: list[str] = field(default_factory=list)
    budget_s: float | None = None
    budgets_s: dict[str, float] = field(default_factory=dict)
    workers: int | None = None
    limit_minutes: float | None = None
    threads: int = 1
    seed: int = 0


BLOCKS = {
    "start": Start,
    "explore": Explore,
    "select": Selection,
    "stop": StopRule,
    "test": Test,
    "measure": Measure,
    "solid": Solid,
    "targets": Targets,
}
Range = tuple[Callable[[float], bool], str]
POSITIVE: Range = (lambda x: 0 < x < float("inf"), "a positive number")  # NaN is neither
COUNT: Range = (lambda x: x >= 1, "at least 1")
NONE_OR_MORE: Range = (lambda x: x >= 0, "0 or more")
STRAIN: Range = (lambda x: 0 < x < 0.2, "a share between 0 and 0.2")
RANGES: dict[str, dict[str, Range]] = {
    "start": {
        "fmax_eV_per_angstrom": NONE_OR_MORE, "rattled": NONE_OR_MORE, "rattle_angstrom": POSITIVE, "strained": NONE_OR_MORE,
        "strain_largest": STRAIN, "vacancies": NONE_OR_MORE, "hot": NONE_OR_MORE, "hot_temperature_K": POSITIVE, "hot_every_fs": POSITIVE,
    },
    "explore": {
        "temperatures_K": POSITIVE, "replicas": COUNT, "duration_fs": POSITIVE, "timestep_fs": POSITIVE, "look_every_fs": POSITIVE,
        "friction_per_fs": POSITIVE, "halt_eV_per_angstrom": POSITIVE,
    },
    "test": {"frames": COUNT, "every_fs": POSITIVE},
    "measure": {
        "temperature_K": POSITIVE, "duration_fs": POSITIVE, "equilibration_fs": NONE_OR_MORE, "replicas": COUNT, "timestep_fs": POSITIVE,
        "friction_per_fs": POSITIVE, "reference_frames": NONE_OR_MORE, "supercell": COUNT,
    },
    "solid": {
        "eos_strain": STRAIN, "eos_points": (lambda x: x >= 5, "at least 5"), "elastic_strain": STRAIN, "elastic_steps": POSITIVE,
        "fmax_eV_per_angstrom": POSITIVE, "stress_strain": STRAIN, "rdf_cutoff_angstrom": POSITIVE,
    },
}  # fmt: skip
STAGES = ("label", "sample", "train", "explore", "md", "other")  # by which wall-clock time is counted


def parse(given: Mapping[str, Any]) -> Campaign:
    """A checked configuration: unknown options are errors with the nearest known name."""
    plain = {k: v for k, v in given.items() if k not in BLOCKS}
    blocks = {}
    for name, kind in BLOCKS.items():
        content = given.get(name) or {}
        if not isinstance(content, Mapping):
            raise ConfigError(f"{name}: wanted options as a mapping; got {content!r}")
        blocks[name] = kind(**checked(kind, content, where=name))
    known = checked(Campaign, plain, where="config", given={})
    campaign = Campaign(**known, **blocks)
    for name in RANGES:
        _in_range(name, getattr(campaign, name))
    if campaign.model == "auto":
        raise ConfigError(
            "model: auto came, which goes by the frames, and a campaign begins with few of them; wanted a family: ace, solved in seconds in "
            "each round, or of a molecule of many atoms mace, with options of an optimizer in fit"
        )
    for block, registry in (("labeler", LABELERS), ("model", MODELS)):
        build(getattr(campaign, block), registry, where=block)
    for options in (campaign.fit, campaign.finish):
        check_fit(options)
    for stage, seconds in campaign.budgets_s.items():
        if stage not in STAGES:
            raise ConfigError(f"budgets_s: there is no stage {stage!r}; {nearest(stage, STAGES)}")
        if not seconds > 0:
            raise ConfigError(f"budgets_s.{stage}: {seconds:g} came; wanted a positive number of seconds")
    for check in campaign.waive:
        if check not in GATES:
            raise ConfigError(f"waive: there is no check {check!r} in the model gate; {nearest(check, GATES)}")
    if campaign.limit_minutes is not None and not campaign.limit_minutes > 0:
        raise ConfigError(f"limit_minutes: {campaign.limit_minutes:g} came; wanted a positive number, or null for no limit")
    if campaign.members < 2:
        raise ConfigError(f"members: {campaign.members} came; active learning judges by a committee, which needs at least 2")
    return campaign


def _in_range(block: str, options: Any) -> None:
    """ConfigError where a number is none that a campaign can be run with."""
    for name, (fits, wanted) in RANGES[block].items():
        value = getattr(options, name)
        for number in value if isinstance(value, list) else [value]:
            if not fits(number):
                raise ConfigError(f"{block}.{name}: {number:g} came; wanted {wanted}")
        if value == []:
            raise ConfigError(f"{block}.{name}: an empty list came; wanted at least one number")


def as_mapping(campaign: Campaign) -> dict[str, Any]:
    """The configuration as plain values, defaults included."""
    return asdict(campaign)


def structure_of(text: str) -> Atoms:
    """The starting structure: a file's first frame, or a molecule by name."""
    path = Path(text)
    if path.suffix or path.is_file():  # POSCAR has no suffix
        if not path.exists():
            raise ConfigError(
                f"structure: there is no file {text}; give a structure file, or the name of a molecule such as H2O"
            )
        return read(path)[0]
    from ase.build import molecule

    try:
        return molecule(text)
    except KeyError:
        raise ConfigError(f"structure: {text!r} is neither a file nor a molecule ASE knows; give a structure file") from None
