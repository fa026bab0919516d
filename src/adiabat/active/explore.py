"""Exploration: replicas under a thermostat with the committee watching itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adiabat.active.select import Candidate
from adiabat.dynamics import State, langevin, npt
from adiabat.dynamics.guards import EXPLODED, Swollen, Watch
from adiabat.uncertainty import Committee

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Exploration:
    """What one stage of exploring brought."""

    temperature_K: float
    time_fs: np.ndarray  # T, the looks
    spread_eV_per_A: np.ndarray  # [replicas, T], NaN after a replica was halted
    candidates: list[Candidate]  # every frame looked at
    halted_fs: list[float | None]  # when each replica was stopped, and None where it ran to the end

    def uncertain(self, tolerance_eV_per_A: float) -> list[Candidate]:
        return [c for c in self.candidates if c.spread_eV_per_A > tolerance_eV_per_A]

    def share(self, tolerance_eV_per_A: float) -> float:
        """The share of looked-at frames above the tolerance."""
        return len(self.uncertain(tolerance_eV_per_A)) / max(1, len(self.candidates))


def explore(
    committee: Committee,
    starts: Sequence[Atoms],
    *,
    temperature_K: float,
    duration_fs: float,
    timestep_fs: float,
    look_every_fs: float,
    halt_eV_per_A: float,
    friction_per_fs: float,
    seed: int,
    pressure_GPa: float | None = None,
) -> Exploration:
    """Langevin dynamics of one replica a start; every `look_every_fs` the spread is looked at.

    At constant volume, or, with `pressure_GPa`, at that pressure: cells then breathe, and one that doubles or halves is halted, too.

    A replica whose largest force spread exceeds `halt_eV_per_A`, or that explodes, is halted there: beyond, its forces are
    inventions. The frame at which it was halted is a candidate like the others.
    """
    rng = torch.Generator().manual_seed(seed)
    mean, doubting = committee.without_spread.frozen(), committee.frozen()
    state = State.of(starts, mean, temperature_K=temperature_K, rng=rng)
    stride = max(1, round(look_every_fs / timestep_fs))
    watches: tuple[Watch, ...] = (*EXPLODED, Swollen(state.graph.volume))
    looks = max(1, round(duration_fs / (stride * timestep_fs)))
    spreads = np.full((len(starts), looks), np.nan)
    times = np.arange(1, looks + 1) * stride * timestep_fs
    candidates: list[Candidate] = []
    halted: list[float | None] = [None] * len(starts)
    for look, time_fs in enumerate(times):
        running = state.running.tolist()
        if not any(running):
            break
        options: dict[str, Any] = {
            "rng": rng, "timestep_fs": timestep_fs, "temperature_K": temperature_K, "friction_per_fs": friction_per_fs, "guards": (),
            "check_every": 1,
        }  # fmt: skip
        if pressure_GPa is None:
            steps = langevin(state, mean, **options, stop_if=EXPLODED)
        else:
            steps = npt(state, mean, **options, stop_if=watches, pressure_GPa=pressure_GPa)
        [state] = deque(islice(steps, stride), maxlen=1)  # fewer steps, where the last replica was halted on the way
        spread = _largest(doubting(state.graph).outputs["forces_spread"], state.structure, len(starts))
        frames = state.to_atoms()
        for replica, atoms in enumerate(frames):
            # A frame with atoms nowhere is no candidate: nobody could label it.
            if running[replica] and np.isfinite(spread[replica]) and np.isfinite(atoms.positions).all():
                spreads[replica, look] = spread[replica]
                candidates.append(Candidate(atoms, float(spread[replica]), temperature_K, replica, float(time_fs)))
        over = torch.as_tensor(~(spread <= halt_eV_per_A)) | ~state.running  # not a number is over, too
        for replica in torch.nonzero(over)[:, 0].tolist():
            if halted[replica] is None:
                halted[replica] = float(time_fs)
        state = state.replace(running=~over)
    return Exploration(temperature_K, times, spreads, candidates, halted)


def _largest(per_atom: torch.Tensor, structure: torch.Tensor, n: int) -> np.ndarray:
    return torch.zeros(n, dtype=per_atom.dtype).scatter_reduce(0, structure, per_atom, "amax").numpy()
