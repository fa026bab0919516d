"""Engines that are programs of their own: none outlives a kill, and none that hangs holds up the others."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write

from adiabat.data.store import Dataset
from adiabat.jobs import Ledger, LocalPool, Task, run
from jobs.chaos import TESTS, alive, children, kill, wait_until
from jobs.engine import HANGING, pair

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds worker processes in /proc")


def labeling(folder: Path, frames: list[Atoms], groups: bool, **options) -> subprocess.Popen:
    """`adiabat label` with an engine that starts a program."""
    write(folder / "pairs.xyz", frames, format="extxyz")
    engine = {"calculator": "jobs.engine:Outside", "arguments": {"folder": str(folder), "groups": groups}}
    config = {"structures": "pairs.xyz", "out": "run", "workers": 1, "labeler": {"ase": engine}, **options}
    (folder / "label.yaml").write_text(json.dumps(config))
    return subprocess.Popen(
        [sys.executable, "-m", "adiabat", "label", "label.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        stdout=subprocess.DEVNULL,
        stderr=open(folder / "stderr", "ab"),
        start_new_session=True,
    )


def programs(folder: Path) -> list[int]:
    """What the engine started so far."""
    return [int(path.stem) for path in folder.glob("*.pid")]


def hanging() -> Atoms:
    return Atoms("Cu2", [[0, 0, 0], [HANGING, 0, 0]])


@pytest.mark.parametrize(
    "whom, groups", [("driver", False), ("driver and worker", True), pytest.param("driver", True, marks=pytest.mark.slow)]
)
def test_a_killed_driver_leaves_no_program_behind(tmp_path, whom, groups):
    driver = labeling(tmp_path, [hanging()], groups)
    try:
        assert wait_until(lambda: programs(tmp_path) or driver.poll() is not None, 120), "the engine never started"
        [program] = programs(tmp_path)
        assert alive(program)
        workers = [pid for pid in children(driver.pid) if "adiabat.jobs.worker" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(workers) == 1
        if whom != "driver":
            kill(workers[0])
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert wait_until(lambda: not alive(program)), "the engine's program outlived its driver"
    assert wait_until(lambda: not any(alive(pid) for pid in workers))


def test_a_warden_that_was_killed_is_replaced(tmp_path):
    with Ledger(tmp_path) as ledger, LocalPool(1) as pool:
        run([Task("test", "jobs.work:square", 2, "first")], ledger, pool)
        before = pool._warden._process
        kill(before.pid)
        assert wait_until(lambda: not alive(before.pid))
        [outcome] = run([Task("test", "jobs.work:leave", 3, "a worker dies, another comes")], ledger, pool)
        assert outcome.failure.kind == "node_lost"
        after = pool._warden._process
        assert after.pid != before.pid and alive(after.pid)
    assert not alive(after.pid)


def test_a_label_that_hangs_is_stopped_and_the_others_are_made(tmp_path):
    frames = [pair(0), hanging(), pair(1)]
    # 24 s of nothing: the first label of a worker counts its imports, which take seconds on a crowded machine.
    limited = labeling(tmp_path, frames, groups=True, limit_minutes=0.4)
    assert limited.wait(120) == 3, (tmp_path / "stderr").read_text()
    [failure] = json.loads((tmp_path / "run" / "failures.json").read_text())
    assert (failure["frames"], failure["kind"]) == ([1], "out_of_time")
    assert "0.4 minutes" in failure["message"] and "raise the limit" in failure["cure"]
    with Dataset(tmp_path / "run" / "labels.db") as store:
        assert len(store) == 2
    [program] = programs(tmp_path)
    assert not alive(program)
    with closing(sqlite3.connect(tmp_path / "run" / "run.db")) as db:
        ended = db.execute("SELECT ended_as, wall_s FROM attempts WHERE ended_as != 'done'").fetchall()
    assert [how for how, _ in ended] == ["out_of_time"] and ended[0][1] >= 24.0


def test_a_larger_limit_tries_again_what_ran_out_of_time(tmp_path):
    def sleep(limit_s: float | None) -> Task:
        return Task("test", "time:sleep", 2.0, "sleep", limit_s)

    with Ledger(tmp_path) as ledger, LocalPool(1) as pool:
        for limit_s, attempts in ((0.5, 1), (0.5, 1), (None, 2)):
            began = time.monotonic()
            [outcome] = run([sleep(limit_s)], ledger, pool)
            assert outcome.attempts == attempts
            assert (outcome.status, outcome.failure and outcome.failure.kind) == (
                ("failed", "out_of_time") if limit_s else ("done", None)
            )
        assert time.monotonic() - began >= 2.0
    with pytest.raises(ValueError, match="positive time"):
        sleep(0.0)
