"""A store's connection: for writing, or where nothing can be written, for reading the file as it lies."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from adiabat.data.schema import PAGE, is_store
from adiabat.data.writer import short_of_space


def opened(path: str | Path, read_only: bool) -> tuple[sqlite3.Connection, bool]:
    """A store that is there or an empty file of one, and whether it is only read; what is no store is refused."""
    fresh = str(path) == ":memory:" or not Path(path).exists() or Path(path).stat().st_size == 0
    if read_only and fresh:
        raise FileNotFoundError(f"{path}: there is no such store to read; look at the path, relative to {Path.cwd()}")
    if not fresh and not is_store(path):
        raise ValueError(f"{path}: this is no Adiabat store; wanted one, or a new name; read other files with adiabat.read()")
    read_only = not fresh and (read_only or not writable(path))
    try:
        db = connect(path, read_only)
        if fresh:
            db.execute(f"PRAGMA page_size = {PAGE}")
    except sqlite3.OperationalError as error:
        cure = short_of_space(error) or "see that its folder exists, can be written and has space"
        raise OSError(f"{path}: cannot be opened or made: {error}; {cure}") from None
    return db, read_only


def writable(path: str | Path) -> bool:
    """Whether this user may write a file and make others beside it, as SQLite's log needs."""
    return os.access(path, os.W_OK) and os.access(Path(path).resolve().parent, os.W_OK)


def connect(path: str | Path, read_only: bool) -> sqlite3.Connection:
    """`read_only`: no byte of the file changes and no other appears. What still lies in its log is not passed over: that is refused."""
    if not read_only:
        return sqlite3.connect(path, isolation_level=None, timeout=1)
    beside = Path(f"{path}-wal")
    if beside.exists() and beside.stat().st_size:
        raise OSError(
            f"{path}: {beside.name} holds what was added last and this place is only read; copy both files to where they can be "
            "written and open the copy, or let the process that writes end"
        )
    # "immutable" keeps SQLite from making the log's files, which it cannot do here
    return sqlite3.connect(f"file:{quote(str(Path(path).resolve()))}?mode=ro&immutable=1", uri=True, isolation_level=None)
