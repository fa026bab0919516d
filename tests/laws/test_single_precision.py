"""The laws in single precision: what a float32 potential may not notice it notices by no more than its rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.prediction import Prediction
from laws.differences import directions
from laws.potentials import E0, close, cluster, crystal, graph_of
from laws.test_derivatives import force_loss, moved, strained
from laws.test_extent import scan

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
    same(potential(Graph.of(atoms, potential.cutoff + 1.7)), straight)
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


def test_forces_and_stress_are_slopes_in_single_precision(potential, atoms):
    """Of its own energies, over a hundredth of an ångström: six units in the last place of 10 eV over that are 4e-4 eV/Å."""
    potential = potential.to(torch.float32)
    found, h = potential(graph_of(potential, atoms)), 1e-2
    for derivative, change in ((-found.forces, moved), (found.strain_gradient[0], strained)):
        d = directions(1, derivative)[0]
        d = d if change is moved else (d + d.T) / 2
        at = [float(potential(graph_of(potential, change(atoms, k * h * d.numpy()))).energy[0]) for k in (-2, -1, 1, 2)]
        slope = (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * h)
        assert abs(slope - float((derivative * d).sum())) < 2e-3 * max(1.0, float(derivative.abs().max()))


@pytest.mark.parametrize("other", ["O", "H"])
def test_a_pair_parts_smoothly_in_single_precision(potential, other):
    """A pair that were cut off would make a step as large as its interaction; what is allowed is rounding."""
    potential = potential.to(torch.float32)
    for d in scan(potential):
        found = potential(graph_of(potential, [Atoms("O" + other, [[0, 0, 0], [0, 0, x]]) for x in d]))
        assert (
            float(found.energy.diff().abs().max()) < ROUNDING
            and float(found.forces.reshape(len(d), -1).diff(dim=0).abs().max()) < 1e-4
        )


def test_an_atom_leaves_a_molecule_smoothly_in_single_precision(potential):
    potential, base = potential.to(torch.float32), Atoms("OHH", [[0, 0, 0], [0.9, 0.3, 0], [-0.4, 0.9, 0.2]])
    for d in scan(potential):
        found = potential(graph_of(potential, [base + Atoms("O", [[0, 0, x]]) for x in d]))
        forces = found.forces.reshape(len(d), -1)
        size = max(1.0, float(forces.abs().max()))
        assert float(found.energy.diff().abs().max()) < ROUNDING * size and float(forces.diff(dim=0).abs().max()) < 1e-4 * size


def test_atoms_apart_and_a_lattice_feel_nothing_in_single_precision(potential):
    potential = potential.to(torch.float32)
    apart = potential(graph_of(potential, Atoms("OHH", np.diag([0.0, 40.0, 80.0]))))
    assert abs(float(apart.energy[0]) - E0["O"] - 2 * E0["H"]) < 3e-6 and not apart.forces.any()
    small = Atoms("O", cell=[[1.4, 0, 0], [0.3, 1.5, 0], [0.1, -0.2, 1.6]], pbc=True)
    one, many = (potential(graph_of(potential, x)) for x in (small, small.repeat(4)))
    close(many.stress, one.stress, ROUNDING)
    close(one.forces, torch.zeros(1, 3, dtype=torch.float64), ROUNDING * max(1.0, float(one.strain_gradient.abs().max())))


def test_a_loss_on_forces_teaches_the_same_in_single_precision(potential):
    """As in double, whose gradients are slopes; twice the derivatives, and ten times the rounding."""
    graph = graph_of(potential, crystal())
    potential.train()
    parameters = [p for p in potential.parameters() if p.requires_grad]
    if not parameters:
        pytest.skip("nothing to learn")
    target = torch.ones(graph.n_atoms, 3, dtype=torch.float64)
    exact = torch.autograd.grad(force_loss(potential, graph, target), parameters)
    potential = potential.to(torch.float32)
    rough = torch.autograd.grad(force_loss(potential, graph, target), [p for p in potential.parameters() if p.requires_grad])
    size = max(float(g.abs().max()) for g in exact)
    assert max(float((r.double() - g.double()).abs().max()) for r, g in zip(rough, exact, strict=True)) < 1e-3 * size


def test_modes_files_and_calls_change_no_bit_in_single_precision(potential, tmp_path):
    potential = potential.to(torch.float32)
    graph = graph_of(potential, crystal())
    first, again = potential(graph), potential(graph)
    potential.save(tmp_path / "p.adiabat")
    kept = load(tmp_path / "p.adiabat").to(torch.float32)(graph)
    for other in (again, kept):
        assert torch.equal(first.energy, other.energy) and torch.equal(first.forces, other.forces)
    same(potential(potential.remember(graph)), first)
    with pytest.raises(ValueError, match="not a number"):
        potential(graph.replace(r=graph.r * float("nan")))
