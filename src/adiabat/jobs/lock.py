"""One driver a run folder: a lock that the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from pathlib import Path


class LedgerInUse(RuntimeError):
    """Another driver works in this run folder."""


class Lock:
    """Hold `run.lock`, which says who holds it. It is a file of its own, since SQLite locks run.db in its own way."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # not inherited by the programs we start
        try:
            # flock, not lockf: it also refuses a second ledger within this process.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 4096, 0)
            os.close(self._file)
            raise LedgerInUse(
                f"{path.parent} is in use by {_who(holder)}; wait until it ends or stop it, then run again"
            ) from None
        except OSError as error:
            os.close(self._file)
            cure = "put the run folder on a file system that has locks"
            raise OSError(error.errno, f"cannot lock {path} ({error.strerror}); {cure}") from error
        me = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        os.ftruncate(self._file, 0)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name on it
            os.pwrite(self._file, me, 0)

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)  # the file stays: removing it would let two drivers lock two files of one name
            self._file = -1


def _who(holder: bytes) -> str:
    try:
        found = json.loads(holder)
        return f"process {found['pid']} on {found['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
