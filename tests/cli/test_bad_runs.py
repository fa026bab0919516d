"""Configurations, engines, folders and models that do not fit: refused before anything is written."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import fcc111, molecule

from adiabat.data.formats import read, write
from adiabat.data.structure import labeled
from cli.session import MODEL, says, stands


def test_an_unknown_option_offers_the_nearest(here, place):
    says(here(place, "train", "train.yaml", "modle=bpnn"), 2, "train: unknown option 'modle'; did you mean 'model'")
    says(here(place, "train", "train.yaml", "fit.epoch=3"), 2, "fit: unknown option 'epoch'; did you mean 'epochs'")
    says(here(place, "train", "train.yaml", "model={bpn: {}}"), 2, "'bpn' is unknown; did you mean 'bpnn'")
    says(here(place, "train", "train.yaml", "fit.optimizer={lbfgs: {memory: 3}}"), 2, "unknown option 'memory'")
    assert not (place / "run").exists()


def test_an_engine_that_is_not_installed_is_told_with_its_cure(here, place):
    (place / "label.yaml").write_text(
        "structures: start.xyz\nout: lab\nlabeler: {ase: {calculator: 'nowhere.engine:Engine'}}\n"
    )
    says(here(place, "label", "label.yaml"), 3, "cannot be imported", "pip install nowhere")
    assert not (place / "lab").exists()


def test_an_engine_that_fails_ends_with_3(here, place):
    (place / "label.yaml").write_text("structures: start.xyz\nout: lab\nlabeler: {tblite: {max_iterations: 2}}\n")
    says(here(place, "label", "label.yaml"), 3, "0 labels", "not_converged|crashed")


def test_a_slab_is_not_learned_as_a_molecule(here, place):
    write(place / "slab.xyz", fcc111("Cu", (1, 1, 3), vacuum=6.0))
    (place / "slab.yaml").write_text(
        "structure: slab.xyz\nlabeler: {ase: {calculator: emt}}\nmodel: {bpnn: {cutoff: 3.0}}\nout: mine\n"
    )
    says(here(place, "learn", "slab.yaml"), 2, "repeats in 2 of three directions", "adiabat train")
    assert not (place / "mine").exists()


def test_a_run_folder_of_another_run_is_refused(here, trained):
    before = {p.name: p.stat().st_mtime_ns for p in (trained / "run").iterdir()}
    says(here(trained, "train", "train.yaml", "seed=7"), 2, "run: the run there has seed = 0, this one 7")
    says(here(trained, "train", "train.yaml", "out=."), 2, "files that no run wrote")
    assert {p.name: p.stat().st_mtime_ns for p in (trained / "run").iterdir()} == before


def test_a_model_does_not_guess_about_elements_it_has_not_seen(here, trained):
    write(trained / "ammonia.xyz", labeled(molecule("NH3"), energy=-100.0, forces=np.zeros((4, 3))), overwrite=True)
    told = ("contains N, which this potential has not seen; it knows H O", "Train with structures that contain it")
    says(here(trained, "test", MODEL, "ammonia.xyz"), 2, *told)
    says(here(trained, "md", MODEL, "ammonia.xyz", "--temperature-K", "300", "--steps", "10", "--out", "a.xyz"), 2, *told)
    says(here(trained, "test", "set.xyz", "set.xyz"), 2, "set.xyz: not a model file")


SMALL = {
    "label": "structures: start.xyz\nout: mine\nlabeler: {ase: {calculator: emt}}\nworkers: 1\n",
    "sample": "structures: start.xyz\nout: mine.xyz\ndraw: [{rattle: {count: 3, sigma_angstrom: 0.05}}]\n",
    "learn": "structure: H2O\nlabeler: {ase: {calculator: emt}}\nmodel: {bpnn: {cutoff: 3.0}}\nout: mine\n",
    "md": "model: nothing.adiabat\nstructure: start.xyz\nout: mine.xyz\n",
}


@pytest.mark.parametrize("kind, misspelled, told", [
    ("label", "labler={ase: {calculator: emt}}", "unknown option 'labler'; did you mean 'labeler'"),
    ("label", "labeler={tblit: {}}", "'tblit' is unknown; did you mean 'tblite'"),
    ("label", "labeler={tblite: {max_iteration: 3}}", "unknown option 'max_iteration'; did you mean 'max_iterations'"),
    ("sample", "draw=[{ratle: {count: 3}}]", "'ratle' is unknown; did you mean 'rattle'"),
    ("learn", "explore={temperature_K: [300]}", "unknown option 'temperature_K'; did you mean 'temperatures_K'"),
    ("learn", "fit={epoch: 3}", "unknown option 'epoch'; did you mean 'epochs'"),
    ("md", "timestep=0.5", "unknown option 'timestep'; did you mean 'timestep_fs'"),
    ("md", "steps=many", "steps.*'many'"),
])  # fmt: skip
def test_a_misspelled_key_is_told_by_every_command_before_anything_is_written(here, place, kind, misspelled, told):
    (place / "mine.yaml").write_text(SMALL[kind])
    before = stands(place)
    says(here(place, kind, "mine.yaml", misspelled), 2, told)
    assert stands(place) == before


@pytest.mark.parametrize("kind", ["label", "learn"])
def test_a_missing_engine_is_told_before_anything_is_written(here, place, kind):
    (place / "mine.yaml").write_text(SMALL[kind])
    before = stands(place)
    told = ("cannot be imported", "pip install nowhere")
    says(here(place, kind, "mine.yaml", "labeler={ase: {calculator: 'nowhere.engine:Engine'}}"), 3, *told)
    assert stands(place) == before


def test_folders_and_files_of_other_runs_are_kept(here, place, trained):
    """Labels, a campaign and a trajectory of another configuration are refused, and nothing of theirs changes."""
    (place / "mine.yaml").write_text(SMALL["label"])
    says(here(place, "label", "mine.yaml"), 0, "1 labels in")
    motion = ("md", str(trained / MODEL), "start.xyz", "--temperature-K", "300", "--steps", "5", "--out", "m.xyz")
    says(here(place, *motion), 0)
    (place / "campaign.yaml").write_text(SMALL["learn"])
    before = stands(place)
    says(
        here(place, "label", "mine.yaml", "structures=set.xyz"),
        2,
        "the run there has structures = .*start.xyz",
        "choose another folder",
    )
    says(
        here(place, "train", "train.yaml", "out=mine"), 2, "holds a run of kind 'label', wanted 'train'; choose another folder"
    )
    says(here(place, "learn", "campaign.yaml"), 2, "holds a run of kind 'label', wanted 'learn'; choose another folder")
    says(here(place, *motion, "--seed", "7"), 2, "m.xyz", "--overwrite")
    assert stands(place) == before


def test_overlapping_atoms_stop_a_training_before_it_begins(here, place):
    """The gate names them; waived by name, the training goes."""
    crushed = molecule("H2O")
    crushed.positions[1] = crushed.positions[0] + [0, 0, 0.05]
    forces = np.zeros((3, 3))
    forces[:2, 2] = (-30.0, 30.0)
    write(place / "set.xyz", [*read(place / "set.xyz"), labeled(crushed, energy=-130.0, forces=forces)], overwrite=True)
    stopped = here(place, "train", "train.yaml", "out=stopped")
    says(stopped, 1, "overlapping atoms: 1 frame has atoms below 0.1 of the sum", "waive: \\[overlapping atoms\\]")
    assert not (place / "stopped/models").exists()
    says(
        here(place, "train", "train.yaml", "out=waived", "waive=[overlapping atoms]", "fit.epochs=1"), 0, "force_mae_meV_per_A"
    )


def test_dynamics_does_not_begin_from_overlapping_atoms(here, place, trained):
    crushed = molecule("H2O")
    crushed.positions[1] = crushed.positions[0] + [0, 0, 0.05]
    write(place / "crushed.xyz", crushed)
    before = stands(place)
    run = here(place, "md", str(trained / MODEL), "crushed.xyz", "--temperature-K", "300", "--steps", "5", "--out", "m.xyz")
    says(run, 2, "crushed.xyz: atoms 0 and 1 are 0.05 Å apart, 0.05 of the sum of their covalent radii; wanted at least 0.25")
    assert stands(place) == before
