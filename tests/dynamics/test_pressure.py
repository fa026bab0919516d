"""Constant pressure: the ensemble held against what is exact about it, the integrator against its own laws.

Tolerances are four standard errors of the samples' own statistics, as for the temperature; the seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms

from adiabat.analysis import mean
from adiabat.dynamics import DynamicsError, Exploded, Hotter, State, langevin, npt
from adiabat.graph import Graph
from adiabat.prediction import Prediction
from adiabat.units import GPa, k_B
from wells import argon, springy, triangle

PRESSURE = 0.5  # GPa
KELVIN = 40.0
CELLS = {"isotropic": 1, "axes": 3, "free": 6}  # and how many motions each has
COLD = {"friction_per_fs": 0.0, "cell_friction_per_fs": 0.0}  # constant enthalpy: no chance in it


@dataclass(frozen=True)
class Nothing:
    """An ideal gas."""

    cutoff: float = 0.1

    def __call__(self, graph: Graph) -> Prediction:
        zero = graph.positions[:, 0] * 0.0
        energy = zero.new_zeros(graph.n_structures)
        return Prediction(energy, 0.0 * graph.positions, zero, graph, {}, lambda: torch.zeros_like(graph.cell))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crystal(a: float = 5.35, turned: np.ndarray | None = None) -> Atoms:
    """Four atoms of argon, sheared and shaken, so that no symmetry hides an error."""
    atoms = bulk("Ar", "fcc", a=a, cubic=True)
    atoms.set_cell(atoms.cell.array @ np.array([[1.01, 0.02, 0.0], [0.0, 1.0, 0.01], [0.01, 0.0, 0.99]]), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.set_velocities(np.random.default_rng(2).normal(size=(4, 3)) * 0.01)
    if turned is not None:
        velocities = atoms.get_velocities() @ turned
        atoms.set_cell(atoms.cell.array @ turned, scale_atoms=True)
        atoms.set_velocities(velocities)
    return atoms


def squeezed(state: State, rng: torch.Generator | None = None, **options):
    options = {"timestep_fs": 5.0, "temperature_K": KELVIN, "pressure_GPa": PRESSURE, "pressure_damping_fs": 500.0, **options}
    return npt(state, argon(), rng=rng or seeded(1), **options)


def after(steps: int, states) -> State:
    return next(islice(states, steps - 1, None))


@pytest.mark.parametrize("remove, n", [("nothing", 4), ("momentum", 3)])
def test_volumes_of_an_ideal_gas_have_their_gamma_distribution(remove, n):
    """p(V) ~ V^n exp(−P V/kT): n of all N atoms, N − 1 where their center rests; the mean is (n + 1) kT/P, the variance (n + 1) (kT/P)²."""
    unit = k_B * 300.0 / (0.004 * GPa)
    frame = Atoms("Xe4", scaled_positions=np.random.default_rng(0).random((4, 3)), cell=[(5 * unit) ** (1 / 3)] * 3, pbc=True)
    frame.set_masses([1e5] * 4)  # slow: pairs never meet, so that no neighbors are looked for
    start = State.of([frame] * 300, Nothing(), temperature_K=300.0, rng=seeded(), remove=remove)
    run = npt(
        start, Nothing(), rng=seeded(1), timestep_fs=8.0, temperature_K=300.0, pressure_GPa=0.004, pressure_damping_fs=100.0,
        friction_per_fs=0.02, guards=(),
    )  # fmt: skip
    volumes = torch.stack([s.graph.volume for s in islice(run, 60, 700)]) / unit
    first, second = mean(volumes.mean(1).numpy()), mean(((volumes - (n + 1)) ** 2).mean(1).numpy())
    assert abs(first.value - (n + 1)) < 4 * first.error < 0.6  # another power of V would be one off
    assert abs(second.value - (n + 1)) < 4 * second.error + 0.05  # the timestep's share of it


@pytest.mark.parametrize("cell", ["isotropic", pytest.param("axes", marks=pytest.mark.slow), "free"])
def test_the_pressure_of_a_crystal_is_the_one_asked_for(cell):
    """⟨P⟩ = P_ext 1, ⟨V P⟩ = (P_ext ⟨V⟩ − kT) 1, and ½ kT in each of the cell's motions."""
    start = State.of([bulk("Ar", "fcc", a=5.35, cubic=True)] * 16, argon(), temperature_K=KELVIN, rng=seeded())
    tensors, volumes, kinetic = [], [], []
    for s in islice(squeezed(start, timestep_fs=8.0, friction_per_fs=0.02, cell=cell), 150, 800):
        each = s.masses[:, None, None] * s.velocities[:, :, None] * s.velocities[:, None, :]
        mvv = torch.zeros_like(s.cell).index_add_(0, s.structure, each) / 9.648533212331e-3
        tensors.append(mvv - s.prediction.strain_gradient)
        volumes.append(s.graph.volume)
        kinetic.append(s.piston.kinetic_energy)
    work, V = torch.stack(tensors), torch.stack(volumes)
    P = mean((work.diagonal(dim1=-2, dim2=-1).mean(-1) / V).mean(1).numpy() / GPa)
    assert abs(P.value - PRESSURE) < 4 * P.error < 0.05
    directions = [(0, 0), (1, 1), (2, 2)] if cell == "axes" else [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    for a, b in directions if cell != "isotropic" else []:
        wanted = (a == b) * (PRESSURE * GPa * V - k_B * KELVIN)
        difference = mean((work[:, :, a, b] - wanted).mean(1).numpy() / (GPa * float(V.mean())))
        assert abs(difference.value) < 4 * difference.error < 0.1
    box = mean(torch.stack(kinetic).mean(1).numpy() / (0.5 * k_B * KELVIN))
    assert abs(box.value - CELLS[cell]) < 4 * box.error + 0.02 * CELLS[cell]  # momenta are of second order in the step


@pytest.mark.parametrize("cell", CELLS)
def test_the_error_of_what_is_conserved_falls_with_the_square_of_the_timestep(cell):
    start, sizes, errors = State.of(crystal(), argon()), [2.0, 4.0, 8.0], []
    for dt in sizes:
        kept = [s.conserved for s in islice(squeezed(start, timestep_fs=dt, cell=cell, **COLD), round(800 / dt))]
        errors.append(float((torch.stack(kept) - kept[0]).std()))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    assert slopes == pytest.approx(2.0, abs=0.1)


def test_conserved_counts_the_heat_of_both_baths():
    """From too large a cell: what falling together sets free goes into both baths, and what is left wanders by the timestep's error."""
    start, wander = State.of([bulk("Ar", "fcc", a=5.6, cubic=True)] * 8, argon()), []
    for dt in (2.0, 4.0):
        first, *_, end = islice(squeezed(start, timestep_fs=dt, cell="free", temperature_K=60.0), round(1600 / dt))
        assert end.heat.mean() < -0.02
        wander.append(float((end.conserved - first.conserved).square().mean().sqrt()))
    assert wander[0] < 2e-4 and 1.5 < wander[1] / wander[0] < 10


@pytest.mark.parametrize("cell", CELLS)
def test_time_runs_backwards(cell):
    start = State.of(crystal(), argon())
    there = after(60, squeezed(start, cell=cell, **COLD))
    assert (there.cell - start.cell).abs().max() > 0.01
    back = there.replace(velocities=-there.velocities, piston=there.piston.replace(rate=-there.piston.rate))
    back = after(60, squeezed(back, cell=cell, **COLD))
    assert (back.positions - start.positions).abs().max() < 1e-9
    assert (back.cell - start.cell).abs().max() < 1e-9


@pytest.mark.parametrize("cell", ["isotropic", "free"])
def test_the_run_turns_with_the_structure(cell):
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    plain, turned = (
        after(60, squeezed(State.of(atoms, argon()), cell=cell, **COLD)) for atoms in (crystal(), crystal(turned=Q))
    )
    assert torch.allclose(turned.cell, plain.cell @ torch.tensor(Q), atol=1e-9)
    assert torch.allclose(turned.velocities, plain.velocities @ torch.tensor(Q), atol=1e-11)


def test_a_batch_moves_as_its_members_do_alone_and_a_stopped_one_rests():
    frames = [crystal(), crystal(5.5), crystal(5.2) * (2, 1, 1)]
    together = after(40, squeezed(State.of(frames, argon()), cell="free", **COLD))
    alone = [after(40, squeezed(State.of(a, argon()), cell="free", **COLD)) for a in frames]
    assert torch.allclose(together.cell, torch.cat([s.cell for s in alone]), atol=1e-10)
    assert torch.allclose(together.positions, torch.cat([s.positions for s in alone]), atol=1e-10)
    stopped = State.of(frames, argon()).replace(running=torch.tensor([True, False, True]))
    later = after(40, squeezed(stopped, cell="free"))
    assert torch.equal(later.cell[1], stopped.cell[1])
    assert torch.equal(later.positions[4:8], stopped.positions[4:8])
    assert not torch.equal(later.cell[2], stopped.cell[2])


def test_a_run_cut_in_two_is_the_run():
    whole_rng, cut_rng = seeded(3), seeded(3)
    whole = after(60, squeezed(State.of(crystal(), argon()), whole_rng, cell="free"))
    half = after(30, squeezed(State.of(crystal(), argon()), cut_rng, cell="free"))
    assert half.piston.rate.abs().max() > 0
    assert torch.equal(after(30, squeezed(half, cut_rng, cell="free")).cell, whole.cell)


def test_shapes_are_kept_where_only_lengths_may_change():
    start = State.of(crystal(), argon())
    grown = torch.linalg.solve(start.cell, after(50, squeezed(start)).cell)[0]
    assert torch.allclose(grown, grown[0, 0] * torch.eye(3, dtype=torch.float64), atol=1e-12) and abs(grown[0, 0] - 1) > 1e-3
    stretched = torch.linalg.solve(start.cell, after(50, squeezed(start, cell="axes")).cell)[0]
    assert (stretched - torch.diag(stretched.diagonal())).abs().max() < 1e-12
    assert stretched.diagonal().std() > 1e-4


def test_without_a_piston_the_cell_stays():
    pressed = after(10, squeezed(State.of(crystal(), argon())))
    heated = after(10, langevin(pressed, argon(), rng=seeded(), timestep_fs=5.0, temperature_K=KELVIN))
    assert torch.equal(heated.cell, pressed.cell) and heated.piston is None


def test_guards_and_stops_work_as_elsewhere():
    start = State.of([crystal()] * 2, argon())
    with pytest.raises(DynamicsError, match="exploded"):
        after(20, squeezed(start, guards=(Exploded(1e-6),)))
    assert len(list(islice(squeezed(start, stop_if=(Hotter(0.0),)), 50))) == 10


def test_wrong_use_is_named():
    periodic = State.of(crystal(), argon())
    with pytest.raises(ValueError, match="not periodic along three axes"):
        next(npt(State.of(triangle(), springy()), springy(), rng=seeded(), timestep_fs=0.5, temperature_K=300.0))
    held = crystal()
    held.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match="structure 0 has fixed atoms"):
        next(squeezed(State.of(held, argon())))
    for wrong, words in (({"cell": "cubic"}, "wanted one of isotropic, axes, free"), ({"temperature_K": 0.0}, "above zero")):
        with pytest.raises(ValueError, match=words):
            next(squeezed(periodic, **wrong))
    for wrong in ({"timestep_fs": 0.0}, {"pressure_damping_fs": 40.0}, {"cell_friction_per_fs": -1.0}):
        with pytest.raises(ValueError, match="wanted"):
            next(squeezed(periodic, **wrong))
