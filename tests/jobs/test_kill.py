"""Kill anything anywhere: no published result is lost or computed again."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess

import pytest

from adiabat.jobs import Ledger
from jobs.chaos import Campaign, children, wait_until
from jobs.driver import INTERRUPTED

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds worker processes in /proc")


def check(campaign: Campaign, kills: int) -> None:
    counts = campaign.counts()
    print(json.dumps(counts))
    assert (counts["lost"], counts["computed_again"]) == (0, 0)
    assert counts["published"] == campaign.n_tasks
    assert counts["kills"] == kills
    with Ledger(campaign.folder) as ledger:
        assert ledger.counts()["done"] == campaign.n_tasks
        assert not ledger.notes
    with sqlite3.connect(campaign.folder / "run.db") as db:
        (attempts,) = db.execute("SELECT SUM(attempts) FROM tasks").fetchone()
    assert attempts >= counts["attempts_begun"]  # every start was counted before it was handed out


@pytest.mark.parametrize("mode", ["driver", "both"])
def test_a_driver_killed_at_random_moments_resumes(tmp_path, mode):
    campaign = Campaign(tmp_path, n_tasks=60, sleep_s=0.05)
    campaign.kill(mode, moments=4, rng=random.Random(7), up_to_s=0.3)
    check(campaign, kills=4)


def test_killed_workers_are_replaced(tmp_path):
    campaign = Campaign(tmp_path, n_tasks=60, sleep_s=0.05)
    campaign.kill("worker", moments=4, rng=random.Random(8), up_to_s=0.5)
    check(campaign, kills=campaign.kills)
    assert campaign.kills >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_in_good_order(tmp_path, number):
    campaign = Campaign(tmp_path, n_tasks=12, sleep_s=1.0)
    driver = campaign.start()
    assert wait_until(lambda: (tmp_path / "computed.log").exists() and len(campaign.starts()) == 2)
    os.killpg(driver.pid, number)
    assert driver.wait(10) == INTERRUPTED
    assert f"stopped by {number.name}" in driver.stdout.read().decode()
    begun = len(campaign.starts())
    assert begun == 2  # nothing new was handed out
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["running"] == 0
        assert ledger.counts()["done"] == len(campaign.published()) == begun  # the grace was long enough to finish
        assert not ledger.notes  # nothing was left for the next driver to mend


def test_tasks_longer_than_the_grace_are_killed_and_wait(tmp_path):
    campaign = Campaign(tmp_path, n_tasks=2, sleep_s=60)
    driver = campaign.start()
    assert wait_until(lambda: (tmp_path / "computed.log").exists() and len(campaign.starts()) == 2)
    workers = children(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(10) == INTERRUPTED
    assert workers
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["waiting"] == 2


def test_a_second_interrupt_does_not_wait(tmp_path):
    campaign = Campaign(tmp_path, n_tasks=2, sleep_s=60)
    driver = campaign.start(grace_s=60)
    assert wait_until(lambda: (tmp_path / "computed.log").exists() and len(campaign.starts()) == 2)
    os.killpg(driver.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        driver.wait(0.5)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(10) == INTERRUPTED
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["waiting"] == 2
        assert not ledger.notes


@pytest.mark.kill
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["driver", "worker", "both", "term", "int"])
def test_kill_matrix(tmp_path, mode, capsys):
    campaign = Campaign(tmp_path, n_tasks=1000, sleep_s=0.04)  # long enough for ten kills on a machine with other work
    campaign.kill(mode, moments=10, rng=random.Random(mode), up_to_s=0.4)
    with capsys.disabled():
        print(f"\n{mode:7s}", json.dumps(campaign.counts()))
    check(campaign, kills=10)
