"""Molecular dynamics as a run: a model file and a structure in, a trajectory that grows on disk out.

Three files grow together (`md_files`): the trajectory (extended XYZ), a log of numbers (`.log`, tab separated), and a checkpoint. A
killed run goes on with the same numbers as if nothing had happened: at every checkpoint the running program, too, starts anew from
what it wrote.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ase import Atoms

from adiabat.analysis import energy_drift, mean
from adiabat.campaign.frames import read_all
from adiabat.campaign.md_files import Files, Run, Stand, bare
from adiabat.data.geometry import closest_pair
from adiabat.deploy.load import load
from adiabat.dynamics import DynamicsError, State, langevin, npt, velocity_verlet
from adiabat.dynamics.guards import EXPLODED, Swollen
from adiabat.jobs.lock import Lock
from adiabat.report.record import plain, write_atomically
from adiabat.uncertainty import Committee

Say = Callable[[str, str, dict[str, Any]], None]
CHECKPOINT_STEPS = 500
OVERLAP = 0.25  # of the sum of covalent radii, as for labels
AT_REST = 0.05  # eV/Å: what geometry optimizations end at; thermal forces are ten times as large
AT_A_MINIMUM = (
    "the structure is at a minimum of the model: half of the kinetic energy of {T:g} K goes into the potential, and the temperature "
    "falls to about half. Start from a frame of an nvt run, or draw the velocities at twice the temperature"
)


class MDStopped(RuntimeError):
    """The dynamics left the region where its numbers mean something; what came before is kept."""


def md(
    *,
    model: str,
    structure: str,
    out: str,
    steps: int,
    ensemble: Literal["nve", "nvt", "npt"] = "nvt",
    temperature_K: float | None = None,
    pressure_GPa: float | None = None,
    cell: Literal["isotropic", "axes", "free"] | None = None,
    timestep_fs: float = 0.5,
    every: int = 20,
    friction_per_fs: float = 0.01,
    pressure_damping_fs: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    say: Say | None = None,
) -> dict[str, Any]:
    """Run `steps` of dynamics from the first frame of `structure`, or go on with them; returns the summary.

    | option | meaning |
    |---|---|
    | `ensemble` | nve: constant energy; nvt: Langevin dynamics at `temperature_K`; npt: the same at `pressure_GPa`, the cell moving |
    | `temperature_K` | start velocities are drawn at it; nve without it takes those of the structure |
    | `every` | steps between frames of the trajectory, and between lines of the log |
    | `friction_per_fs` | of the heat bath: 0.01 forgets in 100 fs |
    | `cell` | of npt: what it may do. isotropic (the default), axes: each along x, y, z by itself, free: shear, too |
    | `pressure_damping_fs` | of npt: how slowly the cell answers, 1000 without it |
    """
    say = say or (lambda *_: None)
    if not (steps > 0 and every > 0 and timestep_fs > 0):
        raise ValueError(f"steps {steps}, every {every}, timestep_fs {timestep_fs} came; wanted positive numbers")
    numbers = {
        "timestep_fs": timestep_fs,
        "temperature_K": temperature_K,
        "friction_per_fs": friction_per_fs,
        "pressure_GPa": pressure_GPa,
    }
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} {value} came; wanted a finite number")
    if ensemble != "nve" and temperature_K is None:
        raise ValueError(f"ensemble {ensemble}: temperature_K is missing; wanted a temperature for the heat bath, such as 300")
    barostat = {"pressure_GPa": pressure_GPa, "cell": cell, "pressure_damping_fs": pressure_damping_fs}
    if ensemble == "npt":
        if pressure_GPa is None:
            raise ValueError("ensemble npt: pressure_GPa is missing; wanted a pressure, such as 0.0001 (one bar)")
        barostat = {
            "pressure_GPa": float(pressure_GPa),
            "cell": cell or "isotropic",
            "pressure_damping_fs": pressure_damping_fs or 1000.0,
        }
    else:
        for name, value in barostat.items():
            if value is not None:
                raise ValueError(
                    f"{name} = {value} came with ensemble {ensemble}, whose cell does not move; wanted ensemble npt"
                )
    path = Path(out)
    if path.suffix not in (".xyz", ".extxyz"):
        raise ValueError(f"{out}: a trajectory is written as extended XYZ; wanted a name ending in .xyz or .extxyz")
    loaded = load(model)
    potential = (loaded.without_spread if isinstance(loaded, Committee) else loaded).frozen()
    atoms = read_all(structure, where="structure")[0][0]
    if (pair := closest_pair(atoms, OVERLAP)) is not None:
        raise ValueError(
            f"{structure}: atoms {pair.i} and {pair.j} are {pair.distance:.3g} Å apart, {pair.ratio:.2f} of the sum of their covalent "
            f"radii; wanted at least {OVERLAP}, below which no potential has learned anything; correct or relax the structure"
        )
    if ensemble == "npt" and not atoms.pbc.all():
        raise ValueError(
            f"{structure}: periodic along {sum(atoms.pbc)} of three axes, so that it has no pressure; wanted a crystal or a liquid in a "
            "cell, or ensemble nvt"
        )
    run = Run(
        _hash(model), _hash(structure), ensemble, temperature_K, timestep_fs, steps, every, friction_per_fs, seed, **barostat
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(path.with_suffix(".lock"))
    try:
        files = Files(path, run, overwrite)
        stand = files.resume(atoms, potential) or _begin(atoms, potential, run)
        if stand.step:
            say("md", f"goes on at step {stand.step}", {"done": stand.step, "of": steps})
        elif ensemble == "nve" and temperature_K and float(stand.state.forces.abs().max()) < AT_REST:
            say("md", AT_A_MINIMUM.format(T=temperature_K), {})
        problem = None
        try:
            while stand.step < steps:
                stand = _stretch(stand, atoms, potential, run, files, say)
        except (DynamicsError, ValueError) as error:
            if not isinstance(error, DynamicsError) and "exploded" not in str(error):
                raise
            problem = str(error)
        summary = _summary(files, run, len(atoms), problem)
        text = json.dumps(plain(summary), indent=1, ensure_ascii=False) + "\n"
        write_atomically(path.with_suffix(".summary.json"), text)
    finally:
        lock.release()
    if problem:
        raise MDStopped(
            f"{problem}\nThe trajectory up to there is in {path} ({summary['frames']} frames), its numbers in {files.log.name}."
        )
    return summary


def _begin(atoms: Atoms, potential: Any, run: Run) -> Stand:
    rng = torch.Generator().manual_seed(run.seed)
    return Stand(0, State.of(bare(atoms), potential, temperature_K=run.temperature_K, rng=rng), rng, atoms.cell.volume)


def _stretch(stand: Stand, atoms: Atoms, potential: Any, run: Run, files: Files, say: Say) -> Stand:
    """The steps up to the next checkpoint."""
    until = min(run.steps, (stand.step // CHECKPOINT_STEPS + 1) * CHECKPOINT_STEPS)
    state, step = stand.state, stand.step
    for step, state in enumerate(itertools.islice(_states(stand, potential, run), until - stand.step), start=stand.step + 1):
        if step % run.every == 0:
            files.append(step, state)
            T = float(state.temperature_K[0])
            say("md", f"{state.time_fs / 1000:.3f} ps, {T:.0f} K", {"done": step, "of": run.steps})
    files.checkpoint(step, state, stand.rng)
    # Rebuilt from what was written, here as after a kill: neighbors are found anew, sums run in the same order.
    return files.resume(atoms, potential) or stand


def _states(stand: Stand, potential: Any, run: Run) -> Iterator[State]:
    if run.ensemble == "nve":
        return velocity_verlet(stand.state, potential, timestep_fs=run.timestep_fs)
    assert run.temperature_K is not None
    bath: dict[str, Any] = {
        "rng": stand.rng, "timestep_fs": run.timestep_fs, "temperature_K": run.temperature_K, "friction_per_fs": run.friction_per_fs
    }  # fmt: skip
    if run.ensemble == "nvt":
        return langevin(stand.state, potential, **bath)
    assert run.pressure_GPa is not None and run.cell is not None and run.pressure_damping_fs is not None
    return npt(
        stand.state, potential, **bath, pressure_GPa=run.pressure_GPa, cell=run.cell, pressure_damping_fs=run.pressure_damping_fs,
        guards=(*EXPLODED, Swollen(float(stand.volume_A3))),
    )  # fmt: skip


def _summary(files: Files, run: Run, atoms: int, problem: str | None) -> dict[str, Any]:
    rows = files.rows()
    last = rows[-1] if len(rows) else np.zeros(len(run.columns))
    summary: dict[str, Any] = {
        "ensemble": run.ensemble, "steps": run.steps, "steps_done": run.steps if problem is None else int(last[0]),
        "timestep_fs": run.timestep_fs, "time_ps": float(last[1]) / 1000, "frames": len(rows), "trajectory": str(files.trajectory),
        "log": str(files.log),
    }  # fmt: skip
    if problem:
        summary["stopped_because"] = problem
    if len(rows) > 1:
        summary["temperature_K"] = mean(rows[:, 5], "K").to_json()
        if run.ensemble == "npt":
            summary["pressure_GPa"] = mean(rows[:, 6], "GPa").to_json()
            summary["volume_A3_per_atom"] = mean(rows[:, 7] / atoms, "Å³").to_json()
    if len(rows) >= 10:
        bath = run.ensemble != "nve"
        summary["drift"] = energy_drift(rows[:, 4], rows[:, 1], atoms, timestep_fs=run.timestep_fs, bath=bath).to_json()
    return summary


def rows_of(summary: dict[str, Any]) -> list[list[str]]:
    """The summary as rows for people."""
    rows = [["time", f"{summary['time_ps']:.4g} ps"], ["frames", f"{summary['frames']} in {summary['trajectory']}"]]
    named = {
        "temperature_K": "temperature",
        "pressure_GPa": "pressure",
        "volume_A3_per_atom": "volume an atom",
        "drift": "drift",
    }
    for key, name in named.items():
        if (q := summary.get(key)) is not None:
            error = "" if q["error"] is None else f" ± {q['error']:.2g}"
            rows.append(
                [name, f"{q['value']:.4g}{error} {q['unit']}" + (f": {q['verdict']}. {q['advice']}" if "advice" in q else "")]
            )
    return rows


def _hash(path: str) -> str:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file; look at the path, relative to {Path.cwd()}")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
