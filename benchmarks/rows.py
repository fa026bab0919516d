"""One JSON line a measured number: what, how much, in which unit, when, on what, with which versions.

Lines are only ever appended: a file of them is a history.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from adiabat.campaign.provenance import versions

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def circumstances(machine: str | None = None) -> dict[str, Any]:
    """What every line says of the measurement: date, machine in words, cores this process may use, versions, commit."""
    cores = len(os.sched_getaffinity(0))
    words = f"{cores} core{'s' if cores > 1 else ''} of an {platform.machine().replace('_', '-')} machine"
    return {
        "date": date.today().isoformat(),
        "machine": machine or words,
        "cores": cores,
        "versions": versions(),
        "commit": commit(),
    }


def commit() -> str | None:
    """The checkout's commit, with a + where files of the package differ from it; None outside of a checkout."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return None
    changed = subprocess.run([*git, "status", "--short", "--", "../src"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def append(file: str, rows: list[dict[str, Any]]) -> Path:
    """Add lines to `results/FILE`."""
    path = RESULTS / file
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def read(file: str) -> list[dict[str, Any]]:
    """All lines of `results/FILE`, oldest first."""
    return [json.loads(line) for line in (RESULTS / file).read_text(encoding="utf-8").splitlines()]


def on_one_core() -> int:
    """Pin this process to one core, so that neither threads nor the scheduler's moves are part of a number; returns which."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def timed(work: Callable[[], Any], *, per_call: int, rounds: int) -> dict[str, float]:
    """Microseconds per piece of `work()`, which does `per_call` of them: least and median over rounds, wall clock and CPU.

    On a shared machine the least CPU time is the steadiest number, and the median says what to expect.
    """
    wall, cpu = [], []
    work()  # whatever happens once is not part of it
    for _ in range(rounds):
        begun = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begun[0])
        cpu.append(time.process_time() - begun[1])
    µs = 1e6 / per_call
    return {
        "cpu_min": min(cpu) * µs,
        "cpu_median": median(cpu) * µs,
        "wall_min": min(wall) * µs,
        "wall_median": median(wall) * µs,
    }
