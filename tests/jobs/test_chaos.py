"""The kill matrix of the real thing: `adiabat label` on an EMT labeler, killed at ten random moments in every way there is.

Nothing that was published is lost or computed again. `make test-chaos` runs a thousand structures a way and prints the counts; a
small one of each runs with the other tests.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from ase.io import read

from adiabat.data.store import Dataset
from jobs.chaos import Labeling

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds worker processes in /proc")
MODES = ["driver", "worker", "both", "term", "int"]


def check(campaign: Labeling, poison: int = 0) -> dict[str, int]:
    """Counts, and that the run's own files agree with what was published."""
    counts = campaign.counts()
    assert (counts["lost"], counts["computed_again"]) == (0, 0), counts
    assert counts["published"] == campaign.n_tasks
    run = campaign.folder / campaign.run
    with Dataset(run / "labels.db") as store:
        assert len(store) == campaign.n_tasks
    assert len(read(run / "labels.xyz", ":")) == campaign.n_tasks
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["labels"], summary["failed"], summary["open"]) == (campaign.n_tasks, poison, 0)
    with closing(sqlite3.connect(run / "run.db")) as db:
        (attempts,) = db.execute("SELECT SUM(attempts) FROM tasks").fetchone()
    assert attempts >= counts["attempts_begun"]  # every start was counted before it was handed out
    errors = (campaign.folder / "stderr").read_text()
    assert "Traceback" not in errors and "sorry" not in errors
    return counts


def killed(folder: Path, mode: str, n: int, moments: int, sleep_s: float, *, poisoned: bool = False) -> dict[str, int]:
    campaign = Labeling(folder, n, sleep_s=sleep_s, poisoned=poisoned, ends_with=3 if poisoned else 0)
    campaign.prepare()
    campaign.kill(mode, moments, random.Random(mode), up_to_s=0.2)
    assert campaign.kills == moments
    if poisoned:
        failures = json.loads((folder / "run" / "failures.json").read_text())
        assert sorted(f["kind"] for f in failures) == ["bad_input", "node_lost"]
        assert all(f["cure"] for f in failures)
    return check(campaign, poison=2 if poisoned else 0)


def filled(folder: Path, disk: Path, n: int, moments: int, step_kB: int, sleep_s: float) -> dict[str, int]:
    """A file system that is full again and again: each time the run pauses, and goes on when there is room."""
    campaign = Labeling(folder, n, sleep_s=sleep_s, run=disk / "run")
    campaign.prepare()
    for moment in range(moments):
        subprocess.run(["mount", "-o", f"remount,size={400 + step_kB * (moment + 1)}k", str(disk)], check=True)
        driver = campaign.start()
        code = driver.wait(300)
        assert code == 3, (folder / "stderr").read_text()[-2000:]  # paused, in words
        assert re.search("free some space|free disk space|disk is full", (folder / "stderr").read_text())
        campaign.kills += 1
        campaign.snapshot()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    assert campaign.start().wait(300) == 0
    return check(campaign)


@pytest.fixture
def disk(tmp_path):
    """A small file system."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "adiabat-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_killed_labeling_goes_on(tmp_path):
    killed(tmp_path, "both", n=30, moments=1, sleep_s=0.02, poisoned=True)


def tell(capsys, mode: str, counts: dict[str, int]) -> None:
    with capsys.disabled():
        print(f"\nadiabat label, {mode:9s}", json.dumps(counts))


@pytest.mark.kill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", MODES)
def test_labeling_survives(tmp_path, mode, capsys):
    tell(capsys, mode, killed(tmp_path, mode, n=1000, moments=10, sleep_s=0.01))


@pytest.mark.kill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["both", "worker"])
def test_labeling_survives_with_poison_among_the_structures(tmp_path, mode, capsys):
    tell(capsys, f"{mode}, poison", killed(tmp_path, mode, n=1000, moments=10, sleep_s=0.01, poisoned=True))


@pytest.mark.kill
@pytest.mark.timeout(1800)
def test_labeling_survives_a_full_disk(tmp_path, disk, capsys):
    tell(capsys, "full disk", filled(tmp_path, disk, n=1000, moments=10, step_kB=300, sleep_s=0.005))
