"""Who names no model gets one that the frames ask for."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import adiabat as ad
from adiabat.data.packing import pack
from adiabat.data.parts import whole
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled
from adiabat.labelers import labeler
from adiabat.potential import describe
from adiabat.training import fit
from adiabat.training.usual import BATCH_EDGES, OF_A_PACK, STEPS, usual


def shaken(atoms: Atoms, n: int) -> list[Atoms]:
    engine, rng = labeler("ase", calculator="emt"), np.random.default_rng(0)
    frames = [atoms.copy() for _ in range(n)]
    for one in frames:
        one.rattle(0.05, rng=rng)
    return [engine(one) for one in frames]


@pytest.mark.parametrize(
    ("atoms", "family"),
    [
        (molecule("CH3CH2OH"), "mace"), (molecule("CH4"), "ace"), (molecule("C2H6"), "mace"), (bulk("Cu", cubic=True) * 2, "ace"),
        (molecule("CH3CH2OH", vacuum=4.0, pbc=True), "ace"),
    ],
)  # fmt: skip
def test_molecules_of_more_atoms_than_products_tell_learn_by_steps(atoms, family):
    """Five atoms are one and four neighbors, which products of four densities tell wholly; isolated atoms beside them say nothing."""
    model, options = usual([atoms] * 30 + [Atoms("H"), Atoms("O")], {}, fit)
    assert model.name == family
    assert bool(options) == (family == "mace")


@pytest.mark.parametrize("n", [20, 450, 5000])
def test_it_takes_as_long_whatever_the_frames(n):
    """As many steps of as many pairs of neighbors, to half an epoch."""
    _, options = usual([molecule("C6H6")] * n, {}, fit)
    edges = n * 12 * 11  # all of them within the cutoff
    per_epoch = edges / options["batch_edges"]
    assert options["batch_edges"] == BATCH_EDGES
    assert abs(options["epochs"] * per_epoch - STEPS * min(1, per_epoch)) <= 0.5 * max(1, per_epoch)


def test_what_was_asked_for_stays():
    frames = [molecule("C6H6")] * 20
    _, options = usual(frames, {"epochs": 7, "dtype": "float64", "average": "none"}, fit)
    assert set(options) == {
        "optimizer",
        "average",
        "batch_edges",
        "dtype",
    }  # float64 and none say what they say when they are left out
    assert usual(frames, {"optimizer": "lbfgs"}, fit)[1] == {}  # steps and batches are AdamW's


def test_the_potential_has_that_model():
    frames = shaken(bulk("Cu"), 8)
    potential = ad.fit("auto", frames)
    model, _ = usual(frames, {}, fit)
    assert describe(potential.terms[-1].model) == describe(model.for_elements(["Cu"]))


def test_a_packed_set_gets_the_model_of_its_frames(tmp_path):
    """The first frames of a pack stand for it: their edges are counted, and as many a frame in the rest."""
    frames = [labeled(atoms, energy=float(k)) for k, atoms in enumerate(shaken(molecule("C2H6"), OF_A_PACK + 100))]
    frames.append(labeled(Atoms("H"), energy=0.0))
    dataset = Dataset(tmp_path / "set.db")
    dataset.add(frames)
    in_memory, of_pack = usual(frames, {}, fit), usual(whole(pack(dataset)), {}, fit)
    assert (describe(of_pack[0]), of_pack[1]) == (describe(in_memory[0]), in_memory[1])


def test_a_packed_set_of_small_molecules_is_solved(tmp_path):
    dataset = Dataset(tmp_path / "set.db")
    dataset.add(shaken(molecule("H2"), 6))
    potential = ad.fit("auto", pack(dataset).path)
    assert potential.terms[-1].model.name == "ace"


def test_a_name_in_the_place_of_a_model_is_refused():
    with pytest.raises(ValueError, match=r"fit.model: 'ace' came; wanted a model, such as ad.models.ACE\(\), or 'auto'"):
        ad.fit("ace", [])
