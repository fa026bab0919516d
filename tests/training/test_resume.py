"""Interrupted anywhere and called again, a training ends with the same bits as one that nobody touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adiabat.models import ACE, BPNN
from adiabat.training import fit
from adiabat.training.checkpoint import ForeignCheckpoint
from training.killed import train
from training.sets import water

RUNS = [("adamw", 1), ("sgd", 1), ("lbfgs", 1), ("adamw", 3), ("lbfgs", 3)]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """Potentials of trainings that ran through, and their logs."""
    known = {}

    def of(optimizer: str, members: int):
        if (optimizer, members) not in known:
            folder = tmp_path_factory.mktemp(f"{optimizer}{members}")
            known[optimizer, members] = train(folder, optimizer, members), (folder / "metrics.jsonl").read_text()
        return known[optimizer, members]

    return of


def same(a, b) -> None:
    assert a.state_dict().keys() == b.state_dict().keys()
    assert all(torch.equal(a.state_dict()[k], b.state_dict()[k]) for k in a.state_dict())
    assert a.metadata == b.metadata


def interrupt_at(epoch: int):
    def progress(metrics):
        if metrics["epoch"] == epoch:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("optimizer, members", RUNS)
def test_an_interrupted_training_goes_on_bit_for_bit(untouched, tmp_path, optimizer, members):
    for epoch in (2, 6, 10):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, optimizer, members, interrupt_at(epoch))
    whole, log = untouched(optimizer, members)
    same(train(tmp_path, optimizer, members), whole)
    assert (tmp_path / "metrics.jsonl").read_text() == log


@pytest.mark.parametrize("optimizer, members", RUNS)
def test_an_interrupt_within_an_epoch_is_as_good(untouched, tmp_path, optimizer, members, monkeypatch):
    """Ctrl-C comes when it likes: here in the middle of a batch, after some parameters have moved already."""
    from adiabat.training.loop import Training

    calls = 0

    def errors(self, batch):
        nonlocal calls
        calls += 1
        if calls in (14, 33):
            raise KeyboardInterrupt
        return original(self, batch)

    original = Training.errors
    monkeypatch.setattr(Training, "errors", errors)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, optimizer, members)
    same(train(tmp_path, optimizer, members), untouched(optimizer, members)[0])


@pytest.mark.parametrize("optimizer, members", RUNS)
def test_a_killed_training_goes_on_bit_for_bit(untouched, tmp_path, optimizer, members):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1])]), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("killed.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), optimizer, str(members)], stdout=subprocess.PIPE, text=True, env=env
    )
    for line in process.stdout:
        if json.loads(line) >= 6:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / "checkpoint.safetensors").exists()
    whole, log = untouched(optimizer, members)
    same(train(tmp_path, optimizer, members), whole)
    assert (tmp_path / "metrics.jsonl").read_text() == log


def test_a_finished_training_is_not_repeated(untouched, tmp_path):
    train(tmp_path, "adamw", 1)

    def progress(metrics):
        raise AssertionError("an epoch was trained")

    same(train(tmp_path, "adamw", 1, progress), untouched("adamw", 1)[0])


@pytest.mark.parametrize("optimizer, members", [("adamw", 1), ("lbfgs", 3)])
def test_an_interrupted_training_gives_a_potential_and_still_goes_on(untouched, tmp_path, optimizer, members):
    """One that says how far it came; with AdamW the best by the checks so far. The checkpoint and the log stay as they are."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, optimizer, members, interrupt_at(6))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    early = train(tmp_path, optimizer, members, finish=True)
    assert early.metadata["training"]["unfinished"] == "5 of 12 epochs"  # the sixth was interrupted in its check
    assert early.metadata["metrics"]["validation"]["force_rmse_meV_per_A"] > 0
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    whole, log = untouched(optimizer, members)
    same(train(tmp_path, optimizer, members), whole)
    assert "unfinished" not in whole.metadata["training"] and (tmp_path / "metrics.jsonl").read_text() == log


def test_nothing_trained_is_nothing_to_finish(tmp_path):
    with pytest.raises(ValueError, match="no epoch of this training is done"):
        train(tmp_path, "adamw", 1, finish=True)


def test_each_epoch_is_counted(tmp_path):
    heard = []
    train(tmp_path, "lbfgs", 1, tick=lambda done, of: heard.append((done, of)))
    assert heard == [(k, 12) for k in range(1, 13)]


def test_each_frame_of_least_squares_is_counted():
    """Held-out frames and those it learns from."""
    heard = []
    fit(
        ACE(cutoff=3.0, channels=2, correlation=2, l_max=1),
        water(14),
        water(4, seed=9),
        tick=lambda done, of: heard.append((done, of)),
    )
    assert heard == [(k, 18) for k in range(1, 19)]


def test_a_note_cut_off_in_the_midst_of_writing_is_dropped(untouched, tmp_path):
    wanted, log = untouched("lbfgs", 1)
    train(tmp_path, "lbfgs", 1)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 1, "train": {"energy_rmse_meV_per_atom": 1.0}')
    same(train(tmp_path, "lbfgs", 1), wanted)
    assert (tmp_path / "metrics.jsonl").read_text() == log


def test_the_same_call_gives_the_same_bits_without_a_folder(untouched):
    same(train(None, "lbfgs", 1), untouched("lbfgs", 1)[0])


def test_nobody_else_s_random_numbers_change():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(None, "adamw", 3, epochs=1)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("change", ["options", "data", "model", "weights"])
def test_the_checkpoint_of_another_training_is_refused(tmp_path, change):
    frames = [a.copy() for a in water(6)]
    for a, b in zip(frames, water(6)):
        a.calc = b.calc
    options = {"epochs": 2, "folder": tmp_path}
    fit(BPNN(cutoff=3.0, hidden=[3]), frames, frames[:2], **options)
    hidden = [3]
    if change == "options":
        options["seed"] = 7
    elif change == "data":
        frames = frames[:-1]
    elif change == "weights":
        frames[0].info["weight"] = 2.0
    else:
        hidden = [4]
    with pytest.raises(ForeignCheckpoint, match="a checkpoint of another training"):
        fit(BPNN(cutoff=3.0, hidden=hidden), frames, list(water(6))[:2], **options)
