"""The warden: a process of a few lines that outlives the driver by a moment, to end what its workers left behind.

A worker that is killed cannot end the program that its engine started, and a driver that is killed cannot do it for the worker;
Linux tells a child of its parent's death (PR_SET_PDEATHSIG), not a grandchild. So the driver holds one end of a pipe and the
warden reads the other: when it ends, for whatever reason, every session named on it ends, too. Portable, and never asked to do
anything while the driver lives.

This file is the warden's program as well, run without site packages: it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PASSES = 100  # programs that start others while they are being killed: look again, this often at most


class Warden:
    """The driver's side: `watch` a worker's session, `forget` it when it has ended in good order."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: set[int] = set()

    def watch(self, leader: int) -> None:
        self._watched.add(leader)
        self._tell(f"+{leader}\n")

    def forget(self, leader: int) -> None:
        self._watched.discard(leader)
        if self._process is not None:
            self._tell(f"-{leader}\n")

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.poll() is not None:  # the first word, or someone killed it
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
            line = "".join(f"+{leader}\n" for leader in sorted(self._watched))
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died just now: the next word starts another one
            self._process.stdin.write(line.encode())


def end_session(leader: int) -> None:
    """SIGKILL for the process group of `leader`, and on Linux for the other groups of its session (shells and mpirun make some)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for _ in range(PASSES):
        left = _members(leader)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _members(leader: int) -> list[int]:
    """Processes of a session that still run; none where there is no /proc to ask."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            state, _, _, session = (place / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append(int(place.name))
    return found


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # only the end of the pipe ends it
        signal.signal(number, signal.SIG_IGN)
    watched: set[int] = set()
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):  # half a word of a driver that died while it spoke names nobody
            (watched.add if line[:1] == b"+" else watched.discard)(int(line[1:]))
    for leader in watched:
        end_session(leader)


if __name__ == "__main__":
    main()
