"""Outcomes in order, each key once; every class of failure leads where its table says."""

from __future__ import annotations

import errno

import pytest

from adiabat.jobs import InProcess, Ledger, LocalPool, RunPaused, Task, run
from jobs.chaos import alive, wait_until
from jobs.work import logged_task


@pytest.fixture(params=["in process", "pool"])
def engine(request):
    with InProcess() if request.param == "in process" else LocalPool(2) as engine:
        yield engine


@pytest.fixture
def pool():
    with LocalPool(2) as pool:
        yield pool


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "run") as ledger:
        yield ledger


def call(function, argument=None, name=None):
    return Task("test", f"jobs.work:{function}", argument, [function, name if name is not None else argument])


def squares(n):
    return [call("square", i) for i in range(n)]


def test_outcomes_come_in_the_order_of_the_tasks(ledger, engine):
    outcomes = run(squares(20), ledger, engine)
    assert [o.result for o in outcomes] == [n**2 for n in range(20)]
    assert {(o.status, o.failure, o.attempts) for o in outcomes} == {("done", None, 1)}


def test_equal_keys_are_computed_once(ledger, engine, tmp_path):
    tasks = [logged_task(n % 3, tmp_path / "log", 0.0) for n in range(12)]
    heard = []
    outcomes = run(tasks, ledger, engine, heard.append)
    assert [o.result["n"] for o in outcomes] == [n % 3 for n in range(12)]
    assert len((tmp_path / "log").read_text().splitlines()) == len(heard) == 3


def test_published_results_are_reused_by_any_engine(ledger, engine, tmp_path):
    tasks = [logged_task(n, tmp_path / "log", 0.0) for n in range(4)]
    first = run(tasks, ledger, engine)
    assert run(tasks, ledger, InProcess()) == first
    assert len((tmp_path / "log").read_text().splitlines()) == 4


def test_no_tasks_no_outcomes(ledger, engine):
    assert run([], ledger, engine) == []


def test_a_failing_callback_leaves_nothing_running(ledger, pool):
    def fail(_):
        raise LookupError("a bug in the progress bar")

    with pytest.raises(LookupError):
        run(squares(10), ledger, pool, fail)
    assert ledger.counts()["running"] == 0
    assert all(o.status == "done" for o in run(squares(10), ledger, pool))


def test_poisoned_tasks_are_set_aside_and_the_rest_is_done(ledger, pool):
    poison = [call("poisoned"), call("leave", 3), call("segfault"), call("not_a_number"), call("stubborn"), call("nowhere")]
    tasks = [*squares(5), *poison, *[call("square", i) for i in range(5, 10)]]
    outcomes = run(tasks, ledger, pool)
    assert [o.result for o in outcomes[:5] + outcomes[-5:]] == [n**2 for n in range(10)]
    assert [(o.status, o.failure.kind, o.attempts) for o in outcomes[5:-5]] == [
        ("quarantined", "bad_input", 1),
        ("quarantined", "node_lost", 3),
        ("quarantined", "node_lost", 3),
        ("quarantined", "crashed", 2),
        ("failed", "not_converged", 1),
        ("quarantined", "crashed", 2),
    ]
    bad, left, fault, nan, _, nowhere = [o.failure for o in outcomes[5:-5]]
    assert (bad.message, bad.cure) == ("two atoms at one place", "take the second atom away")
    assert "exit code 3" in left.message
    assert "SIGSEGV" in fault.message
    assert "result.energy is nan" in nan.message
    assert "nowhere" in nowhere.message
    # The worker's last words are in the ledger: the Python stack of the segfault, the traceback of the crash.
    assert "jobs/work.py" in ledger.attempts(outcomes[7].key)[-1]["detail"]
    assert "Traceback" in ledger.attempts(outcomes[8].key)[0]["detail"]


def test_in_process_knows_the_same_failures(ledger):
    outcomes = run([call("poisoned"), call("stubborn"), call("not_a_number")], ledger, InProcess())
    assert [o.failure.kind for o in outcomes] == ["bad_input", "not_converged", "crashed"]


@pytest.mark.parametrize(
    "task, kind",
    [
        (call("raise_os_error", errno.ENOSPC), "resources"),
        (call("raise_os_error", errno.EMFILE), "resources"),
        (Task("test", "no_such_engine.labels:label", None, None), "engine_missing"),
    ],
)
def test_what_the_next_task_would_meet_too_pauses_the_run(ledger, engine, tmp_path, task, kind):
    # Tasks that take a while, so that the pause is heard before the other worker asks for its third.
    slow = [logged_task(n, tmp_path / "log", sleep_s=0.1) for n in range(50)]
    with pytest.raises(RunPaused) as pause:
        run([task, *slow], ledger, engine)
    assert pause.value.kind == kind
    assert "run again" in pause.value.cure
    assert ledger.counts()["running"] == 0
    assert ledger.counts()["waiting"] >= 48  # stopped handing out, lost nothing
    assert len(run(slow, ledger, engine)) == 50


@pytest.mark.parametrize("how", ["die_once", "die_before_rename"])
def test_a_worker_killed_at_work_costs_one_attempt(ledger, pool, tmp_path, how):
    (outcome,) = run([call(how, str(tmp_path / "marker"))], ledger, pool)
    assert (outcome.status, outcome.attempts) == ("done", 2)
    assert [a["ended_as"] for a in ledger.attempts(outcome.key)] == ["node_lost", "done"]
    assert "SIGKILL" in ledger.attempts(outcome.key)[0]["message"]


def test_a_result_published_by_a_worker_that_died_before_it_could_say_so_counts(ledger, pool, tmp_path):
    (outcome,) = run([call("die_after_rename", str(tmp_path / "marker"))], ledger, pool)
    assert (outcome.status, outcome.result, outcome.attempts) == ("done", "published", 1)


def test_a_dead_worker_takes_its_programs_along(ledger, pool, tmp_path):
    run([call("with_child", str(tmp_path / "pid"))], ledger, pool)
    child = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not alive(child))
