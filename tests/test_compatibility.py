"""Files of every format so far can be read, and a newer one is told from a damaged one.

A format that is raised without a file of the new one beside the old ones fails here: tests/golden/make_formats.py writes it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adiabat import config, modelfile
from adiabat.campaign import run_folder
from adiabat.campaign.run_folder import RunFolder
from adiabat.config import read_yaml
from adiabat.data import shards, store
from adiabat.data.shards import Shards
from adiabat.data.store import Dataset
from adiabat.deploy import load
from adiabat.jobs import InProcess, Ledger, Task, ledger, run
from adiabat.report import record
from adiabat.report.record import Run

GOLDEN = Path(__file__).parent / "golden"


class Kept(NamedTuple):
    """A file people keep: its current format, what its golden files are called, how it is read, and how its version is changed."""

    version: int
    name: str
    read: Callable[[Path], Any]
    newer: Callable[[Path, int], None]


def read_store(path: Path) -> None:
    with Dataset(path) as dataset:
        assert len(dataset) >= 1
        assert dataset.verify() == []
        assert all("energy" in a.calc.results for a in dataset)


def read_shards(path: Path) -> None:
    found = Shards(path)
    assert found.verify() == []
    assert [len(a) for a in found] == [2, 2, 2]


def read_ledger(path: Path) -> None:
    """Its results are known: nothing is computed again."""
    with Ledger(path) as book:
        outcomes = run([Task("square", "jobs.work:square", n, {"n": n}) for n in range(3)], book, InProcess())
        assert [o.result for o in outcomes] == [0, 1, 4]
        assert book.counts()["done"] == 3 and not book.notes
    with sqlite3.connect(path / "run.db") as db:
        assert db.execute("SELECT SUM(attempts) FROM tasks").fetchone() == (3,)


def read_run(path: Path) -> None:
    folder = RunFolder(path, {"structures": "pairs.xyz", "seed": 1}, kind="label")
    assert folder.resumed
    assert [e["message"] for e in folder.events()] == ["begun"]


def read_report(path: Path) -> None:
    (path.parent / "run").mkdir()
    shutil.copy(path, path.parent / "run" / "report.json")
    found = Run.read(path.parent / "run")
    if found.problems:
        raise ValueError(found.problems[0])


def read_config(path: Path) -> None:
    assert read_yaml(path)["structures"] == "pairs.xyz"
    assert "format" not in read_yaml(path)


def read_model(path: Path) -> None:
    assert load(path).elements == (1, 8)


def in_json(path: Path, version: int) -> None:
    told = json.loads(path.read_text()) | {"format": version}
    path.write_text(json.dumps(told))


def in_sqlite(command: str) -> Callable[[Path, int], None]:
    def change(path: Path, version: int) -> None:
        with sqlite3.connect(path / "run.db" if path.is_dir() else path) as db:
            db.execute(command.format(version))
        db.close()

    return change


def in_model(path: Path, version: int) -> None:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    told = json.loads(header["__metadata__"]["adiabat"]) | {"format_version": version}
    header["__metadata__"]["adiabat"] = json.dumps(told)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


KEPT = {
    "model file": Kept(modelfile.FORMAT_VERSION, "committee-v{}.adiabat", read_model, in_model),
    "store": Kept(store.FORMAT, "store-v{}.db", read_store, in_sqlite("UPDATE meta SET value = {} WHERE name = 'format'")),
    "shards": Kept(shards.FORMAT, "shards-v{}", read_shards, lambda path, v: in_json(path / "index.json", v)),
    "ledger": Kept(ledger.VERSION, "ledger-v{}", read_ledger, in_sqlite("PRAGMA user_version = {}")),
    "run folder": Kept(run_folder.FORMAT, "run-v{}", read_run, lambda path, v: in_json(path / "run.json", v)),
    "report": Kept(record.FORMAT, "report-v{}.json", read_report, in_json),
    "configuration": Kept(
        config.FORMAT, "config-v{}.yaml", read_config,
        lambda path, v: path.write_text(path.read_text().replace(f"format: {config.FORMAT}", f"format: {v}")) and None,
    ),
}  # fmt: skip
EVERY = [(kind, version) for kind, kept in KEPT.items() for version in range(1, kept.version + 1)]


def copy(name: str, folder: Path) -> Path:
    found, here = GOLDEN / name, folder / name
    assert found.exists(), f"no {name}: run tests/golden/make_formats.py"
    shutil.copytree(found, here) if found.is_dir() else shutil.copy(found, here)
    return here


@pytest.mark.parametrize("kind, version", EVERY, ids=[f"{kind} {version}" for kind, version in EVERY])
def test_files_of_every_format_so_far_are_read(kind, version, tmp_path):
    KEPT[kind].read(copy(KEPT[kind].name.format(version), tmp_path))


@pytest.mark.parametrize("kind", KEPT)
def test_a_newer_format_is_told_with_both_numbers_and_what_to_do(kind, tmp_path):
    kept = KEPT[kind]
    path = copy(kept.name.format(kept.version), tmp_path)
    kept.newer(path, 99)
    with pytest.raises(ValueError, match=rf"(?i)99.*\b{kept.version}\b.*(update|newer)"):
        kept.read(path)


@pytest.mark.parametrize("version", ["one", "0", "1.5", "true"])
def test_a_format_that_is_no_number_is_told(version, tmp_path):
    (tmp_path / "a.yaml").write_text(f"format: {version}\nout: run\n")
    with pytest.raises(config.ConfigError, match="format: .* came; wanted a whole number"):
        read_yaml(tmp_path / "a.yaml")
