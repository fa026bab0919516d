"""Downhill: batched relaxation by FIRE."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from adiabat.dynamics.state import PotentialLike, State, quickest
from adiabat.typing import Bool, Float, Int, Tensor


@dataclass(frozen=True)
class Fire:
    """Parameters of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), in units where a = F: time in Å/√eV."""

    timestep: float = 0.1
    timestep_max: float = 1.0
    patience: int = 5  # steps downhill before hurrying: N_min
    faster: float = 1.1  # f_inc
    slower: float = 0.5  # f_dec
    mixing: float = 0.1  # α_start
    fading: float = 0.99  # f_α
    step_angstrom: float = 0.2  # no structure moves further at once


FIRE = Fire()


@dataclass(frozen=True)
class Relaxed:
    """Where relaxation ended, a structure each: at rest, or given up."""

    state: State
    fmax: Float[Tensor, "S"]  # largest force on an atom, eV/Å
    converged: Bool[Tensor, "S"]
    steps: Int[Tensor, "S"]


def relax(state: State, potential: PotentialLike, *, fmax: float = 0.01, max_steps: int = 1000, fire: Fire = FIRE) -> Relaxed:
    """Follow v ← (1 − α) v + α |v| F/|F| while it runs downhill, stop dead when it runs uphill; until all forces < `fmax` (eV/Å).

    Every structure has its own timestep and α, and stays where it is once it has arrived. Velocities of the result are zero.
    """
    potential, structure, structures = quickest(potential), state.structure, len(state.running)
    x, graph, prediction = state.positions, state.graph, state.prediction
    v = torch.zeros_like(x)
    dt = torch.full((structures,), fire.timestep, dtype=torch.float64, device=x.device)
    alpha = torch.full_like(dt, fire.mixing)
    downhill = torch.zeros_like(structure[:1]).expand(structures).clone()
    steps = torch.zeros_like(downhill)
    mobile = torch.ones_like(x[:, :1]) if graph.fixed is None else (~graph.fixed).double()[:, None]

    def total(per_atom: Tensor) -> Tensor:
        return per_atom.new_zeros(structures).index_add_(0, structure, per_atom)

    for _ in range(max_steps + 1):
        F = prediction.forces * mobile
        largest = dt.new_zeros(structures).scatter_reduce_(0, structure, F.norm(dim=1), "amax")
        going = ~(largest < fmax)
        if not bool(going.any()) or int(steps.max()) >= max_steps:
            break
        good = total((F * v).sum(1)) > 0
        pull = torch.sqrt(total((v * v).sum(1)) / total((F * F).sum(1)).clamp_min(1e-300))
        mixed = (1 - alpha)[structure, None] * v + (alpha * pull)[structure, None] * F
        v = torch.where(good[structure, None], mixed, 0.0)
        hurry = good & (downhill > fire.patience)
        first = steps == 0
        dt = torch.where(
            hurry, (dt * fire.faster).clamp_max(fire.timestep_max), torch.where(good | first, dt, dt * fire.slower)
        )
        alpha = torch.where(hurry, alpha * fire.fading, torch.where(good, alpha, fire.mixing))
        downhill = torch.where(good, downhill + 1, 0)

        v = (v + dt[structure, None] * F) * going[structure, None]
        stride = dt[structure, None] * v
        length = torch.sqrt(total((stride * stride).sum(1)))
        x = x + stride * (fire.step_angstrom / length.clamp_min(fire.step_angstrom))[structure, None]
        steps = steps + going
        graph = graph.move(x)
        prediction = potential(graph)
    rest = state.replace(graph=graph, prediction=prediction, velocities=torch.zeros_like(x))
    return Relaxed(rest, largest, largest < fmax, steps)
