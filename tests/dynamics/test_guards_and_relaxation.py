"""Trouble is named, or halts the one that is in it; relaxation finds the bottom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms

from adiabat.dynamics import DynamicsError, Hotter, State, Stretched, Uncertain, langevin, relax, velocity_verlet
from wells import Well, argon, predicted, springy, triangle


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at(*heights: float) -> list[Atoms]:
    return [Atoms("H", [[0, 0, z]]) for z in heights]


def test_an_explosion_names_structure_step_and_cure():
    state = State.of(at(0.0, 2.0), Well(500.0), remove="nothing")
    with pytest.raises(DynamicsError, match=r"structure 1 of 2, step \d+ .*Shorten the timestep") as caught:
        next(islice(velocity_verlet(state, Well(500.0), timestep_fs=5.0), 100, None))
    assert caught.value.structures == [1]


def test_nan_forces_are_an_explosion():
    @dataclass(frozen=True)
    class Broken(Well):
        def __call__(self, graph):
            return predicted(graph, graph.positions[:, 0], graph.positions * torch.nan)

    state = State.of(at(1.0), Well(1.0), remove="nothing", skin_angstrom=0.0)
    with pytest.raises(ValueError, match="exploded"):
        next(islice(velocity_verlet(state, Broken(), timestep_fs=1.0), 20, None))


def test_a_stopped_structure_stands_while_the_others_go_on():
    start = State.of(at(0.1, 1.0, 0.2), Well(1.0), remove="nothing")
    watch = Hotter(500.0)
    states = list(islice(velocity_verlet(start, Well(1.0), timestep_fs=1.0, stop_if=[watch], check_every=1), 40))
    assert states[-1].running.tolist() == [True, False, True]
    assert torch.equal(states[-1].positions[1], states[-2].positions[1])
    assert not torch.equal(states[-1].positions[0], states[-2].positions[0])
    alone = list(islice(velocity_verlet(State.of(at(0.1), Well(1.0), remove="nothing"), Well(1.0), timestep_fs=1.0), 40))
    assert torch.allclose(states[-1].positions[0], alone[-1].positions[0], atol=1e-12)


def test_the_run_ends_when_everyone_was_stopped():
    start = State.of(at(1.0, 1.0), Well(1.0), remove="nothing")
    states = list(islice(velocity_verlet(start, Well(1.0), timestep_fs=1.0, stop_if=[Hotter(1.0)], check_every=1), 1000))
    assert len(states) < 100 and not states[-1].running.any()


def test_heat_stops_with_the_structure():
    start = State.of([triangle(), triangle()], springy())
    options = {"rng": seeded(), "timestep_fs": 0.5, "temperature_K": torch.tensor([300.0, 3000.0]), "friction_per_fs": 0.1}
    states = list(islice(langevin(start, springy(), stop_if=[Hotter(1500.0)], check_every=1, **options), 400))
    assert states[-1].running.tolist() == [True, False]
    assert states[-1].heat[1] == states[-2].heat[1] and states[-1].heat[0] != states[-2].heat[0]


def test_doubt_and_stretch_are_watched():
    @dataclass(frozen=True)
    class Doubtful(Well):
        def __call__(self, graph):
            x = graph.positions
            return predicted(graph, (x**2).sum(1), -2 * x, forces_spread=x.norm(dim=1))

    state = State.of(at(0.1, 1.0), Doubtful(), remove="nothing")
    assert Uncertain(0.5)(state, 1.0).tolist() == [False, True]
    assert "1 eV/Å, above 0.5" in Uncertain(0.5).message(state, 1)
    with pytest.raises(ValueError, match="use a committee"):
        Uncertain(0.5)(State.of(at(0.1), Well(), remove="nothing"), 1.0)
    pairs = torch.tensor([[0, 1], [3, 4]])
    molecules = State.of([triangle(0.87), triangle(1.9)], springy())
    assert Stretched(pairs, longest_angstrom=1.8)(molecules, 1.0).tolist() == [False, True]


def test_relaxation_finds_the_minimum_of_the_dimer():
    """d = 2^(1/6) σ up to what the fading cutoff adds, for every start, each in its own time."""
    frames = [Atoms("Ar2", [[0, 0, 0], [0.1, 0.2, d]]) for d in (3.2, 3.7, 4.5, 5.0)]
    found = relax(State.of(frames, argon()), argon(), fmax=1e-6)
    distances = np.array([a.get_distance(0, 1) for a in found.state.to_atoms()])
    assert bool(found.converged.all()) and found.fmax.max() < 1e-6
    assert np.ptp(distances) < 1e-4 and distances == pytest.approx(2 ** (1 / 6) * 3.4, rel=1e-2)
    assert len(set(found.steps.tolist())) > 1 and found.state.velocities.abs().max() == 0


def test_relaxation_of_a_batch_is_that_of_its_members():
    frames = [triangle(0.8), triangle(1.1)]
    together = relax(State.of(frames, springy()), springy(), fmax=1e-4)
    alone = [relax(State.of(a, springy()), springy(), fmax=1e-4) for a in frames]
    assert together.steps.tolist() == [int(r.steps) for r in alone]
    assert torch.allclose(together.state.positions, torch.cat([r.state.positions for r in alone]), atol=1e-12)


def test_relaxation_leaves_fixed_atoms_and_says_when_it_gave_up():
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 5.0]])
    atoms.set_constraint(FixAtoms([0]))
    state = State.of(atoms, argon())
    found = relax(state, argon(), fmax=1e-5)
    assert bool(found.converged.all()) and torch.equal(found.state.positions[0], state.positions[0])
    short = relax(state, argon(), fmax=1e-9, max_steps=3)
    assert short.converged.tolist() == [False] and short.steps.tolist() == [3]


def test_a_structure_at_rest_takes_no_step():
    found = relax(State.of(at(0.0), Well(1.0), remove="nothing"), Well(1.0))
    assert found.steps.tolist() == [0] and found.converged.tolist() == [True]
