"""A run folder knows its run: goes on with the same, refuses another, and never touches what is not its own."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from adiabat.campaign.run_folder import WORKED, RunFolder, RunFolderError
from adiabat.jobs import LedgerInUse

CONFIG = {"data": ["a.xyz"], "model": {"bpnn": {"cutoff": 5.0}}, "workers": 2}


def test_the_same_configuration_goes_on(tmp_path):
    first = RunFolder(tmp_path / "run", CONFIG, kind="train")
    first.event("train", "begun", frames=3)
    again = RunFolder(tmp_path / "run", CONFIG, kind="train")
    assert not first.resumed and again.resumed
    assert [(e["stage"], e["message"], e["frames"]) for e in again.events()] == [("train", "begun", 3)]
    assert again.fingerprint == first.fingerprint
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == CONFIG


def test_another_configuration_is_refused_by_its_first_difference(tmp_path):
    RunFolder(tmp_path, CONFIG)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    with pytest.raises(RunFolderError, match=r"has model\.bpnn\.cutoff = 5\.0, this one 6\.0; .* choose another folder"):
        RunFolder(tmp_path, {**CONFIG, "model": {"bpnn": {"cutoff": 6.0}}})
    with pytest.raises(RunFolderError, match=r"has seed = nothing, this one 1"):
        RunFolder(tmp_path, {**CONFIG, "seed": 1})
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before


def test_a_refused_start_that_left_nothing_makes_room_for_the_mended_configuration(tmp_path):
    """What a refusal advises (waive a fault by name, leave an option out) is another configuration: it shall not need another folder."""
    mended = {**CONFIG, "waive": ["net force"]}
    with pytest.raises(ValueError, match="a fault"):
        start(tmp_path, ValueError("a fault in the data"), leaves=None)
    with RunFolder(tmp_path, mended) as again:
        assert not again.resumed and again.events() == []
        assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == mended
    with pytest.raises(RunFolderError, match="choose another folder"):  # the mended one was not refused
        RunFolder(tmp_path, CONFIG)


@pytest.mark.parametrize("error, leaves", [(ValueError(), "models/model.adiabat"), (KeyboardInterrupt(), None)])
def test_a_start_that_left_something_or_was_interrupted_keeps_its_folder(tmp_path, error, leaves):
    with pytest.raises(type(error)):
        start(tmp_path, error, leaves)
    with pytest.raises(RunFolderError, match="choose another folder"):
        RunFolder(tmp_path, {**CONFIG, "seed": 1})


def start(path, error: BaseException, leaves: str | None) -> None:
    with RunFolder(path, CONFIG) as folder:
        folder.event("gate", "stopped")
        folder.path("training/metrics.jsonl")  # a folder is no result
        if leaves:
            folder.path(leaves).touch()
        raise error


def test_the_time_of_every_start_counts(tmp_path):
    """Of a start that was killed up to the last file that it or its workers wrote; of one that ended all of it; between them nothing."""
    killed = RunFolder(tmp_path, CONFIG)
    killed.__enter__()
    published = killed.path("results/ab/label.json")
    published.write_text("{}")
    later = json.loads((tmp_path / WORKED).read_text())["begun"] + 100.0
    os.utime(published, (later, later))
    killed._lock.release()  # as the system does with the lock of a killed process
    with RunFolder(tmp_path, CONFIG) as resumed:
        assert resumed.worked_s >= 100.0
    told = resumed.worked_s
    os.utime(published, (later + 1000.0, later + 1000.0))  # whoever touches a file while nobody works has worked nothing
    with RunFolder(tmp_path, CONFIG) as again:
        assert -0.01 < again.worked_s - told < 900.0  # what opening it takes, by two clocks


def test_another_kind_of_run_is_refused(tmp_path):
    RunFolder(tmp_path, CONFIG, kind="train")
    with pytest.raises(RunFolderError, match="of kind 'train', wanted 'learn'"):
        RunFolder(tmp_path, CONFIG, kind="learn")


def test_what_changes_no_result_may_change(tmp_path):
    RunFolder(tmp_path, CONFIG, free=["workers"])
    assert RunFolder(tmp_path, {**CONFIG, "workers": 8}, free=["workers"]).resumed


def test_files_of_somebody_else_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("the work of years")
    with pytest.raises(RunFolderError, match=r"holds 1 files that no run wrote \(the first: thesis.tex\)"):
        RunFolder(tmp_path, CONFIG)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunFolderError, match="a file came, wanted a folder"):
        RunFolder(tmp_path / "thesis.tex", CONFIG)


def test_a_second_program_is_kept_out(tmp_path):
    with RunFolder(tmp_path, CONFIG), pytest.raises(LedgerInUse, match="in use by process"), RunFolder(tmp_path, CONFIG):
        pass
    with RunFolder(tmp_path, CONFIG):
        pass


def test_a_kill_within_a_line_costs_that_line_only(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    folder.event("a", "whole")
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"stage": "b", "mess')
    again = RunFolder(tmp_path, CONFIG)
    again.event("c", "whole again", value=float("nan"))
    assert [(e["stage"], e.get("value")) for e in again.events()] == [("a", None), ("c", None)]


def test_a_start_killed_before_its_mark_is_no_strangers_folder(tmp_path):
    RunFolder(tmp_path, CONFIG)
    (tmp_path / "run.json").unlink()
    assert not RunFolder(tmp_path, CONFIG).resumed


def test_json_files_are_whole(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    folder.write_json("summary.json", {"labels": 3, "nve": float("inf")})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"labels": 3, "nve": None} == folder.read_json("summary.json")
    assert folder.read_json("nothing.json") is None
    assert folder.path("models/a.adiabat").parent.is_dir()
