"""An engine is whatever turns orders into reports: five methods, so that a cluster's engine can stand where the local pool stands.

The rules an engine keeps:

- an order is computed by `attempt.attempt`, in the worker, which publishes the result before it reports: the engine carries
  no results, and losing a report loses nothing;
- every order submitted ends in exactly one report, or in its cancellation; a worker that dies is reported as `node_lost`;
- it neither retries nor judges: that is the ledger's, so that every attempt is counted in one place;
- it never opens run.db: results reach the driver as files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from adiabat.jobs.failure import Failure


@dataclass(frozen=True)
class Order:
    """A task on its way to a worker; `results` is the absolute folder where its result is published.

    `limit_s` is the wall-clock time it may take; an engine whose workers are processes stops it then and reports `out_of_time`.
    """

    key: str
    kind: str
    function: str
    arguments: Any
    results: str
    limit_s: float | None = None


@dataclass(frozen=True)
class Report:
    """An attempt has ended. Without a failure its result is published; `detail` is for the ledger (traceback, last output)."""

    key: str
    failure: Failure | None
    wall_s: float
    cpu_s: float
    host: str
    pid: int
    detail: str = ""


class Engine(Protocol):
    def capacity(self) -> int:
        """How many orders it would take now."""

    def submit(self, order: Order) -> None:
        """Take an order; called within capacity, returns soon."""

    def wait(self, timeout_s: float) -> list[Report]:
        """Reports since the last call; waits for one up to `timeout_s`."""

    def cancel(self, key: str) -> None:
        """Stop an order now; no report follows. Unknown keys are ignored (it may just have ended)."""

    def close(self) -> None:
        """Stop everything and give back what is held; closing twice is fine."""
