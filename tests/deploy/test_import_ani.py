"""torchani's models through the importer, against golden answers of torchani itself; no peer is needed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError
from adiabat.deploy.importers.extracted import Extracted
from adiabat.uncertainty import Committee

GOLDEN = Path(__file__).parent.parent / "golden"
TOLD = json.loads((GOLDEN / "ani.json").read_text())
ANSWERS = TOLD["answers"]
NAMES = {"ensemble": "ANI, an ensemble in the manner of ANI-2x", "smooth": "ANI, gelu and a smooth cutoff"}
MODELS = tuple(NAMES)


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """The generated kernels equal their references elsewhere; here nothing is compiled."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


@pytest.fixture(scope="module")
def potentials():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADIABAT_KERNELS", "reference")
        return {name: ad.import_model(GOLDEN / f"ani-{name}.npz") for name in MODELS}


def structure(what: str) -> Atoms:
    case = ANSWERS[what]
    return Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"])


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_peers_function(potentials, name, what, agrees):
    """Both sides in double precision: 1e-9 eV/atom and 1e-8 eV/Å; energies are thousands of eV."""
    atoms, golden = structure(what), ANSWERS[what][name]
    atoms.calc = potentials[name].calculator()
    compared = {
        "energy": (atoms.get_potential_energy() / len(atoms), golden["energy"] / len(atoms), 1e-9),
        "forces": (atoms.get_forces(), golden["forces"], 1e-8),
    }
    if golden["stress"] is not None:
        compared["stress"] = (atoms.get_stress(), golden["stress"], 1e-9)
    agrees(NAMES[name], TOLD["peer"], atoms, potentials[name].cutoff, **compared)


def test_an_ensemble_comes_as_a_committee(potentials, tmp_path):
    committee = potentials["ensemble"]
    assert isinstance(committee, Committee) and committee.size == 2
    found = committee(ad.Graph.of(structure("molecule"), committee.cutoff))
    assert (found.outputs["forces_spread"] > 0).all()
    committee.save(tmp_path / "m.adiabat")
    again = ad.load(tmp_path / "m.adiabat")
    assert torch.equal(again(ad.Graph.of(structure("molecule"), again.cutoff)).forces, found.forces)
    assert again.metadata["imported"]["from"].startswith("torchani 2.")


def test_elements_out_of_order_change_places(potentials):
    """torchani's first layers count O, H, Si, C; a column in a wrong place would be noticed by the peer's own answers."""
    found = Extracted.read(GOLDEN / "ani-smooth.npz")
    assert found.settings["symbols"] == ["O", "H", "Si", "C"]
    assert potentials["smooth"].metadata["imported"]["force_eV_per_A"] < 1e-11  # gelu: nothing is rounded


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x.settings.update(fade="cosine"), "forces differ from torchani"),
        (lambda x: x.settings.update(angular_cutoff=3.0), "forces differ from torchani"),
        (lambda x: x.settings.update(activation="celu"), "forces differ from torchani"),
        (lambda x: x.arrays.update({"0.H.0.weight": np.zeros((5, 3))}), "do not fit together"),
    ],
)
def test_what_is_misunderstood_is_noticed(tmp_path, change, said):
    found = Extracted.read(GOLDEN / "ani-smooth.npz")
    change(found)
    found.save(tmp_path / "m.npz")
    with pytest.raises(ForeignModelError, match=said):
        ad.import_model(tmp_path / "m.npz")


def test_a_state_dict_is_refused_with_the_cure(tmp_path):
    shifts = torch.linspace(0.8, 4.8, 16)
    torch.save({"potentials.nnp.aev_computer.radial.shifts": shifts}, tmp_path / "ani2x_state_dict.pt")
    with pytest.raises(ForeignModelError, match=r"ani2x_state_dict\.pt: a state dict; .* torch\.save\(torchani\.models\.ANI2x"):
        ad.import_model(tmp_path / "ani2x_state_dict.pt")
