"""The store: what was acknowledged is there, once, whole, whatever happened to the process that added it."""

import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from adiabat.data.damage import Damaged
from adiabat.data.formats import read
from adiabat.data.row import atoms_of
from adiabat.data.store import Dataset, is_store
from adiabat.data.structure import content_hash, labeled, to_json


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
    with pytest.raises(
        ValueError, match=r"no configuration knows 'config_typ'; did you mean 'config_type'.*wanted one of .*natoms"
    ):
        dataset.select("config_typ=md")
    with pytest.raises(ValueError, match="character 8 came, wanted name=value"):
        dataset.select("natoms<4; DROP TABLE configurations")
    assert dataset.select("formula=\"x' OR '1'='1\"") == []


def test_split_and_check(dataset):
    dataset.add([frame(k) for k in range(20)])
    sides = dataset.split(seed=3)
    assert [len(side) for side in sides] == [16, 2, 2]
    for side, ids in zip(sides, dataset.split_ids(seed=3), strict=True):
        assert [atoms.positions.tolist() for atoms in side] == [atoms_of(row).positions.tolist() for row in dataset.rows(ids)]
    assert {f.name for f in dataset.check()} >= {"elements", "net force"}


def test_a_store_in_a_read_only_place(tmp_path):
    """It is read where it lies: no byte changes, no file appears beside it; what is not in the file yet is not passed over."""
    path = tmp_path / "a.db"
    with Dataset(path) as open_for_writing:
        open_for_writing.add([frame(k) for k in range(5)])
        with pytest.raises(OSError, match="a.db-wal holds what was added last.*copy"):
            Dataset(path, read_only=True)
    before = path.read_bytes()
    with Dataset(path, read_only=True) as dataset:
        assert len(dataset.select("natoms<100")) == len(dataset) == 5 and dataset.verify() == []
        with pytest.raises(OSError, match="readonly.*nothing of this was kept; copy the store"):
            dataset.add(frame(7))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.db"]
    with pytest.raises(FileNotFoundError, match="b.db"):
        Dataset(tmp_path / "b.db", read_only=True)
    old = Path(__file__).parents[1] / "golden/store-v1.db"
    with pytest.raises(ValueError, match="format 1.*copy"):
        Dataset(old, read_only=True)


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
    with pytest.raises(ValueError, match="store of format 99, this Adiabat reads up to 2; update"):
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


@pytest.mark.parametrize("after_s", np.random.default_rng(5).uniform(0, 0.3, 10).round(3))
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
        assert dataset.verify() == []
        dataset.add(labeled(Atoms("He"), energy=0.0))


LIMITED = """
import resource, signal, sys
from adiabat.data.store import Dataset
sys.path.insert(0, sys.argv[2])
from test_store import frame
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit is an error, as on a full disk
dataset = Dataset(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
for k in range(10**6):
    try:
        dataset.add([frame(3 * k + m) for m in range(3)])
    except OSError as error:
        print(error, flush=True)
        break
    print(k, flush=True)
print(len(dataset))
"""


OPENED = """
import resource, signal, sys
from adiabat.data.store import Dataset
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    Dataset(sys.argv[1])
except OSError as error:
    sys.exit(f"{sys.argv[1]} {'free some space' in str(error)}")
"""


@pytest.mark.parametrize("made", [False, True])
def test_a_store_on_a_full_disk_asks_for_space(tmp_path, made):
    path = tmp_path / "a.db"
    if made:
        Dataset(path).close()
    run = subprocess.run([sys.executable, "-c", OPENED, str(path)], stderr=subprocess.PIPE, text=True, check=False)
    assert run.stderr.splitlines()[-1] == f"{path} True"


def test_a_disk_that_fills_up_loses_nothing_that_was_acknowledged(tmp_path):
    path, here = tmp_path / "a.db", str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", LIMITED, str(path), here], capture_output=True, text=True, check=True)
    *acknowledged, told, n = run.stdout.splitlines()
    assert "nothing of this was kept; free some space and try again" in told
    assert len(acknowledged) > 5 and int(n) == 3 * len(acknowledged)
    with Dataset(path) as dataset:
        assert [a.info["step"] for a in dataset] == list(range(int(n)))
        assert dataset.verify() == []
        assert dataset.add([frame(k) for k in range(int(n) + 3)]).new == 3


WRITING = """
import sys, time
from adiabat.data.store import Dataset
sys.path.insert(0, sys.argv[2])
from test_store import frame
def frames():
    for k in range(1000):
        yield frame(k)
        if k == 600:  # past the first block: the transaction has begun
            print("writing", flush=True)
            sys.stdin.readline()
Dataset(sys.argv[1]).add(frames())
"""


