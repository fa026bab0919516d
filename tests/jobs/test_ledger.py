"""The ledger remembers every attempt, mends what a dead driver left, and has one driver at a time."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from adiabat.jobs import InProcess, Ledger, LedgerInUse, Report, RunPaused, Task, run

HOLD = "import sys; from adiabat.jobs import Ledger; ledger = Ledger(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def squares(n):
    return [Task("square", "jobs.work:square", i, i) for i in range(n)]


def test_a_second_driver_is_told_who_holds_the_folder(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LedgerInUse, match=f"process {other.pid} on {socket.gethostname()}"):
            Ledger(tmp_path)
        other.kill()  # however its holder ends, the lock is free
        other.wait()
        Ledger(tmp_path).close()


def test_a_second_ledger_in_one_process_is_refused_too(tmp_path):
    with Ledger(tmp_path), pytest.raises(LedgerInUse, match=f"process {os.getpid()}"):
        Ledger(tmp_path)
    Ledger(tmp_path).close()


def test_results_unknown_to_the_ledger_are_adopted(tmp_path):
    with Ledger(tmp_path) as ledger:
        run(squares(5), ledger, InProcess())
    for path in tmp_path.glob("run.db*"):
        path.unlink()
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["done"] == 5
        assert "adopted 5" in ledger.notes[0]
        outcomes = run(squares(5), ledger, InProcess())
        assert [o.result for o in outcomes] == [0, 1, 4, 9, 16]
        assert [o.attempts for o in outcomes] == [0] * 5  # this ledger has seen none


def test_running_rows_of_a_dead_driver_wait_again_and_stay_counted(tmp_path):
    (task,) = squares(1)
    with Ledger(tmp_path) as ledger:
        ledger.enroll([task])
        ledger.start(task.key)
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["waiting"] == 1
        assert "cut off" in ledger.notes[0]
        assert [a["ended_as"] for a in ledger.attempts(task.key)] == ["interrupted"]
        (outcome,) = run([task], ledger, InProcess())
        assert outcome.attempts == 2


def test_interruptions_never_quarantine(tmp_path):
    (task,) = squares(1)
    for _ in range(10):
        with Ledger(tmp_path) as ledger:
            ledger.enroll([task])
            ledger.start(task.key)
    with Ledger(tmp_path) as ledger:
        assert run([task], ledger, InProcess())[0].status == "done"


def test_a_result_that_was_deleted_is_computed_again(tmp_path):
    (task,) = squares(1)
    with Ledger(tmp_path) as ledger:
        run([task], ledger, InProcess())
        next((tmp_path / "results").glob("??/*.json")).unlink()
        (outcome,) = run([task], ledger, InProcess())
        assert (outcome.status, outcome.attempts) == ("done", 2)
        assert "is gone" in ledger.notes[0]


def test_a_report_without_a_result_is_not_believed(tmp_path):
    (task,) = squares(1)
    with Ledger(tmp_path) as ledger:
        ledger.enroll([task])
        ledger.start(task.key)
        assert ledger.settle(Report(task.key, None, 1.0, 1.0, "host", 1)) is None
        assert ledger.attempts(task.key)[0]["ended_as"] == "crashed"


def test_released_tasks_are_tried_again_from_a_clean_slate(tmp_path):
    task = Task("label", "jobs.work:poisoned", None, None)
    with Ledger(tmp_path) as ledger:
        assert run([task], ledger, InProcess())[0].status == "quarantined"
        assert run([task], ledger, InProcess())[0].attempts == 1  # not touched again
        assert ledger.release([task.key]) == 1
        assert run([task], ledger, InProcess())[0].attempts == 2
        assert ledger.release() == 1


def test_a_damaged_database_costs_history_not_results(tmp_path):
    with Ledger(tmp_path) as ledger:
        run(squares(3), ledger, InProcess())
    for path in tmp_path.glob("run.db-*"):
        path.unlink()
    (tmp_path / "run.db").write_bytes(b"not a database, for sure" * 100)
    with pytest.raises(ValueError, match=r"run\.db is damaged .*move it away"):
        Ledger(tmp_path)
    (tmp_path / "run.db").rename(tmp_path / "run.db.damaged")
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["done"] == 3


def test_a_newer_ledger_is_refused(tmp_path):
    Ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / "run.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ValueError, match="version 99.*update adiabat"):
        Ledger(tmp_path)
    with pytest.raises(ValueError, match="version 99"):
        Ledger(tmp_path)  # and the lock was given back


def test_a_database_locked_by_another_program_pauses(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger._db.execute("PRAGMA busy_timeout = 100")  # the wait of 30 s is not what is tested
        other = sqlite3.connect(tmp_path / "run.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunPaused, match="close the program"):
            run(squares(1), ledger, InProcess())
        other.close()
        assert run(squares(1), ledger, InProcess())[0].status == "done"


def test_the_database_reads_while_a_driver_works(tmp_path):
    with Ledger(tmp_path) as ledger:
        run(squares(2), ledger, InProcess())
        other = sqlite3.connect(f"file:{tmp_path / 'run.db'}?mode=ro", uri=True)
        rows = other.execute("SELECT state, json_extract(identity, '$') FROM tasks").fetchall()
        other.close()
    assert sorted(rows) == [("done", 0), ("done", 1)]
    assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
