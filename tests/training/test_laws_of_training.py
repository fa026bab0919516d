"""What a training may be asked, what it learns, and what it tells of itself."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.data.structure import labels
from adiabat.graph import Graph
from adiabat.models import BPNN, ZBL
from adiabat.potential import Potential
from adiabat.training import Uncalibrated, fit
from adiabat.training.loss import Loss
from adiabat.training.problem import pose
from training.sets import copper, emt, water, without


def network(seed: int = 0) -> Potential:
    torch.manual_seed(seed)
    return Potential(BPNN(cutoff=4.0, elements=["H", "O"], radial=3, angular=1, zetas=[1.0], hidden=[4]).to(torch.float64))


def rms(potential: Potential, frames) -> tuple[float, float]:
    """Of the forces (eV/Å) and of the energies an atom (eV)."""
    forces, energies = [], []
    for a in frames:
        p = potential(Graph.of(a, potential.cutoff))
        forces.append((p.forces.numpy() - labels(a)["forces"]).ravel())
        energies.append((float(p.energy) - labels(a)["energy"]) / len(a))
    return float(np.sqrt(np.mean(np.concatenate(forces) ** 2))), float(np.sqrt(np.mean(np.square(energies))))


SMALL = {"radial": 8, "angular": 1, "zetas": [1.0, 4.0], "hidden": [12]}


@pytest.mark.parametrize("optimizer, epochs, bound", [("lbfgs", 120, 0.1), ({"adamw": {"lr": 0.03}}, 40, 0.4)])
def test_a_network_learns_copper(optimizer, epochs, bound):
    train, test = list(copper(24)), list(copper(8, seed=5))
    potential = fit(BPNN(cutoff=4.5, **SMALL), train, test[:3], optimizer=optimizer, epochs=epochs, batch_edges=400)
    force, energy = rms(potential, test[3:])
    size = np.sqrt(np.mean(np.concatenate([labels(a)["forces"].ravel() for a in test]) ** 2))
    spread = np.std([labels(a)["energy"] / len(a) for a in test])
    # A model of constant energies errs by the forces' own size and by the energies' spread. 24 frames of 4 atoms are 288 force
    # components for about 200 weights: a tenth of the size is what a second-order training reaches with room to spare. First
    # order is slow where energies weigh a hundredfold: 500 steps come below a third, which shows that they go the right way.
    assert force < bound * size and energy < 2 * bound * spread


def test_what_is_told_is_what_is_measured():
    train, held = list(water(12)), list(water(5, seed=9))
    potential = fit(BPNN(cutoff=3.0, **SMALL), train, held, optimizer="lbfgs", epochs=30)
    force, energy = rms(potential, held)
    told = potential.metadata["metrics"]["validation"]
    assert told["force_rmse_meV_per_A"] == pytest.approx(1e3 * force, rel=1e-6)
    assert told["energy_rmse_meV_per_atom"] == pytest.approx(1e3 * energy, rel=1e-6)


def test_a_model_tells_where_it_comes_from(tmp_path):
    from adiabat.deploy import load

    theory = {"engine": "emt", "level_of_theory": "EMT"}
    train = [emt(a, adiabat=theory) for a in water(8)]
    potential = fit(BPNN(cutoff=3.0, hidden=[4]), train, train[:3], members=2, leave_out=0.0, optimizer="lbfgs", epochs=5)
    potential.save(tmp_path / "w.adiabat")
    told = load(tmp_path / "w.adiabat").header()
    assert told["elements"] == ["H", "O"] and told["cutoff"] == 3.0 and told["members"] == 2
    meta = told["metadata"]
    assert meta["level_of_theory"] == "EMT"
    assert meta["training"] | {"data_hash": None} == {
        "n_train": 8, "n_validation": 3, "members": 2, "seed": 0, "epochs": 5, "data_hash": None, "optimizer": "lbfgs", "kept": "last",
        "loss": {"energy": 100.0, "forces": 1.0, "stress": 100.0},
    }  # fmt: skip
    assert len(meta["training"]["data_hash"]) == 64
    assert set(meta["calibration"]["scale"]) == {"forces", "energy"}
    assert set(meta["metrics"]) == {"train", "validation"}


def test_the_hash_of_the_data_is_about_the_data_alone():
    def data_hash(frames, **options):
        made = fit(BPNN(cutoff=3.0, hidden=[2]), frames, list(water(2, seed=9)), optimizer="lbfgs", epochs=1, **options)
        return made.metadata["training"]["data_hash"]

    frames = list(water(4))
    assert data_hash(frames) == data_hash(frames, seed=4)
    assert data_hash(frames) != data_hash(frames[:3])
    assert data_hash(frames) != data_hash([*frames[:3], without(frames[3], "energy")])


def test_one_stoichiometry_leaves_reference_energies_undetermined():
    train = list(water(6))
    potential = fit(BPNN(cutoff=3.0, hidden=[2]), train, train, optimizer="lbfgs", epochs=1)
    assert potential.metadata["reference_energies"] == {"method": "least squares", "undetermined": ["H", "O"]}
    lone = [emt(Atoms("H")), emt(Atoms("O"))]
    potential = fit(BPNN(cutoff=3.0, hidden=[2]), [*train, *lone], train, optimizer="lbfgs", epochs=1)
    assert potential.metadata["reference_energies"] == {"method": "isolated atoms", "undetermined": []}
    for atoms in lone:
        assert float(potential(Graph.of(atoms, 3.0)).energy) == pytest.approx(labels(atoms)["energy"], abs=1e-12)


def test_reference_energies_can_be_given_for_every_element():
    train = list(water(4))
    given = fit(
        BPNN(cutoff=3.0, hidden=[2]), train, train, epochs=1, optimizer="lbfgs", reference_energies={"H": 1.0, "O": 2.0}
    )
    assert float(given(Graph.of(Atoms("O"), 3.0)).energy) == 2.0
    with pytest.raises(ValueError, match="reference_energies: none for O"):
        fit(BPNN(cutoff=3.0, hidden=[2]), train, train, epochs=1, reference_energies={"H": 1.0})
    with pytest.raises(ValueError, match="reference_energies: 'atoms' came; wanted 'auto'"):
        fit(BPNN(cutoff=3.0, hidden=[2]), train, train, epochs=1, reference_energies="atoms")


def test_forces_alone_can_be_learned():
    train = [without(a, "energy") for a in water(8)]
    with pytest.raises(ValueError, match="the loss weighs energy, and none of 8 frames has one; set loss.energy to 0"):
        fit(BPNN(cutoff=3.0, hidden=[2]), train, train, epochs=1)
    potential = fit(BPNN(cutoff=3.0, **SMALL), train, train, epochs=40, optimizer="lbfgs", loss={"energy": 0.0})
    size = np.sqrt(np.mean(np.concatenate([labels(a)["forces"].ravel() for a in train]) ** 2))
    assert potential.metadata["metrics"]["validation"]["force_rmse_meV_per_A"] < 0.1e3 * size
    assert potential.metadata["reference_energies"]["undetermined"] == ["H", "O"]


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_frames_that_lack_what_the_loss_weighs_are_passed_over(optimizer):
    """Batches of one: some have nothing the loss asks for, which is neither an error nor a step."""
    full = list(water(6))
    options = {
        "loss": {"energy": 0.0},
        "epochs": 2,
        "batch_edges": 1,
        "optimizer": optimizer,
        "seed": 1,
        "reference_energies": {"H": 0.0, "O": 0.0},
    }
    potential = fit(BPNN(cutoff=3.0, hidden=[2]), [*full, without(full[0], "forces")], full, **options)
    assert all(torch.isfinite(v).all() for v in potential.state_dict().values())


def test_mixed_levels_of_theory_are_refused():
    pbe, hf = ([emt(a, adiabat={"level_of_theory": level}) for a in water(4)] for level in ("PBE", "HF"))
    for train, held in (([*pbe, *hf], pbe), (pbe, hf)):
        with pytest.raises(ValueError, match='the frames mix 2 levels of theory: "HF", "PBE"; train on one of them'):
            fit(BPNN(cutoff=3.0, hidden=[2]), train, held, epochs=1)


@pytest.mark.parametrize(
    "train, held, message",
    [
        ([], None, "no frame came"),
        (
            [*water(3), Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])],
            list(water(2)),
            "1 of 4 frames carry no label at all .first: frame 3.",
        ),
        (
            list(water(3)),
            [Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])],
            "none of 1 validation frames has a label that the loss weighs",
        ),
        ([emt(Atoms("H"))], list(water(2)), "every one is an isolated atom"),
    ],
)
def test_frames_that_cannot_teach_are_refused(train, held, message):
    with pytest.raises(ValueError, match=message):
        fit(BPNN(cutoff=3.0, hidden=[2]), train, held, epochs=1)


def test_a_model_for_other_elements_is_refused():
    with pytest.raises(ValueError, match="the data contain O, the model is for H"):
        fit(BPNN(cutoff=3.0, elements=["H"], hidden=[2]), list(water(3)), list(water(3)), epochs=1)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="ZBL: nothing to train"):
        fit(ZBL(), list(water(3)), list(water(3)), epochs=1)


def test_a_training_that_diverges_is_an_error_not_a_model():
    wild = {"sgd": {"lr": 1e200, "clip": float("inf")}}
    with pytest.raises(FloatingPointError, match=r"epoch \d+: the loss is .*the training diverged. Lower the learning rate"):
        fit(BPNN(cutoff=3.0, hidden=[4]), list(water(6)), list(water(3, seed=9)), optimizer=wild, epochs=5)


def test_a_kind_of_configuration_counts_by_its_weight():
    """Frames of weight zero might as well not be there, whatever their labels say."""
    good = [emt(a, config_type="good") for a in water(8)]
    bad = [emt(a, config_type="bad") for a in water(4, seed=3)]
    for a in bad:
        a.calc.results["forces"] = a.calc.results["forces"] + 50.0
    options = {"optimizer": "lbfgs", "epochs": 60}
    model = BPNN(cutoff=3.0, **SMALL)
    told = fit(model, [*good, *bad], good, loss={"kinds": {"bad": 0.0}}, **options).metadata["metrics"]["train"]
    assert told["force_rmse_meV_per_A"] < 500  # a tenth of the forces' size; the 50 eV/Å would not go unseen
    weighted = [emt(a, weight=0.0) for a in bad]
    for a, b in zip(weighted, bad):
        a.calc.results["forces"] = b.calc.results["forces"]
    again = fit(model, [*good, *weighted], good, **options).metadata["metrics"]["train"]
    assert again == told


def test_patience_ends_a_training_that_no_longer_improves():
    frames = list(water(6))
    potential = fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], optimizer={"sgd": {"lr": 0.0}}, epochs=50, patience=3)
    # The first check is better than nothing, the three after it are not.
    assert potential.metadata["training"]["epochs"] == 4


UP_AND_DOWN = {
    "optimizer": {"sgd": {"lr": 0.05, "momentum": 0.97}},
    "schedule": "constant",
    "loss": {"energy": 0.0},
    "epochs": 30,
}


@pytest.mark.parametrize("keep", ["auto", "best", "last"])
def test_the_parameters_that_were_asked_for_are_kept(keep):
    """Too long a step: the errors go up and down, so the best check is not the last."""
    train, held, seen = list(water(10)), list(water(4, seed=9)), []
    potential = fit(BPNN(cutoff=3.0, hidden=[4]), train, held, keep=keep, progress=seen.append, **UP_AND_DOWN)
    errors = [m["validation"]["force_rmse_meV_per_A"] for m in seen]
    assert errors[-1] > 1.01 * min(errors)
    wanted = errors[-1] if keep == "last" else min(errors)
    assert potential.metadata["metrics"]["validation"]["force_rmse_meV_per_A"] == pytest.approx(wanted, rel=1e-9)


def test_a_committee_that_keeps_its_last_epoch_is_not_chosen_by_its_held_out_frames():
    """Held-out frames that lie change the calibration, and no weight."""
    train, held = list(water(10)), list(water(4, seed=9))
    liars = [emt(a) for a in held]
    for a in liars:
        a.calc.results["forces"] = a.calc.results["forces"] + np.random.default_rng(1).normal(0, 3, (3, 3))
    options = {"members": 2, "optimizer": "lbfgs", "epochs": 30}
    a, b = (fit(BPNN(cutoff=3.0, **SMALL), train, part, **options) for part in (held, liars))
    assert all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())
    assert b.calibration["forces"] > a.calibration["forces"]


def test_patience_asks_for_the_best():
    frames = list(water(6))
    kept = [
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], epochs=2, optimizer=o, patience=p).metadata["training"]["kept"]
        for o, p in (("lbfgs", None), ("lbfgs", 5), ("adamw", None))
    ]
    assert kept == ["last", "best", "best"]
    with pytest.raises(ValueError, match=r"fit.keep: 'first' came; wanted 'auto', 'best'"):
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], epochs=1, keep="first")


def test_a_committee_that_held_nothing_out_says_that_it_is_not_calibrated():
    few, enough = list(water(6)), list(water(14))
    for frames, held in ((few, None), (enough, [])):
        with pytest.warns(Uncalibrated, match="no frame was held out"):
            potential = fit(BPNN(cutoff=3.0, hidden=[2]), frames, held, members=2, epochs=1)
        assert potential.calibration == {"forces": 1.0, "energy": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error", Uncalibrated)
        potential = fit(BPNN(cutoff=3.0, hidden=[2]), enough, members=2, epochs=1)
        fit(BPNN(cutoff=3.0, hidden=[2]), few, epochs=1)  # one potential has no spread to calibrate
    assert potential.metadata["training"]["n_validation"] == 1 and potential.calibration["forces"] != 1.0


def test_a_member_leaves_neighbors_in_time_out_together():
    frames = [emt(a, trajectory=f"run {k // 5}", step=k) for k, a in enumerate(water(40))]
    loss = Loss()
    problem = pose(
        BPNN(cutoff=3.0, hidden=[2]), frames, [], members=4, leave_out=0.2, seed=2, reference="auto", wall=True, loss=loss,
        dtype=torch.float64, device="cpu", remember_MB=0.0, options={},
    )  # fmt: skip
    seen = torch.cat([graph.weight for graph in problem.train]).reshape(8, 5, 4)  # trajectory, frame, member
    assert (seen == seen[:, :1]).all()
    left_out = (seen[:, 0] == 0).sum(0)
    # A fifth of eight trajectories is 1.6: a window of that length holds the middle of one or two.
    assert set(left_out.tolist()) <= {1, 2} and ((seen[:, 0] == 0).sum(1) <= 1).all()


def test_what_members_leave_out_is_what_was_asked_or_it_is_said():
    """No frame is left out by two members, so more than 1/members cannot be; what makes no sense is refused."""
    frames = list(water(12))
    with pytest.warns(UserWarning, match=r"leave_out: 0.4 came, for 4 members: .* each leaves out 1/4 = 0.25") as said:
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], members=4, leave_out=0.4, epochs=1)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], members=3, leave_out=0.333, epochs=1)
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], members=11, epochs=1)  # nobody asked for a tenth
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="leave_out: .* wanted a share of the frames"):
            fit(BPNN(cutoff=3.0, hidden=[2]), frames, frames[:2], members=4, leave_out=share, epochs=1)


@pytest.mark.parametrize(
    "hidden, options, wanted",
    [([4], {}, "lbfgs"), ([4], {"dtype": "float32"}, "adamw"), ([200, 200], {}, "adamw"), ([4], {"optimizer": "sgd"}, "sgd")],
)
def test_few_parameters_on_few_frames_are_trained_by_curvature(hidden, options, wanted):
    frames = list(water(6))
    potential = fit(BPNN(cutoff=3.0, hidden=hidden), frames, frames[:2], epochs=1, **options)
    assert potential.metadata["training"]["optimizer"] == wanted


def test_what_is_remembered_changes_no_training():
    options = {"optimizer": "lbfgs", "epochs": 5, "reference_energies": {"H": 0.0, "O": 0.0}}
    frames, held = list(water(6)), list(water(2, seed=9))
    a, b = (fit(BPNN(cutoff=3.0, hidden=[4]), frames, held, remember_MB=limit, **options) for limit in (0.0, 1000.0))
    for name, value in a.state_dict().items():  # the same sums in another order, through five steps
        torch.testing.assert_close(b.state_dict()[name], value, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense_is_refused(weight):
    frames = [emt(a) for a in water(3)]
    frames[1].info["weight"] = weight
    with pytest.raises(ValueError, match="weight .* came; wanted a number ≥ 0"):
        fit(BPNN(cutoff=3.0, hidden=[2]), frames, list(water(2)), epochs=1)
