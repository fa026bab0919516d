"""The ledger of a run: which tasks there are, what was tried, what became of each. `run.db`, opened by one driver at a time.

Result files are the truth about what is done, the database is the memory of everything else. So the database may be behind
the files (a kill between the two): opening adopts what was published and puts back to waiting what was running. SQLite in WAL
mode is unsafe on network file systems with several writers; workers therefore never open it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adiabat.jobs import results
from adiabat.jobs.engine import Report
from adiabat.jobs.failure import EXHAUSTED, FAILURES, Failure, RunPaused
from adiabat.jobs.lock import LedgerInUse, Lock
from adiabat.jobs.task import Outcome, Task, spell

__all__ = ["Ledger", "LedgerInUse"]

VERSION = 1
STATES = ("waiting", "running", "done", "failed", "quarantined")
SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, function TEXT, arguments TEXT, identity TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'quarantined')),
    attempts INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL, finished TEXT, wall_s REAL, cpu_s REAL,
    failure TEXT, message TEXT, cure TEXT);
CREATE TABLE IF NOT EXISTS attempts (
    key TEXT NOT NULL, number INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT,
    ended_as TEXT NOT NULL DEFAULT 'running', -- then: done, interrupted, or a class of failure
    wall_s REAL, cpu_s REAL, host TEXT, pid INTEGER, message TEXT, detail TEXT,
    forgiven INTEGER NOT NULL DEFAULT 0, -- released by a person: no longer counted against the task
    PRIMARY KEY (key, number));
"""


