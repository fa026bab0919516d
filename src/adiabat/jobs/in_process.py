"""The engine without processes: one task at a time, here; for small things, and for a debugger."""

from __future__ import annotations

from typing import Any

from adiabat.jobs.attempt import attempt
from adiabat.jobs.engine import Order, Report


class InProcess:
    """What crashes the interpreter crashes the run (the ledger survives it); a second Ctrl-C breaks into the task, a time limit does not."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def capacity(self) -> int:
        return 1 - len(self._orders)

    def submit(self, order: Order) -> None:
        self._orders.append(order)

    def wait(self, timeout_s: float) -> list[Report]:
        reports = [attempt(order) for order in self._orders]
        self._orders.clear()
        return reports

    def cancel(self, key: str) -> None:
        self._orders = [order for order in self._orders if order.key != key]

    def close(self) -> None:
        self._orders.clear()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
