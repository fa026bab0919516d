"""Canonical sampling, held against what equipartition and the harmonic well say exactly.

Tolerances are four standard errors of the samples' own statistics: one honest run in 16,000 fails, and the seeds are fixed.
"""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from ase import Atoms

from adiabat.analysis import degrees_of_freedom, mean, thermal_interval
from adiabat.dynamics import Splitting, State, langevin, relax, velocity_verlet
from adiabat.units import k_B
from wells import Well, springy, triangle


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("remove,f", [("nothing", 9), ("momentum", 6), ("rotation", 3)])
def test_drawn_velocities_have_the_temperature_of_the_remaining_motions(remove, f):
    state = State.of([triangle()] * 4000, springy(), temperature_K=300.0, rng=seeded(), remove=remove)
    low, high = thermal_interval(f, 4000)
    assert low < state.temperature_K.mean() / 300 < high
    atoms = triangle()
    removed = {"momentum_removed": remove != "nothing", "rotation_removed": remove == "rotation"}
    assert state.degrees_of_freedom[0] == degrees_of_freedom(atoms.positions, atoms.get_masses(), **removed) == f


def test_a_diatomic_keeps_one_motion_and_a_lone_atom_none():
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, 1.0]]), Atoms("Ar"), triangle()]
    state = State.of(frames * 2000, springy(), temperature_K=300.0, rng=seeded())
    assert state.degrees_of_freedom[:3].tolist() == [1.0, 0.0, 3.0]
    low, high = thermal_interval(1, 2000)
    assert low < state.temperature_K[0::3].mean() / 300 < high
    assert state.temperature_K[1].isnan() and state.velocities[2].abs().max() < 1e-15


def test_baoab_samples_a_harmonic_well_without_error_of_the_timestep():
    """⟨x²⟩ = kT/k even at ω Δt = 1.2, where OBABO-like splittings are off by 40 %."""
    kT, k, mass = k_B * 300.0, 1.0, 39.948
    period_step = 1.2 / (k * 9.648533212331e-3 / mass) ** 0.5
    start = State.of(
        [Atoms("Ar", [[0, 0, 0]])] * 500, Well(k), temperature_K=300.0, rng=seeded(), remove="nothing", skin_angstrom=20.0
    )

    def width(splitting):
        run = langevin(
            start, Well(k), rng=seeded(1), timestep_fs=period_step, temperature_K=300.0, friction_per_fs=0.3 / period_step,
            splitting=Splitting(splitting), guards=(),
        )  # fmt: skip
        return mean(torch.stack([(s.positions**2).mean(1) for s in islice(run, 20, 1020)]).numpy())

    exact = width("BAOAB")
    assert abs(exact.value - kT / k) < 4 * exact.error and exact.error < 0.01 * kT / k
    biased = width("OBABO")
    assert abs(biased.value - kT / k) > 20 * biased.error


def test_langevin_keeps_the_temperature_of_a_molecule_without_rotation():
    start = State.of([triangle()] * 200, springy(), temperature_K=300.0, rng=seeded())
    run = langevin(start, springy(), rng=seeded(1), timestep_fs=0.25, temperature_K=300.0, friction_per_fs=0.05)
    kinetic = mean(torch.stack([s.temperature_K for s in islice(run, 100, 600)]).numpy())
    assert abs(kinetic.value - 300) < 4 * kinetic.error + 0.5  # BAOAB's momenta are second order in the step
    assert kinetic.error < 8


def test_each_structure_may_have_its_own_temperature_and_the_bath_a_schedule():
    start = State.of([Atoms("Ar", [[0, 0, 0]])] * 600, Well(1.0), remove="nothing", skin_angstrom=20.0)
    bath = torch.tensor([100.0, 300.0, 900.0]).repeat(200)
    options = {"rng": seeded(), "timestep_fs": 5.0, "friction_per_fs": 0.02}
    hot = next(islice(langevin(start, Well(1.0), temperature_K=bath, **options), 200, None))
    low, high = thermal_interval(3, 200)
    for s in range(3):
        assert low < hot.temperature_K[s::3].mean() / bath[s] < high
    cooled = langevin(start, Well(1.0), temperature_K=lambda t: 300.0 if t < 500 else 0.0, **options)
    cold = next(islice(cooled, 600, None))
    assert cold.temperature_K.max() < 1e-3


@pytest.mark.parametrize("splitting", ["BAOAB", "OBABO"])
def test_heat_accounts_for_what_the_bath_brought_in(splitting):
    """The effective energy wanders only by the splitting's own error, which falls with the square of the timestep."""
    start = State.of([triangle()] * 8, springy())  # cold: a lot of heat must come in
    wander = []
    for dt in (0.1, 0.2):
        run = langevin(
            start, springy(), rng=seeded(), timestep_fs=dt, temperature_K=500.0, friction_per_fs=0.02,
            splitting=Splitting(splitting),
        )  # fmt: skip
        end = next(islice(run, round(100 / dt), None))
        assert end.heat.mean() > 0.05
        wander.append(float((end.conserved - start.conserved).square().mean().sqrt()))
    assert wander[0] < 1e-3 and 2 < wander[1] / wander[0] < 8


def test_nve_temperature_counts_the_removed_motions():
    """In a harmonic crystal-like well half the energy is kinetic: T from 2⟨E_kin⟩/f k returns what was put in."""
    rest = relax(State.of(triangle(), springy()), springy(), fmax=1e-4).state.to_atoms()
    start = State.of(rest * 400, springy(), temperature_K=100.0, rng=seeded())
    run = velocity_verlet(start, springy(), timestep_fs=0.25)
    T = torch.stack([s.temperature_K for s in islice(run, 200, 800)]).mean()
    assert float(T) == pytest.approx(50, rel=0.1)  # from rest position, half of it went into the springs


def test_a_negative_temperature_is_refused():
    start = State.of(triangle(), springy())
    with pytest.raises(ValueError, match="zero or more"):
        next(langevin(start, springy(), rng=seeded(), timestep_fs=0.5, temperature_K=-1.0))
