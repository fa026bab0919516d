"""mace-torch's models through the importer, against golden answers of mace-torch itself; no peer is needed."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError, mace
from adiabat.deploy.importers.extracted import Extracted

GOLDEN = Path(__file__).parent.parent / "golden"
TOLD = json.loads((GOLDEN / "mace.json").read_text())
ANSWERS = TOLD["answers"]
NAMES = {
    "residual": "MACE, ScaleShiftMACE",
    "plain": "MACE",
    "agnesi": "MACE, ScaleShiftMACE, Agnesi transform",
    "soft": "MACE, ScaleShiftMACE, Soft transform",
}
MODELS = tuple(NAMES)


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """The generated kernels equal their references elsewhere; here nothing is compiled."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


@pytest.fixture(scope="module")
def potentials():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADIABAT_KERNELS", "reference")
        return {name: ad.import_model(GOLDEN / f"mace-{name}.npz") for name in MODELS}


def arrays(name: str) -> Extracted:
    return Extracted.read(GOLDEN / f"mace-{name}.npz")


def structure(what: str) -> Atoms:
    case = ANSWERS[what]
    return Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"])


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_peers_function(potentials, name, what, agrees):
    """Both sides in double precision: 1e-9 eV/atom and 1e-8 eV/Å; the energies themselves are thousands of eV."""
    atoms, golden = structure(what), ANSWERS[what][name]
    atoms.calc = potentials[name].calculator()
    compared = {
        "energy": (atoms.get_potential_energy() / len(atoms), golden["energy"] / len(atoms), 1e-9),
        "forces": (atoms.get_forces(), golden["forces"], 1e-8),
    }
    if golden["stress"] is not None:
        compared["stress"] = (atoms.get_stress(), golden["stress"], 1e-9)
    agrees(NAMES[name], TOLD["peer"], atoms, potentials[name].cutoff, **compared)


@pytest.mark.parametrize("name", MODELS)
def test_single_precision_is_as_near_as_rounding(potentials, name):
    """512 intervals and float32: 1e-4 of the largest force, which the check when importing states, too."""
    what = "skewed cell, smaller than the cutoff"
    atoms, golden = structure(what), np.array(ANSWERS[what][name]["forces"])
    atoms.calc = potentials[name].calculator(dtype=torch.float32)
    assert abs(atoms.get_forces() - golden).max() < 1e-4 * abs(golden).max()


@pytest.mark.parametrize("name", MODELS)
def test_what_its_splines_cost_is_stated(potentials, name):
    # Against its own networks, and in the precision that reads fewer knots; the peer's answers bound the first one, too.
    told, found = potentials[name].metadata["radial_tables"], potentials[name].metadata["imported"]
    assert told["intervals"] > told["in_single_precision"]["intervals"] >= 256
    assert told["force_error_over_rms"] < told["in_single_precision"]["force_error_over_rms"] <= 1e-5
    assert found["force_eV_per_A"] <= 1e-8 * found["force_rms_eV_per_A"]


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_import_is_the_same_potential(potentials, name, tmp_path):
    potentials[name].save(tmp_path / "m.adiabat")
    again = ad.load(tmp_path / "m.adiabat")
    graph = ad.Graph.of(structure("slab"), again.cutoff)
    assert torch.equal(again(graph).forces, potentials[name](graph).forces)
    assert again.metadata["imported"]["from"].startswith("mace-torch 0.3")


def test_an_imported_model_learns(potentials):
    """Weights are parameters, not tables: forces have gradients with respect to every one that matters."""
    potential = copy.deepcopy(potentials["plain"]).train()
    potential(ad.Graph.of(structure("molecule"), potential.cutoff)).forces.square().sum().backward()
    without = [n for n, p in potential.named_parameters() if p.numel() and (p.grad is None or not p.grad.any())]
    assert without == []


@pytest.mark.parametrize("key", ["0.coupling.1", "1.coupling.2", "0.U.0.2", "1.U.0.1"])
def test_couplings_of_another_basis_are_refused(key):
    """What is expanded in our basis must lie in it: a disturbed coupling is no equivariant one."""
    found = arrays("residual")
    found.arrays[key].flat[1] += 0.3
    with pytest.raises(ForeignModelError, match="coupling"):
        mace.convert(found, 64)


def test_a_misunderstood_setting_is_noticed_by_the_peers_own_answers(tmp_path):
    found = arrays("residual")
    found.settings["p"] = 6
    found.save(tmp_path / "m.npz")
    with pytest.raises(ForeignModelError, match="forces differ from mace-torch"):
        ad.import_model(tmp_path / "m.npz")


def test_what_ours_lacks_is_refused_by_name(tmp_path):
    for change, said in (
        (lambda s: s["layers"][0]["correlation"].__setitem__(0, 2), "one correlation"),
        (lambda s: s["layers"][1]["hidden"].append([4, 1, -1]), "last layer with more than scalars"),
        (lambda s: s["avg_num_neighbors"].__setitem__(1, 3.0), "avg_num_neighbors by layer"),
    ):
        found = arrays("residual")
        change(found.settings)
        with pytest.raises(ForeignModelError, match=said):
            mace.convert(found, 64)


def test_damaged_files_are_named(tmp_path):
    whole = (GOLDEN / "mace-plain.npz").read_bytes()
    for name, content in (("cut.npz", whole[: len(whole) // 2]), ("empty.npz", b""), ("text.npz", b"mace")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ForeignModelError, match=name):
            ad.import_model(tmp_path / name)
    np.savez(tmp_path / "object.npz", header=np.array([{"code": 1}], dtype=object))
    with pytest.raises(ForeignModelError, match=r"object\.npz"):
        ad.import_model(tmp_path / "object.npz")
    (tmp_path / "cut.model").write_bytes(b"PK\x03\x04")
    with pytest.raises(ForeignModelError, match=r"cut\.model.*truncated"):
        ad.import_model(tmp_path / "cut.model", trust=True)
    with pytest.raises(FileNotFoundError, match=r"none\.model"):
        ad.import_model(tmp_path / "none.model", trust=True)
