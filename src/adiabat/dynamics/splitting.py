"""An integrator is a word: A drifts, B kicks, O meets the heat bath; a letter that comes twice takes half a step each time.

| letter | what | equation |
|---|---|---|
| A | drift | R ← R + v Δt |
| B | kick | v ← v + F/m Δt |
| O | Ornstein–Uhlenbeck | v ← c v + √((1 − c²) kT/m) ξ, c = exp(−γ Δt) |

Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34 (arXiv:1203.5428).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from adiabat.dynamics.guards import EXPLODED, Watch, raise_for, stopped_by
from adiabat.dynamics.state import PotentialLike, State, quickest
from adiabat.typing import Bool, Float, Tensor
from adiabat.units import ACCELERATION

# (positions, velocities, time, share of a step) → velocities after the bath
Bath = Callable[[Tensor, Tensor, float, float], Tensor]


@dataclass(frozen=True)
class Splitting:
    """The order of one step.

    >>> Splitting("BAB").share("B"), Splitting("BAOAB").share("O")
    (0.5, 1.0)
    """

    letters: str

    def __post_init__(self) -> None:
        if set(self.letters) - set("ABO") or not {"A", "B"} <= set(self.letters):
            raise ValueError(f"splitting {self.letters!r} has to be made of A and B, and O for a bath: 'BAB', 'BAOAB'")

    def share(self, letter: str) -> float:
        return 1.0 / self.letters.count(letter)


VELOCITY_VERLET = Splitting("BAB")
BAOAB = Splitting("BAOAB")  # the O in the middle samples R best


def integrate(
    state: State,
    potential: PotentialLike,
    splitting: Splitting,
    *,
    timestep_fs: float,
    bath: Bath | None = None,
    guards: Sequence[Watch] = EXPLODED,
    stop_if: Sequence[Watch] = (),
    check_every: int = 10,
) -> Iterator[State]:
    """States one timestep apart, until every structure was stopped; one evaluation of the potential a step.

    Every `check_every` steps the `guards` raise, naming structure, time and cure, and `stop_if` halts structures one by one.
    """
    if not timestep_fs > 0:
        raise ValueError(f"timestep_fs = {timestep_fs}; wanted a positive time, 0.5 fs where hydrogen moves")
    if bath is None and "O" in splitting.letters:
        raise ValueError(f"splitting {splitting.letters!r} has an O but no bath came")
    potential = quickest(potential)

    def step(state: State, moving: Tensor | None, drift: Tensor, kick: Tensor) -> State:
        return _step(state, potential, splitting, moving, drift, kick, bath, timestep_fs)

    yield from until_stopped(state, step, timestep_fs, guards=guards, stop_if=stop_if, check_every=check_every)


def until_stopped(
    state: State,
    step: Callable[[State, Tensor | None, Tensor, Tensor], State],
    timestep_fs: float,
    *,
    guards: Sequence[Watch],
    stop_if: Sequence[Watch],
    check_every: int,
) -> Iterator[State]:
    """What `step(state, *strides)` makes of a state, again and again, until every structure was stopped by a watch."""
    taken = 0
    while bool(state.running.any()):
        now, running = strides(state, timestep_fs), state.running
        while state.running is running:  # until someone stops
            state = step(state, *now)
            taken += 1
            if taken % check_every == 0:
                raise_for(guards, state, timestep_fs)
                state = stopped_by(stop_if, state, timestep_fs)
            yield state


def _step(
    state: State,
    potential: PotentialLike,
    splitting: Splitting,
    moving: Bool[Tensor, "N 1"] | None,
    drift: Float[Tensor, "N 1"],
    kick: Float[Tensor, "N 1"],
    bath: Bath | None,
    timestep_fs: float,
) -> State:
    x, v, heat, graph, prediction = state.graph.positions, state.velocities, state.heat, state.graph, state.prediction
    moved = False
    for letter in splitting.letters:
        if letter == "A":
            x, moved = torch.addcmul(x, v, drift, value=splitting.share("A")), True
        elif letter == "B":
            if moved:
                graph = graph.move(x)
                prediction, moved = potential(graph), False
            v = torch.addcmul(v, prediction.forces, kick, value=splitting.share("B"))
        elif bath is not None:
            after = bath(x, v, state.time_fs, splitting.share("O") * timestep_fs)
            if moving is not None:
                after = torch.where(moving, after, v)
            gained = torch.linalg.vecdot(after - v, after + v) * state.masses
            heat = heat.index_add(0, graph.structure, gained, alpha=0.5 / ACCELERATION)
            v = after
    if moved:
        graph = graph.move(x)
        prediction = potential(graph)
    return State(graph, v, state.masses, prediction, state.rigid, state.running, heat, state.time_fs + timestep_fs)


def strides(state: State, timestep_fs: float) -> tuple[Bool[Tensor, "N 1"] | None, Float[Tensor, "N 1"], Float[Tensor, "N 1"]]:
    """Who moves (None: everyone), and Δt and Δt/m an atom; zero for fixed atoms and stopped structures."""
    moving = state.running[state.structure][:, None]
    if state.graph.fixed is not None:
        moving = moving & ~state.graph.fixed[:, None]
    drift = timestep_fs * moving.to(torch.float64)
    return None if bool(moving.all()) else moving, drift, drift * ACCELERATION / state.masses[:, None]
