"""Trained from packed shards a model is the one that frames in memory give, and the frames are never all there."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.data.composition import reference_energies
from adiabat.data.packing import pack
from adiabat.data.parts import divided, whole
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled
from adiabat.models import BPNN
from adiabat.training import fit
from adiabat.training.checkpoint import ForeignCheckpoint
from adiabat.training.loop import Training
from adiabat.training.loss import Loss
from adiabat.training.packed import Packed, survey
from training.sets import copper, emt, water

MODEL = {"cutoff": 3.0, "radial": 4, "angular": 1, "zetas": [1.0], "hidden": [5]}
WHOLE = 10**6  # edges: one batch, so that the order of frames is all that differs


def packed(tmp_path, frames, name="set"):
    dataset = Dataset(tmp_path / f"{name}.db")
    dataset.add(frames)
    return pack(dataset)


def close(a, b) -> None:
    # sums over frames in another order: rounding, which division by small gradients amplifies
    for name, value in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[name], value, rtol=1e-6, atol=1e-9)


def test_a_pack_teaches_what_its_frames_teach(tmp_path):
    frames = [*water(10), *copper(4), *(emt(Atoms(s)) for s in ("H", "O", "Cu")), emt(copper(5)[4], weight=0.0)]
    held = [*water(3, seed=9)]
    options = {"optimizer": {"adamw": {"lr": 3e-3}}, "epochs": 10, "batch_edges": WHOLE}
    loss = {"kinds": {"far": 2.0}}
    frames[0].info["config_type"] = "far"
    shards = packed(tmp_path, frames)
    by_frames = fit(BPNN(**MODEL), frames, held, loss=loss, **options)
    by_pack = fit(BPNN(**MODEL), shards.path, held, loss=loss, **options)
    close(by_frames, by_pack)
    assert by_pack.metadata["reference_energies"] == {"method": "isolated atoms", "undetermined": []}
    told, wanted = by_pack.metadata["training"], by_frames.metadata["training"]
    assert {**told, "data_hash": 0} == {**wanted, "data_hash": 0} and told["data_hash"] == shards.data_hash
    for side, errors in by_frames.metadata["metrics"].items():
        assert by_pack.metadata["metrics"][side] == pytest.approx(errors, rel=1e-6)


def test_reference_energies_are_those_of_frames_that_count(tmp_path):
    frames = [*water(6), *(emt(a, group="one") for a in copper(4))]
    outlier = labeled(water(7)[6], energy=100.0)
    outlier.info["weight"] = 0.0
    known = survey(whole(packed(tmp_path, [*frames, outlier, emt(copper(5)[4], weight=0.0)])), Loss()).reference("fit")
    # a pack has the frames in another order: rounding
    assert known.energies == pytest.approx(reference_energies(frames).energies, abs=1e-9)
    unseen = survey(whole(packed(tmp_path, [*water(3), emt(copper(1)[0], weight=0.0)], "unseen")), Loss())
    assert unseen.elements == [1, 8]


def test_of_one_group_no_member_leaves_anything_out(tmp_path):
    frames = [emt(atoms, group="one") for atoms in water(6)]
    options = {"optimizer": "adamw", "epochs": 2, "batch_edges": WHOLE, "members": 2, "leave_out": 0.5}
    by_pack = fit(BPNN(**MODEL), packed(tmp_path, frames).path, water(3, seed=9), **options)
    close(fit(BPNN(**MODEL), frames, water(3, seed=9), **options), by_pack)


def test_a_checkpoint_knows_which_frames_it_is_of(tmp_path):
    shards, options = packed(tmp_path, water(20)), {"optimizer": "adamw", "epochs": 1, "folder": tmp_path}
    one, other = (divided(shards, (0.8, 0.2, 0.0), seed=seed) for seed in (1, 2))
    fit(BPNN(**MODEL), *one[:2], **options)
    with pytest.raises(ForeignCheckpoint):
        fit(BPNN(**MODEL), *other[:2], **options)
    held = water(3, seed=9)
    fit(BPNN(**MODEL), one[0], held, **{**options, "folder": tmp_path / "held"})
    held = [labeled(held[0], energy=1.0), *held[1:]]
    with pytest.raises(ForeignCheckpoint):
        fit(BPNN(**MODEL), one[0], held, **{**options, "folder": tmp_path / "held"})


def test_a_part_judges_as_its_frames_do(tmp_path):
    train, held, _ = divided(packed(tmp_path, water(30)), (0.8, 0.2, 0.0), seed=1)
    options = {"optimizer": "adamw", "epochs": 3, "batch_edges": WHOLE, "reference_energies": "fit"}
    by_parts = fit(BPNN(**MODEL), train, held, **options)
    close(fit(BPNN(**MODEL), list(train), list(held), **options), by_parts)
    assert by_parts.metadata["training"]["n_validation"] == 6


@pytest.mark.parametrize("members", [1, 3])
def test_an_interrupted_training_from_a_pack_goes_on_bit_for_bit(tmp_path, members):
    shards = packed(tmp_path, [*water(24)])
    options = {"optimizer": "adamw", "epochs": 6, "batch_edges": 40, "members": members, "leave_out": 0.3}

    def stop(metrics):
        if metrics["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(BPNN(**MODEL), shards, folder=tmp_path / "run", progress=stop, **options)
    resumed, untouched = fit(BPNN(**MODEL), shards, folder=tmp_path / "run", **options), fit(BPNN(**MODEL), shards, **options)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in untouched.state_dict().items())
    assert untouched.metadata["training"]["n_validation"] == 2  # a tenth is held out by itself


def test_no_more_graphs_are_there_than_a_batch_needs(tmp_path, monkeypatch):
    shards, most, made = packed(tmp_path, water(120)), 0, []
    make, judge = Packed._graph, Training.errors

    def graph(self, *arguments):
        found = make(self, *arguments)
        made.append(weakref.ref(found))
        return found

    def errors(self, batch):
        nonlocal most
        most = max(most, sum(there() is not None for there in made))
        return judge(self, batch)

    monkeypatch.setattr(Packed, "_graph", graph)
    monkeypatch.setattr(Training, "errors", errors)
    fit(BPNN(**MODEL), whole(shards), list(water(3, seed=9)), optimizer="adamw", epochs=1, batch_edges=30)
    assert len(made) >= 2 * 120  # an epoch, and the errors at the end
    assert most <= 6  # six edges a molecule: five a batch, and the one that did not fit


def test_what_belongs_together_stays_together(tmp_path):
    frames = []
    for k, atoms in enumerate(water(120)):
        about = {"trajectory": "a", "step": 7 * k} if k < 60 else {"group": f"g{k // 20}"} if k < 100 else {}
        frames.append(emt(atoms, k=k, **about))
    lone = emt(Atoms("O"), k=-1)
    parts = divided(packed(tmp_path, [*frames, lone]), (0.7, 0.2, 0.1), seed=3)
    side = {atoms.info["k"]: s for s, part in enumerate(parts) for atoms in part}
    assert len(side) == 121 and side[-1] == 0
    for start in range(0, 60, 10):  # ten neighbors of a trajectory
        assert len({side[k] for k in range(start, start + 10)}) == 1
    for start in (60, 80):
        assert len({side[k] for k in range(start, start + 20)}) == 1
    # a group's middle decides, so a side is off by half a group at each end
    np.testing.assert_allclose([len(part) - (s == 0) for s, part in enumerate(parts)], [84, 24, 12], atol=20)
    assert len({side[k] for k in range(60)}) > 1
    again = divided(packed(tmp_path, [*frames, lone]), (0.7, 0.2, 0.1), seed=3)
    assert all((a.chosen == b.chosen).all() for a, b in zip(parts, again))


def test_what_a_pack_lacks_is_told(tmp_path):
    shards = packed(tmp_path, water(12))
    with pytest.raises(ValueError, match="lbfgs takes all frames at once, which packed shards are too many for"):
        fit(BPNN(**MODEL), shards, optimizer="lbfgs", epochs=1)
    forces_only = [a.copy() for a in water(12)]
    for a, b in zip(forces_only, water(12)):
        a.calc = type(b.calc)(a, forces=b.calc.results["forces"])
    with pytest.raises(ValueError, match="the loss weighs energy, and none of 11 packed frames has one; set loss.energy to 0"):
        fit(BPNN(**MODEL), packed(tmp_path, forces_only, "forces"), epochs=1)
    with pytest.raises(ValueError, match=r"fractions \(0.0, 1.0, 0.0\) came, wanted three numbers"):
        divided(shards, (0.0, 1.0, 0.0))