def test_a_second_writer_waits_says_for_whom_and_is_refused_when_it_takes_too_long(dataset, caplog):
    dataset.add(frame(2000))
    arguments = [sys.executable, "-c", WRITING, str(dataset.path), str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    dataset.patience_s = 0.5
    with pytest.raises(
        OSError, match=f"process {process.pid} on .* is writing, and still was .*nothing of this was kept; wait"
    ):
        dataset.add(frame(2001))
    assert f"waiting for process {process.pid}" in caplog.text
    assert len(dataset) == 1  # readers neither wait nor see half an add
    dataset.patience_s = 60
    Timer(0.2, process.communicate, ["\n"]).start()
    assert dataset.add(frame(2001)).new == 1  # as soon as the other one is done
    assert len(dataset) == 1002 and process.wait() == 0
    assert not Path(f"{dataset.path}-writer").exists()


def flipped(path, sought, offset=0):
    """Flip a bit of the first byte of `sought` in a file."""
    content = bytearray(path.read_bytes())
    place = content.index(sought) + offset
    content[place] ^= 0x10
    path.write_bytes(content)


def in_one_file(dataset):
    """Everything out of the log."""
    dataset._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    dataset.close()
    return dataset.path


@pytest.mark.parametrize("what", ["positions", "forces", "info", "max_force"])
def test_a_flipped_bit_in_a_row_is_named(dataset, tmp_path, what):
    dataset.add([frame(k) for k in range(20)])
    victim = frame(7)
    sought = {
        "positions": victim.positions.tobytes(), "forces": victim.get_forces().tobytes(), "info": b'"step": 7',
        "max_force": struct.pack(">d", np.linalg.norm(victim.get_forces(), axis=1).max()),
    }[what]  # fmt: skip
    if what == "max_force":  # also in the catalog: the row's own copy is the one before its numbers
        content = in_one_file(dataset).read_bytes()
        place = content.index(victim.positions.tobytes())
        offset = content.rindex(sought, 0, place) - content.index(sought)
    else:
        offset = 0
        in_one_file(dataset)
    flipped(dataset.path, sought, offset + 7 * (what == "info") + 3 * (what != "info"))
    with Dataset(dataset.path) as damaged:
        found = damaged.verify()
        assert [d.row for d in found if d.row is not None] == [8]
        assert f"row 8, H2O ({content_hash(victim)[:8]})" in next(d.message for d in found if d.row == 8)
        if what != "max_force":
            with pytest.raises(Damaged, match=r"row 8 .* is not what was added.*--verify"):
                list(damaged)
        left_out = damaged.rescue(tmp_path / "b.db")
        assert [d.row for d in left_out if d.row is not None] == [8]
    with Dataset(tmp_path / "b.db") as rescued:
        assert [to_json(a) for a in rescued] == [to_json(frame(k)) for k in range(20) if k != 7]


def test_a_page_that_cannot_be_read_is_named_and_the_rest_is_rescued(dataset, tmp_path):
    dataset.add([frame(k) for k in range(100)])
    page = in_one_file(dataset).read_bytes().index(frame(50).positions.tobytes()) // 8192
    content = bytearray(dataset.path.read_bytes())
    content[8192 * page : 8192 * page + 100] = bytes(100)  # the head of a page, which says what it is
    dataset.path.write_bytes(content)
    with Dataset(dataset.path) as damaged:
        with pytest.raises(Damaged, match="a page cannot be read.*--rescue"):
            list(damaged)
        lost = sorted({d.row for d in damaged.verify() if d.row is not None})
        assert 51 in lost and lost == list(range(lost[0], lost[-1] + 1)) and len(lost) < 40
        damaged.rescue(tmp_path / "b.db")
    with Dataset(tmp_path / "b.db") as rescued:
        assert [a.info["step"] + 1 for a in rescued] == [k for k in range(1, 101) if k not in lost]


def test_a_store_of_format_1_opens_and_is_brought_up_to_date(tmp_path):
    golden = Path(__file__).parents[1] / "golden/store-v1"  # written by the code of format 1, numbers beside it
    shutil.copy(golden.with_suffix(".db"), tmp_path / "a.db")
    wanted = json.loads(golden.with_suffix(".json").read_text())
    for _ in range(2):
        with Dataset(tmp_path / "a.db") as dataset:
            assert [to_json(a) for a in dataset] == wanted
            assert dataset.verify() == []
            assert len(dataset.select("step>=1 and config_type=rattled")) == 1
            assert dataset.add(frame(0)).known == 1
    fresh = Dataset(":memory:")
    fresh.add(Dataset(tmp_path / "a.db"))
    assert fresh.data_hash() == Dataset(tmp_path / "a.db").data_hash()


def test_the_hash_of_a_set_knows_its_contents_and_not_their_order(tmp_path):
    one, other = Dataset(":memory:"), Dataset(":memory:")
    one.add([frame(k) for k in range(5)])
    other.add([frame(k) for k in (3, 1, 4, 0, 2)])
    assert one.data_hash() == other.data_hash() != one.data_hash("step<4")
    other.add(frame(5))
    assert one.data_hash() != other.data_hash() and one.data_hash() == other.data_hash("step<5")


def test_merge_is_add_of_what_the_others_hold(dataset, tmp_path):
    with Dataset(tmp_path / "b.db") as other:
        other.add([frame(k) for k in range(10)])
    dataset.add(frame(3, forces=None))
    assert str(dataset.merge(tmp_path / "b.db", select="step<5")) == "4 new, 1 known already"
    assert {json.dumps(to_json(a)) for a in dataset} == {json.dumps(to_json(frame(k))) for k in range(5)}
    with Dataset(tmp_path / "b.db") as other:
        other.add(frame(11, level="hse"))
        assert dataset.merge(other, other).new == 6 and dataset.verify() == []
    with pytest.raises(FileNotFoundError, match="no such store"):
        dataset.merge(tmp_path / "c.db")
    assert not (tmp_path / "c.db").exists()


def test_distinct_keeps_one_of_those_that_are_equal_up_to_rotation(dataset, tmp_path):
    turned = frame(1)
    energy = turned.get_potential_energy()
    turned.rotate(40, (1, 2, 3))
    dataset.add([frame(0), frame(1), labeled(turned, energy=energy), frame(1, level="hse")])
    added, pairs = dataset.distinct(tmp_path / "b.db")
    assert added.new == 3 and pairs == [(3, 2)]


def test_adding_what_a_store_holds_to_itself_ends(dataset):
    dataset.add([frame(k) for k in range(3)])
    assert dataset.add(labeled(a, energy=1.0) for a in map(moved, dataset)).new == 3


def moved(atoms):
    atoms.positions += 1.0
    return atoms
