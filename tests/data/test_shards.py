"""Packed shards: the same frames as the store's, to the last bit, in any order; what is damaged is named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms

from adiabat.data.damage import Damaged
from adiabat.data.packing import BLOCK, pack
from adiabat.data.shards import Shards
from adiabat.data.store import Dataset
from adiabat.data.structure import content_hash, labeled, to_json
from adiabat.graph import Graph


def frame(k):
    """Frames that differ in everything that can differ."""
    rng = np.random.default_rng(k)
    n = 1 + k % 5
    atoms = Atoms(
        rng.integers(1, 90, n), rng.normal(size=(n, 3)) * 3, info={"step": k, "wörds": "é\n\"'", "nested": {"a": [1, None]}}
    )
    if k % 3:
        atoms.set_cell(rng.normal(size=(3, 3)) + 5 * np.eye(3))
        atoms.pbc = (True, k % 2 == 0, k % 3 == 1)
    if k % 4 == 1:
        atoms.set_constraint(FixAtoms([n - 1]))
        atoms.info |= {"charge": k % 3 - 1, "multiplicity": 2, "config_type": "held"}
        atoms.set_array("tags", np.arange(n))
    given = {"energy": rng.normal(), "forces": rng.normal(size=(n, 3)), "stress": rng.normal(size=6) if k % 3 else None}
    given |= [{}, {"energy": None}, {"forces": None}][k % 7 % 3]
    return labeled(atoms, **given)


@pytest.fixture
def dataset(tmp_path):
    with Dataset(tmp_path / "a.db") as made:
        made.add(frame(k) for k in range(3 * BLOCK + 17))
        yield made


def by_step(frames):
    return [to_json(a) for a in sorted(frames, key=lambda a: a.info["step"])]


def test_packing_is_the_identity_on_everything(dataset):
    shards = pack(dataset)
    assert len(shards) == len(dataset) and shards.n_atoms == sum(map(len, dataset))
    assert by_step(shards) == [to_json(a) for a in dataset] == [to_json(frame(k)) for k in range(len(dataset))]
    assert {content_hash(a) for a in shards} == {content_hash(a) for a in dataset}
    back = Dataset(":memory:")
    back.add(shards)
    assert back.data_hash() == dataset.data_hash() == shards.data_hash
    assert shards.path.name == f"a-{dataset.data_hash()[:16]}.shards"


@pytest.mark.parametrize("mix", [1, 3, 100])
def test_an_epoch_has_each_frame_once_in_an_order_of_its_own(dataset, mix):
    shards = pack(dataset)
    epochs = [
        [a for block in shards.blocks(np.random.default_rng(seed), mix=mix) for a in block.frames()] for seed in (0, 1, 1)
    ]
    steps = [[a.info["step"] for a in epoch] for epoch in epochs]
    assert sorted(steps[0]) == sorted(steps[1]) == list(range(len(dataset)))
    assert steps[1] == steps[2] != steps[0]
    assert by_step(epochs[0]) == [to_json(a) for a in dataset]


def test_neighbors_in_the_store_are_not_neighbors_in_a_block(dataset):
    first = next(pack(dataset).blocks())
    steps = np.array([a.info["step"] for a in first.frames()])
    # of 256 drawn from 785 in random order, the mean is within five standard errors of the middle; in the store's order it is 128
    assert abs(steps.mean() - len(dataset) / 2) < 5 * len(dataset) / np.sqrt(12 * len(steps))


def test_arrays_say_what_the_frames_say(dataset):
    block = next(pack(dataset).blocks(np.random.default_rng(0)))
    for k, atoms in zip(block.order, block.frames()):
        a, b = block.first[k : k + 2]
        assert (block.numbers[a:b] == atoms.numbers).all() and (block.positions[a:b] == atoms.positions).all()
        assert dataset[int(block.row[k]) - 1].info == atoms.info
    with pytest.raises(AttributeError, match="no array 'charges'; wanted one of first"):
        _ = block.charges


def test_graphs_by_blocks_are_the_graphs_of_the_frames(dataset):
    shards = pack(dataset, select="natoms>2 and step<400")
    made = [graph for block in shards.graphs(4.0) for graph in block]
    for graph, atoms in zip(made, shards, strict=True):
        wanted = Graph.of(atoms, 4.0)
        assert torch.equal(graph.r, wanted.r) and torch.equal(graph.numbers, wanted.numbers)
        for name, label in wanted.labels.items():
            assert torch.equal(graph.labels[name].value, label.value) and torch.equal(graph.labels[name].mask, label.mask)


def test_what_is_packed_already_is_opened_and_what_changed_is_packed_anew(dataset):
    first = pack(dataset)
    before = {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    assert pack(dataset).path == first.path and before == {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    chosen = pack(dataset, select="step<10")
    assert len(chosen) == 10 and chosen.path != first.path
    dataset.add(frame(10_000))
    assert len(pack(dataset)) == len(first) + 1
    with pytest.raises(ValueError, match=r"no configuration to pack for select='step>1e6'"):
        pack(dataset, select="step>1e6")


def test_a_flipped_bit_is_named_with_its_block_and_the_others_stay_readable(dataset):
    shards = pack(dataset)
    (file,) = shards.path.glob("*.shard")
    victim = next(b for k, b in enumerate(shards.blocks()) if k == 1)
    content = bytearray(file.read_bytes())
    content[content.index(victim.positions.tobytes()) + 100] ^= 1
    file.write_bytes(content)
    damaged = Shards(shards.path)
    words = f"00000.shard: block 1, frames {BLOCK} to {2 * BLOCK - 1} of this file, is damaged.*pack the store again"
    with pytest.raises(Damaged, match=words):
        list(damaged)
    (told,) = damaged.verify()
    assert "block 1," in told
    content[30] ^= 1
    file.write_bytes(content)
    assert "its header is damaged" in Shards(shards.path).verify()[0]
    file.write_bytes(content[:-1])
    assert f"{len(content) - 1} bytes there, wanted {len(content)}" in Shards(shards.path).verify()[0]
    (shards.path / "index.json").write_text("{")
    with pytest.raises(Damaged, match="index.json is damaged"):
        Shards(shards.path)
    with pytest.raises(FileNotFoundError, match="no packed shards"):
        Shards(shards.path / "nowhere")


def test_every_bit_of_a_small_set_counts(tmp_path):
    dataset = Dataset(":memory:")
    dataset.add([frame(k) for k in range(1, 4)])
    shards = pack(dataset, tmp_path)
    (file,) = shards.path.glob("*.shard")
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        file.write_bytes(content)
        assert len(Shards(shards.path).verify()) == 1, place


LIMITED = """
import resource, signal, sys
from adiabat.data.packing import pack
from adiabat.data.store import Dataset
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
dataset = Dataset(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
pack(dataset)
"""


def test_a_full_disk_leaves_no_half_a_set(dataset):
    run = subprocess.run([sys.executable, "-c", LIMITED, str(dataset.path)], capture_output=True, text=True, check=False)
    assert "nothing was left behind; free some space and try again" in run.stderr.splitlines()[-1]
    assert [p for p in Path(dataset.path).parent.iterdir() if "shard" in p.name] == []


def test_the_format_is_as_documented(dataset):
    """Read with nothing but the page: magic, length, checksum, JSON header, arrays at offsets."""
    shards = pack(dataset)
    content = (shards.path / "00000.shard").read_bytes()
    assert content[:8] == b"ADIBSHRD"
    header = json.loads(content[24 : 24 + int.from_bytes(content[8:16], "little")])
    assert header["data_hash"] == dataset.data_hash()
    energies = {}
    for at, frames, atoms, text, _ in header["blocks"]:
        counts = {"frame": frames, "pointer": frames + 1, "atom": atoms, "text": text}
        x = {}
        for name, dtype, rows, shape in header["arrays"]:
            n = counts[rows] * int(np.prod(shape))
            x[name] = np.frombuffer(content, dtype, n, at)
            at += -(-n * np.dtype(dtype).itemsize // 8) * 8
        energies |= {int(row): e for row, e, has in zip(x["row"], x["energy"], x["has"]) if has & 1}
    assert energies == {
        k + 1: a.calc.results["energy"] for k, a in enumerate(dataset) if a.calc.results.get("energy") is not None
    }
