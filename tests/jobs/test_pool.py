"""Workers are fresh processes with one thread, warm between runs, deaf to Ctrl-C, and gone when the pool is."""

from __future__ import annotations

import os
import sys

import pytest

from adiabat.jobs import Ledger, LocalPool, RunPaused, Task, run
from adiabat.jobs.local import THREADS
from jobs.chaos import alive, kill, wait_until


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as ledger:
        yield ledger


def call(function, argument=None, name=None):
    return Task("test", f"jobs.work:{function}", argument, [function, argument, name])


def results(tasks, ledger, pool):
    return [outcome.result for outcome in run(tasks, ledger, pool)]


def test_workers_stay_warm_and_leave_with_the_pool(ledger):
    with LocalPool(2) as pool:
        first = {r["pid"] for r in results([call("where", n) for n in range(20)], ledger, pool)}
        again = {r["pid"] for r in results([call("where", n) for n in range(20, 40)], ledger, pool)}
        assert len(first) <= 2
        assert again <= first | {w.process.pid for w in pool._pool}
        assert len(pool._pool) <= 2
    assert not any(alive(pid) for pid in first)
    pool.close()  # twice is fine


def test_workers_are_in_a_session_of_their_own(ledger):
    with LocalPool(1) as pool:
        (found,) = results([call("where")], ledger, pool)
    assert found["parent"] == os.getpid()
    assert found["session"] == found["pid"]


@pytest.mark.parametrize("threads", [1, 3])
def test_thread_counts_are_set_before_numpy_is_imported(ledger, threads):
    with LocalPool(1, threads_per_worker=threads) as pool:
        environment, loaded = results([call("environment", list(THREADS)), call("modules", ["numpy", "torch"])], ledger, pool)
    assert environment == dict.fromkeys(THREADS, str(threads))
    assert loaded == [False, False]


def test_the_users_environment_reaches_the_engine_unchanged(ledger, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    with LocalPool(1) as pool:
        (found,) = results([call("environment", ["PYTHONPATH", "ADIABAT_PYTHONPATH"])], ledger, pool)
    assert found == {"PYTHONPATH": "/of/the/user", "ADIABAT_PYTHONPATH": None}


def test_what_engines_print_does_not_reach_the_protocol_or_the_terminal(ledger, capfd):
    with LocalPool(1) as pool:
        assert results([call("chatter", 20000), call("square", 3)], ledger, pool) == ["", 9]  # and stdin is empty
    assert capfd.readouterr() == ("", "")


def test_large_arguments_and_results_pass(ledger):
    text = "Å" * 2_000_000
    with LocalPool(1) as pool:
        (found,) = results([Task("test", "copy:copy", text, "large")], ledger, pool)
    assert found == text


def test_a_worker_that_dies_in_its_sleep_costs_nobody_an_attempt(ledger):
    with LocalPool(1) as pool:
        (before,) = results([call("where", 0)], ledger, pool)
        kill(before["pid"])
        assert wait_until(lambda: not alive(before["pid"]))
        (outcome,) = run([call("where", 1)], ledger, pool)
    assert outcome.attempts == 1
    assert outcome.result["pid"] != before["pid"]


def test_workers_that_cannot_start_pause_the_run_and_blame_no_task(ledger, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with LocalPool(2) as pool, pytest.raises(RunPaused, match="before they can work"):
        run([call("square", n) for n in range(5)], ledger, pool)
    monkeypatch.undo()
    with LocalPool(2) as pool:
        assert all(o.status == "done" for o in run([call("square", n) for n in range(5)], ledger, pool))


def test_cancel_stops_a_task_now(ledger):
    from adiabat.jobs import Order

    with LocalPool(1) as pool:
        pool.submit(Order("ab" * 32, "test", "time:sleep", 60, str(ledger.results)))
        assert pool.capacity() == 0
        (worker,) = pool._pool
        pool.cancel("ab" * 32)
        assert pool.capacity() == 1
        assert not alive(worker.process.pid)
        assert pool.wait(0.1) == []


def test_a_pool_without_workers_is_refused():
    with pytest.raises(ValueError, match="wanted 1 or more"):
        LocalPool(0)
