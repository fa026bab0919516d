"""Kill a campaign at random moments and resume it, and count what was lost or computed again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
SIGNALS = {"driver": signal.SIGKILL, "both": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


@dataclass
class Campaign:
    """`n_tasks` small logged tasks in a folder; `snapshots` hold what was published by when."""

    folder: Path
    n_tasks: int
    workers: int = 2
    sleep_s: float = 0.01
    snapshots: list[tuple[float, dict[int, str]]] = field(default_factory=list)
    kills: int = 0

    def start(self, grace_s: float = 2.0) -> subprocess.Popen:
        command = [sys.executable, "-m", "jobs.driver", self.folder, self.n_tasks, self.workers, self.sleep_s, grace_s]
        path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        driver = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            start_new_session=True,  # a signal to its group is what a terminal's Ctrl-C is
        )
        assert driver.stdout.readline() == b"running\n"
        return driver

    def kill(self, mode: str, moments: int, rng: random.Random, up_to_s: float) -> None:
        """`moments` kills of one mode; a driver that was killed is started again, the last one runs to the end."""
        driver = self.start()
        for _ in range(moments):
            time.sleep(rng.uniform(0.0, up_to_s))
            if driver.poll() is not None:
                break
            workers = children(driver.pid)
            if mode == "worker":
                self.snapshot()
                if workers:
                    kill(rng.choice(workers))
                    self.kills += 1
                continue
            if mode == "both":
                for worker in workers:
                    kill(worker)
            os.killpg(driver.pid, SIGNALS[mode])
            driver.wait(30)
            self.kills += 1
            assert wait_until(lambda gone=workers: not any(alive(pid) for pid in gone)), "workers outlived their driver"
            self.snapshot()
            driver = self.start()
        assert driver.wait(120) == 0
        self.snapshot()

    def published(self) -> dict[int, str]:
        """Result files as they are, without the code under test."""
        found = {}
        for path in (self.folder / "results").glob("??/*.json"):
            result = json.loads(path.read_bytes())["result"]
            found[result["n"]] = result["nonce"]
        return found

    def snapshot(self) -> None:
        published = self.published()
        self.snapshots.append((time.time(), published))

    def starts(self) -> list[tuple[int, float, str]]:
        lines = (self.folder / "computed.log").read_text().splitlines()
        return [(int(n), float(t), nonce) for n, t, nonce in map(str.split, lines)]

    def counts(self) -> dict[str, int]:
        """lost: published once, not there at the end. again: begun, or replaced, after it was published."""
        final = self.published()
        lost, again = set(), set()
        for when, published in self.snapshots:
            lost |= published.keys() - final.keys()
            again |= {n for n, t, _ in self.starts() if t > when and n in published}
            again |= {n for n in published if final.get(n) != published[n]}
        starts = len(self.starts())
        return {
            "kills": self.kills,
            "published": len(final),
            "attempts_begun": starts,
            "attempts_cut_off": starts - len(final),
            "lost": len(lost),
            "computed_again": len(again),
        }


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def alive(pid: int) -> bool:
    """Running; a zombie that nobody has reaped is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until(holds, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(held)
