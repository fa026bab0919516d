"""One file of each format as this version writes it, where there is none yet: `PYTHONPATH=tests python tests/golden/make_formats.py`.

What an older version wrote is never written again: `tests/test_compatibility.py` reads it.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms

from adiabat import config
from adiabat.campaign import run_folder
from adiabat.campaign.run_folder import RunFolder
from adiabat.data import shards, store
from adiabat.data.packing import pack
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled, to_json
from adiabat.jobs import InProcess, Ledger, Task, ledger, run
from adiabat.report import Sections, record

HERE = Path(__file__).parent
CONFIG = """format: {version}
structures: pairs.xyz
out: run
labeler: {{ase: {{calculator: emt}}}}
"""


def frames() -> list[Atoms]:
    rng = np.random.default_rng(0)
    places = [rng.normal(size=(2, 3)) + np.array([[0, 0, 0], [3, 0, 0]]) for _ in range(3)]
    pairs = [Atoms("OH", x, info={"config_type": "rattled"}) for x in places]
    return [labeled(a, energy=-460.0 - k, forces=rng.normal(size=(2, 3))) for k, a in enumerate(pairs)]


def make_store(path: Path) -> None:
    with Dataset(path) as dataset:
        dataset.add(frames())
        path.with_suffix(".json").write_text(json.dumps([to_json(a) for a in dataset], indent=1) + "\n")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()


def make_shards(path: Path) -> None:
    dataset = Dataset(":memory:")
    dataset.add(frames())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(pack(dataset, folder).path, path)


def make_ledger(path: Path) -> None:
    path.mkdir()
    socket.gethostname = lambda: "example"  # results say where they were computed
    with Ledger(path) as book:
        run([Task("square", "jobs.work:square", n, {"n": n}) for n in range(3)], book, InProcess())
    with sqlite3.connect(path / "run.db") as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    for lock in path.glob("*.lock"):
        lock.unlink()


def make_run(path: Path) -> None:
    RunFolder(path, {"structures": "pairs.xyz", "seed": 1}, kind="label").event("start", "begun")


def make_report(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Sections(Path(folder)).put("versions", software={"adiabat": "0.1.0"}, machine={})
        shutil.copy(Path(folder, "report.json"), path)


def make_config(path: Path) -> None:
    path.write_text(CONFIG.format(version=config.FORMAT))


MAKERS = {
    f"store-v{store.FORMAT}.db": make_store,
    f"shards-v{shards.FORMAT}": make_shards,
    f"ledger-v{ledger.VERSION}": make_ledger,
    f"run-v{run_folder.FORMAT}": make_run,
    f"report-v{record.FORMAT}.json": make_report,
    f"config-v{config.FORMAT}.yaml": make_config,
}

if __name__ == "__main__":
    for name, make in MAKERS.items():
        if not (HERE / name).exists():
            make(HERE / name)
            print("made", name)
