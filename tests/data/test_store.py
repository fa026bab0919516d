"""The store: what was acknowledged is there, once, whole, whatever happened to the process that added it."""

import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from adiabat.data.formats import read
from adiabat.data.store import Dataset, is_store
from adiabat.data.structure import labeled, to_json


def frame(k, level="pbe", **change):
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=k)
    provenance = {"engine": "test", "level_of_theory": level, "converged": True}
    atoms.info |= {"config_type": "rattled" if k % 2 else "md", "step": k, "adiabat": provenance}
    given = {"energy": -14.0 + 0.1 * k, "forces": np.random.default_rng(k).normal(size=(3, 3))} | change
    return labeled(atoms, **given)


@pytest.fixture
def dataset(tmp_path):
    with Dataset(tmp_path / "a.db") as made:
        yield made


def test_what_is_added_comes_back_exactly_and_in_order(dataset):
    frames = [frame(k) for k in (5, 3, 9, 1)]
    assert str(dataset.add(frames)) == "4 new, 0 known already"
    assert [to_json(a) for a in dataset] == [to_json(a) for a in frames]
    assert to_json(dataset[-1]) == to_json(frames[-1])
    assert [to_json(a) for a in read(dataset.path)] == [to_json(a) for a in frames]


def test_adding_twice_is_adding_once(dataset):
    dataset.add([frame(1), frame(2)])
    assert dataset.add([frame(2), frame(3), frame(3)]).new == 1
    assert len(dataset) == 3
    with Dataset(dataset.path) as again:
        assert again.add(frame(1)).known == 1


def test_an_add_with_a_bad_frame_adds_nothing(dataset):
    for bad, words in (
        (molecule("H2O"), "frame 1: H2O .*neither energy nor forces.*label it first"),
        (frame(7, forces=np.full((3, 3), np.nan)), "frame 1: forces of H2O .* not finite"),
        (frame(7, stress=np.zeros(3)), r"frame 1: stress have shape \(3,\), wanted \(6,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            dataset.add([frame(1), bad])
    unconverged = frame(7)
    unconverged.info["adiabat"]["converged"] = False
    with pytest.raises(ValueError, match="not converged.*leave it out"):
        dataset.add([frame(1), unconverged])
    assert len(dataset) == 0


def test_one_structure_with_two_energies_is_an_error_that_names_both(dataset):
    dataset.add([frame(1), frame(2)])
    with pytest.raises(
        ValueError, match=r"frame 1, H2O .*row 2 .*level of theory \(pbe\).*another energy: they differ by 0\.3"
    ):
        dataset.add([frame(3), frame(2, energy=-13.5)])
    assert len(dataset) == 2
    assert dataset.add(frame(2, level="hse", energy=-13.5)).new == 1  # another level is another label
    assert dataset.levels() == {"pbe": 2, "hse": 1}


def test_missing_labels_are_filled_in(dataset):
    dataset.add(frame(1, forces=None))
    dataset.add(frame(1))
    assert (dataset[0].get_forces() == frame(1).get_forces()).all() and len(dataset) == 1


def test_select(dataset):
    dataset.add([frame(k) for k in range(6)])
    assert [a.info["step"] for a in dataset.select("config_type=rattled and step>1")] == [3, 5]
    assert len(dataset.select("formula = H2O and natoms<4 and level=pbe")) == 6
    with pytest.raises(ValueError, match=r"no configuration knows 'config_typ'; wanted one of .*config_type"):
        dataset.select("config_typ=md")
    with pytest.raises(ValueError, match="came, wanted 'and' or the end"):
        dataset.select("natoms<4; DROP TABLE configurations")
    assert dataset.select("formula=\"x' OR '1'='1\"") == []


def test_split_and_check(dataset):
    dataset.add([frame(k) for k in range(20)])
    assert [len(side) for side in dataset.split(seed=3)] == [16, 2, 2]
    assert {f.name for f in dataset.check()} >= {"elements", "net force"}


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "a.db").write_text(
        "not a database, but long enough to have a header of a hundred characters, and then a few more"
    )
    with pytest.raises(ValueError, match="no Adiabat store; wanted one, or a new name"):
        Dataset(tmp_path / "a.db")
    sqlite3.connect(tmp_path / "b.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(ValueError, match="no Adiabat store"):
        Dataset(tmp_path / "b.db")
    with pytest.raises(OSError, match="cannot be opened"):
        Dataset(tmp_path / "nowhere" / "c.db")


def test_a_newer_format_is_refused(tmp_path):
    with Dataset(tmp_path / "a.db") as dataset:
        dataset._db.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    with pytest.raises(ValueError, match="store of format 99, this Adiabat reads up to 1; update"):
        Dataset(tmp_path / "a.db")


def test_a_full_disk_keeps_the_old_and_says_so(dataset):
    dataset.add(frame(0))
    pages = dataset._db.execute("PRAGMA page_count").fetchone()[0]
    dataset._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite reports a full disk in the same way
    with pytest.raises(OSError, match="full; nothing of this was kept; free some space"):
        dataset.add([frame(k) for k in range(1, 100)])
    assert len(dataset) == 1
    dataset._db.execute("PRAGMA max_page_count = 100000")
    assert dataset.add([frame(k) for k in range(1, 100)]).new == 99


ADDING = """
import sys
import numpy as np
from ase import Atoms
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled
dataset = Dataset(sys.argv[1])
print("ready", flush=True)
for k in range(10**6):
    batch = [labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 1e-5 * (3 * k + m)]]), energy=1.0 * k) for m in range(3)]
    dataset.add(batch)
    print(k, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.13])
def test_killed_while_adding_nothing_acknowledged_is_lost(tmp_path, after_s):
    path = tmp_path / "a.db"
    process = subprocess.Popen([sys.executable, "-c", ADDING, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in process.stdout.read().splitlines() if line.strip()]
    process.wait()
    assert is_store(path)
    with Dataset(path) as dataset:
        energies = [a.get_potential_energy() for a in dataset]
        assert len(energies) % 3 == 0  # no half of an add
        assert len(energies) >= 3 * len(acknowledged)
        assert sorted(energies) == energies and energies == [1.0 * (k // 3) for k in range(len(energies))]
        dataset.add(labeled(Atoms("He"), energy=0.0))
