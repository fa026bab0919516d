"""Structures from molecular dynamics with a potential: what a temperature would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from adiabat.dynamics import State, langevin
from adiabat.dynamics.guards import EXPLODED, Watch
from adiabat.dynamics.state import PotentialLike, quickest

if TYPE_CHECKING:
    from ase import Atoms


def md(
    atoms: Atoms | Sequence[Atoms],
    potential: PotentialLike,
    count: int,
    *,
    rng: np.random.Generator,
    temperature_K: float | Callable[[float], float] = 300.0,
    timestep_fs: float = 0.5,
    interval_fs: float = 50.0,
    warmup_fs: float = 200.0,
    friction_per_fs: float = 0.02,
    guards: Sequence[Watch] = EXPLODED,
    stop_if: Sequence[Watch] = (),
) -> Iterator[Atoms]:
    """`count` frames, `interval_fs` apart, of Langevin runs from each of the given structures, side by side.

    `temperature_K` may be a schedule, time in fs → K, to heat slowly. Fewer frames come when `stop_if` halted every run: the
    frame at which a run was halted is its last. Each frame says its `temperature_K`, `time_fs` and `replica` in `info`.

    >>> from ase import Atoms
    >>> from adiabat.models.pair import LennardJones
    >>> from adiabat.potential import Potential
    >>> argon = Potential(LennardJones(epsilon_eV=0.0103, sigma_angstrom=3.4, cutoff=8.5, elements=["Ar"]))
    >>> start = Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]])
    >>> frames = list(md(start, argon, 2, rng=np.random.default_rng(0), temperature_K=20.0, timestep_fs=5.0))
    >>> [(f.info["config_type"], f.info["time_fs"]) for f in frames]
    [('md', 250.0), ('md', 300.0)]
    """
    target = temperature_K if callable(temperature_K) else lambda time_fs: temperature_K
    noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
    frames: list[Atoms] = [atoms] if hasattr(atoms, "get_positions") else list(atoms)  # type: ignore[list-item]
    potential = quickest(potential)
    state = State.of(frames, potential, temperature_K=target(0.0), rng=noise)
    every, first = max(round(interval_fs / timestep_fs), 1), round(warmup_fs / timestep_fs)
    states = langevin(
        state, potential, rng=noise, timestep_fs=timestep_fs, temperature_K=temperature_K, friction_per_fs=friction_per_fs,
        guards=guards, stop_if=stop_if,
    )  # fmt: skip
    given = 0
    was_running = state.running
    for state in islice(states, first + every - 1, None, every):
        for replica, new in enumerate(state.to_atoms()):
            if given < count and bool(was_running[replica]):
                new.info.update(_kept(frames[replica]), config_type="md", temperature_K=float(target(state.time_fs)))
                new.info.update(time_fs=state.time_fs, replica=replica)
                given += 1
                yield new
        was_running = state.running
        if given >= count:
            return


def _kept(atoms: Atoms) -> dict:
    """What of a structure's `info` is true of every frame of it."""
    return {name: atoms.info[name] for name in ("charge", "multiplicity") if name in atoms.info}
