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

from ase.io import write

from jobs.engine import number, pair, poison

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
    ends_with: int = 0  # the exit code of a run that came to its end

    def start(self, grace_s: float = 2.0) -> subprocess.Popen:
        command = [sys.executable, "-m", "jobs.driver", self.folder, self.n_tasks, self.workers, self.sleep_s, grace_s]
        path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        driver = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            preexec_fn=heed,
            start_new_session=True,  # a signal to its group is what a terminal's Ctrl-C is
        )
        assert driver.stdout.readline() == b"running\n"
        return driver

    def moment(self, driver: subprocess.Popen, rng: random.Random, up_to_s: float) -> None:
        """Wait until it is time for the next kill: mostly while tasks are at work, however long the start takes, sometimes before."""
        begun = len(self.starts())
        if rng.random() < 0.8:
            assert wait_until(lambda: len(self.starts()) > begun or driver.poll() is not None, 60)
        time.sleep(rng.uniform(0.0, up_to_s))

    def kill(self, mode: str, moments: int, rng: random.Random, up_to_s: float) -> None:
        """`moments` kills of one mode; a driver that was killed is started again, the last one runs to the end."""
        driver = self.start()
        for _ in range(moments):
            self.moment(driver, rng, up_to_s)
            if driver.poll() is not None:
                break
            if mode == "worker":
                wait_until(lambda driver=driver: children(driver.pid) or driver.poll() is not None)
            workers = children(driver.pid)
            if mode == "worker":
                self.snapshot()
                if workers:
                    kill(rng.choice(workers))
                    self.kills += 1
                    # Workers that die one after the other before they ever work pause a run, as they should: see one at work first.
                    begun = len(self.starts())
                    wait_until(lambda begun=begun, driver=driver: len(self.starts()) > begun or driver.poll() is not None)
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
        assert driver.wait(300) == self.ends_with
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
        log = self.folder / "computed.log"
        lines = log.read_text().splitlines() if log.exists() else []
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


@dataclass
class Labeling(Campaign):
    """`adiabat label` itself, on an EMT labeler; the folder of the run is `run` within `folder`, or elsewhere by `run`."""

    poisoned: bool = False
    run: Path = Path("run")

    def prepare(self) -> None:
        frames = [pair(n) for n in range(self.n_tasks)]
        if self.poisoned:
            for k, bad in enumerate(poison()):
                frames.insert(self.n_tasks // 3 * (k + 1), bad)
        write(self.folder / "pairs.xyz", frames, format="extxyz")
        engine = {"calculator": "jobs.engine:LoggedEMT", "arguments": {"log": str(self.log), "sleep_s": self.sleep_s}}
        options = {"structures": "pairs.xyz", "out": str(self.run), "workers": self.workers, "labeler": {"ase": engine}}
        (self.folder / "label.yaml").write_text(json.dumps(options))  # JSON is YAML, too

    @property
    def log(self) -> Path:
        return self.folder / "computed.log"

    @property
    def results(self) -> Path:
        return self.folder / self.run / "results"

    def start(self, grace_s: float = 0.0) -> subprocess.Popen:
        path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        return subprocess.Popen(
            [sys.executable, "-m", "adiabat", "label", "label.yaml"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "stderr", "ab"),
            preexec_fn=heed,
            start_new_session=True,
        )

    def moment(self, driver: subprocess.Popen, rng: random.Random, up_to_s: float) -> None:
        """Some more results from now, and a little later: while labels are computed, however slow the machine."""
        wanted = len(self.files()) + rng.randint(1, max(1, self.n_tasks // 15))
        assert wait_until(lambda: len(self.files()) >= wanted or driver.poll() is not None, 120)
        time.sleep(rng.uniform(0.0, up_to_s))

    def files(self) -> list[Path]:
        return list(self.results.glob("??/*.json"))

    def published(self) -> dict[int, str]:
        """Structure → the moment and the process that published it."""
        found = {}
        for path in self.files():
            record = json.loads(path.read_bytes())
            found[number(record["result"]["atoms"]["positions"])] = f"{record['published']} {record['pid']}"
        return found


def heed() -> None:
    """Ctrl-C counts, even where these tests run in the background of a shell, which has its commands ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
