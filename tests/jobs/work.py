"""What the tasks of these tests do: some work, some misbehave, each in one way."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from adiabat.jobs import Task


def logged(arguments):
    """A small computation that leaves a line when it begins; its nonce tells one attempt from another."""
    nonce = uuid.uuid4().hex
    log = os.open(arguments["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{arguments['n']} {time.time()!r} {nonce}\n".encode())
    os.close(log)
    time.sleep(arguments["sleep_s"])
    return {"n": arguments["n"], "square": arguments["n"] ** 2, "nonce": nonce}


def logged_task(n: int, log: Path, sleep_s: float = 0.01) -> Task:
    return Task("logged", "jobs.work:logged", {"n": n, "log": str(log), "sleep_s": sleep_s}, {"n": n})


def square(n):
    return n**2


def big(n):
    return [n + 0.1] * 30000  # about 120 kB


def where(_):
    return {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0)}


def environment(names):
    return {name: os.environ.get(name) for name in names}


def modules(names):
    return [name in sys.modules for name in names]


class Poisoned(Exception):
    kind, cure = "bad_input", "take the second atom away"


def poisoned(_):
    raise Poisoned("two atoms at one place")


def stubborn(_):
    error = RuntimeError("no SCF convergence in 50 cycles")
    error.kind = "not_converged"
    raise error


def not_a_number(_):
    return {"energy": float("nan")}


def leave(code):
    os._exit(code)


def segfault(_):
    ctypes.string_at(0)


def raise_os_error(number):
    raise OSError(number, os.strerror(number))


def die_once(marker):
    """Die by SIGKILL at the first attempt, as under the system's out-of-memory killer."""
    if first_time(marker):
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die_before_rename(marker):
    """Die with the result written and synced, and not yet under its name."""
    if first_time(marker):
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    return "published"


def die_after_rename(marker):
    """Die with the result published and the driver not yet told."""
    if first_time(marker):
        replace = os.replace
        os.replace = lambda *names: (replace(*names), os.kill(os.getpid(), signal.SIGKILL))
    return "published"


def first_time(marker) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def chatter(lines):
    """What engines do to stdout: from Python, from C, from a program they start; and they try to read stdin."""
    for n in range(lines):
        print('{"key": "not yours"', n)
        os.write(1, b"{}\n")
    subprocess.run(["echo", "SCF cycle 1"], check=True)
    return sys.stdin.read()


def with_child(pid_file):
    """An engine that is a program of its own, and a worker that dies while it runs."""
    child = subprocess.Popen(["sleep", "60"])
    Path(pid_file).write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)
