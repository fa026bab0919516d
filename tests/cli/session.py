"""A command line as a user meets it: in a process of its own where signals, limits or imports matter, else in this one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import adiabat

MODEL = "run/models/model.adiabat"
FAST = {
    **os.environ,
    "PYTHONPATH": f"{Path(adiabat.__file__).parent.parent}{os.pathsep}{Path(__file__).parent.parent}",
    "OMP_NUM_THREADS": "1",
    "ADIABAT_KERNELS": "reference",
}
TRAIN = """
data: set.xyz
out: run
model: {bpnn: {cutoff: 3.0, radial: 4, angular: 1, zetas: [1.0], hidden: [4]}}
fit: {optimizer: lbfgs, epochs: 20}
"""


class Ended(NamedTuple):
    """What is left of a command, by the names of subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "adiabat", *arguments]


def process(place: Path, *arguments: str, **more):
    """The finished process of a command that was run in `place`."""
    return subprocess.run(
        command(*arguments), cwd=place, env=FAST, capture_output=True, text=True, timeout=300, check=False, **more
    )


def interrupted(place: Path, *arguments: str, when, by=signal.SIGINT):
    """The exit code and words of the command, interrupted as soon as `when()` holds."""
    running = subprocess.Popen(
        command(*arguments), cwd=place, env=FAST, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it, and so would we
    )  # fmt: skip
    end = time.monotonic() + 120
    while not when() and running.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(running.pid, by)  # a terminal's Ctrl-C reaches the workers, too
    heard, _ = running.communicate(timeout=120)
    return running.returncode, heard


class Here:
    """`here("check", "set.xyz")`: the command in this process, with a folder to work in and what it prints kept."""

    def __init__(self, monkeypatch, capsys) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, place: Path, *arguments: str) -> Ended:
        from adiabat.campaign import terminal
        from adiabat.cli import app

        self.capsys.readouterr()
        with self.monkeypatch.context() as patch, warnings.catch_warnings():
            patch.chdir(place)
            patch.setenv("ADIABAT_KERNELS", "reference")
            patch.setattr(sys, "argv", ["adiabat", *arguments])
            patch.setattr(signal, "signal", lambda *_: None)  # the test runner's handlers stay
            try:
                code = terminal.run(app)
            except SystemExit as exit:
                code = int(exit.code or 0)
        return Ended(code, *self.capsys.readouterr())


def says(run, code: int, *parts: str, foreseen: bool = True) -> None:
    """One message with these parts, this exit code, no traceback, and no apology where it was foreseen."""
    heard = run.stdout + run.stderr
    assert run.returncode == code, heard
    assert "Traceback" not in heard and ("sorry" in heard) != foreseen, heard
    for part in parts:
        assert re.search(part, heard, re.MULTILINE), f"{part!r} is not in: {heard}"


def stands(folder: Path) -> dict[Path, int]:
    """When each file below was written: what must not change. Locks are no files that anyone keeps."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"}
