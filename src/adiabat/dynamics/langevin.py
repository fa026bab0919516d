"""A heat bath: constant temperature, canonical positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from adiabat.dynamics.guards import EXPLODED, Watch
from adiabat.dynamics.splitting import BAOAB, Bath, Splitting, integrate
from adiabat.dynamics.state import PotentialLike, State
from adiabat.typing import Float, Tensor
from adiabat.units import ACCELERATION, k_B

# One temperature, one a structure, or a schedule: time in fs → either.
Temperature = float | Tensor | Callable[[float], float | Tensor]


def langevin(
    state: State,
    potential: PotentialLike,
    *,
    rng: torch.Generator,
    timestep_fs: float,
    temperature_K: Temperature,
    friction_per_fs: float = 0.01,
    splitting: Splitting = BAOAB,
    guards: Sequence[Watch] = EXPLODED,
    stop_if: Sequence[Watch] = (),
    check_every: int = 10,
) -> Iterator[State]:
    """m dv = F dt − γ m v dt + √(2 γ m kT) dW, split as BAOAB.

    Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013): configurations of a harmonic well have no error from the timestep
    at all, those of other wells a very small one.

    The bath leaves alone the rigid motions that the state does without: its noise is projected onto the rest, where the canonical
    distribution of 3N − 6 (or 3N − 3) motions is sampled exactly. For thermal drift and rotation make the state with
    ``remove="nothing"``.
    """
    if friction_per_fs < 0:
        raise ValueError(f"friction_per_fs = {friction_per_fs}; wanted zero or more, 0.01 loses its memory in 100 fs")
    bath = ornstein_uhlenbeck(state, rng=rng, temperature_K=temperature_K, friction_per_fs=friction_per_fs)
    yield from integrate(
        state, potential, splitting, timestep_fs=timestep_fs, bath=bath, guards=guards, stop_if=stop_if, check_every=check_every
    )


def ornstein_uhlenbeck(state: State, *, rng: torch.Generator, temperature_K: Temperature, friction_per_fs: float) -> Bath:
    """The O step's exact solution, for the atoms of this state."""
    rigid, shape, structure = state.rigid, state.velocities.shape, state.structure
    unit = torch.sqrt(k_B * ACCELERATION / state.masses)[:, None]  # √(k/m): a velocity at 1 K
    width_at = _widths(temperature_K, unit, structure)

    def bath(x: Float[Tensor, "N 3"], v: Float[Tensor, "N 3"], time_fs: float, step_fs: float) -> Float[Tensor, "N 3"]:
        kept = math.exp(-friction_per_fs * step_fs)
        noise = torch.randn(shape, generator=rng, dtype=torch.float64, device=v.device)
        after = torch.addcmul(kept * v, noise, width_at(time_fs), value=math.sqrt(1 - kept * kept))
        return rigid.without(x, after)

    return bath


def _widths(temperature_K: Temperature, unit: Tensor, structure: Tensor) -> Callable[[float], Tensor]:
    def width(kelvin: float | Tensor) -> Tensor:
        kelvin = torch.as_tensor(kelvin, dtype=torch.float64, device=unit.device)
        if bool((kelvin < 0).any()):
            raise ValueError(f"temperature_K = {kelvin.tolist()}; wanted zero or more")
        return unit * torch.sqrt(kelvin[structure][:, None] if kelvin.ndim else kelvin)

    if callable(temperature_K):
        return lambda time_fs: width(temperature_K(time_fs))
    constant = width(temperature_K)
    return lambda time_fs: constant
