"""The blocks of a learning campaign's configuration: each field is an option, its default the advice for a small molecule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Spec = str | dict[str, Any]


@dataclass(frozen=True)
class Start:
    """The first labels, before there is a model.

    `relax` follows the reference engine's forces to the nearest minimum; `rattled` copies of it are displaced at random with a
    standard deviation of `rattle_angstrom`; `hot` frames come from dynamics at `hot_temperature_K` with the cheap `engine`,
    one every `hot_every_fs`.
    """

    relax: bool = True
    fmax_eV_per_angstrom: float = 0.01
    rattled: int = 12
    rattle_angstrom: float = 0.06
    hot: int = 10
    hot_temperature_K: float = 500.0
    hot_every_fs: float = 25.0
    engine: Spec = field(default_factory=lambda: {"tblite": {}})


@dataclass(frozen=True)
class Explore:
    """Dynamics with the committee: `replicas` at each of `temperatures_K` in turn, `duration_fs` long, looked at every
    `look_every_fs`; a replica whose spread exceeds `halt_eV_per_angstrom` is halted."""

    temperatures_K: list[float] = field(default_factory=lambda: [300.0, 500.0, 700.0])
    replicas: int = 16
    duration_fs: float = 500.0
    timestep_fs: float = 0.5
    look_every_fs: float = 10.0
    friction_per_fs: float = 0.02
    halt_eV_per_angstrom: float = 0.5


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

    NVE and NVT runs of `duration_fs` with `replicas` at `temperature_K`; `reference_frames` of the NVT run are labeled and
    reweighted to the reference's own distributions; harmonic `vibrations` of molecules.
    """

    temperature_K: float = 300.0
    duration_fs: float = 10_000.0
    replicas: int = 16
    timestep_fs: float = 0.5
    friction_per_fs: float = 0.02
    reference_frames: int = 48
    vibrations: bool = True


@dataclass(frozen=True)
class Targets:
    """What is aimed at; the report says whether it was reached."""

    energy_mae_meV_per_atom: float = 0.2
    force_mae_meV_per_A: float = 10.0
    nve_drift_meV_per_atom_per_ns: float = 1.0
