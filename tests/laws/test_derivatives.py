"""Forces and stress are the derivatives of the energy, and training's second derivatives are those of the forces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adiabat.graph import Graph
from adiabat.potential import Potential
from laws.differences import TOLERANCE, agree, directions, slope
from laws.potentials import close, family, graph_of
from laws.test_global import Anchored


def moved(atoms, step):
    copy = atoms.copy()
    copy.positions += step
    return copy


def strained(atoms, strain):
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=False)
    copy.positions = atoms.positions @ (np.eye(3) + strain)
    return copy


def test_forces_are_minus_the_slope_of_the_energy(potential, atoms):
    forces = potential(graph_of(potential, atoms)).forces
    for d in directions(4, forces):
        found = slope(lambda x, d=d: float(potential(graph_of(potential, moved(atoms, x * d.numpy()))).energy[0]))
        agree(-found, (forces * d).sum(), forces)


def test_the_force_on_one_atom_is_its_own(potential, atoms):
    forces = potential(graph_of(potential, atoms)).forces
    for axis in range(3):
        step = np.zeros((len(atoms), 3))
        step[2, axis] = 1.0
        found = slope(lambda x, step=step: float(potential(graph_of(potential, moved(atoms, x * step))).energy[0]))
        agree(-found, forces[2, axis], forces)


def test_stress_is_the_slope_with_strain_over_the_volume(potential, atoms):
    prediction = potential(graph_of(potential, atoms))
    gradient = prediction.strain_gradient[0]
    for d in directions(4, gradient, seed=1):
        d = (d + d.T) / 2
        found = slope(lambda x, d=d: float(potential(graph_of(potential, strained(atoms, x * d.numpy()))).energy[0]))
        agree(found, (gradient * d).sum(), gradient)
    if atoms.pbc.all():
        close(prediction.stress[0] * atoms.get_volume(), gradient)
    else:
        assert prediction.stress.isnan().all()


def test_the_strain_gradient_of_a_molecule_is_minus_positions_times_forces(potential, atoms):
    if atoms.pbc.any():
        pytest.skip("a cell brings its own share")
    prediction = potential(graph_of(potential, atoms))
    virial = torch.tensor(atoms.positions).T @ prediction.forces  # −∂E/∂ε of a system without a cell
    close(virial, -prediction.strain_gradient[0])


def force_loss(potential: Potential, graph: Graph, target: torch.Tensor) -> torch.Tensor:
    found = potential.predictions(graph)
    return (found.forces - target).square().sum() + found.strain_gradient.square().sum() + found.energy.square().sum() * 1e-4


def test_the_gradient_of_a_loss_on_forces_is_its_slope(potential, atoms):
    potential.train()
    graph = graph_of(potential, atoms)
    parameters = [p for p in potential.parameters() if p.requires_grad]
    if not parameters:
        pytest.skip("nothing to learn")
    target = torch.zeros(len(atoms), 3, dtype=torch.float64)
    loss = force_loss(potential, graph, target)
    gradients = torch.autograd.grad(loss, parameters)
    start = [p.detach().clone() for p in parameters]
    for seed in range(2):
        ds = [directions(1, p, seed)[0] for p in parameters]

        def along(x, ds=ds):
            with torch.no_grad():
                for p, p0, d in zip(parameters, start, ds, strict=True):
                    p.copy_(p0 + x * d)
            return float(force_loss(potential, graph, target).detach())

        # The loss is of the size of squared forces: relative to it rounding is as for the forces themselves.
        want = sum(float((g * d).sum()) for g, d in zip(gradients, ds, strict=True))
        assert abs(slope(along) - want) <= TOLERANCE * max(1.0, abs(float(loss.detach())))


def test_training_mode_changes_no_number(potential, atoms):
    graph = graph_of(potential, atoms)
    quiet = potential.predictions(graph)
    potential.train()
    learning = potential.predictions(graph)
    close(learning.energy.detach(), quiet.energy)
    close(learning.forces.detach(), quiet.forces)
    assert not quiet.forces.requires_grad and not quiet.energy.requires_grad


def test_remembered_features_change_no_number(potential, atoms):
    graph = graph_of(potential, atoms)
    remembered = potential.remember(graph)
    fresh, again = potential(graph), potential(remembered)
    close(again.energy, fresh.energy)
    close(again.forces, fresh.forces)
    close(again.strain_gradient, fresh.strain_gradient)
    # ... nor in a batch, nor does a moved structure keep what it remembered.
    batch = potential(Graph.batch([remembered, remembered]))
    close(batch.forces, torch.cat([fresh.forces, fresh.forces]))
    shift = graph.positions + torch.tensor([0.0, 0.05, 0.0], dtype=torch.float64) * (graph.numbers == 1)[:, None]
    close(potential(remembered.move(shift)).forces, potential(graph.move(shift)).forces)


def test_remembered_features_teach_the_same(potential, atoms):
    parameters = [p for p in potential.parameters() if p.requires_grad]
    if not parameters:
        pytest.skip("nothing to learn")
    potential.train()
    graph = graph_of(potential, atoms)
    target = torch.ones(len(atoms), 3, dtype=torch.float64)
    fresh = torch.autograd.grad(force_loss(potential, graph, target), parameters)
    again = torch.autograd.grad(force_loss(potential, potential.remember(graph), target), parameters)
    for a, b in zip(again, fresh, strict=True):
        close(a, b, 1e-9)  # second derivatives, summed in another order


def test_global_and_local_terms_add(atoms):
    local, both = Potential(family("morse")), Potential(family("morse"), Anchored())
    alone = Potential(Anchored())
    graph = graph_of(local, atoms)
    a, b, c = local(graph), alone(graph), both(graph)
    close(c.energy, a.energy + b.energy)
    close(c.forces, a.forces + b.forces)
    close(c.strain_gradient, a.strain_gradient + b.strain_gradient)
