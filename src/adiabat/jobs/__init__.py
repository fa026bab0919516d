"""Work that outlives the process that asked for it: tasks, a durable ledger, engines that compute, one verb.

| file | what |
|---|---|
| `task.py` | `Task`, its key, `Outcome`; canonical JSON |
| `failure.py` | the classes of failure, what each one leads to, and its cure |
| `results.py` | published results: one verified file a task |
| `ledger.py` | `Ledger`: run.db, what was tried and what became of it |
| `lock.py` | one driver a run folder |
| `engine.py` | the five methods of an engine |
| `attempt.py` | one attempt at one task, wherever it runs |
| `in_process.py`, `local.py`, `worker.py` | engines: this process; a pool of processes, and what runs in them |
| `warden.py` | ends the programs of workers whose driver was killed |
| `run.py` | `run(tasks, ledger, engine)` |

`docs/jobs.md` states the contract for users.
"""

from adiabat.jobs.engine import Engine, Order, Report
from adiabat.jobs.failure import FAILURES, Failure, RunPaused
from adiabat.jobs.in_process import InProcess
from adiabat.jobs.ledger import Ledger, LedgerInUse
from adiabat.jobs.local import LocalPool
from adiabat.jobs.run import Interrupted, run
from adiabat.jobs.task import Outcome, Task, canonical

__all__ = [
    "FAILURES",
    "Engine",
    "Failure",
    "InProcess",
    "Interrupted",
    "Ledger",
    "LedgerInUse",
    "LocalPool",
    "Order",
    "Outcome",
    "Report",
    "RunPaused",
    "Task",
    "canonical",
    "run",
]