class Ledger:
    """Open the ledger of a run folder, as its only driver. `notes` says what was found amiss and mended since."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).absolute()
        self.results = self.folder / "results"
        self.notes: list[str] = []
        with _full_disk_pauses(self.folder):
            self.results.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder / "run.lock")
            try:
                self._db = self._open()
                self._recover()
            except BaseException:
                self._lock.release()
                raise

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # closing on a full disk leaves the WAL for the next opening
            self._db.close()
        self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # What the driver reads

    def counts(self) -> dict[str, int]:
        found = dict(self._db.execute("SELECT state, COUNT(*) FROM tasks GROUP BY state"))
        return {state: found.get(state, 0) for state in STATES}

    def attempts(self, key: str) -> list[dict[str, Any]]:
        """Every attempt at a task, first to last, with class, message and traceback."""
        cursor = self._db.execute("SELECT * FROM attempts WHERE key = ? ORDER BY number", (key,))
        return [dict(zip([c[0] for c in cursor.description], row, strict=True)) for row in cursor]

    def outcome(self, key: str) -> Outcome | None:
        """What became of the task, None while it is open. A result that does not verify is as if it had never been."""
        record = self._published(key)
        columns = "state, attempts, wall_s, failure, message, cure"
        row = self._db.execute(f"SELECT {columns} FROM tasks WHERE key = ?", (key,)).fetchone()
        if record is not None:
            if row is None or row[0] != "done":
                self._adopt(key, record)
            return Outcome(key, "done", record["result"], None, row[1] if row else 0, record["wall_s"])
        if row is None or row[0] in ("waiting", "running"):
            return None
        if row[0] == "done":
            self.notes.append(f"{results.path_of(self.results, key)}: the result is gone; to be computed again")
            with self._write() as db:
                db.execute("UPDATE tasks SET state = 'waiting', finished = NULL WHERE key = ?", (key,))
            return None
        return Outcome(key, row[0], None, Failure(*row[3:6]), row[1], row[2])

    # What happens to tasks

    def enroll(self, tasks: Iterable[Task]) -> None:
        """Make tasks known; those known already keep their history."""
        rows = [(t.key, t.kind, t.function, spell(t.arguments), spell(t.identity), _now()) for t in tasks]
        with self._write() as db:
            db.executemany(
                "INSERT INTO tasks (key, kind, function, arguments, identity, state, created) "
                "VALUES (?, ?, ?, ?, ?, 'waiting', ?) ON CONFLICT (key) DO UPDATE SET function = excluded.function, "
                "arguments = excluded.arguments, identity = excluded.identity",
                rows,
            )

    def start(self, key: str) -> None:
        """An attempt begins; counted before it is handed out, so that no kill hides it."""
        with self._write() as db:
            db.execute("UPDATE tasks SET state = 'running', attempts = attempts + 1 WHERE key = ?", (key,))
            db.execute(
                "INSERT INTO attempts (key, number, started) SELECT key, attempts, ? FROM tasks WHERE key = ?",
                (_now(), key),
            )

    def settle(self, report: Report) -> Outcome | None:
        """Record how an attempt ended; None when the task waits for another one."""
        record = self._published(report.key)
        if record is None:  # a worker may die between publishing and reporting: the file decides, both ways
            failure = report.failure or Failure("crashed", "reported as done, but no result that verifies is there")
            self._end(report, failure.kind, failure)
            return self.outcome(report.key)
        self._end(report, "done", None)
        return Outcome(report.key, "done", record["result"], None, self._count(report.key), record["wall_s"])

    def interrupt(self, key: str) -> None:
        """The driver stops waiting for an attempt; that is never held against the task."""
        if self.outcome(key) is None:
            with self._write() as db:
                db.execute("UPDATE tasks SET state = 'waiting' WHERE key = ?", (key,))
                db.execute(
                    "UPDATE attempts SET ended_as = 'interrupted', finished = ? WHERE key = ? AND ended_as = 'running'",
                    (_now(), key),
                )

    def release(self, keys: Iterable[str] | None = None) -> int:
        """Let failed and quarantined tasks (all, or these) be tried again from a clean slate; returns how many."""
        keys = list(keys) if keys is not None else [k for (k,) in self._db.execute("SELECT key FROM tasks")]
        freed = 0
        with self._write() as db:
            for key in keys:
                mine = db.execute(
                    "UPDATE tasks SET state = 'waiting', finished = NULL, failure = NULL, message = NULL, cure = NULL "
                    "WHERE key = ? AND state IN ('failed', 'quarantined')",
                    (key,),
                ).rowcount
                if mine:
                    db.execute("UPDATE attempts SET forgiven = 1 WHERE key = ?", (key,))
                freed += mine
        return freed

    # Inside

    def _end(self, report: Report, ended_as: str, failure: Failure | None) -> None:
        key, spent = report.key, (report.wall_s, report.cpu_s)
        said = (failure.kind, failure.message, failure.cure) if failure else (None, None, None)
        with self._write() as db:
            db.execute(
                "UPDATE attempts SET ended_as = ?, finished = ?, wall_s = ?, cpu_s = ?, host = ?, pid = ?, message = ?, "
                "detail = ? WHERE key = ? AND ended_as = 'running'",
                (ended_as, _now(), *spent, report.host, report.pid, said[1], report.detail, key),
            )
            state = "done" if failure is None else self._verdict(key, failure.kind)
            db.execute(
                "UPDATE tasks SET state = ?, finished = ?, wall_s = ?, cpu_s = ?, failure = ?, message = ?, cure = ? "
                "WHERE key = ?",
                (state, _now(), *spent, *said, key),
            )

    def _verdict(self, key: str, kind: str) -> str:
        """The state after a failure: what the table of failures says for so many attempts of this class."""
        of_this_kind = "SELECT COUNT(*) FROM attempts WHERE key = ? AND ended_as = ? AND NOT forgiven"
        (count,) = self._db.execute(of_this_kind, (key, kind)).fetchone()
        policy = FAILURES[kind]
        return policy.ends_as if policy.ends_as != "paused" and count >= policy.attempts else "waiting"

    def _count(self, key: str) -> int:
        found = self._db.execute("SELECT attempts FROM tasks WHERE key = ?", (key,)).fetchone()
        return found[0] if found else 0

    def _published(self, key: str) -> dict[str, Any] | None:
        record, damage = results.read_or_set_aside(self.results, key)
        if damage:
            self.notes.append(damage)
        return record

    def _adopt(self, key: str, record: dict[str, Any]) -> None:
        with self._write() as db:
            db.execute(
                "INSERT INTO tasks (key, kind, state, created, finished, wall_s, cpu_s) VALUES (?, ?, 'done', ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET state = 'done', finished = excluded.finished, wall_s = excluded.wall_s, "
                "cpu_s = excluded.cpu_s, failure = NULL, message = NULL, cure = NULL",
                (key, record["kind"], _now(), _now(), record["wall_s"], record["cpu_s"]),
            )
            db.execute(
                "UPDATE attempts SET ended_as = 'done', finished = ?, wall_s = ?, cpu_s = ?, host = ?, pid = ? "
                "WHERE key = ? AND ended_as IN ('running', 'interrupted') AND number = "
                "(SELECT MAX(number) FROM attempts WHERE key = ?)",
                (_now(), record["wall_s"], record["cpu_s"], record["host"], record["pid"], key, key),
            )

    def _recover(self) -> None:
        """What the last driver left when it died."""
        results.sweep(self.results)
        done = {key for (key,) in self._db.execute("SELECT key FROM tasks WHERE state = 'done'")}
        adopted = 0
        for key in results.published_keys(self.results):
            if key not in done and (record := self._published(key)) is not None:
                self._adopt(key, record)
                adopted += 1
        lost = [key for (key,) in self._db.execute("SELECT key FROM tasks WHERE state = 'running'")]
        for key in lost:
            self.interrupt(key)
        if adopted:
            self.notes.append(f"adopted {adopted} published results that {self._db_name} did not know as done")
        if lost:
            self.notes.append(f"{len(lost)} attempts were cut off when the last driver ended; their tasks wait again")

    @property
    def _db_name(self) -> Path:
        return self.folder / "run.db"

    def _open(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._db_name, timeout=30.0, isolation_level=None)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise ValueError(f"{self._db_name} has version {version}, this program reads {VERSION}; update adiabat")
            db.execute("PRAGMA journal_mode = WAL")
            # Durable against kills at every commit; a power cut may take the last ones, and adoption brings results back.
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self._db_name} is damaged ({error}); move it away and run again: results are files of their own and "
                "are adopted, only the history of attempts is lost"
            ) from None
        return db

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with _full_disk_pauses(self.folder):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _full_disk_pauses(folder: Path) -> Iterator[None]:
    """What the database or the folder cannot take now is a pause, not a crash."""
    try:
        yield
    except sqlite3.OperationalError as error:
        busy = "lock" in str(error)
        cure = "close the program that has run.db open for writing" if busy else "make room or give write access there"
        raise RunPaused(f"{folder / 'run.db'}: {error}", f"{cure}, then run again; published results are kept") from error
    except OSError as error:
        if error.errno not in EXHAUSTED:
            raise
        raise RunPaused(f"{folder}: {error.strerror}", "make room there, then run again") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
