"""Atoms that move on one topology: one compiled call says what their graph says, and steps back where it may not answer."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, molecule

from adiabat.graph import Graph
from adiabat.models import BPNN, MACE, ZBL, DeepPot, LennardJones, PaiNN
from adiabat.potential import Potential, ReferenceEnergies, Scaled

ELEMENTS = ["H", "O", "Cu"]
FAMILIES = {
    "mace": lambda: MACE(cutoff=3.0, elements=ELEMENTS, channels=8, hidden="0e+1o", l_max=1, correlation=2, radial=[8]),
    "painn": lambda: PaiNN(3.0, 8, 2, elements=ELEMENTS, radial=6, intervals=64),
    "deeppot": lambda: DeepPot(cutoff=3.0, elements=ELEMENTS, neurons=[8], axis_neurons=4, fitting=[8]),
    "bpnn": lambda: BPNN(cutoff=3.0, elements=ELEMENTS, radial=3, angular=1, hidden=[4]),
    "pairs": lambda: LennardJones(epsilon_eV=0.1, sigma_angstrom=2.2, cutoff=3.0, elements=ELEMENTS),
}
PLACES = {
    "molecule": lambda: molecule("H2O"),
    "crystal": lambda: bulk("Cu", cubic=True),  # edges that lead out of the cell, and to an atom's own images
    "slab": lambda: fcc111("Cu", (2, 2, 2), vacuum=4.0),
}


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def potential(family: str) -> Potential:
    torch.manual_seed(0)
    family, _, wall = family.partition(" in ")
    walls = [ZBL(elements=ELEMENTS)] if wall else []
    return (
        Potential(ReferenceEnergies({"H": -1.0, "O": -3.0, "Cu": -2.0}), *walls, Scaled(FAMILIES[family](), 0.7))
        .double()
        .eval()
    )


def moving(family: str, place: str):
    """Atoms whose calculator follows them."""
    atoms = PLACES[place]()
    atoms.calc = potential(family).calculator(skin_angstrom=0.4)
    for seed in range(2):  # found, and moved once
        atoms.rattle(0.02, seed=seed)
        atoms.get_forces()
    assert atoms.calc.following is not None
    return atoms


@pytest.mark.parametrize("family", [*FAMILIES, "mace in a wall", "bpnn in a wall"])
@pytest.mark.parametrize("place", PLACES)
def test_it_says_what_the_moved_graph_says(family, place):
    atoms = moving(family, place)
    graph = atoms.calc.graph
    atoms.rattle(0.03, seed=3)
    found = atoms.calc.following(atoms.positions)
    wanted = potential(family).frozen()(graph.move(torch.tensor(atoms.positions)))
    # The same operations in the same order: the same bits.
    assert found.energy == wanted.energy.item()
    np.testing.assert_array_equal(found.forces, wanted.forces.numpy())
    np.testing.assert_array_equal(found.energies, wanted.atomic_energies.numpy())
    s = wanted.stress[0].numpy()
    np.testing.assert_array_equal(found.stress, s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])
    assert atoms.get_potential_energy() == found.energy
    assert np.isnan(found.stress).all() == (place == "molecule") == ("stress" not in atoms.calc.results)


@pytest.mark.parametrize("family", ["mace", "bpnn"])
def test_an_atom_that_leaves_the_skin_finds_new_neighbors(family):
    atoms = moving(family, "crystal")
    edges = atoms.calc.graph.n_edges
    atoms.positions[0] += [0.9, 0.4, 0.0]
    assert atoms.calc.following(atoms.positions) is None
    alone = potential(family).frozen()(Graph.of(atoms, 3.0))
    # Another list, another order of the sums: rounding of some eV.
    assert atoms.get_potential_energy() == pytest.approx(alone.energy.item(), abs=1e-12)
    assert atoms.calc.graph.n_edges != edges
    np.testing.assert_allclose(atoms.get_forces(), alone.forces.numpy(), atol=1e-12)


def test_a_changed_cell_is_no_motion():
    atoms = moving("mace", "crystal")
    atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
    for seed in range(3):
        atoms.rattle(0.01, seed=seed)
        alone = potential("mace").frozen()(Graph.of(atoms, 3.0))
        assert atoms.get_potential_energy() == pytest.approx(alone.energy.item(), abs=1e-12)
        s = alone.stress[0].numpy()
        np.testing.assert_allclose(atoms.get_stress(), s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-14)


def test_changed_numbers_are_taken_up():
    atoms = moving("mace", "molecule")
    before, model = atoms.get_potential_energy(), atoms.calc.potential.terms[1].model
    with torch.no_grad():
        model.embedding.mul_(1.5)
    assert atoms.calc.following(atoms.positions) is None
    atoms.rattle(1e-9)
    assert abs(atoms.get_potential_energy() - before) > 1e-6
    assert atoms.calc.following(atoms.positions).energy == atoms.get_potential_energy()


@pytest.mark.parametrize("family", ["painn", "pairs", "mace in a wall"])
def test_positions_that_are_no_numbers_and_atoms_at_one_place_are_refused(family):
    atoms = moving(family, "molecule")
    rest = atoms.positions.copy()
    for _ in range(2):  # asked again, too
        atoms.positions[0, 0] = np.nan
        with pytest.raises(ValueError, match="exploded"):
            atoms.get_forces()
    atoms.positions = rest
    atoms.positions[:2] = rest[:2].mean(0)
    with pytest.raises(ValueError, match="one place"):
        atoms.get_forces()
    atoms.positions = rest
    assert np.isfinite(atoms.get_forces()).all()


@pytest.mark.parametrize("family", ["mace", "bpnn", "mace in a wall"])
def test_what_was_told_stays_as_it_was(family):
    atoms = moving(family, "crystal")
    atoms.rattle(0.01, seed=5)
    atoms.get_forces()
    results = atoms.calc.results
    kept = copy.deepcopy(dict(results))
    atoms.rattle(0.01, seed=6)
    atoms.get_forces()
    for name, value in kept.items():
        np.testing.assert_array_equal(results[name], value)


@pytest.mark.parametrize("family", ["mace", "bpnn"])
def test_a_copy_of_the_calculator_follows_by_itself(family):
    atoms = moving(family, "crystal")
    other = copy.deepcopy(atoms)
    for seed in range(2):
        for it in (atoms, other):
            it.rattle(0.01, seed=seed)
        np.testing.assert_array_equal(atoms.get_forces(), other.get_forces())
    assert other.calc.following.moving is not atoms.calc.following.moving
