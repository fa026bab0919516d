"""Who names no model gets one that the frames ask for."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import adiabat as ad
from adiabat.labelers import labeler
from adiabat.potential import describe
from adiabat.training import fit
from adiabat.training.usual import BATCH_EDGES, STEPS, usual


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


def test_a_name_in_the_place_of_a_model_is_refused():
    with pytest.raises(
        ValueError, match=r"fit.model: 'ace' came with frames; wanted a model, such as ad.models.ACE\(\), or 'auto'"
    ):
        ad.fit("ace", [])
