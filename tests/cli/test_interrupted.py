"""Stopped by a person, a batch system or a full disk: what is done is kept, and the same command goes on."""

from __future__ import annotations

import json
import re
import resource

import numpy as np
import pytest
from ase.build import molecule

from adiabat.build import rattle
from adiabat.data.formats import read, write
from cli.session import MODEL, interrupted, process, says, stands


def test_an_interrupted_training_goes_on_to_the_same_bits(trained):
    log = trained / "twice/training/metrics.jsonl"
    more = ("train", "train.yaml", "fit.epochs=400")  # long enough to be caught on a busy machine
    code, heard = interrupted(trained, *more, "out=twice", when=log.exists)
    assert code == 130 and "run the same command again to go on" in heard and "Traceback" not in heard
    assert not (trained / "twice/models").exists()
    assert re.search(r"stopped +(after \d+ of 400 epochs|in the first epoch); .* --finish", heard)
    says(process(trained, *more, "out=twice", "--finish"), 0, "force_mae_meV_per_A")  # a model of what is learned so far
    early = (trained / "twice/models/model.adiabat").read_bytes()
    assert b"unfinished" in early[:20000]
    says(process(trained, *more, "out=twice"), 0)
    says(process(trained, *more, "out=once"), 0)
    assert (trained / "twice" / "models/model.adiabat").read_bytes() == (trained / "once" / "models/model.adiabat").read_bytes()
    assert (trained / "once" / "models/model.adiabat").read_bytes() != early
    says(process(trained, *more, "out=never", "--finish"), 2, "no checkpoint of an interrupted training")
    assert not (trained / "never").exists()


def test_interrupted_labels_are_kept_and_not_computed_again(place):
    write(place / "many.xyz", rattle(molecule("CH3CH2OH"), 200, sigma_angstrom=0.05, rng=np.random.default_rng(0)))
    (place / "label.yaml").write_text("structures: many.xyz\nout: lab\nlabeler: {tblite: {}}\nworkers: 1\n")

    def published():
        return sorted((place / "lab/results").rglob("*.json"))

    code, heard = interrupted(place, "label", "label.yaml", when=lambda: len(published()) > 5)
    assert code == 130 and "stopped by SIGINT after" in heard and "run the same command again to go on" in heard
    before = {p: p.stat().st_mtime_ns for p in published()}
    assert 5 < len(before) < 200
    assert len(read(place / "lab/labels.db")) == len(before)  # what was done is there already
    says(process(place, "label", "label.yaml"), 0, "200 labels")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def small_disk(bytes_a_file: int):
    """A limit on every file that a command and its workers write, as a full disk gives: the write fails, and says so."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))


@pytest.mark.parametrize("limit, where", [(6_000, "checkpoint"), (200_000, "report")])
def test_a_disk_that_is_full_while_training_loses_nothing(place, trained, limit, where):
    """Too little room for a checkpoint, or enough for the model and too little for the report: with room again the training goes on where
    it stands, an epoch that is written down is not computed again, and the model is that of an untroubled training to the bit."""
    stopped = process(place, "train", "train.yaml", preexec_fn=small_disk(limit))
    says(stopped, 3, where, "free some space, and run the same command again")
    log, model = place / "run/training/metrics.jsonl", place / "run/models/model.adiabat"
    known = log.read_bytes()
    assert model.exists() == (where == "report")
    says(process(place, "train", "train.yaml"), 0, "force_mae_meV_per_A")
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [10, 20]
    assert where != "report" or log.read_bytes() == known
    assert model.read_bytes() == (trained / MODEL).read_bytes()


def test_a_disk_that_is_full_while_labeling_keeps_every_published_label(place):
    """The ledger's file meets the limit after some labels; with room again they stand as they were, and only the others are computed."""
    write(place / "many.xyz", rattle(molecule("CH3CH2OH"), 60, sigma_angstrom=0.05, rng=np.random.default_rng(0)))
    (place / "label.yaml").write_text("structures: many.xyz\nout: lab\nlabeler: {ase: {calculator: emt}}\nworkers: 1\n")
    stopped = process(place, "label", "label.yaml", preexec_fn=small_disk(150_000))
    says(stopped, 3, "run again|run the same command again")
    before = stands(place / "lab/results")
    assert 0 < len(before) < 60
    says(process(place, "label", "label.yaml"), 0, "60 labels")
    after = stands(place / "lab/results")
    assert {path: after[path] for path in before} == before and len(after) == 60
