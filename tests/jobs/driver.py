"""A driver process to be killed: `python -m jobs.driver FOLDER TASKS WORKERS SLEEP_S GRACE_S`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from adiabat.jobs import Interrupted, Ledger, LocalPool, run
from jobs.work import logged_task

INTERRUPTED = 130


def main() -> int:
    folder, n_tasks, workers, sleep_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    with Ledger(folder) as ledger, LocalPool(workers) as pool:
        tasks = [logged_task(n, folder / "computed.log", sleep_s) for n in range(n_tasks)]
        print("running", flush=True)
        try:
            run(tasks, ledger, pool, grace_s=float(sys.argv[5]))
        except Interrupted as stop:
            print(stop, time.time(), flush=True)
            return INTERRUPTED
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits "ignore"
    sys.exit(main())
