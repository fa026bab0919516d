"""`adiabat train` as a run: the data gate sees the parts of the split, packed sets are read as needed, torchrun shares the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

import adiabat as ad
from adiabat.campaign.frames import GateFaults
from adiabat.campaign.learn import learn
from adiabat.campaign.train import train
from adiabat.config import ConfigError
from adiabat.data.formats import write
from adiabat.data.packing import pack
from campaign.small import SMALL
from training.sets import emt, water

SMALL_MODEL = {"bpnn": {"cutoff": 3.0, "radial": 4, "angular": 1, "zetas": [1.0], "hidden": [5]}}
FIT = {"epochs": 4, "optimizer": {"adamw": {"lr": 3e-3}}, "batch_edges": 30}


def findings(folder: Path) -> dict[str, list[int]]:
    """Frames by the name of a finding, as the report has them."""
    gate = json.loads((folder / "report.json").read_text())["sections"]["data_gate"]
    return {f["name"]: f["frames"] for f in gate["findings"]}


def test_frames_that_leak_into_the_test_file_are_named(tmp_path):
    frames, fresh = list(water(16)), list(water(3, seed=9))
    turned = frames[4].copy()
    turned.rotate(70, (1, 2, 3))
    write(tmp_path / "set.xyz", frames)
    write(tmp_path / "test.xyz", [fresh[0], emt(turned), fresh[1]])
    said = []
    folder = train(
        data=str(tmp_path / "set.xyz"), test=str(tmp_path / "test.xyz"), model=SMALL_MODEL, out=str(tmp_path / "run"), fit=FIT,
        say=lambda stage, text, _: said.append(f"{stage}: {text}"),
    )  # fmt: skip
    assert findings(folder)["leakage"] == [len(frames) + 1]  # numbered through: the second frame of the test file
    assert any("data: leakage: 1 frame is in an earlier part of the split too" in line for line in said)
    # the run's own split keeps such frames together: nothing leaks when one file has both
    write(tmp_path / "one.xyz", [*frames, emt(turned)])
    alone = train(data=str(tmp_path / "one.xyz"), model=SMALL_MODEL, out=str(tmp_path / "alone"), fit=FIT)
    assert "leakage" not in findings(alone) and "equivalent structures" in findings(alone)


def test_a_fault_in_a_test_file_stops_the_run_by_its_number(tmp_path):
    frames = list(water(12))
    bad = emt(water(13)[12])
    bad.calc.results["forces"] = bad.calc.results["forces"] + 1.0
    write(tmp_path / "set.xyz", frames)
    write(tmp_path / "test.xyz", [*water(2, seed=9), bad])
    with pytest.raises(GateFaults, match=r"data, then test: the data gate found 1 fault:\n  net force"):
        train(data=str(tmp_path / "set.xyz"), test=str(tmp_path / "test.xyz"), model=SMALL_MODEL, out=str(tmp_path / "run"))
    assert findings(tmp_path / "run")["net force"] == [14]
    assert not (tmp_path / "run/models").exists()


class Pushed(EMT):
    """Forces that do not sum to zero, as of an engine whose grid is too coarse."""

    def calculate(self, *arguments, **more):
        super().calculate(*arguments, **more)
        self.results["forces"] = self.results["forces"] + np.array([0.1, 0, 0])


def test_a_learning_campaign_stops_at_faulty_labels(tmp_path):
    engine = {"ase": {"calculator": "campaign.test_train:Pushed"}}
    start = {"relax": False, "rattled": 4, "hot": 0}
    with pytest.raises(GateFaults, match=r"the labels: the data gate found 1 fault:\n  net force"):
        learn({**SMALL, "labeler": engine, "start": start, "test": {"frames": 2}, "workers": 1}, out=tmp_path / "run")
    assert findings(tmp_path / "run")["net force"]
    assert not list((tmp_path / "run").glob("models/*"))
    assert len(ad.Dataset(tmp_path / "run/labels.db"))  # what was computed is kept


@pytest.fixture
def shards(tmp_path):
    dataset = ad.Dataset(tmp_path / "set.db")
    dataset.add(water(40))
    return pack(dataset)


def test_a_packed_set_trains_as_a_run(tmp_path, shards):
    folder = train(data=str(shards.path), model=SMALL_MODEL, out=str(tmp_path / "run"), fit=FIT)
    summary = json.loads((folder / "summary.json").read_text())
    assert [summary[f"n_{side}"] for side in ("train", "validation", "test")] == [32, 4, 4] and summary["labels"] == 40
    assert summary["errors_on"] == "test" and summary["force_mae_meV_per_A"] > 0
    told = ad.load(folder / summary["model"]).metadata["training"]
    assert told["n_train"] == 32 and told["data_hash"] == shards.data_hash


@pytest.mark.slow
def test_torchrun_trains_what_one_process_does(tmp_path, shards):
    data = {"data": str(shards.path), "model": SMALL_MODEL, "fit": FIT}
    alone = train(**data, out=str(tmp_path / "alone"))
    (tmp_path / "train.yaml").write_text(json.dumps({**data, "out": str(tmp_path / "two")}))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "adiabat"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "train", str(tmp_path / "train.yaml")], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = ad.load(alone / "models/model.adiabat"), ad.load(tmp_path / "two/models/model.adiabat")
    for name, value in one.state_dict().items():
        # sums in another order, a few steps of AdamW
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-6, atol=1e-9)
    assert done.stdout.count("report.html") == 1  # one process tells how it goes


def test_least_squares_that_is_interrupted_does_not_promise_to_go_on(tmp_path):
    """It keeps nothing half-way, unlike a training by epochs, and begins anew in the same folder."""
    write(tmp_path / "set.xyz", water(12))

    def stop_at_the_first_frame(stage, told, numbers):
        if stage == "train":
            raise KeyboardInterrupt

    given = {"data": str(tmp_path / "set.xyz"), "model": {"ace": {"cutoff": 3.0, "channels": 2}}, "out": str(tmp_path / "run")}
    with pytest.raises(KeyboardInterrupt, match="begins anew"):
        train(**given, say=stop_at_the_first_frame)
    assert (train(**given) / "models/model.adiabat").exists()


def test_without_a_model_the_frames_choose_one_and_the_report_says_which(tmp_path):
    rng = np.random.default_rng(0)
    crystal = [bulk("Cu", cubic=True) for _ in range(12)]
    for atoms in crystal:
        atoms.rattle(0.1, rng=rng)
    write(tmp_path / "set.xyz", [emt(atoms) for atoms in crystal])
    said = []
    folder = train(
        data=str(tmp_path / "set.xyz"), out=str(tmp_path / "run"), say=lambda stage, text, _: said.append(f"{stage}: {text}")
    )
    assert "data: model: ace, by the frames; name another one if you want it" in said
    sections = json.loads((folder / "report.json").read_text())["sections"]
    assert sections["settings"]["model"]["name"] == "ace"
    assert {"ace", "tensor-reduced"} <= set(sections["citations"]["used"])


def test_the_solver_of_a_linear_family_is_named_and_refused_to_others_before_anything_is_made(tmp_path):
    write(tmp_path / "set.xyz", water(12))
    given = {"data": str(tmp_path / "set.xyz"), "model": {"ace": {"cutoff": 3.0, "channels": 2}}}
    solvers = {"ard": {"least_squares": {"prior": "ard"}}, "lsqr": {"lsqr": {"ridge": 1e-6, "block": 40}}}
    for name, solver in solvers.items():
        folder = train(**given, out=str(tmp_path / name), fit={"optimizer": solver})
        told = json.loads((folder / "report.json").read_text())["sections"]["settings"]["training"]
        assert told["optimizer"] == "least squares"
        assert name in (told.get("prior"), told.get("solver"))
    with pytest.raises(ConfigError, match=r"^fit.optimizer: lsqr came, and solves for what a model is linear in; painn has"):
        train(data=given["data"], model="painn", out=str(tmp_path / "none"), fit={"optimizer": "lsqr"})
    with pytest.raises(ConfigError, match=r"^fit.optimizer.lsqr: unknown option 'blocks'; did you mean 'block'"):
        train(**given, out=str(tmp_path / "none"), fit={"optimizer": {"lsqr": {"blocks": 40}}})
    assert not (tmp_path / "none").exists()
