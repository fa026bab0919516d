"""Watches over a trajectory: each says which structures are in trouble, and in what words.

As a guard a watch raises; as `stop_if` it halts the structure where it stands and the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from adiabat.typing import Bool, Int, Tensor

if TYPE_CHECKING:
    from adiabat.dynamics.state import State


class DynamicsError(ValueError):
    """A trajectory left the region where its numbers mean something. `structures` lists which."""

    def __init__(self, message: str, structures: list[int]) -> None:
        super().__init__(message)
        self.structures = structures


@runtime_checkable
class Watch(Protocol):
    """Called with a state and the timestep: True for the structures in trouble."""

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]: ...

    def message(self, state: State, structure: int) -> str: ...


@dataclass(frozen=True)
class Exploded:
    """An atom travels further in one step than bonds are long, or is nowhere."""

    step_angstrom: float = 0.5

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]:
        limit = self.step_angstrom / timestep_fs
        if float(state.velocities.abs().max()) < limit:  # the common case, one number; a NaN compares False
            return torch.zeros_like(state.running)
        return _any_atom(state, ~(state.velocities.abs() < limit).all(1))

    def message(self, state: State, structure: int) -> str:
        return (
            f"an atom moves more than {self.step_angstrom} Å a step: the dynamics exploded. Shorten the timestep, or, if the "
            "potential has not seen such configurations, label some and train it again"
        )


@dataclass(frozen=True)
class Hotter:
    """A temperature no one asked for."""

    than_K: float

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]:
        return state.temperature_K > self.than_K

    def message(self, state: State, structure: int) -> str:
        return (
            f"its temperature is {float(state.temperature_K[structure]):.0f} K, above {self.than_K:g} K: energy came from nowhere or "
            "the structure fell from high up. Relax it first, shorten the timestep, or check the potential there"
        )


@dataclass(frozen=True)
class Swollen:
    """A cell at constant pressure that is nothing like what it was: boiled away, or collapsed."""

    start_A3: float | Tensor
    factor: float = 2.0

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]:
        ratio = state.graph.volume / self.start_A3
        return ~((ratio < self.factor) & (ratio * self.factor > 1))

    def message(self, state: State, structure: int) -> str:
        return (
            f"its volume has come to {float(state.graph.volume[structure]):.4g} Å³, more than a factor of {self.factor:g} from where it "
            "began: it boils, or the potential has not seen such densities. Lower the temperature, check the pressure, or label some "
            "strained cells and train again"
        )


@dataclass(frozen=True)
class Uncertain:
    """The potential's own doubt about a force exceeds what we accept."""

    above_eV_per_angstrom: float
    output: str = "forces_spread"

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]:
        if self.output not in state.outputs:
            known = ", ".join(state.outputs) or "nothing"
            raise ValueError(f"the potential tells {known} beside energy and forces, not {self.output!r}; use a committee")
        return _any_atom(state, state.outputs[self.output] > self.above_eV_per_angstrom)

    def message(self, state: State, structure: int) -> str:
        worst = float(state.outputs[self.output][state.structure == structure].max())
        return f"{self.output} reached {worst:.3g} eV/Å, above {self.above_eV_per_angstrom:g}: label this structure and train again"


@dataclass(frozen=True)
class Stretched:
    """A distance within the reference's reach: given pairs (indices into the batch's atoms) longer or shorter than allowed."""

    pairs: Int[Tensor, "P 2"]
    longest_angstrom: float = float("inf")
    shortest_angstrom: float = 0.0

    def __call__(self, state: State, timestep_fs: float) -> Bool[Tensor, "S"]:
        d = torch.linalg.vector_norm(state.positions[self.pairs[:, 0]] - state.positions[self.pairs[:, 1]], dim=1)
        wrong = ~((d <= self.longest_angstrom) & (d >= self.shortest_angstrom))
        found = torch.zeros_like(state.running)
        found[state.structure[self.pairs[wrong, 0]]] = True
        return found

    def message(self, state: State, structure: int) -> str:
        return f"a bond left the range {self.shortest_angstrom:g} to {self.longest_angstrom:g} Å: it is breaking, lower the temperature"


EXPLODED: tuple[Watch, ...] = (Exploded(),)


def raise_for(guards: Sequence[Watch], state: State, timestep_fs: float) -> None:
    """Raise a DynamicsError for the first guard that finds a running structure in trouble."""
    for guard in guards:
        troubled = guard(state, timestep_fs)
        if bool(troubled.any()) and bool((troubled & state.running).any()):
            structures = (troubled & state.running).nonzero()[:, 0].tolist()
            steps = round(state.time_fs / timestep_fs)
            raise DynamicsError(
                f"structure {structures[0]} of {len(state.running)}, step {steps} ({state.time_fs:g} fs): "
                f"{guard.message(state, structures[0])}"
                + (f" (so for {len(structures) - 1} more: {structures[1:9]})" if len(structures) > 1 else ""),
                structures,
            )


def stopped_by(watches: Sequence[Watch], state: State, timestep_fs: float) -> State:
    """The state with troubled structures halted; the very same state if there are none."""
    for watch in watches:
        troubled = watch(state, timestep_fs) & state.running
        if bool(troubled.any()):
            state = state.replace(running=state.running & ~troubled)
    return state


def _any_atom(state: State, wrong: Bool[Tensor, "N"]) -> Bool[Tensor, "S"]:
    found = torch.zeros_like(state.running)
    found[state.structure[wrong]] = True
    return found
