"""The tables of a store's file, and how a file of an older format is brought up to date."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adiabat.data.row import GIVEN, seal

FORMAT = 2
APPLICATION = 0x41444942  # "ADIB", where SQLite keeps an application's mark
PAGE = 8192  # bytes: two configurations of 50 atoms
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE configurations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL, level TEXT NOT NULL,
    config_type TEXT, formula TEXT NOT NULL, natoms INTEGER NOT NULL, engine TEXT,
    energy REAL, energy_per_atom REAL, max_force REAL, volume REAL,
    numbers BLOB NOT NULL, positions BLOB NOT NULL, cell BLOB NOT NULL, forces BLOB, stress BLOB,
    rest TEXT NOT NULL, info TEXT NOT NULL, added TEXT NOT NULL, seal INTEGER,
    UNIQUE (hash, level)
);
"""
# The catalogue: what is chosen and counted by, beside the rows, so that neither reads them.
CATALOG = """
CREATE INDEX catalog ON configurations (config_type, formula, natoms, level, engine, energy, energy_per_atom, max_force, volume);
CREATE TABLE info_keys (name TEXT PRIMARY KEY) WITHOUT ROWID
"""


def is_store(path: str | Path) -> bool:
    """Whether a file is a store of ours, by its mark."""
    with open(path, "rb") as file:
        head = file.read(100)
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72], "big") == APPLICATION


def has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0] > 0


def format_of(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()[0])


def make(db: sqlite3.Connection) -> None:
    for statement in (SCHEMA + CATALOG).split(";"):
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
    db.execute(f"PRAGMA application_id = {APPLICATION}")


def migrate(db: sqlite3.Connection, know: Callable[[dict[str, Any]], None]) -> None:
    """From format 1: seals, the catalogue, and, by `know`, the names of `info`'s entries."""
    db.execute("ALTER TABLE configurations ADD COLUMN seal INTEGER")
    for statement in CATALOG.split(";"):
        db.execute(statement)
    for (number,) in db.execute("SELECT id FROM configurations ORDER BY id").fetchall():
        values = db.execute(f"SELECT {', '.join(GIVEN)} FROM configurations WHERE id = ?", (number,)).fetchone()
        given = dict(zip(GIVEN, values))
        db.execute("UPDATE configurations SET seal = ? WHERE id = ?", (seal(given), number))
        know(json.loads(given["info"]))
    db.execute("UPDATE meta SET value = ? WHERE name = 'format'", (str(FORMAT),))
