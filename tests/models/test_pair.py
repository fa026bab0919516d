"""Pair potentials and EAM whose numbers are learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from adiabat.data.structure import labeled, labels
from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.models import EAM, Buckingham, LennardJones, Morse
from adiabat.potential import Potential
from adiabat.training import fit
from training.sets import copper

# What labels are made by: two elements, each pair with numbers of its own
MAKERS = {
    "lennard_jones": LennardJones(
        0.1,
        2.2,
        5.0,
        ["Ni", "Cu"],
        pairs={"Cu-Ni": {"epsilon_eV": 0.15, "sigma_angstrom": 2.3}, "Ni-Ni": {"sigma_angstrom": 2.1}},
    ),
    "morse": Morse(0.4, 1.4, 2.6, 5.0, ["Ni", "Cu"], pairs={"Cu-Cu": {"depth_eV": 0.3}, "Ni-Ni": {"minimum_angstrom": 2.4}}),
    "buckingham": Buckingham(6000.0, 0.28, 280.0, 5.0, ["Ni", "Cu"], pairs={"Cu-Ni": {"A_eV": 7000.0}}),
}


def alloy(n: int, seed: int = 0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True, a=3.5)
        atoms.numbers[:] = rng.choice([28, 29], 4)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        frames.append(atoms)
    return frames


def taught(maker, frames: list[Atoms]) -> list[Atoms]:
    potential = Potential(maker)
    found = [potential(Graph.of(atoms, potential.cutoff)) for atoms in frames]
    return [
        labeled(atoms, energy=float(it.energy[0]), forces=it.forces.numpy(), stress=it.stress[0].numpy())
        for atoms, it in zip(frames, found, strict=True)
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_the_numbers_that_made_the_labels_are_found_again(name):
    """From nothing but the frames: twelve of them state hundreds of forces for six or nine numbers."""
    maker = MAKERS[name]
    found = fit(
        type(maker)(cutoff=5.0), taught(maker, alloy(12)), [], wall=False, epochs=120, reference_energies={"Ni": 0.0, "Cu": 0.0}
    )
    ours, theirs = found.terms[1].by_pair(), maker.by_pair()
    assert ours.keys() == theirs.keys()
    for pair, numbers in theirs.items():
        # 1e-14 when measured: L-BFGS ends where no step lowers the loss, which is exactly zero there
        assert ours[pair] == pytest.approx(numbers, rel=1e-8), pair


def test_what_training_found_can_be_stated():
    """As arguments, in a file, in one compiled call and by tensors: the same function."""
    made = taught(MAKERS["morse"], alloy(6))
    learned = fit(Morse(cutoff=5.0), made, [], wall=False, epochs=5, reference_energies={"Ni": 0.0, "Cu": 0.0})
    stated = Potential(Morse(cutoff=5.0, elements=["Ni", "Cu"], pairs=learned.terms[1].by_pair()))
    graph = Graph.of(made[:3], 5.0)
    for other in (stated(graph), learned.frozen()(graph)):
        # the same operations on numbers that went through Python, or in another order
        torch.testing.assert_close(other.forces, learned(graph).forces, rtol=0, atol=1e-12)


def test_what_is_given_is_where_training_begins():
    frames = taught(MAKERS["morse"], alloy(4))
    options = {"wall": False, "epochs": 1, "optimizer": {"sgd": {"lr": 0.0}}, "reference_energies": {"Ni": 0.0, "Cu": 0.0}}
    begun = fit(Morse(minimum_angstrom=2.75, cutoff=5.0), frames, [], **options).terms[1].by_pair()
    assert {row["minimum_angstrom"] for row in begun.values()} == {2.75}
    assert all(row["depth_eV"] != 1.0 for row in begun.values())  # the usual depth of what nobody gave
    absent = fit(Buckingham(C_eV_angstrom6=0.0, cutoff=5.0), frames, [], **{**options, "epochs": 3, "optimizer": "lbfgs"})
    assert all(row["C_eV_angstrom6"] == 0 for row in absent.terms[1].by_pair().values())


@pytest.mark.parametrize("model, share", [(Morse(cutoff=5.0), 0.15), (EAM(cutoff=5.0), 0.06)])
def test_copper_is_learned(model, share, tmp_path):
    """EMT is an embedded atom method of other functions: EAM comes near to it, and nearer than a pair potential can."""
    train, test = list(copper(24)), list(copper(8, seed=5))
    potential = fit(model, train, test[:3], epochs=60)
    size = float(np.sqrt(np.mean(np.concatenate([labels(a)["forces"].ravel() for a in test]) ** 2)))
    missed = [labels(a)["forces"] - potential(Graph.of(a, 5.0)).forces.numpy() for a in test[3:]]
    # measured: 0.08 of the forces' size by Morse, 0.03 by EAM; with room for other processors' paths
    assert float(np.sqrt(np.mean(np.concatenate(missed) ** 2))) < share * size
    potential.save(tmp_path / "copper.adiabat")
    again = load(tmp_path / "copper.adiabat")
    assert torch.equal(again(Graph.of(test[0], 5.0)).forces, potential(Graph.of(test[0], 5.0)).forces)


def test_a_committee_learns_numbers_of_its_own():
    potential = fit(
        EAM(cutoff=4.5, dr=0.02, knots=6), list(copper(12)), list(copper(4, seed=5)), members=2, leave_out=0.4, epochs=10
    )
    told = potential(Graph.of(copper(4, seed=6)[0], 4.5))
    assert float(told.outputs["forces_spread"].min()) > 0
    quick = potential.frozen()(Graph.of(copper(4, seed=6)[0], 4.5))
    torch.testing.assert_close(quick.forces, told.forces, rtol=0, atol=1e-10)


def test_reference_energies_are_learned_along_where_no_atom_alone_states_them():
    """The mean energy of a crystal is no atom's: a potential whose atoms are bound cannot make it zero."""
    frames = list(copper(8))
    bound = fit(Morse(cutoff=5.0), frames, [], epochs=40)
    assert float(bound.terms[-1].added.detach()[29]) > 0.5  # eV: its atoms are bound by more than half of one
    lone = labeled(Atoms("Cu"), energy=0.0, forces=np.zeros((1, 3)))
    assert [term.name for term in fit(Morse(cutoff=5.0), [*frames, lone], [], epochs=1).terms] == [
        "reference_energies",
        "zbl",
        "morse",
    ]
