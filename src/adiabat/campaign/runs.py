"""Production runs as jobs: a model file and a structure in, sampled series and frames out. Workers import these by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from adiabat.data.structure import from_json
from adiabat.deploy.load import load
from adiabat.dynamics import State, langevin, velocity_verlet
from adiabat.uncertainty import Committee


def production(arguments: dict[str, Any]) -> dict[str, Any]:
    """NVE or NVT dynamics of replicas of one structure, after a Langevin equilibration.

    Arguments: `model` (path), `atoms` (JSON), `ensemble` nve | nvt, `temperature_K`, `duration_fs`, `equilibration_fs`,
    `timestep_fs`, `friction_per_fs`, `replicas`, `samples` (how many times the series are sampled), `seed`, `frames` (path of the
    npz with positions [samples, replicas, N, 3], or None). Result: times (fs), conserved and potential energies (eV),
    temperatures (K), each [samples][replicas].
    """
    torch.set_num_threads(1)
    potential = load(arguments["model"])
    forces = (potential.without_spread if isinstance(potential, Committee) else potential).frozen()
    atoms, replicas = from_json(arguments["atoms"]), int(arguments["replicas"])
    rng = torch.Generator().manual_seed(int(arguments["seed"]))
    dt, T, friction = (float(arguments[k]) for k in ("timestep_fs", "temperature_K", "friction_per_fs"))
    state = State.of([atoms] * replicas, forces, temperature_K=T, rng=rng)
    bath = partial(langevin, rng=rng, timestep_fs=dt, temperature_K=T, friction_per_fs=friction)
    state = last(bath(state, forces), round(float(arguments["equilibration_fs"]) / dt), state)
    state = state.replace(time_fs=0.0, heat=torch.zeros_like(state.heat))
    steps = velocity_verlet(state, forces, timestep_fs=dt) if arguments["ensemble"] == "nve" else bath(state, forces)
    samples = int(arguments["samples"])
    stride = max(1, round(float(arguments["duration_fs"]) / dt / samples))
    series: dict[str, list[Any]] = {"time_fs": [], "conserved_eV": [], "potential_eV": [], "temperature_K": []}
    positions = []
    for k, state in enumerate(islice(steps, samples * stride), start=1):
        if k % stride == 0:
            series["time_fs"].append(state.time_fs)
            series["conserved_eV"].append(state.conserved.tolist())
            series["potential_eV"].append(state.energy.tolist())
            series["temperature_K"].append(state.temperature_K.tolist())
            positions.append(state.positions.numpy().reshape(replicas, -1, 3))
    if arguments.get("frames"):
        with open(arguments["frames"], "wb") as file:
            np.savez(
                file,
                numbers=atoms.numbers,
                cell=atoms.cell.array,
                pbc=atoms.pbc,
                time_fs=series["time_fs"],
                positions=np.array(positions),
            )
    return {**series, "degrees_of_freedom": float(state.degrees_of_freedom[0])}


def last(states: Iterator[State], n: int, otherwise: State) -> State:
    """The n-th of these states."""
    return next(islice(states, n - 1, n)) if n > 0 else otherwise
