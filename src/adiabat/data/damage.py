"""What is damaged in a store, in words: pages SQLite cannot read, rows that are no longer what was added, rows that are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from adiabat.data.row import DERIVED, GIVEN, derived, seal


class Damage(NamedTuple):
    """`row` is the number of the configuration in the store, None where the file as a whole is meant."""

    row: int | None
    what: str  # "page", "row", "column", "missing"
    message: str


class Damaged(ValueError):
    """Bytes on the disk are no longer what was written."""


def malformed(path: Any, error: Exception) -> Damaged:
    return Damaged(
        f"{path}: the file is damaged ({error}): a page cannot be read; `adiabat dataset {path} --verify` lists what is affected, "
        f"--rescue NEW.db writes the undamaged configurations into a new store"
    )


def checked(path: Any, number: int, given: Mapping[str, Any], sealed: int) -> None:
    """Damaged, if a row is not what was added."""
    if seal(given) != sealed:
        raise Damaged(
            f"{path}: row {number} ({str(given['hash'])[:8]}) is not what was added: its checksum differs, so a number or a text in it "
            f"has changed on the disk; `adiabat dataset {path} --verify` lists all such rows, --rescue NEW.db leaves them out"
        )


def examine(db: sqlite3.Connection, keep: Callable[[dict[str, Any]], Any] = lambda row: None) -> Iterator[Damage]:
    """All damage there is. Each sound row is given to `keep`, in order."""
    try:
        for (text,) in db.execute("PRAGMA integrity_check(100)"):
            if text != "ok":
                yield Damage(None, "page", f"SQLite's check of the file says: {text}")
    except sqlite3.DatabaseError as error:
        yield Damage(None, "page", f"SQLite's check of the file ends with: {error}")
    names = ["id", *GIVEN, *DERIVED, "seal", "added"]
    gone: list[int] = []
    for number in range(1, _last(db) + 1):
        try:
            # by the table itself: an index may be damaged, too
            found = db.execute(f"SELECT {', '.join(names)} FROM configurations NOT INDEXED WHERE id = ?", (number,)).fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            yield Damage(number, "page", f"row {number} cannot be read: {error}")
            continue
        if found is None:
            gone.append(number)
            continue
        row = dict(zip(names, found))
        fault = _fault(row)
        if fault is None:
            keep(row)
        else:
            yield fault
    for number in gone:
        yield Damage(number, "missing", f"row {number} was added and is gone")


def _fault(row: dict[str, Any]) -> Damage | None:
    number, name = row["id"], f"row {row['id']}, {row['formula']} ({str(row['hash'])[:8]})"
    try:
        if seal(row) != row["seal"]:
            return Damage(number, "row", f"{name}: its checksum differs from what was added")
        wrong = [column for column, value in derived(row).items() if not _equal(value, row[column])]
    except Exception as error:  # whatever a damaged row holds
        return Damage(number, "row", f"{name}: cannot be understood: {type(error).__name__}: {error}")
    if wrong:
        return Damage(number, "column", f"{name}: {', '.join(wrong)} no longer follow from what was added")
    return None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float | int):
        return abs(a - b) <= 1e-9 * max(abs(a), 1e-12)  # another machine may sum in another order
    return a == b


def _last(db: sqlite3.Connection) -> int:
    """The highest number ever given; numbers are never given twice, and no row is ever removed."""
    last = 0
    for question in ("SELECT seq FROM sqlite_sequence WHERE name = 'configurations'", "SELECT max(id) FROM configurations"):
        try:
            last = max(last, *(value or 0 for value in db.execute(question).fetchone() or (0,)), 0)
        except sqlite3.DatabaseError:
            continue
    return last
