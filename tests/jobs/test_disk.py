"""A full disk pauses the run; with room again it goes on, and what was published is still there."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys

import pytest

from adiabat.jobs import Ledger, LocalPool, RunPaused, Task, run
from jobs.chaos import TESTS


def big(n):
    return [Task("big", "jobs.work:big", i, i) for i in range(n)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 kB, and the way to make it larger."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "adiabat-test", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield tmp_path, lambda: subprocess.run(["mount", "-o", "remount,size=16m", str(tmp_path)], check=True)
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("filled_by", ["results", "another program"])
def test_a_full_disk_pauses_and_loses_nothing(small_disk, filled_by):
    folder, enlarge = small_disk
    tasks = big(40) if filled_by == "results" else [Task("square", "jobs.work:square", n, n) for n in range(200)]

    def fill(_):
        if filled_by == "another program":
            with contextlib.suppress(OSError), open(folder / "filler", "ab", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass

    with LocalPool(2) as pool:
        with Ledger(folder) as ledger, pytest.raises(RunPaused) as pause:
            run(tasks, ledger, pool, fill)
        assert "run again" in pause.value.cure
        published = {path: path.read_bytes() for path in (folder / "results").glob("??/*.json")}
        assert 0 < len(published) < len(tasks)
        enlarge()
        with Ledger(folder) as ledger:
            assert all(outcome.status == "done" for outcome in run(tasks, ledger, pool))
            assert ledger.counts()["done"] == len(tasks)
    assert all(path.read_bytes() == before for path, before in published.items())
    assert not list((folder / "results").glob("**/*.tmp"))


LIMITED = """
import resource, sys
from adiabat.jobs import Ledger, LocalPool, RunPaused, Task, run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
tasks = [Task("big", "jobs.work:big", i, i) for i in range(4)]
try:
    with Ledger(sys.argv[1]) as ledger, LocalPool(1) as pool:
        print(sum(outcome.status == "done" for outcome in run(tasks, ledger, pool)))
except RunPaused as pause:
    print("paused:", pause)
"""


@pytest.mark.parametrize("limit, where", [(24_000, "run.db"), (100_000, "cannot write the result")])
def test_a_limit_on_file_size_pauses_too(tmp_path, limit, where):
    """The same without root: too little for the database to open; enough for it, and too little for a result."""

    def attempt(limit):
        command = [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    Ledger(tmp_path).close()
    paused = attempt(limit)
    assert "paused:" in paused
    assert where in paused
    assert "run again" in paused
    assert attempt(resource.RLIM_INFINITY) == "4\n"
