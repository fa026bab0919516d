"""What a potential may not notice: turns, mirrors, shifts, and the order of atoms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from laws.potentials import close, graph_of


@pytest.mark.parametrize("mirrored", [False, True])
def test_forces_and_stress_turn_with_the_structure(potential, atoms, Q, mirrored):
    Q = -Q if mirrored else Q
    turned_atoms = atoms.copy()
    turned_atoms.set_cell(atoms.cell.array @ Q.numpy())
    turned_atoms.positions = atoms.positions @ Q.numpy()
    # A list found anew may order nothing differently: the pairs are the same, only the vectors turn.
    turned, straight = potential(graph_of(potential, turned_atoms)), potential(graph_of(potential, atoms))
    close(turned.energy, straight.energy)
    close(turned.forces, straight.forces @ Q)
    close(turned.strain_gradient, Q.T @ straight.strain_gradient @ Q)
    close(potential(graph_of(potential, atoms).rotate(Q)).forces, straight.forces @ Q)


def test_a_shift_changes_nothing(potential, atoms):
    shifted_atoms = atoms.copy()
    shifted_atoms.positions += [0.37, -1.2, 25.0]
    shifted, straight = potential(graph_of(potential, shifted_atoms)), potential(graph_of(potential, atoms))
    # Differences of coordinates near 25 Å are right to 4e-15 Å; forces change by that times a curvature of about 1e4 eV/Å².
    close(shifted.energy, straight.energy)
    close(shifted.forces, straight.forces)
    close(straight.forces.sum(0), torch.zeros(3, dtype=torch.float64))


def test_an_atom_may_be_listed_in_any_of_its_cells(potential, atoms):
    if not atoms.pbc.all():
        pytest.skip("no cell")
    elsewhere = atoms.copy()
    elsewhere.positions += np.random.default_rng(0).integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    moved, straight = potential(graph_of(potential, elsewhere)), potential(graph_of(potential, atoms))
    close(moved.energy, straight.energy)
    close(moved.forces, straight.forces)
    close(moved.stress, straight.stress)


def test_the_order_of_atoms_does_not_matter(potential, atoms):
    order = np.random.default_rng(0).permutation(len(atoms))
    shuffled, straight = potential(graph_of(potential, atoms[order])), potential(graph_of(potential, atoms))
    close(shuffled.energy, straight.energy)
    close(shuffled.forces, straight.forces[order])
    close(shuffled.atomic_energies, straight.atomic_energies[order])
    close(shuffled.strain_gradient, straight.strain_gradient)
