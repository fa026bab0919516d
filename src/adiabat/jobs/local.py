"""The engine on this machine: long-lived worker processes, one thread each, replaced when they die.

Processes are spawned, never forked (a forked OpenMP or torch hangs), in a session of their own (the terminal's Ctrl-C does not
reach them), and spoken to in JSON lines over two pipes (no pickles). A worker starts with the first order that needs it and
stays warm for the next `run`. Programs that an engine starts end with their worker, and the worker with this process: `warden`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO, Any

from adiabat.jobs.engine import Order, Report
from adiabat.jobs.failure import Failure
from adiabat.jobs.warden import Warden, end_session

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
LOOK_S = 0.2  # how often to look for workers that died without closing their pipe (a program they started holds it)
STILLBORN = 3  # so many workers in a row that died before their first word: it is not the tasks
FAREWELL_S = 1.0
TAIL_BYTES = 4000


class LocalPool:
    """`workers` processes of `threads_per_worker` threads each; None for as many as fill the cores this process may use.

    Start it from a thread that lives as long as the pool: Linux ends workers with the thread that started them.
    """

    def __init__(self, workers: int | None = None, threads_per_worker: int = 1):
        if workers is not None and workers < 1:
            raise ValueError(f"LocalPool: {workers} workers; wanted 1 or more, or None for one a core")
        self.workers = workers or max(1, _cores() // threads_per_worker)
        self.threads_per_worker = threads_per_worker
        self._pool: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._stillborn = 0
        self._warden = Warden()

    def capacity(self) -> int:
        return self.workers - sum(worker.order is not None for worker in self._pool)

    def submit(self, order: Order) -> None:
        for worker in [w for w in self._pool if w.order is None and w.process.poll() is not None]:
            self._drop(worker)  # it died in its sleep: nobody's attempt
        worker = next((w for w in self._pool if w.order is None), None) or self._spawn()
        worker.take(order)

    def wait(self, timeout_s: float) -> list[Report]:
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = {key.data for key, _ in self._selector.select(min(left, LOOK_S))}
            ready |= {worker for worker in self._pool if worker.process.poll() is not None}
            reports = [report for worker in ready for report in self._hear(worker)]
            reports += [self._cut_off(worker) for worker in list(self._pool) if worker.overdue]
            if reports or time.monotonic() >= deadline:
                return reports

    def cancel(self, key: str) -> None:
        for worker in [w for w in self._pool if w.order is not None and w.order.key == key]:
            self._drop(worker)

    def close(self) -> None:
        for worker in self._pool:
            with contextlib.suppress(OSError):
                worker.orders.close()  # idle workers leave at the end of their orders
        deadline = time.monotonic() + FAREWELL_S
        for worker in list(self._pool):
            if worker.order is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
            self._drop(worker)
        self._warden.close()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _spawn(self) -> _Worker:
        worker = _Worker(self.threads_per_worker)
        self._warden.watch(worker.process.pid)
        self._selector.register(worker.replies, selectors.EVENT_READ, worker)
        self._pool.append(worker)
        return worker

    def _drop(self, worker: _Worker) -> None:
        self._selector.unregister(worker.replies)
        self._pool.remove(worker)
        worker.kill()
        self._warden.forget(worker.process.pid)

    def _hear(self, worker: _Worker) -> list[Report]:
        """What the worker said since; its death is the last thing it says."""
        alive, messages = worker.listen()
        reports = []
        for message in messages:
            if "hello" in message:
                self._stillborn = 0
                worker.since = time.monotonic()
                continue
            failure = message.pop("failure")
            reports.append(Report(**message, failure=Failure(**failure) if failure else None))
            worker.order = None
        if not alive:
            order, waited_s = worker.order, time.monotonic() - worker.since
            self._drop(worker)
            self._stillborn += not worker.greeted
            if order is not None and not worker.greeted and self._stillborn < STILLBORN:
                self._spawn().take(order)  # the task was never begun
            elif order is not None:
                failure = self._death(worker)
                pid, host = worker.process.pid, socket.gethostname()
                reports.append(Report(order.key, failure, waited_s, 0.0, host, pid, worker.tail))
        return reports

    def _cut_off(self, worker: _Worker) -> Report:
        """The end of an order that had its time; the next one finds a fresh worker."""
        order, waited_s = worker.order, time.monotonic() - worker.since
        assert order is not None and order.limit_s is not None
        self._drop(worker)
        failure = Failure("out_of_time", f"no result within the limit of {order.limit_s / 60:g} minutes; it was stopped")
        return Report(order.key, failure, waited_s, 0.0, socket.gethostname(), worker.process.pid, worker.tail)

    def _death(self, worker: _Worker) -> Failure:
        how = _how(worker.process.returncode)
        if not worker.greeted:
            cure = f"see that `{sys.executable} -c 'import adiabat.jobs.worker'` works, then run again"
            return Failure("resources", f"workers die before they can work ({how}): {worker.tail.strip()[-500:]}", cure)
        cure = "it may have been the system, out of memory: use fewer workers" if how == "SIGKILL" else ""
        return Failure("node_lost", f"the worker process died ({how})", cure)


class _Worker:
    """One process: the pipe to it, the pipe from it, the log it prints to, the order it works on."""

    def __init__(self, threads: int):
        # In memory of the driver only (no name on disk); workers truncate it at every task.
        self.log: IO[bytes] = tempfile.TemporaryFile("ab+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "adiabat.jobs.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
            env=_environment(threads),
            start_new_session=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.orders, self.replies = self.process.stdin, self.process.stdout
        os.set_blocking(self.replies.fileno(), False)
        self.order: Order | None = None
        self.since = time.monotonic()
        self.greeted = False
        self.tail = ""
        self._unread = b""

    @property
    def overdue(self) -> bool:
        limit_s = self.order.limit_s if self.order is not None else None
        return limit_s is not None and self.greeted and time.monotonic() - self.since > limit_s

    def take(self, order: Order) -> None:
        self.order, self.since = order, time.monotonic()
        line = memoryview(json.dumps(dataclasses.asdict(order)).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):  # it just died: `listen` will say so
            while line:
                line = line[self.orders.write(line) or 0 :]

    def listen(self) -> tuple[bool, list[dict[str, Any]]]:
        """Is it alive, and the whole lines it wrote. A half line of a dead worker is dropped: the result file knows."""
        dead = self.process.poll() is not None  # before reading, so that what it wrote last is read below
        while True:
            try:
                chunk = os.read(self.replies.fileno(), 65536)
            except BlockingIOError:
                break
            if not chunk:
                dead = True
                break
            self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        messages = [json.loads(line) for line in lines]
        self.greeted |= bool(messages)
        return not dead, messages

    def kill(self) -> None:
        """End the process and whatever programs its engine started: they share its session."""
        end_session(self.process.pid)
        self.process.wait()
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - TAIL_BYTES))
        self.tail = self.log.read().decode(errors="replace")
        for pipe in (self.orders, self.replies, self.log):
            with contextlib.suppress(OSError):
                pipe.close()


def _environment(threads: int) -> dict[str, str]:
    """Thread counts are read when numpy or torch is imported: too late to set in the worker. sys.path is the driver's."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    own = {"ADIABAT_PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return {**os.environ, **dict.fromkeys(THREADS, str(threads)), **own, "PYTHONPATH": path}


def _cores() -> int:
    """Cores this process may use, which on a shared node are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
