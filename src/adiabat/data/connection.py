"""A store's connection: for writing, or where nothing can be written, for reading the file as it lies."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote


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
