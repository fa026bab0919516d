"""What a run of dynamics keeps on disk: a trajectory, a log of numbers and a checkpoint, which grow together.

After a kill the first two are cut back to the checkpoint, from which the run goes on.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from adiabat import modelfile
from adiabat.campaign.run_folder import differences
from adiabat.data.xyz import frame_text
from adiabat.dynamics import Piston, State
from adiabat.report.record import plain

COLUMNS = ("step", "time_fs", "potential_eV", "kinetic_eV", "conserved_eV", "temperature_K")
OF_THE_CELL = ("pressure_GPa", "volume_A3")  # at constant pressure


@dataclass(frozen=True)
class Run:
    """What makes one run the same run as another."""

    model: str
    structure: str
    ensemble: str
    temperature_K: float | None
    timestep_fs: float
    steps: int
    every: int
    friction_per_fs: float
    seed: int
    # None, as in runs of before there were such, unless the ensemble is npt.
    pressure_GPa: float | None = None
    cell: str | None = None
    pressure_damping_fs: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What the log tells of a step."""
        return COLUMNS + (OF_THE_CELL if self.ensemble == "npt" else ())


@dataclass
class Stand:
    """Where the run is: the state, the random numbers to come, how long the files are."""

    step: int
    state: State
    rng: torch.Generator
    volume_A3: float  # at the start of the run


class Files:
    """The trajectory, its log and its checkpoint."""

    def __init__(self, path: Path, run: Run, overwrite: bool) -> None:
        self.trajectory, self.log, self.saved = path, path.with_suffix(".log"), path.with_suffix(".checkpoint")
        self.run = run
        if overwrite:
            for file in (self.trajectory, self.log, self.saved):
                file.unlink(missing_ok=True)
        if self.trajectory.exists() and not self.saved.exists() and self.trajectory.stat().st_size and not self._ours():
            raise FileExistsError(
                f"{path}: exists already, and no run to go on with belongs to it; choose another name, or --overwrite"
            )
        if self.saved.exists():
            there = modelfile.read(self.saved)[0]["run"]
            for key, old, new in differences(there, asdict(run)):
                told = f"another {key}" if key in ("model", "structure") else f"{key} = {old}, this one {new}"
                raise FileExistsError(f"{path}: the run there has {told}; choose another name, or --overwrite")

    def _ours(self) -> bool:
        """A run that was killed before its first checkpoint left a log without end; it starts anew."""
        return self.log.exists() and self.log.read_text().startswith("\t".join(COLUMNS))

    def resume(self, atoms: Atoms, potential: Any) -> Stand | None:
        """Where the checkpoint stands, the files cut back to it; None, and no files, where there is none."""
        if not self.saved.exists():
            self.trajectory.write_text("")
            self.log.write_text("\t".join(self.run.columns) + "\n")
            return None
        header, tensors = modelfile.read(self.saved)
        for file, size in zip((self.trajectory, self.log), header["sizes"], strict=True):
            if not file.exists() or file.stat().st_size < size:
                raise ValueError(
                    f"{file}: shorter than the checkpoint knows; it was changed since. Put it back, or --overwrite"
                )
            os.truncate(file, size)
        here = bare(atoms)
        here.positions = tensors["positions"].numpy()
        if "cell" in tensors:
            here.set_cell(tensors["cell"].numpy()[0])
        state = State.of(here, potential)
        if "rate" in tensors:
            nothing = torch.zeros(1, dtype=torch.float64)
            state = state.replace(piston=Piston(tensors["rate"], nothing, nothing))  # npt gives it mass and pressure
        rng = torch.Generator()
        rng.set_state(tensors["rng"])
        return Stand(
            header["step"],
            state.replace(velocities=tensors["velocities"], heat=tensors["heat"], time_fs=header["time_fs"]),
            rng,
            atoms.cell.volume,
        )

    def append(self, step: int, state: State) -> None:
        """A frame and a line."""
        [frame] = state.to_atoms()
        kinetic, conserved = float(state.kinetic_energy[0]), float(state.conserved[0])
        row = [step, state.time_fs, float(state.energy[0]), kinetic, conserved, float(state.temperature_K[0])]
        if self.run.ensemble == "npt":
            row += [float(state.pressure_GPa[0]), float(state.graph.volume[0])]
        frame.info.update(zip(self.run.columns, row, strict=True))
        frame.info.update(config_type="md", trajectory=self.trajectory.stem)
        with open(self.trajectory, "a", encoding="utf-8") as file:
            file.write(frame_text(frame))
        with open(self.log, "a", encoding="utf-8") as file:
            file.write("\t".join(map(repr, row)) + "\n")

    def checkpoint(self, step: int, state: State, rng: torch.Generator) -> None:
        for file in (self.trajectory, self.log):
            with open(file, "rb+") as stream:
                os.fsync(stream.fileno())
        sizes = [self.trajectory.stat().st_size, self.log.stat().st_size]
        facts = {"kind": "md", "step": step, "time_fs": state.time_fs, "sizes": sizes, "run": plain(asdict(self.run))}
        tensors = {"positions": state.positions, "velocities": state.velocities, "heat": state.heat, "rng": rng.get_state()}
        if state.piston is not None:
            tensors |= {"cell": state.cell, "rate": state.piston.rate}
        modelfile.write(self.saved, facts, tensors)

    def rows(self) -> np.ndarray:
        """The log as numbers [lines, columns]."""
        lines = self.log.read_text().splitlines()[1:]
        return np.array([[float(x) for x in line.split("\t")] for line in lines]).reshape(-1, len(self.run.columns))


def bare(atoms: Atoms) -> Atoms:
    """Without a calculator."""
    copy = atoms.copy()
    copy.calc = None
    return copy
