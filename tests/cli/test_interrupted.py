"""Stopped by a person, a batch system or a full disk: what is done is kept, and the same command goes on."""

from __future__ import annotations

import resource
import signal

import numpy as np
from ase.build import molecule

from adiabat.build import rattle
from adiabat.data.formats import read, write
from cli.session import interrupted, process, says


def test_an_interrupted_training_goes_on_to_the_same_bits(trained):
    log = trained / "twice/training/metrics.jsonl"
    more = ("train", "train.yaml", "fit.epochs=400")  # long enough to be caught on a busy machine
    code, heard = interrupted(trained, *more, "out=twice", when=log.exists)
    assert code == 130 and "run the same command again to go on" in heard and "Traceback" not in heard
    assert not (trained / "twice/models").exists()
    says(process(trained, *more, "out=twice"), 0)
    says(process(trained, *more, "out=once"), 0)
    assert (trained / "twice" / "models/model.adiabat").read_bytes() == (trained / "once" / "models/model.adiabat").read_bytes()


def test_interrupted_labels_are_kept_and_not_computed_again(place):
    write(place / "many.xyz", rattle(molecule("CH3CH2OH"), 200, sigma_angstrom=0.05, rng=np.random.default_rng(0)))
    (place / "label.yaml").write_text("structures: many.xyz\nout: lab\nlabeler: {tblite: {}}\nworkers: 1\n")

    def published():
        return sorted((place / "lab/results").rglob("*.json"))

    code, heard = interrupted(place, "label", "label.yaml", when=lambda: len(published()) > 5, by=signal.SIGTERM)
    assert code == 130 and "stopped by SIGTERM after" in heard and "run the same command again to go on" in heard
    before = {p: p.stat().st_mtime_ns for p in published()}
    assert 5 < len(before) < 200
    assert len(read(place / "lab/labels.db")) == len(before)  # what was done is there already
    says(process(place, "label", "label.yaml"), 0, "200 labels")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_full_disk_while_training_loses_nothing(place):
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, resource.RLIM_INFINITY))

    says(process(place, "train", "train.yaml", preexec_fn=small), 3, "free some space, and run the same command again")
    says(process(place, "train", "train.yaml"), 0, "force_mae_meV_per_A")
