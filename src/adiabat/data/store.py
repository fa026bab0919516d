"""The data store: one SQLite file, one row a labeled configuration, known by what was computed and at which level of theory.

Everything that `add` has returned for is on the disk (WAL, synchronous=FULL): a process killed at any moment leaves a file
that opens, without half an `add` in it. One process writes at a time; another one that wants to waits, says for whom, and is
refused in words when that takes too long; readers never wait. Every row has a seal, checked when it is read. SQLite's WAL is
unsafe on network file systems.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.data import damage, query, schema
from adiabat.data.agreement import disagreement
from adiabat.data.connection import opened
from adiabat.data.row import DERIVED, GIVEN, UNSPECIFIED, atoms_of, derived, row_of, seal
from adiabat.data.schema import FORMAT, is_store
from adiabat.data.structure import LABELS
from adiabat.data.writer import keep_a_log, short_of_space, writing

BLOCK = 512  # rows made at a time

COLUMNS = (*GIVEN, *DERIVED, "seal", "added")
TEXTS = ("config_type", "formula", "level", "engine", "hash", "added")
NUMBERS = ("natoms", "energy", "energy_per_atom", "max_force", "volume")
BLOBS = ("forces", "stress")

__all__ = ["FORMAT", "UNSPECIFIED", "Added", "Dataset", "is_store"]


@dataclass(frozen=True)
class Added:
    """What an `add` did."""

    new: int
    known: int

    def __str__(self) -> str:
        return f"{self.new} new, {self.known} known already"


class Dataset:
    """`Dataset("water.db")` opens a store, or makes one. `patience_s`: how long to wait for another process that is writing.
    `read_only` leaves the file as it is; so does a place where this user may not write.

    >>> import numpy as np
    >>> from adiabat.data.structure import labeled
    >>> dataset = Dataset(":memory:")
    >>> h2 = labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), energy=-31.7, forces=np.zeros((2, 3)))
    >>> print(dataset.add(h2)), print(dataset.add([h2])), len(dataset)
    1 new, 0 known already
    0 new, 1 known already
    (None, None, 1)
    """

    def __init__(self, path: str | Path, *, patience_s: float = 60.0, read_only: bool = False):
        self.path = path if str(path) == ":memory:" else Path(path)
        self.patience_s = patience_s
        self._known_keys: set[str] | None = None
        self._db, self.read_only = opened(self.path, read_only)
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            # KiB; the hashes come in no order, and their index is written all over
            self._db.execute("PRAGMA cache_size = -65536")
            if not self.read_only:
                if not schema.has(self._db, "meta"):
                    self._make()
                keep_a_log(self._db, patience_s)
            version = schema.format_of(self._db)
            if version > FORMAT:
                raise ValueError(f"{path}: store of format {version}, this Adiabat reads up to {FORMAT}; update Adiabat")
            if version < FORMAT and self.read_only:
                raise ValueError(
                    f"{path}: store of format {version} in a place that is only read; this Adiabat brings stores to format {FORMAT} "
                    "first: copy it to where it can be written, and open the copy"
                )
            if version < FORMAT:
                self._migrate()
        except sqlite3.OperationalError as error:
            cure = short_of_space(error) or "see whether another process holds it, and its folder can be written"
            raise OSError(f"{path}: {error}; {cure}") from error
        except sqlite3.DatabaseError as error:
            raise damage.malformed(path, error) from error

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM configurations").fetchone()[0]

    def __iter__(self) -> Iterator[Atoms]:
        """In the order they were added; what is added meanwhile is not among them."""
        return self.frames()

    def __getitem__(self, k: int) -> Atoms:
        n = len(self)
        if not -n <= k < n:
            raise IndexError(f"{self.path}: configuration {k} was asked for, there are {n}")
        (number,) = self._db.execute(
            "SELECT id FROM configurations NOT INDEXED ORDER BY id LIMIT 1 OFFSET ?", (k % n,)
        ).fetchone()
        return atoms_of(next(self.rows([number])))

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}): {len(self)} configurations"

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def add(self, atoms: Atoms | Iterable[Atoms]) -> Added:
        """Add labeled configurations, all or none; those already there are left as they are.

        Unlabeled or unconverged ones are refused, and so is a configuration that is there with other numbers. One that is
        there with fewer labels gets the missing ones. Frames may come from an iterator: they are not held in memory.
        """
        frames = [atoms] if isinstance(atoms, Atoms) else atoms
        return self._add(row_of(frame, f"{self.path}: add, frame {k}") for k, frame in enumerate(frames))

    def merge(self, *others: str | Path | Dataset, select: str = "") -> Added:
        """Add what other stores hold, or a choice of it; all or none, as in `add`.

        >>> a, b = Dataset(":memory:"), Dataset(":memory:")
        >>> from adiabat.data.structure import labeled
        >>> print(b.add([labeled(Atoms("H"), energy=-13.6), labeled(Atoms("He"), energy=-79.0)]))
        2 new, 0 known already
        >>> print(a.merge(b, select="formula=He"))
        1 new, 0 known already
        """

        def rows() -> Iterator[dict[str, Any]]:
            for other in others:
                if not isinstance(other, Dataset):
                    if not Path(other).exists():
                        raise FileNotFoundError(f"{other}: there is no such store; look at the path, relative to {Path.cwd()}")
                    with Dataset(other) as opened:
                        yield from opened.rows(opened.ids(select))
                else:
                    yield from other.rows(other.ids(select))

        return self._add(rows())

    def select(self, expression: str) -> list[Atoms]:
        """Those for which an expression holds, as in "config_type=surface and natoms<100"; see `adiabat.data.query`.

        Names are config_type, formula, natoms, engine, level, hash, added, energy, energy_per_atom, max_force, volume, contains
        (an element), or a key of `info`. Quote a value that has spaces.
        """
        return list(self.frames(expression))

    def frames(self, expression: str = "") -> Iterator[Atoms]:
        """As `select`, one at a time."""
        return map(atoms_of, self.rows(self.ids(expression)))

    def ids(self, expression: str = "") -> list[int]:
        """The row numbers of those for which an expression holds, in the order they were added."""
        where, values = self._where(expression)
        return [number for (number,) in self._ask(f"SELECT id FROM configurations {where} ORDER BY id", values)]

    def rows(self, ids: Iterable[int]) -> Iterator[dict[str, Any]]:
        """What was given for each row number, as it stands in the file; seals are checked."""
        names, wanted = ("id", "seal", *GIVEN), iter(ids)
        while some := list(islice(wanted, BLOCK)):
            marks = ", ".join("?" * len(some))
            found = self._ask(f"SELECT {', '.join(names)} FROM configurations WHERE id IN ({marks})", some)
            by_id = {values[0]: dict(zip(names, values)) for values in found}
            for number in some:
                if number not in by_id:
                    raise damage.Damaged(f"{self.path}: row {number} was there and is gone; verify the store")
                row = by_id[number]
                damage.checked(self.path, number, row, row["seal"])
                yield row

    def split(self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[list[Atoms], ...]:
        """Train, validation and test frames; duplicates and trajectory neighbors stay on one side (see `adiabat.data.split`)."""
        return tuple([atoms_of(row) for row in self.rows(side)] for side in self.split_ids(fractions, seed))

    def split_ids(self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[list[int], ...]:
        """The same as row numbers, for `rows`: of each frame only its fingerprint is held in memory."""
        from adiabat.data.split import split

        ids = self.ids()
        return tuple([ids[k] for k in side] for side in split(map(atoms_of, self.rows(ids)), fractions, seed))

    def check(self):
        """The data gate's findings."""
        from adiabat.data.gate import check

        return check(list(self))

    def levels(self) -> dict[str, int]:
        """How many configurations there are at each level of theory."""
        return dict(self._ask("SELECT level, count(*) FROM configurations GROUP BY level ORDER BY min(id)"))

    def grouped(self, columns: str, by: str, expression: str = "") -> list[tuple]:
        """Aggregates of catalogue columns by groups, as SQL has them: `columns` and `by` are code, never what a user typed."""
        where, values = self._where(expression)
        return list(self._ask(f"SELECT {columns} FROM configurations {where} GROUP BY {by} ORDER BY min(id)", values))

    def data_hash(self, expression: str = "") -> str:
        """A name for what is in a store or a choice of it, whatever the order it was added in; 64 characters.

        The sum of the sha256 of each row's hash, level and seal, modulo 2²⁵⁶.
        """
        where, values = self._where(expression)
        total = 0
        for row in self._ask(f"SELECT hash, level, seal FROM configurations {where}", values):
            total += int.from_bytes(hashlib.sha256("\n".join(map(str, row)).encode()).digest(), "big")
        return f"{total % 2**256:064x}"

    def verify(self) -> list[damage.Damage]:
        """What is damaged, row by row; an empty list, as a rule."""
        return list(damage.examine(self._db))

    def rescue(self, to: str | Path) -> list[damage.Damage]:
        """Write the undamaged configurations into a new store; what was left out is returned."""
        if Path(to).exists():
            raise FileExistsError(f"{to}: exists already; choose another name")
        with Dataset(to) as fresh, fresh._writing():
            return list(damage.examine(self._db, lambda row: fresh._put(row, row["id"], row["added"])))

    def distinct(self, to: str | Path) -> tuple[Added, list[tuple[int, int]]]:
        """Write a new store without equivalent configurations (see `adiabat.data.split.equivalent`): of each, the first is kept.

        Only frames of one level of theory are compared. Also returned are pairs of row numbers: left out, and equivalent to it.
        Of each frame only its fingerprint is held in memory.
        """
        from adiabat.data.split import equivalent

        if Path(to).exists():
            raise FileExistsError(f"{to}: exists already; choose another name")
        pairs: list[tuple[int, int]] = []
        for level in self.levels():
            ids = [n for (n,) in self._ask("SELECT id FROM configurations WHERE level = ? ORDER BY id", (level,))]
            pairs += [(ids[b], ids[a]) for a, b in equivalent(atoms_of(row) for row in self.rows(ids))]
        left_out = {later for later, _ in pairs}
        with Dataset(to) as fresh:
            return fresh._add(self.rows(n for n in self.ids() if n not in left_out)), pairs

    def _add(self, rows: Iterator[dict[str, Any]]) -> Added:
        new = count = 0
        begun = list(islice(rows, BLOCK))  # made before anybody has to wait for us
        if not begun:
            return Added(0, 0)
        with self._writing():
            now = datetime.now(UTC).isoformat(timespec="seconds")
            while begun:
                for row in begun:
                    new += self._put(row, count, now)
                    count += 1
                begun = list(islice(rows, BLOCK))
        return Added(new, count - new)

    def _put(self, row: dict[str, Any], k: int, now: str) -> bool:
        """Whether the row was new."""
        old = self._db.execute(
            "SELECT id, energy, forces, stress FROM configurations WHERE hash = ? AND level = ?", (row["hash"], row["level"])
        ).fetchone()
        if old is not None:
            self._fill(old, row | derived(row), k)
            return False
        whole = row if "formula" in row else row | derived(row)
        marks = ", ".join("?" * len(COLUMNS))
        values = [*(whole[name] for name in COLUMNS[:-1]), now]
        self._db.execute(f"INSERT INTO configurations ({', '.join(COLUMNS)}) VALUES ({marks})", values)
        self._know(json.loads(row["info"]))
        return True

    def _fill(self, old: tuple, row: dict[str, Any], k: int) -> None:
        """Labels that are there must agree; missing ones are filled in."""
        number, *known = old
        if (other := disagreement(known, row)) is not None:
            raise ValueError(
                f"{self.path}: frame {k}, {row['formula']} ({row['hash'][:8]}) is there as row {number} at the same level of theory "
                f"({row['level']}) with another {other.what}: they differ by {other.by:.3g}, wanted below {other.limit:.3g}; "
                "nothing was added; find out which is right, and leave the other out"
            )
        missing = [w for w, before in zip(LABELS, known) if before is None and row[w] is not None]
        if not missing:
            return
        (there,) = self.rows([number])
        there |= {what: row[what] for what in missing}
        follows = {"energy": ["energy_per_atom"], "forces": ["max_force"], "stress": []}
        changed = {column: row[column] for what in missing for column in (what, *follows[what])} | {"seal": seal(there)}
        assignments = ", ".join(f"{column} = ?" for column in changed)
        self._db.execute(f"UPDATE configurations SET {assignments} WHERE id = ?", (*changed.values(), number))

    def _know(self, info: dict[str, Any]) -> None:
        """Keep the names of `info`'s entries, for `select`."""
        for name in info.keys() - self._info_keys():
            self._db.execute("INSERT OR IGNORE INTO info_keys VALUES (?)", (name,))
            self._known_keys = None

    def _info_keys(self) -> set[str]:
        if self._known_keys is None or not self._db.in_transaction:
            self._known_keys = {name for (name,) in self._ask("SELECT name FROM info_keys")}
        return self._known_keys

    def _where(self, expression: str) -> tuple[str, list]:
        if not expression.strip():
            return "", []
        condition, values = query.sql(query.parse(expression), NUMBERS, TEXTS, BLOBS, self._info_keys)
        return f"WHERE {condition}", values

    def _ask(self, question: str, values: Iterable = ()) -> Iterator[tuple]:
        """Rows of an answer; damage in words."""
        try:
            yield from self._db.execute(question, tuple(values))
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {error}; see whether the disk is there, and try again") from error
        except sqlite3.DatabaseError as error:
            raise damage.malformed(self.path, error) from error

    def _make(self) -> None:
        with self._writing():
            if not schema.has(self._db, "meta"):  # else another process was faster
                schema.make(self._db)

    def _migrate(self) -> None:
        with self._writing():
            if schema.format_of(self._db) == 1:
                self._known_keys = None
                schema.migrate(self._db, self._know)

    @contextmanager
    def _writing(self):
        """A transaction of the one writer."""
        if self.read_only:
            raise OSError(
                f"{self.path}: opened readonly; nothing of this was kept; copy the store to where it can be written, or merge() it"
            )
        try:
            with writing(self._db, self.path, self.patience_s):
                yield
        except BaseException:
            self._known_keys = None
            raise
