"""Constant pressure: the cell is a particle with a mass, a force on it and a heat bath of its own.

The extended system of Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), under Langevin's thermostat on atoms and cell alike
as Quigley and Probert, J. Chem. Phys. 120, 11432 (2004), have it: no chains of thermostats, and a cell that does not ring for long.

| symbol | variable | |
|---|---|---|
| p_g / W_g | `rate` | how fast the cell strains, dh/dt = h ε̇, symmetric so that it does not turn; 1/fs |
| W_g | `mass` | (N_f + 3) kT τ² / 3, amu Å² |
| τ | `pressure_damping_fs` | the time in which an ideal gas would answer; solids answer some ten times sooner |
| P_ext | `pressure` | eV/Å³ |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from adiabat.dynamics.guards import EXPLODED, Watch
from adiabat.dynamics.langevin import Temperature, ornstein_uhlenbeck
from adiabat.dynamics.splitting import Bath, until_stopped
from adiabat.dynamics.state import Piston, PotentialLike, State, quickest
from adiabat.prediction import symmetric
from adiabat.typing import Float, Tensor
from adiabat.units import ACCELERATION, GPa, k_B

# What a cell may do: a symmetric strain → its share that is allowed.
CELLS: dict[str, Callable[[Tensor], Tensor]] = {
    "isotropic": lambda x: torch.diag_embed(x.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True).expand(*x.shape[:-1])),
    "axes": lambda x: torch.diag_embed(x.diagonal(dim1=-2, dim2=-1)),
    "free": symmetric,
}
FORGETTING = 4.0  # 1/τ: a solid's cell, which rings at some tens of 1/τ, forgets within τ; a gas's, overdamped, within 2 τ

LEAST_DAMPING = 10  # steps; a gas needs no more, and no solid is sound with so few


def npt(
    state: State,
    potential: PotentialLike,
    *,
    rng: torch.Generator,
    timestep_fs: float,
    temperature_K: Temperature,
    pressure_GPa: float = 0.0,
    cell: str = "isotropic",
    friction_per_fs: float = 0.01,
    pressure_damping_fs: float = 1000.0,
    cell_friction_per_fs: float | None = None,
    guards: Sequence[Watch] = EXPLODED,
    stop_if: Sequence[Watch] = (),
    check_every: int = 10,
) -> Iterator[State]:
    """Langevin dynamics of atoms and cell at constant temperature and pressure, one evaluation of the potential a step.

    dR/dt = v + ε̇ R,  m dv/dt = F − m (ε̇ + tr ε̇/N_f) v − γ m v + noise,  W dε̇/dt = V (P − P_ext) + (Σ m v²/N_f) 1 − γ_P W ε̇ + noise

    with `cell` what it may do: ``isotropic``, all lengths by one factor; ``axes``, along x, y and z each by its own; ``free``, shear,
    too. A liquid has no shape to keep: isotropic. Configurations are those of the isothermal–isobaric ensemble; where the state does
    without its drift, as is the rule, N − 1 atoms stand for N in its ideal part. `cell_friction_per_fs` is γ_P, 4/τ without it; with
    both frictions zero the run is one of constant enthalpy.

    Every structure has to be periodic along three axes. `state.conserved` includes P_ext V and the cell's kinetic energy.

    >>> from ase.build import bulk
    >>> from itertools import islice
    >>> from adiabat.models.pair import LennardJones
    >>> from adiabat.potential import Potential
    >>> argon = Potential(LennardJones(epsilon_eV=0.0103, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"]))
    >>> rng = torch.Generator().manual_seed(0)
    >>> state = State.of(bulk("Ar", "fcc", a=5.4, cubic=True), argon, temperature_K=30.0, rng=rng)
    >>> run = npt(state, argon, rng=rng, timestep_fs=5.0, temperature_K=30.0, pressure_GPa=1.0)
    >>> first, *_, last = islice(run, 600)
    >>> bool(last.graph.volume < state.graph.volume), bool((last.conserved - first.conserved).abs() < 2e-3)
    (True, True)
    """
    if not timestep_fs > 0:
        raise ValueError(f"timestep_fs = {timestep_fs}; wanted a positive time, 0.5 fs where hydrogen moves")
    if not pressure_damping_fs >= LEAST_DAMPING * timestep_fs:
        raise ValueError(
            f"pressure_damping_fs = {pressure_damping_fs} with steps of {timestep_fs} fs; wanted {LEAST_DAMPING} steps at the very least, "
            "and 1000 fs as a rule: the cell of a stiff crystal swings many times within it"
        )
    if friction_per_fs < 0 or (cell_friction_per_fs or 0.0) < 0:
        raise ValueError(
            f"friction_per_fs = {friction_per_fs}, cell_friction_per_fs = {cell_friction_per_fs}; wanted zero or more, 0.01 loses its "
            "memory in 100 fs"
        )
    if cell not in CELLS:
        raise ValueError(f"cell = {cell!r}; wanted one of {', '.join(CELLS)}")
    _accept(state)
    cell_friction = FORGETTING / pressure_damping_fs if cell_friction_per_fs is None else cell_friction_per_fs
    potential = quickest(potential)
    first = temperature_K(state.time_fs) if callable(temperature_K) else temperature_K
    state = state.replace(piston=_piston(state, first, pressure_GPa, pressure_damping_fs, CELLS[cell]))
    bath = ornstein_uhlenbeck(state, rng=rng, temperature_K=temperature_K, friction_per_fs=friction_per_fs)
    box_bath = _box_bath(state, rng, temperature_K, cell_friction, CELLS[cell])

    def step(state: State, moving: Tensor | None, drift: Tensor, kick: Tensor) -> State:
        return _step(state, potential, drift, kick, bath, box_bath, CELLS[cell], timestep_fs)

    yield from until_stopped(state, step, timestep_fs, guards=guards, stop_if=stop_if, check_every=check_every)


def _step(
    state: State,
    potential: PotentialLike,
    drift: Float[Tensor, "N 1"],
    kick: Float[Tensor, "N 1"],
    bath: Bath,
    box_bath: Bath,
    allowed: Callable[[Tensor], Tensor],
    timestep_fs: float,
) -> State:
    """Half kicks of cell and atoms, half a drift, the baths, and the same back: symmetric, so that errors are of order Δt²."""
    piston, structure = state.piston, state.structure
    assert piston is not None
    x, v, h, rate, heat = state.positions, state.velocities, state.cell, piston.rate, state.heat
    moves = state.running.to(torch.float64)[:, None, None]

    rate = rate + moves * _push(state, v, allowed) * (0.5 * timestep_fs)
    v = _kicked(v, state.forces, kick, rate, state, timestep_fs)
    x, h = _drifted(x, h, v, drift, rate, structure, timestep_fs)

    after = torch.where(drift > 0, bath(x, v, state.time_fs, timestep_fs), v)
    gained = torch.linalg.vecdot(after - v, after + v) * state.masses
    heat = heat.index_add(0, structure, gained, alpha=0.5 / ACCELERATION)
    slower = torch.where(moves > 0, box_bath(x, rate, state.time_fs, timestep_fs), rate)
    heat = heat + ((slower - rate) * (slower + rate)).sum((1, 2)) * piston.mass * (0.5 / ACCELERATION)
    v, rate = after, slower

    x, h = _drifted(x, h, v, drift, rate, structure, timestep_fs)
    graph = state.graph.move(x, h)
    state = state.replace(graph=graph, prediction=potential(graph), heat=heat, time_fs=state.time_fs + timestep_fs)
    v = _kicked(v, state.forces, kick, rate, state, timestep_fs)
    rate = rate + moves * _push(state, v, allowed) * (0.5 * timestep_fs)
    return state.replace(velocities=v, piston=piston.replace(rate=rate))


def _push(state: State, v: Float[Tensor, "N 3"], allowed: Callable[[Tensor], Tensor]) -> Float[Tensor, "S 3 3"]:
    """The cell's acceleration, (V (P − P_ext) + 2 E_kin/N_f 1) / W; 1/fs²."""
    piston = state.piston
    assert piston is not None
    each = (state.masses[:, None] * v)[:, :, None] * v[:, None, :]
    mvv = each.new_zeros(state.cell.shape).index_add_(0, state.structure, each) / ACCELERATION  # Σ m v⊗v, eV
    twice = mvv.diagonal(dim1=-2, dim2=-1).sum(-1)
    outward = twice / state.degrees_of_freedom - piston.pressure * state.graph.volume
    force = mvv - state.prediction.strain_gradient + torch.diag_embed(outward[:, None].expand(-1, 3))
    return allowed(force) * (ACCELERATION / piston.mass)[:, None, None]


def _kicked(v: Tensor, forces: Tensor, kick: Tensor, rate: Tensor, state: State, timestep_fs: float) -> Float[Tensor, "N 3"]:
    """Half a step of m dv/dt = F − m (ε̇ + tr ε̇/N_f) v: half of the drag, the kick, half of the drag."""
    spread = rate.diagonal(dim1=-2, dim2=-1).sum(-1) / state.degrees_of_freedom
    drag = torch.linalg.matrix_exp((rate + torch.diag_embed(spread[:, None].expand(-1, 3))) * (-0.25 * timestep_fs))
    drag = drag[state.structure]
    return _times(torch.addcmul(_times(v, drag), forces, kick, value=0.5), drag)


def _drifted(x: Tensor, h: Tensor, v: Tensor, drift: Tensor, rate: Tensor, structure: Tensor, timestep_fs: float):
    """Half a step of dR/dt = v + ε̇ R and dh/dt = h ε̇: half of the strain, the drift, half of the strain."""
    growth = torch.linalg.matrix_exp(rate * (0.25 * timestep_fs))
    each = growth[structure]
    return _times(torch.addcmul(_times(x, each), v, drift, value=0.5), each), h @ growth @ growth


def _times(rows: Float[Tensor, "N 3"], matrices: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3"]:
    return torch.bmm(rows[:, None], matrices)[:, 0]


def _piston(state: State, temperature_K: float | Tensor, pressure_GPa: float, damping_fs: float, allowed) -> Piston:
    """The cell's mass and pressure; it goes on at the rate it has."""
    kT = k_B * torch.as_tensor(temperature_K, dtype=torch.float64, device=state.cell.device)
    if not bool((kT > 0).all()):
        raise ValueError(
            f"temperature_K = {temperature_K}; at constant pressure wanted above zero: the cell's mass is set by it"
        )
    mass = (state.degrees_of_freedom + 3) * kT * (damping_fs**2 * ACCELERATION / 3)
    rate = torch.zeros_like(state.cell) if state.piston is None else allowed(state.piston.rate)
    return Piston(rate, mass, torch.full_like(mass, pressure_GPa * GPa))


def _box_bath(state: State, rng: torch.Generator, temperature_K: Temperature, friction_per_fs: float, allowed) -> Bath:
    """The Ornstein–Uhlenbeck step of the cell: ½ kT for each of the motions it is allowed."""
    piston = state.piston
    assert piston is not None

    def bath(_: Tensor, rate: Tensor, time_fs: float, step_fs: float) -> Tensor:
        kelvin = temperature_K(time_fs) if callable(temperature_K) else temperature_K
        kept = math.exp(-friction_per_fs * step_fs)
        kT = k_B * torch.as_tensor(kelvin, dtype=torch.float64, device=rate.device)
        width = torch.sqrt((1 - kept * kept) * kT * ACCELERATION / piston.mass)
        noise = torch.randn(rate.shape, generator=rng, dtype=torch.float64, device=rate.device)
        return kept * rate + width[:, None, None] * allowed(noise)

    return bath


def _accept(state: State) -> None:
    open_ones = (~state.pbc.all(1) | ~state.graph.volume.isfinite()).nonzero()[:, 0].tolist()
    if open_ones:
        raise ValueError(
            f"structure {open_ones[0]} is not periodic along three axes, so that it has no pressure; use nvt, or give it a cell and pbc=True"
        )
    if state.graph.fixed is not None and bool(state.graph.fixed.any()):
        raise ValueError(
            f"structure {int(state.structure[state.graph.fixed][0])} has fixed atoms, which cannot follow the cell; use nvt, or free them"
        )
    if not bool((state.degrees_of_freedom > 0).all()):
        raise ValueError("a structure has one atom and no motion of its own; repeat its cell")
