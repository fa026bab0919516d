"""Run tasks to their end: hand out, hear back, record; pause, stop and resume without losing what is published."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from adiabat.jobs.engine import Engine, Order, Report
from adiabat.jobs.failure import FAILURES, RunPaused
from adiabat.jobs.ledger import Ledger
from adiabat.jobs.task import Outcome, Task

TICK_S = 0.2  # how soon a signal is seen; reports are heard at once


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended the run in good order: the ledger is closed, nothing is running."""


def run(
    tasks: Iterable[Task],
    ledger: Ledger,
    engine: Engine,
    on_outcome: Callable[[Outcome], Any] | None = None,
    *,
    grace_s: float = 2.0,
) -> list[Outcome]:
    """Outcomes in the order of the tasks; what the ledger has already is taken from it, equal keys are computed once.

    `on_outcome` hears of every key once, as soon as it is known. A failure that the next task would meet too (no disk, no
    engine) lets running tasks finish and raises `RunPaused`. On Ctrl-C or SIGTERM running tasks have `grace_s` to finish.
    """
    tasks = list(tasks)
    ledger.enroll(tasks)
    outcomes: dict[str, Outcome] = {}

    def settle(outcome: Outcome) -> None:
        outcomes[outcome.key] = outcome
        if on_outcome is not None:
            on_outcome(outcome)

    unique: dict[str, Task] = {}
    for task in tasks:
        unique.setdefault(task.key, task)
    waiting: deque[Task] = deque()
    for task in unique.values():
        known = ledger.outcome(task.key)
        if known is not None and _has_more_time(task, known):
            ledger.release([task.key])
            known = None
        settle(known) if known is not None else waiting.append(task)

    with _signals() as caught:
        try:
            with _Hands(ledger, engine) as hands:
                while waiting or hands.running:
                    while waiting and not caught and not hands.pause and engine.capacity() > 0:
                        hands.give(waiting.popleft())
                    if caught or not hands.running:
                        break
                    for outcome, task in hands.take(engine.wait(TICK_S)):
                        settle(outcome) if outcome is not None else waiting.append(task)
                deadline = time.monotonic() + grace_s
                while caught and hands.running and time.monotonic() < deadline:
                    for outcome, _ in hands.take(engine.wait(TICK_S)):
                        settle(outcome) if outcome is not None else None
            if caught:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            ledger.close()
            how = signal.Signals(caught[0]).name if caught else "an interrupt"
            raise Interrupted(f"stopped by {how} after {len(outcomes)} of {len(unique)} tasks; run again to go on") from None
    if hands.pause:
        raise hands.pause
    return [outcomes[task.key] for task in tasks]


def _has_more_time(task: Task, known: Outcome) -> bool:
    """Whether it failed for want of time, and may take longer now."""
    if known.failure is None or known.failure.kind != "out_of_time":
        return False
    return task.limit_s is None or known.wall_s is None or task.limit_s > known.wall_s


class _Hands:
    """The tasks that are out with the engine; leaving, whatever the reason, calls back those that still are."""

    def __init__(self, ledger: Ledger, engine: Engine):
        self.ledger, self.engine = ledger, engine
        self.running: dict[str, Task] = {}
        self.pause: RunPaused | None = None

    def give(self, task: Task) -> None:
        try:
            self.ledger.start(task.key)
        except RunPaused as pause:  # not counted, so not handed out
            self.pause = pause
            return
        self.running[task.key] = task
        self.engine.submit(Order(task.key, task.kind, task.function, task.arguments, str(self.ledger.results), task.limit_s))

    def take(self, reports: list[Report]) -> Iterator[tuple[Outcome | None, Task]]:
        """The tasks that came back, with an outcome or to be tried again."""
        for report in reports:
            task = self.running.pop(report.key)
            failure = report.failure
            if failure is not None and FAILURES[failure.kind].ends_as == "paused":
                what = f"{task.kind} task {task.key[:12]}: {failure.message}"
                self.pause = self.pause or RunPaused(what, failure.cure, failure.kind)
            outcome = None
            try:
                outcome = self.ledger.settle(report)
            except RunPaused as pause:  # the file is there or not, and the next opening of the ledger sees which
                self.pause = self.pause or pause
            yield outcome, task

    def __enter__(self) -> _Hands:
        return self

    def __exit__(self, *_: Any) -> None:
        for key in self.running:
            self.engine.cancel(key)
            with contextlib.suppress(RunPaused):
                self.ledger.interrupt(key)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Note the first SIGINT or SIGTERM, for the loop to see between two records; the second one breaks in."""
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        caught.append(number)
        if len(caught) > 1:
            raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread handle signals
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # a run under nohup stays deaf
                before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
