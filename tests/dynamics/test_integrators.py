"""The laws of motion: what is conserved, to which order, forwards and backwards, alone and in company."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms

from adiabat.dynamics import BAOAB, VELOCITY_VERLET, Splitting, State, langevin, velocity_verlet
from adiabat.dynamics.splitting import integrate
from wells import Well, argon, springy, triangle

POTENTIAL = springy()


def after(steps: int, states) -> State:
    return next(islice(states, steps - 1, None))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hot(kelvin: float = 300.0, seed: int = 0, copies: int = 1, **options) -> State:
    return State.of([triangle()] * copies, POTENTIAL, temperature_K=kelvin, rng=seeded(seed), **options)


@pytest.mark.parametrize("word", ["BAB", "ABA"])
def test_energy_error_falls_with_the_square_of_the_timestep(word):
    start, sizes, errors = hot(), [0.1, 0.2, 0.4], []
    for dt in sizes:
        states = islice(integrate(start, POTENTIAL, Splitting(word), timestep_fs=dt), round(40 / dt))
        errors.append(float(torch.stack([s.conserved - start.conserved for s in states]).std()))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    assert slopes == pytest.approx(2.0, abs=0.15)


def test_time_runs_backwards():
    start = hot()
    there = after(200, velocity_verlet(start, POTENTIAL, timestep_fs=0.5))
    back = after(200, velocity_verlet(there.replace(velocities=-there.velocities), POTENTIAL, timestep_fs=0.5))
    assert (there.positions - start.positions).abs().max() > 0.01
    assert (back.positions - start.positions).abs().max() < 1e-9


def test_momenta_are_conserved():
    start = hot(remove="nothing")
    end = after(300, velocity_verlet(start, POTENTIAL, timestep_fs=0.5))
    for s in (start, end):
        assert (s.masses[:, None] * s.velocities).abs().sum() > 0.01
    momentum = [(s.masses[:, None] * s.velocities).sum(0) for s in (start, end)]
    turning = [(s.masses[:, None] * torch.linalg.cross(s.positions, s.velocities)).sum(0) for s in (start, end)]
    assert torch.allclose(*momentum, atol=1e-12) and torch.allclose(*turning, atol=1e-12)


@pytest.mark.parametrize("run", ["nve", "nvt"])
def test_what_was_removed_stays_removed(run):
    start = hot(copies=3)
    states = velocity_verlet(start, POTENTIAL, timestep_fs=0.5)
    if run == "nvt":
        states = langevin(start, POTENTIAL, rng=seeded(1), timestep_fs=0.5, temperature_K=500.0, friction_per_fs=0.05)
    end = after(500, states)
    x, v, m = (y.reshape(3, 3, -1) for y in (end.positions, end.velocities, end.masses))
    assert (m * v).sum(1).abs().max() < 1e-10
    arms = x - (m * x).sum(1, keepdim=True) / m.sum(1, keepdim=True)
    assert (m * torch.linalg.cross(arms, v)).sum(1).abs().max() < 1e-10
    assert start.degrees_of_freedom.tolist() == [3.0] * 3


def test_a_batch_moves_as_its_members_do_alone():
    frames = [triangle(0.8), triangle(0.95), Atoms("H2", [[0, 0, 0], [0, 0, 0.9]])]
    together = after(100, velocity_verlet(State.of(frames, POTENTIAL), POTENTIAL, timestep_fs=0.5))
    alone = [after(100, velocity_verlet(State.of(a, POTENTIAL), POTENTIAL, timestep_fs=0.5)) for a in frames]
    assert torch.allclose(together.positions, torch.cat([s.positions for s in alone]), atol=1e-11)
    assert torch.allclose(together.conserved, torch.cat([s.conserved for s in alone]), atol=1e-11)


def test_the_same_seed_gives_the_same_trajectory_bit_for_bit():
    def run(seed):
        states = langevin(hot(copies=4), POTENTIAL, rng=seeded(seed), timestep_fs=0.5, temperature_K=300.0)
        return after(100, states).positions

    assert torch.equal(run(5), run(5))
    assert not torch.equal(run(5), run(6))


def test_langevin_without_friction_is_newton():
    newton = after(50, velocity_verlet(hot(), POTENTIAL, timestep_fs=0.5))
    options = {"rng": seeded(), "timestep_fs": 0.5, "temperature_K": 300.0, "friction_per_fs": 0.0}
    assert torch.allclose(after(50, langevin(hot(), POTENTIAL, **options)).positions, newton.positions, atol=1e-9)


def test_the_skin_does_not_change_the_trajectory():
    """Argon crossing each other's cutoff: edges found anew at every step, or only when half a skin was walked."""
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True)
    atoms.rattle(0.1, seed=3)
    start = [State.of(atoms, argon(), temperature_K=300.0, rng=seeded(), skin_angstrom=skin) for skin in (0.0, 1.0)]
    fresh, kept = (after(100, velocity_verlet(s, argon(), timestep_fs=5.0)) for s in start)
    assert torch.allclose(fresh.positions, kept.positions, atol=1e-9)


def test_one_force_evaluation_a_step():
    calls = []

    class Counted:
        cutoff = POTENTIAL.cutoff

        def __call__(self, graph):
            calls.append(graph)
            return POTENTIAL(graph)

    state = State.of(triangle(), Counted(), temperature_K=300.0, rng=seeded())
    for splitting in (VELOCITY_VERLET, BAOAB):
        calls.clear()
        after(20, integrate(state, Counted(), splitting, timestep_fs=0.5, bath=lambda x, v, t, dt: v))
        assert len(calls) == 20


def test_fixed_atoms_stay():
    atoms = triangle()
    atoms.set_constraint(FixAtoms([0]))
    state = State.of(atoms, POTENTIAL, temperature_K=300.0, rng=seeded())
    assert state.degrees_of_freedom.item() == 6
    end = after(100, langevin(state, POTENTIAL, rng=seeded(1), timestep_fs=0.5, temperature_K=300.0))
    assert torch.equal(end.positions[0], state.positions[0]) and not torch.equal(end.positions[1], state.positions[1])
    assert end.to_atoms()[0].constraints[0].index.tolist() == [0]
    with pytest.raises(ValueError, match="fixed atoms"):
        State.of(atoms, POTENTIAL, remove="momentum")


def test_atoms_come_back_as_they_went():
    atoms = bulk("Ar", "fcc", a=5.4)
    atoms.set_masses([39.0])
    atoms.set_velocities(np.array([[0.1, 0.2, 0.3]]))
    back = State.of(atoms, argon(), remove="nothing").to_atoms(results=True)[0]
    assert np.allclose(back.get_velocities(), atoms.get_velocities()) and back.get_masses().tolist() == [39.0]
    assert np.allclose(back.cell, atoms.cell) and back.pbc.all() and np.isfinite(back.get_potential_energy())
    assert State.of(atoms, argon(), remove="nothing").to_atoms()[0].calc is None


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="needs rng"):
        State.of(triangle(), POTENTIAL, temperature_K=300.0)
    with pytest.raises(ValueError, match="positive time"):
        next(velocity_verlet(hot(), POTENTIAL, timestep_fs=0.0))
    with pytest.raises(ValueError, match="made of A and B"):
        Splitting("BAD")
    with pytest.raises(ValueError, match="remove='spin'"):
        State.of(triangle(), Well(), remove="spin")
