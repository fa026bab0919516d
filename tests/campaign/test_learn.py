"""The learning campaign as a whole: what it leaves, and what SIGKILL cannot take from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import adiabat
import adiabat as ad
from adiabat.campaign.learn import parse
from adiabat.config import ConfigError
from adiabat.data.split import BLOCK, split
from adiabat.data.structure import content_hash, labels
from adiabat.jobs import Ledger
from adiabat.report import Sections
from campaign.small import SMALL

TESTS = Path(__file__).parents[1]


def start(folder: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "campaign.small", str(folder), *more],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(start(folder))
    return folder


def learned(folder: Path) -> dict[str, list[float]]:
    """Every label of the store, by structure: energy and forces to the last bit."""
    return {content_hash(a): [labels(a)["energy"], *labels(a)["forces"].ravel()] for a in ad.Dataset(folder / "labels.db")}


@pytest.mark.slow
def test_a_campaign_leaves_what_the_contract_names(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    wanted = {
        "labels",
        "energy_mae_meV_per_atom",
        "force_mae_meV_per_A",
        "nve_drift_meV_per_atom_per_ns",
        "rounds",
        "wall_s",
        "label_wall_s",
        "model",
        "report",
    }
    assert wanted <= set(summary)
    assert summary["labels"] == len(learned(whole))
    assert (whole / summary["report"]).stat().st_size > 1e6  # the page carries its plotting library
    views = {view["name"]: view["frames"] for view in Sections(whole)["structures"]["views"]}
    assert {name: len(frames) for name, frames in views.items()} == {
        "Relaxed structure": 1,
        "Worst test frames": 4,
        "Dynamics at 300 K": 50,
    }
    potential = ad.load(whole / summary["model"])
    [first, *_] = ad.Dataset(whole / "labels.db").select("config_type=rattled")
    first.calc = potential.calculator()
    assert first.get_forces().shape == (3, 3)


def without_time(folder: Path) -> list[dict]:
    """The log's lines, but not when they were written."""
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in (folder / "events.jsonl").open()]


@pytest.mark.slow
def test_what_another_version_made_is_made_anew_and_all_else_is_told_once(whole: Path, tmp_path: Path) -> None:
    """Labels belong to their engine's version and stay; a stage's product belongs to Adiabat's."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    older = ["explore-1-200K", "train-round-2"]
    for name in older:
        path = folder / f"stages/{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "adiabat": "0.0.1"}))
    (folder / "training/round-2/made-by.json").write_text('{"adiabat": "0.0.1"}')
    stamp = {p.stem: p.stat().st_mtime_ns for p in folder.glob("stages/*.json")}
    labeled = {p: p.stat().st_mtime_ns for p in folder.glob("results/*/*.json")}
    before = without_time(folder)
    finish(start(folder))
    made_anew = {p.stem for p in folder.glob("stages/*.json") if p.stat().st_mtime_ns != stamp[p.stem]}
    assert made_anew == set(older)
    assert {p: p.stat().st_mtime_ns for p in folder.glob("results/*/*.json")} == labeled
    assert learned(folder) == learned(whole)
    after = without_time(folder)
    assert after[: len(before)] == before
    said = [f"{name} was made by Adiabat 0.0.1, this is {adiabat.__version__}: made anew" for name in older]
    assert after[len(before) :] == [{"stage": "stage", "message": message} for message in said]


@pytest.mark.slow
def test_every_frame_that_has_neighbors_in_time_says_so_and_is_split_with_them(whole: Path) -> None:
    frames = list(ad.Dataset(whole / "labels.db"))
    moved = [a for a in frames if a.info["config_type"] not in ("isolated_atom", "rattled")]
    assert {a.info["config_type"].split()[0] for a in moved} == {"relax", "hot", "explored"}
    places = [(a.info["trajectory"], a.info["step"]) for a in moved]
    explored = [a.info["config_type"].startswith("explored") for a in moved]
    own = [place for place, late in zip(places, explored) if not late]
    assert len(set(own)) == len(own)
    # A replica that starts from the minimum has a trajectory of its own; one that starts from a labeled frame goes on with that frame's.
    begun = {t for t, _ in own} | {t for t, _ in places if t.startswith("round") and "replica" in t}
    assert {t for t, _ in places} <= begun
    first = {t: min(step for other, step in own if other == t) for t, _ in own}
    assert all(step > first.get(t, -1) for (t, step), late in zip(places, explored) if late)
    runs = {t: [k for k, a in enumerate(frames) if a.info.get("trajectory") == t] for t, _ in places}
    short = [set(run) for run in runs.values() if len(run) <= BLOCK]  # longer ones are cut into blocks
    assert any(len(run) > 1 for run in short)
    for seed in range(10):
        for side in split(frames, (0.9, 0.1, 0.0), seed=seed):
            assert all(run <= set(side) or not run & set(side) for run in short)


def under_way(folder: Path) -> int:
    """Attempts that the ledger counts as running, read beside the program that writes it."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'run.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM attempts WHERE ended_as = 'running'").fetchone()[0]
    except sqlite3.Error:  # not there yet, or busy
        return 0


@pytest.mark.slow
def test_a_campaign_killed_while_it_labels_ends_with_the_same_labels(whole: Path, tmp_path: Path) -> None:
    """SIGKILL four times while labels are computed, each time after some more were published; and once at any moment.

    Nothing published is lost or computed again, and the labels are those of a campaign nobody disturbed.
    """
    folder, rng = tmp_path / "run", random.Random(5)
    published: dict[str, int] = {}

    def results() -> dict[str, int]:
        return {str(f): f.stat().st_mtime_ns for f in folder.glob("results/*/*.json")}

    for k in range(5):
        process, more, end = start(folder, "unhurried"), len(published) + rng.randint(1, 4), time.monotonic() + 120
        if k == 4:
            time.sleep(rng.uniform(2.0, 12.0))
        while k < 4 and process.poll() is None and not (len(results()) >= more and under_way(folder)):
            assert time.monotonic() < end, "no label came in two minutes"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = results()
        assert all(now.get(f) == t for f, t in published.items()), "a published result was lost or written again"
        published = now
    finish(start(folder, "unhurried"))
    assert {f: t for f, t in results().items() if f in published} == published
    assert learned(folder) == learned(whole)
    with Ledger(folder) as ledger:
        ended = [[a["ended_as"] for a in ledger.attempts(f.stem)] for f in folder.glob("results/*/*.json")]
    assert sum("interrupted" in ways for ways in ended) >= 2, "the kills met no label under way: they could not have harmed one"
    assert all(ways.count("done") == 1 for ways in ended if ways)


def test_a_misspelt_option_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"explore: unknown option 'temperature_K'; did you mean 'temperatures_K'"):
        parse({**SMALL, "explore": {"temperature_K": [300]}})
    with pytest.raises(ConfigError, match=r"model\.bpnn: unknown option 'cutof'; did you mean 'cutoff'"):
        parse({**SMALL, "model": {"bpnn": {"cutof": 3.0}}})
    with pytest.raises(ConfigError, match=r"model: auto came, which goes by the frames, .* wanted a family: ace"):
        parse({**SMALL, "model": "auto"})
    with pytest.raises(ConfigError, match=r"members: 1 came"):
        parse({**SMALL, "members": 1})
