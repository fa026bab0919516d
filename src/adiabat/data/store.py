"""The data store: one SQLite file, one row a labeled configuration, known by what was computed and at which level of theory.

Everything that `add` has returned for is on the disk (WAL, synchronous=FULL): a process killed at any moment leaves a file
that opens, without half an `add` in it. Numbers are float64 blobs, provenance is JSON. SQLite's WAL is unsafe on network
file systems, and one process at a time should add.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from ase import Atoms

from adiabat.data import structure
from adiabat.data.query import clauses

FORMAT = 1
APPLICATION = 0x41444942  # "ADIB", where SQLite keeps an application's mark
ENERGY_TOLERANCE = 1e-4  # eV/atom; two runs of one converged calculation differ by less
FORCE_TOLERANCE = 5e-3  # eV/Å
STRESS_TOLERANCE = 1e-3  # eV/Å³
UNSPECIFIED = "unspecified"  # the level of theory of files that do not say

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE configurations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL, level TEXT NOT NULL,
    config_type TEXT, formula TEXT NOT NULL, natoms INTEGER NOT NULL, engine TEXT,
    energy REAL, energy_per_atom REAL, max_force REAL, volume REAL,
    numbers BLOB NOT NULL, positions BLOB NOT NULL, cell BLOB NOT NULL, forces BLOB, stress BLOB,
    rest TEXT NOT NULL, info TEXT NOT NULL, added TEXT NOT NULL,
    UNIQUE (hash, level)
);
"""
_COLUMNS = (
    "hash level config_type formula natoms engine energy energy_per_atom max_force volume "
    "numbers positions cell forces stress rest info added"
).split()


@dataclass(frozen=True)
class Added:
    """What an `add` did."""

    new: int
    known: int

    def __str__(self) -> str:
        return f"{self.new} new, {self.known} known already"


def is_store(path: str | Path) -> bool:
    """Whether a file is a store of ours, by its mark."""
    with open(path, "rb") as file:
        head = file.read(100)
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72], "big") == APPLICATION


