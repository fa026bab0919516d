"""The laws in single precision: what a float32 potential may not notice it notices by no more than its rounding."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from adiabat.prediction import Prediction
from laws.potentials import E0, close, cluster, crystal, graph_of

# As float32 follows float64: 6e-8 of every operation, a power of 12, sums of a hundred pairs of both signs.
ROUNDING = 2e-5


def same(found: Prediction, wanted: Prediction, Q: torch.Tensor | None = None, order: np.ndarray | slice = slice(None)) -> None:
    """The same numbers but for rounding; turned by Q, in another order."""
    Q = torch.eye(3, dtype=torch.float64) if Q is None else Q
    zero = torch.tensor([E0["H" if z == 1 else "O"] for z in wanted.graph.numbers.tolist()], dtype=torch.float64)
    # What binds an atom, not the thousand eV it has anyway, which are kept in double.
    close(found.atomic_energies - zero[order], (wanted.atomic_energies - zero)[order], ROUNDING)
    close(found.forces, wanted.forces[order] @ Q, ROUNDING)
    close(found.strain_gradient, Q.T @ wanted.strain_gradient @ Q, ROUNDING)


def test_turns_mirrors_shifts_and_order_are_not_noticed_in_single_precision(potential, atoms, Q):
    potential = potential.to(torch.float32)
    straight = potential(graph_of(potential, atoms))
    for turn in (Q, -Q):
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array @ turn.numpy())
        turned.positions = atoms.positions @ turn.numpy()
        same(potential(graph_of(potential, turned)), straight, turn)
    shifted = atoms.copy()
    shifted.positions += [0.37, -1.2, 25.0]  # positions are in double, and only their differences are rounded
    same(potential(graph_of(potential, shifted)), straight)
    order = np.random.default_rng(0).permutation(len(atoms))
    same(potential(graph_of(potential, atoms[order])), straight, order=order)
    same(potential(graph_of(potential, atoms, skin=1.0)), straight)
    close(straight.forces.sum(0), torch.zeros(3, dtype=torch.float64), ROUNDING)


def test_energies_add_in_single_precision(potential):
    potential = potential.to(torch.float32)
    frames = [cluster(), crystal(), Atoms("H"), cluster(seed=5)]
    batch, each = potential(graph_of(potential, frames)), [potential(graph_of(potential, a)) for a in frames]
    close(
        batch.atomic_energies, torch.cat([p.atomic_energies for p in each]), 1e-8
    )  # sums of another order, in single, of 400 eV
    close(batch.forces, torch.cat([p.forces for p in each]), ROUNDING)
    four = potential(graph_of(potential, crystal().repeat((2, 1, 2))))
    close(four.forces, each[1].forces.repeat(4, 1), ROUNDING)
    close(four.stress, each[1].stress, ROUNDING)
    far = cluster(seed=5)
    far.positions += [100.0, 0, 0]
    both = potential(graph_of(potential, cluster() + far))
    close(both.forces, torch.cat([each[0].forces, each[3].forces]), ROUNDING)


def test_a_lone_atom_has_its_reference_energy_in_single_precision(potential):
    potential = potential.to(torch.float32)
    for symbol, energy in E0.items():
        found = potential(graph_of(potential, Atoms(symbol)))
        # Kept in double; of a network, or a density, what it says of nothing is taken off in single.
        assert abs(float(found.energy[0]) - energy) < 1e-6
        assert not found.forces.any() and not found.strain_gradient.any()
