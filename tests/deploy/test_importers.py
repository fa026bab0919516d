"""The table of importers: each file finds its reader without anything in it being run, and what nobody reads is refused by name."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError, extract
from adiabat.deploy.importers.answers import answers, disagreement
from adiabat.deploy.importers.extracted import Extracted, agreed
from adiabat.deploy.importers.table import Converter, Reader, importer_of, importers
from adiabat.graph import Graph
from adiabat.models import LennardJones
from adiabat.potential import Potential


def pickled(path, names, extra=()):
    """A file in torch.save's form whose pickle names a class: what can be searched, and would fail if it were opened."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02c" + names.encode() + b"\nModel\nq\x00.")
        for name in extra:
            archive.writestr(f"model/{name}", b"")
    return path


@pytest.mark.parametrize("importer", importers(), ids=lambda it: it.PEER)
def test_every_importer_is_one_of_the_two_kinds(importer):
    assert isinstance(importer, Reader) != isinstance(importer, Converter)
    assert importer.PEER and " " not in importer.PEER and importer.FILES
    assert not isinstance(importer, Converter) or 0 < importer.TOLERANCE < 0.1


@pytest.mark.parametrize(("names", "peer"), [("mace.modules.models", "mace-torch"), ("schnetpack.model.base", "schnetpack")])
def test_a_pickle_is_known_by_the_classes_it_names(tmp_path, names, peer):
    path = pickled(tmp_path / "best_model", names)
    assert peer == importer_of(path).PEER
    with pytest.raises(ForeignModelError, match="best_model.*runs the code in it.*--trust"):
        ad.import_model(path)


@pytest.mark.parametrize("where", ["check.energy", "check.forces"])
def test_an_answer_that_is_no_number_agrees_with_nothing(where):
    potential = Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=1.0, cutoff=4.0, elements=["Ar"]))

    def ask(numbers, positions):
        found = potential(Graph.of(Atoms(numbers, positions), potential.cutoff))
        return float(found.energy[0]), found.forces.numpy()

    arrays = answers(ask, [18], potential.cutoff)
    same = disagreement(potential, Extracted("a peer", {}, arrays))
    assert same["energy_eV_per_atom"] == same["force_eV_per_A"] == 0 < same["force_rms_eV_per_A"]
    arrays[where].flat[-1] = np.nan
    name = {"check.energy": "energy_eV_per_atom", "check.forces": "force_eV_per_A"}[where]
    assert np.isnan(disagreement(potential, Extracted("a peer", {}, arrays))[name])


def test_an_energy_that_forces_do_not_see_is_refused(tmp_path):
    """An element's constant that the importer takes for another: forces agree to the last bit."""
    told = Extracted.read(Path(__file__).parent.parent / "golden" / "mace-plain.npz")
    told.arrays["check.energy"] = told.arrays["check.energy"] + 0.5
    told.save(tmp_path / "shifted.npz")
    with pytest.raises(ForeignModelError, match="forces agree .* energies do not"):
        ad.import_model(tmp_path / "shifted.npz", intervals=512)


def test_what_nobody_reads_is_told_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("mace.modules")
    checkpoint = tmp_path / "run_epoch-3.pt"
    torch.save({"model": torch.nn.Linear(1, 1).state_dict()}, checkpoint)
    compiled = pickled(tmp_path / "compiled.pt", "mace.modules.models", extra=["constants.pkl"])
    for path, said in (
        (tmp_path / "notes.txt", r"notes\.txt: no importer knows this file; read are mace-torch: \.model"),
        (tmp_path, "no importer knows this folder"),
        (checkpoint, r"run_epoch-3\.pt.*checkpoint of weights without its model"),
        (compiled, r"compiled\.pt"),
    ):
        with pytest.raises(ForeignModelError, match=said):
            ad.import_model(path, trust=True)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ad.import_model(tmp_path / "nowhere")


def test_arrays_of_an_unknown_peer_are_refused(tmp_path):
    Extracted("somebody 1.0", {}, {"x": np.zeros(1)}).save(tmp_path / "m.npz")
    with pytest.raises(ForeignModelError, match="'somebody 1.0', which no importer"):
        ad.import_model(tmp_path / "m.npz")


def test_elements_are_the_files_or_the_callers():
    assert agreed("f", ["Si", "O"], None) == agreed("f", None, ["Si", "O"], 2) == agreed("f", ["Si", "O"], ["Si", "O"])
    for named, given, count, said in (
        (None, None, None, "not in the file; name them"),
        (["Si", "O"], ["O", "Si"], None, "it is for Si, O, elements O, Si came"),
        (None, ["Si"], 2, "for 2 elements, 1 came: Si"),
    ):
        with pytest.raises(ForeignModelError, match=f"f: .*{said}"):
            agreed("f", named, given, count)


def test_without_the_peer_installed_the_cure_is_named(tmp_path):
    """Neither peer is in this environment; where one is, there is nothing to refuse."""
    path = pickled(tmp_path / "m.model", "mace.modules.models")
    try:
        import mace  # noqa: F401
    except ImportError:
        with pytest.raises(
            ForeignModelError, match=r"needs mace-torch, which is not installed here: pip install mace-torch; or extract"
        ):
            extract(path, trust=True)