class Dataset:
    """`Dataset("water.db")` opens a store, or makes one.

    >>> from adiabat.data.structure import labeled
    >>> dataset = Dataset(":memory:")
    >>> h2 = labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), energy=-31.7, forces=np.zeros((2, 3)))
    >>> print(dataset.add(h2)), print(dataset.add([h2])), len(dataset)
    1 new, 0 known already
    0 new, 1 known already
    (None, None, 1)
    """

    def __init__(self, path: str | Path):
        self.path = path if str(path) == ":memory:" else Path(path)
        fresh = self.path == ":memory:" or not Path(path).exists() or Path(path).stat().st_size == 0
        if not fresh and not is_store(path):
            raise ValueError(
                f"{path}: this is no Adiabat store; wanted one, or a new name; read other files with adiabat.read()"
            )
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: cannot be opened or made: {error}; see that its folder exists and can be written") from None
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            if self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0] == 0:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
        self._db.execute("PRAGMA journal_mode = WAL")  # after the mark, which must stand in the file itself, not in its log
        (version,) = self._db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if int(version) > FORMAT:
            raise ValueError(f"{path}: store of format {version}, this Adiabat reads up to {FORMAT}; update Adiabat")

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM configurations").fetchone()[0]

    def __iter__(self) -> Iterator[Atoms]:
        """In the order they were added."""
        return self._frames("", ())

    def __getitem__(self, k: int) -> Atoms:
        n = len(self)
        if not -n <= k < n:
            raise IndexError(f"{self.path}: configuration {k} was asked for, there are {n}")
        return next(self._frames("", (), f"LIMIT 1 OFFSET {k % n}"))

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
        there with fewer labels gets the missing ones.
        """
        frames = [atoms] if isinstance(atoms, Atoms) else list(atoms)
        rows = [_row(frame, f"{self.path}: add, frame {k}") for k, frame in enumerate(frames)]
        new = 0
        with self._transaction():
            for k, row in enumerate(rows):
                old = self._db.execute(
                    "SELECT id, energy, forces, stress FROM configurations WHERE hash = ? AND level = ?",
                    (row["hash"], row["level"]),
                ).fetchone()
                if old is None:
                    marks = ", ".join("?" * len(_COLUMNS))
                    self._db.execute(
                        f"INSERT INTO configurations ({', '.join(_COLUMNS)}) VALUES ({marks})", [row[c] for c in _COLUMNS]
                    )
                    new += 1
                else:
                    self._merge(old, row, k)
        return Added(new, len(rows) - new)

    def select(self, expression: str) -> list[Atoms]:
        """Those for which all clauses hold, as in "config_type=rattled and natoms<100".

        Names are config_type, formula, natoms, engine, level, hash, energy, energy_per_atom, max_force, volume, or a key of
        `info`; operators are = != < <= > >=. Quote a value that has spaces.
        """
        where: list[str] = []
        values: list[str | int | float] = []
        columns = set(_COLUMNS) - {"numbers", "positions", "cell", "forces", "stress", "rest", "info"}
        for name, operator, value in clauses(expression):
            if name not in columns and name not in self._info_keys():
                raise ValueError(
                    f"select: no configuration knows {name!r}; wanted one of {', '.join(sorted(columns))}, "
                    f"or of info: {', '.join(sorted(self._info_keys())) or 'none'}"
                )
            if name in columns:
                where.append(f"{name} {operator} ?")
            else:
                where.append(f"json_extract(info, ?) {operator} ?")
                values.append(f'$."{name}"')
            values.append(value)
        return list(self._frames("WHERE " + " AND ".join(where), values))

    def split(self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[list[Atoms], ...]:
        """Train, validation and test frames; duplicates and trajectory neighbors stay on one side (see `adiabat.data.split`)."""
        from adiabat.data.split import split

        frames = list(self)
        return tuple([frames[k] for k in side] for side in split(frames, fractions=fractions, seed=seed))

    def check(self):
        """The data gate's findings."""
        from adiabat.data.gate import check

        return check(list(self))

    def levels(self) -> dict[str, int]:
        """How many configurations there are at each level of theory."""
        return dict(self._db.execute("SELECT level, count(*) FROM configurations GROUP BY level ORDER BY min(id)"))

    def _merge(self, old, row: dict, k: int) -> None:
        id_, *known = old
        for what, before, limit in zip(
            ("energy", "forces", "stress"), known, (ENERGY_TOLERANCE * row["natoms"], FORCE_TOLERANCE, STRESS_TOLERANCE)
        ):
            after = row[what]
            if before is None or after is None:
                continue
            difference = np.abs(_floats(after) - _floats(before)).max(initial=0.0)
            if difference > limit:
                raise ValueError(
                    f"{self.path}: frame {k}, {row['formula']} ({row['hash'][:8]}) is there as row {id_} at the same level of theory "
                    f"({row['level']}) with another {what}: they differ by {difference:.3g}, wanted below {limit:.3g}; "
                    "nothing was added; find out which is right, and leave the other out"
                )
        missing = [w for w, before in zip(("energy", "forces", "stress"), known) if before is None and row[w] is not None]
        derived = {"energy": ["energy_per_atom"], "forces": ["max_force"], "stress": []}
        for what in [column for name in missing for column in (name, *derived[name])]:
            self._db.execute(f"UPDATE configurations SET {what} = ? WHERE id = ?", (row[what], id_))

    def _info_keys(self) -> set[str]:
        return {key for (key,) in self._db.execute("SELECT DISTINCT j.key FROM configurations, json_each(info) AS j")}

    def _frames(self, where: str, values, limit: str = "") -> Iterator[Atoms]:
        wanted = "numbers, positions, cell, energy, forces, stress, rest, info"
        for row in self._db.execute(f"SELECT {wanted} FROM configurations {where} ORDER BY id {limit}", values):
            yield _atoms(*row)

    @contextmanager
    def _transaction(self):
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            cure = (
                "free some space"
                if "full" in str(error)
                else "see whether another process holds it, and its folder can be written"
            )
            raise OSError(f"{self.path}: {error}; nothing of this was kept; {cure} and try again") from error
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _row(atoms: Atoms, where: str) -> dict:
    record = structure.to_json(atoms)  # refuses what is not finite
    labels = structure.labels(atoms)
    if "energy" not in labels and "forces" not in labels:
        raise ValueError(
            f"{where}: {structure.name_of(atoms)} has neither energy nor forces; wanted a labeled copy; label it first"
        )
    provenance = atoms.info.get("adiabat") or {}
    if provenance.get("converged") is False:
        raise ValueError(f"{where}: {structure.name_of(atoms)} says it is not converged; wanted converged labels; leave it out")
    n = len(atoms)
    energy, forces, stress = (labels.get(name) for name in structure.LABELS)
    for what, value, shape in (("forces", forces, (n, 3)), ("stress", stress, (6,))):
        if value is not None and value.shape != shape:
            raise ValueError(f"{where}: {what} have shape {value.shape}, wanted {shape}; correct or leave out this frame")
    for what, value in labels.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{where}: {what} of {structure.name_of(atoms)} is not finite; correct or leave out this frame")
    volume = atoms.cell.volume
    config_type = atoms.info.get("config_type")
    return {
        "hash": structure.content_hash(atoms),
        "level": str(provenance.get("level_of_theory") or UNSPECIFIED),
        "config_type": None if config_type is None else str(config_type),
        "formula": atoms.get_chemical_formula(),
        "natoms": n,
        "engine": provenance.get("engine"),
        "energy": energy,
        "energy_per_atom": None if energy is None else energy / n,
        "max_force": None if forces is None else float(np.linalg.norm(forces, axis=1).max()),
        "volume": float(volume) if volume > 0 else None,
        "numbers": atoms.numbers.astype("<i4").tobytes(),
        "positions": _blob(atoms.positions),
        "cell": _blob(atoms.cell.array),
        "forces": None if forces is None else _blob(forces),
        "stress": None if stress is None else _blob(stress),
        "rest": json.dumps({k: record[k] for k in ("pbc", "charge", "multiplicity", "fixed", "arrays") if k in record}),
        "info": json.dumps(record.get("info", {})),
        "added": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _atoms(numbers, positions, cell, energy, forces, stress, rest, info) -> Atoms:
    record = json.loads(rest) | {"info": json.loads(info)}
    record |= {"numbers": np.frombuffer(numbers, "<i4"), "positions": _floats(positions), "cell": _floats(cell).reshape(3, 3)}
    labels = {
        "energy": energy,
        "forces": None if forces is None else _floats(forces).reshape(-1, 3),
        "stress": None if stress is None else _floats(stress),
    }
    return structure.labeled(structure.from_json(record), **labels)


def _blob(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _floats(value) -> np.ndarray:
    return np.frombuffer(value, "<f8") if isinstance(value, bytes) else np.array([value], dtype=float)
