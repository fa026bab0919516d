"""Configurations, engines, folders and models that do not fit: refused before anything is written."""

from __future__ import annotations

import numpy as np
from ase.build import molecule

from adiabat.data.formats import write
from adiabat.data.structure import labeled
from cli.session import MODEL, says


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
