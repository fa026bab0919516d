"""One writer at a time: SQLite's own lock, with words for who waits for whom, and for what went wrong."""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from adiabat.data import damage

log = logging.getLogger("adiabat.data")
TELL_AFTER_S = 0.3  # shorter waits are nobody's concern


@contextmanager
def writing(db: sqlite3.Connection, path: Path | str, patience_s: float) -> Iterator[None]:
    """A transaction: kept whole, or nothing of it."""
    _wait_for_others(db, path, patience_s)
    mark = None if str(path) == ":memory:" else Path(f"{path}-writer")
    try:
        if mark is not None:
            _sign(mark)
        yield
        if mark is not None:
            mark.unlink(missing_ok=True)  # while it is still ours
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        _roll_back(db, mark)
        cure = short_of_space(error) or "see whether another process holds it, and its folder can be written"
        raise OSError(f"{path}: {error}; nothing of this was kept; {cure} and try again") from error
    except sqlite3.DatabaseError as error:
        _roll_back(db, mark)
        raise damage.malformed(path, error) from error
    except BaseException:
        _roll_back(db, mark)
        raise


def keep_a_log(db: sqlite3.Connection, patience_s: float) -> None:
    """WAL; after the mark, which must stand in the file itself, not in its log. Once in a file's life it needs all for itself."""
    until = time.monotonic() + patience_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _wait_for_others(db: sqlite3.Connection, path: Path | str, patience_s: float) -> None:
    begun, told = time.monotonic(), False
    while True:
        try:
            db.execute("PRAGMA busy_timeout = 50")
            db.execute("BEGIN IMMEDIATE")
            db.execute("PRAGMA busy_timeout = 1000")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                cure = short_of_space(error) or "see that its folder exists and can be written"
                raise OSError(f"{path}: {error}; nothing of this was kept; {cure} and try again") from error
            waited = time.monotonic() - begun
            if waited > patience_s:
                raise OSError(
                    f"{path}: {_writer(path)} is writing, and still was after {waited:.0f} s; nothing of this was kept; "
                    "wait for it to end and try again, or let one process do all the adding"
                ) from None
            if not told and waited > TELL_AFTER_S:
                log.warning("%s: waiting for %s, which is writing", path, _writer(path))
                told = True


def short_of_space(error: sqlite3.OperationalError) -> str:
    """What to do about a full disk, in SQLite's words for it; nothing about other trouble."""
    return "free some space" if "full" in str(error) or "disk I/O" in str(error) else ""


def _sign(mark: Path) -> None:
    """Tell those who wait who writes. On a full disk nobody is told; the lock is SQLite's."""
    who = {"process": os.getpid(), "machine": socket.gethostname(), "since": datetime.now().strftime("%H:%M:%S")}
    with suppress(OSError):
        mark.write_text(json.dumps(who), encoding="utf-8")


def _writer(path: Path | str) -> str:
    try:
        who = json.loads(Path(f"{path}-writer").read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['machine']} (since {who['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def _roll_back(db: sqlite3.Connection, mark: Path | None) -> None:
    if db.in_transaction:
        if mark is not None:
            mark.unlink(missing_ok=True)
        db.execute("ROLLBACK")
