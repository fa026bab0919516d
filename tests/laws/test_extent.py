"""How energies add: supercells, fragments, batches, lone atoms; and how pairs enter and leave at the cutoff."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.graph import Graph
from adiabat.units import eV
from laws.potentials import E0, close, cluster, crystal, graph_of


def test_a_supercell_multiplies_the_energy(potential):
    small, large = crystal(), crystal().repeat((2, 1, 2))
    one, four = potential(graph_of(potential, small)), potential(graph_of(potential, large))
    close(four.energy, 4 * one.energy)
    close(four.forces, one.forces.repeat(4, 1))
    close(four.stress, one.stress)
    close(four.atomic_energies, one.atomic_energies.repeat(4))


def test_a_cell_smaller_than_the_cutoff_equals_its_supercell(potential):
    cell = np.array([[1.4, 0, 0], [0.3, 1.5, 0], [0.1, -0.2, 1.6]])
    small = Atoms("O", cell=cell, pbc=True)
    large = small.repeat(4)
    assert potential.cutoff > cell.max()
    one, many = potential(graph_of(potential, small)), potential(graph_of(potential, large))
    close(many.energy, 64 * one.energy)
    close(many.stress, one.stress)
    close(one.forces, torch.zeros(1, 3, dtype=torch.float64))  # a lattice of inversion centers


def test_far_fragments_add(potential):
    a, b = cluster(), cluster(seed=5)
    far = b.copy()
    far.positions += [100.0, 0, 0]
    both = potential(graph_of(potential, a + far))
    each = [potential(graph_of(potential, x)) for x in (a, b)]
    close(both.energy, each[0].energy + each[1].energy)
    close(both.forces, torch.cat([p.forces for p in each]))


def test_a_batch_equals_one_by_one(potential):
    frames = [cluster(), crystal(), Atoms("H"), cluster(seed=5)]
    batch = potential(graph_of(potential, frames))
    each = [potential(graph_of(potential, a)) for a in frames]
    close(batch.energy, torch.cat([p.energy for p in each]))
    close(batch.forces, torch.cat([p.forces for p in each]))
    close(batch.atomic_energies, torch.cat([p.atomic_energies for p in each]))
    close(batch.strain_gradient, torch.cat([p.strain_gradient for p in each]))
    assert batch.stress.isnan().all((1, 2)).tolist() == [True, False, True, True]


def test_a_lone_atom_has_its_reference_energy(potential):
    for symbol, energy in E0.items():
        found = potential(graph_of(potential, Atoms(symbol)))
        close(found.energy, torch.tensor([energy * eV], dtype=torch.float64), 1e-14)
        assert not found.forces.any() and not found.strain_gradient.any()


def test_atoms_without_any_edge_feel_nothing(potential):
    apart = Atoms("OHH", np.diag([0.0, 40.0, 80.0]))
    found = potential(graph_of(potential, [apart, apart]))
    close(found.energy, torch.full((2,), E0["O"] + 2 * E0["H"], dtype=torch.float64), 1e-14)
    assert not found.forces.any()


STEP = 1e-6  # Å


def smooth(energy: torch.Tensor, forces: torch.Tensor) -> None:
    """No jump along a scan in steps of 1e-6 Å.

    A curvature of at most 100 eV/Å² bends the energy by 1e-10 eV a step, and changes a force by 1e-4 eV/Å; rounding of 1e3 eV is
    2e-13 eV. A pair that were cut off would make a step as large as its interaction.
    """
    assert float(energy.diff(n=2).abs().max()) < 1e-9
    assert float(forces.diff(dim=0).abs().max()) < 1e-4


def scan(potential):
    """Distances around every cutoff there is."""
    for cutoff in sorted({term.cutoff for term in potential.terms if term.cutoff}):
        yield cutoff + STEP * np.arange(-3.0, 4.0)


@pytest.mark.parametrize("other", ["O", "H"])
def test_a_pair_parts_smoothly(potential, other):
    for d in scan(potential):
        found = potential(graph_of(potential, [Atoms("O" + other, [[0, 0, 0], [0, 0, x]]) for x in d]))
        smooth(found.energy, found.forces.reshape(len(d), -1))


def test_an_atom_leaves_a_molecule_smoothly(potential):
    base = Atoms("OHH", [[0, 0, 0], [0.9, 0.3, 0], [-0.4, 0.9, 0.2]])
    for d in scan(potential):
        found = potential(graph_of(potential, [base + Atoms("O", [[0, 0, x]]) for x in d]))
        smooth(found.energy, found.forces.reshape(len(d), -1))


def test_a_pair_beyond_the_cutoff_is_two_atoms(potential):
    far = potential(graph_of(potential, Atoms("OH", [[0, 0, 0], [0, 0, 2 * potential.cutoff]]), skin=2 * potential.cutoff))
    close(far.energy, torch.tensor([E0["O"] + E0["H"]], dtype=torch.float64), 1e-14)
    assert not far.forces.any()


@pytest.mark.parametrize("skin", [0.3, 1.0])
def test_a_list_with_a_skin_gives_the_same_numbers(potential, atoms, skin):
    with_skin, exact = potential(graph_of(potential, atoms, skin=skin)), potential(graph_of(potential, atoms))
    close(with_skin.energy, exact.energy)
    close(with_skin.forces, exact.forces)
    close(with_skin.strain_gradient, exact.strain_gradient)


def test_a_longer_list_gives_the_same_numbers(potential, atoms):
    longer, exact = potential(Graph.of(atoms, potential.cutoff + 1.7)), potential(graph_of(potential, atoms))
    close(longer.energy, exact.energy)
    close(longer.forces, exact.forces)


def test_the_energy_does_not_jump_when_a_list_is_found_anew(potential, atoms):
    """A walk through several rebuilds of the list: at every step the kept list and a new one give the same numbers."""
    g = torch.Generator().manual_seed(0)
    graph, rebuilt = graph_of(potential, atoms, skin=0.4), 0
    for _ in range(12):
        step = 0.04 * torch.randn(graph.positions.shape, generator=g, dtype=torch.float64)
        before = graph.built[0]
        graph = graph.move(graph.positions + step)
        rebuilt += graph.built[0] is not before
        there = atoms.copy()
        there.positions = graph.positions.numpy()
        kept, new = potential(graph), potential(graph_of(potential, there))
        close(kept.energy, new.energy)
        close(kept.forces, new.forces)
    assert 1 <= rebuilt < 12


def test_float32_follows_float64(potential, atoms):
    graph = graph_of(potential, atoms)
    exact = potential(graph)
    rough = potential.to(torch.float32)(graph)
    assert rough.energy.dtype == rough.forces.dtype == torch.float64
    # Relative rounding 6e-8 of coordinates and of every operation; a power of 12 multiplies it by 12, sums of a hundred pairs of
    # both signs by another ten, and forces near a wall are differences of larger ones.
    binding = exact.energy - sum(E0[s] for s in atoms.get_chemical_symbols())
    size = max(1.0, float(exact.atomic_energies.abs().max() - 432.0), float(binding.abs()))
    assert float((rough.energy - exact.energy).abs()) < 2e-5 * size
    close(rough.forces, exact.forces, 2e-5)


def test_the_same_call_gives_the_same_bits(potential, atoms):
    a, b = potential(graph_of(potential, atoms)), potential(graph_of(potential, atoms))
    assert torch.equal(a.energy, b.energy) and torch.equal(a.forces, b.forces)


def test_a_potential_comes_back_from_its_file_bit_for_bit(potential, atoms, tmp_path):
    from adiabat.deploy import load

    potential.save(tmp_path / "p.adiabat")
    again = load(tmp_path / "p.adiabat")
    graph = graph_of(potential, atoms)
    a, b = potential(graph), again(graph)
    assert torch.equal(a.energy, b.energy) and torch.equal(a.forces, b.forces)
    assert again.header() == potential.header()


def test_an_unseen_element_is_refused(potential):
    with pytest.raises(ValueError, match=r"contains C, which this potential has not seen; it knows H O"):
        potential(graph_of(potential, Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])))


def test_too_short_a_list_is_refused(potential, atoms):
    with pytest.raises(ValueError, match=r"exceeds the graph's .* build it with Graph.of"):
        potential(Graph.of(atoms, potential.cutoff - 0.1))


def test_a_charge_nobody_declared_is_refused(potential, atoms):
    atoms.info["charge"] = 1
    with pytest.raises(ValueError, match=r"states charge \[1.0\], and no term of this potential depends on charge"):
        potential(graph_of(potential, atoms))
