"""Failures have a class, a message and a cure; the class alone decides what happens next, by the table below."""

from __future__ import annotations

import errno
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """After so many attempts that ended in this class, the task ends as `failed` or `quarantined`, or the run is `paused`."""

    attempts: int
    ends_as: str
    cure: str


FAILURES = {
    # the task is not to blame (a node went down, memory ran out), unless it happens to it again and again
    "node_lost": Policy(3, "quarantined", "look for memory (use fewer workers) or a crash in the engine's compiled code"),
    # the same settings would take the same path; other settings are another key
    "not_converged": Policy(1, "failed", "change the settings of the engine; a task with new settings is a new task"),
    "bad_input": Policy(1, "quarantined", "mend or drop this structure"),
    # it would take as long again; a larger limit tries it anew
    "out_of_time": Policy(1, "failed", "raise the limit and run again, or see why the engine hangs; the other tasks went on"),
    # the next task would meet the same wall
    "engine_missing": Policy(1, "paused", "install the engine where the workers run, then run again"),
    "resources": Policy(1, "paused", "free what ran out, then run again; what was published is kept"),
    # once may be bad luck (a race, a busy file system), twice is the task
    "crashed": Policy(2, "quarantined", "read the traceback in run.db (table attempts, column detail)"),
}

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
EXHAUSTED = NO_ROOM | {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO}


@dataclass(frozen=True)
class Failure:
    kind: str
    message: str
    cure: str = ""

    def __post_init__(self) -> None:
        if self.kind not in FAILURES:
            raise ValueError(f"failure class {self.kind!r} is unknown; known: {', '.join(FAILURES)}")
        if not self.cure:
            object.__setattr__(self, "cure", FAILURES[self.kind].cure)


class RunPaused(RuntimeError):
    """The run cannot go on now, and nothing is lost: cure the cause and run again. `kind` is the class of the failure."""

    def __init__(self, message: str, cure: str, kind: str = "resources"):
        super().__init__(f"{message}; {cure}")
        self.message, self.cure, self.kind = message, cure, kind


def classify(error: BaseException) -> Failure:
    """The failure that an exception of a task function is; it may say so itself by attributes `kind` and `cure`.

    >>> classify(MemoryError()).kind, classify(KeyError("x")).kind
    ('resources', 'crashed')
    """
    kind, cure = getattr(error, "kind", None), getattr(error, "cure", None)
    cure = cure if isinstance(cure, str) else ""
    if isinstance(kind, str) and kind in FAILURES:
        return Failure(kind, str(error), cure)
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, MemoryError):
        return Failure("resources", message, cure or "use fewer workers or a machine with more memory, then run again")
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        room = "free disk space (or raise the quota), then run again" if error.errno in NO_ROOM else ""
        return Failure("resources", message, cure or room)
    if isinstance(error, ModuleNotFoundError):
        return Failure("engine_missing", message, cure or f"install {error.name!r} where the workers run, then run again")
    return Failure("crashed", message, cure)
