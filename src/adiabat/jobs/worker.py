"""A worker process: reads orders as JSON lines, attempts them one after another, answers with reports as JSON lines.

Started by `local.LocalPool` as `python -m adiabat.jobs.worker DRIVER_PID` with the thread variables set, never forked: numpy,
torch and the engines are imported for the first time here, once a worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import json
import os
import signal
import sys
from typing import BinaryIO

from adiabat.jobs.attempt import attempt
from adiabat.jobs.engine import Order

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 4000


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    _die_with(int(sys.argv[1]))
    orders, replies = _take_pipes()
    faulthandler.enable()  # a segfault leaves its Python stack in the log
    _restore_path()
    _send(replies, {"hello": os.getpid()})
    for line in orders:  # ends when the driver closes its end or dies
        with contextlib.suppress(OSError):
            os.ftruncate(2, 0)  # the log is of this task alone
        report = attempt(Order(**json.loads(line)))
        if report.failure is not None:
            report = dataclasses.replace(report, detail=report.detail + _output())
        _send(replies, dataclasses.asdict(report))


def _die_with(driver: int) -> None:
    """No orphan: Linux kills us when the driver's thread that started us ends; elsewhere we end after the task at hand."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != driver:  # it died before the line above
        os._exit(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes for ourselves and give engines /dev/null to read and the log to print to.

    At the level of file descriptors, since compiled codes print without asking Python; duplicates are not inherited by
    the programs an engine starts.
    """
    orders, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return orders, replies


def _restore_path() -> None:
    """PYTHONPATH brought us the driver's sys.path; programs that engines start must see the user's own again."""
    own = os.environ.pop("ADIABAT_PYTHONPATH", "")
    if own:
        os.environ["PYTHONPATH"] = own
    else:
        os.environ.pop("PYTHONPATH", None)


def _send(replies: BinaryIO, message: dict[str, object]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def _output() -> str:
    """The end of what was printed during the task."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    try:
        size = os.fstat(2).st_size
        text = os.pread(2, TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace")
    except OSError:
        return ""
    return f"\nlast output of the task:\n{text}" if text else ""


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the driver is gone; the result is published
        main()
