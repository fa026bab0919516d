"""One attempt at one task: call the function, publish its result, report. The same in a worker, in process, on a cluster."""

from __future__ import annotations

import importlib
import os
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adiabat.jobs import results
from adiabat.jobs.engine import Order, Report
from adiabat.jobs.failure import Failure, classify
from adiabat.jobs.task import plain


def attempt(order: Order) -> Report:
    """Whatever happens inside the function becomes a report; only a death of the process escapes."""
    folder = Path(order.results)
    wall, cpu = time.perf_counter(), _cpu_s()
    failure, detail = None, ""
    try:
        # An orphan of an earlier driver may have published it meanwhile.
        record, _ = results.read_or_set_aside(folder, order.key)
        if record is None:
            result = plain(load(order.function)(plain(order.arguments, "arguments")), "result")
            spent = {"wall_s": time.perf_counter() - wall, "cpu_s": _cpu_s() - cpu}
            failure, detail = _publish(folder, order, result, spent)
    except (Exception, SystemExit) as error:  # engines do call sys.exit
        failure, detail = classify(error), traceback.format_exc()
    return Report(order.key, failure, time.perf_counter() - wall, _cpu_s() - cpu, socket.gethostname(), os.getpid(), detail)


def load(function: str) -> Callable[[Any], Any]:
    """The function behind "package.module:name"."""
    module, _, name = function.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _publish(folder: Path, order: Order, result: Any, spent: dict[str, float]) -> tuple[Failure | None, str]:
    try:
        results.publish(folder, order.key, order.kind, result, **spent)
    except OSError as error:  # the result is right and cannot be kept: never the task's fault
        cure = "make room or give write access there, then run again"
        return Failure("resources", f"cannot write the result in {folder}: {error}", cure), traceback.format_exc()
    return None, ""


def _cpu_s() -> float:
    """User and system time, with that of the engine's own finished child processes."""
    return sum(os.times()[:4])
