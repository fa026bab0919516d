"""A result is there whole or not at all."""

from __future__ import annotations

import json
import os
import time

import pytest

from adiabat.jobs import InProcess, Ledger, Task, results, run
from jobs.work import square

KEY = "ab" + "0" * 62


def publish(folder, result=1.5):
    return results.publish(folder, KEY, "label", result, wall_s=0.1, cpu_s=0.1)


def test_what_was_published_is_read(tmp_path):
    record = publish(tmp_path, {"energy": -2079.123456789012})
    read = results.read(tmp_path, KEY)
    assert read == {key: value for key, value in record.items() if key != "sha256"}
    assert read["pid"] == os.getpid()
    assert [path.name for path in (tmp_path / "ab").iterdir()] == [f"{KEY}.json"]


def test_nothing_published_is_none(tmp_path):
    assert results.read(tmp_path, KEY) is None


def cut(text):
    return text[: len(text) // 2]


def emptied(_):
    return ""


def changed(text):
    return text.replace("1.5", "1.6")


def foreign(_):
    return json.dumps([1, 2])


def zeros(text):
    return "\0" * len(text)  # what some file systems leave after a power cut


@pytest.mark.parametrize("damage", [cut, emptied, changed, foreign, zeros])
def test_a_damaged_result_is_named_moved_aside_and_computed_again(tmp_path, damage):
    task = Task("square", "jobs.work:square", 1, 1)
    with Ledger(tmp_path) as ledger:
        run([task], ledger, InProcess())
    path = results.path_of(tmp_path / "results", task.key)
    text = path.read_text().replace('"result":1,', '"result":1.5,') if damage is changed else path.read_text()
    path.write_text(damage(text))
    left = path.read_text()
    with Ledger(tmp_path) as ledger:
        (outcome,) = run([task], ledger, InProcess())
        assert (outcome.status, outcome.result, outcome.attempts) == ("done", square(1), 2)
        assert str(path) in ledger.notes[0]
    (aside,) = (tmp_path / "results" / "damaged").iterdir()
    assert aside.read_text() == left


def test_a_result_under_another_name_is_damaged(tmp_path):
    publish(tmp_path)
    os.rename(tmp_path / "ab" / f"{KEY}.json", tmp_path / "ab" / f"ab{'1' * 62}.json")
    with pytest.raises(results.Damaged, match="holds the result of"):
        results.read(tmp_path, "ab" + "1" * 62)


def test_only_stale_temporary_files_are_swept(tmp_path):
    (tmp_path / "ab").mkdir()
    old, new = tmp_path / "ab" / "old.tmp", tmp_path / "ab" / "new.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 2 * results.STALE_S,) * 2)
    results.sweep(tmp_path)
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["new.tmp"]
