"""The table of importers: each file finds its reader without anything in it being run, and what nobody reads is refused by name."""

import re
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
from adiabat.deploy.importers.table import IMPORTERS, Converter, Reader, importer_of, importers
from adiabat.graph import Graph
from adiabat.models import LennardJones
from adiabat.potential import Potential
from golden.foreign import parts, sound


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


def test_damaged_arrays_are_named(tmp_path):
    """A flipped byte in a compressed array, wherever it is: zip's checks see it, and each of them has an error of its own."""
    whole = (Path(__file__).parent.parent / "golden" / "ani-smooth.npz").read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for k in rng.integers(0, len(whole), 40):
        (tmp_path / "x.npz").write_bytes(whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :])
        try:
            Extracted.read(tmp_path / "x.npz")
        except ForeignModelError as error:
            refused += "x.npz" in str(error)
    assert refused > 30  # the others hit dates and the like


def mutated(text: str, rng: np.random.Generator) -> str:
    """A line or a word less or twice, a word that is another, an end too early."""
    lines = text.split("\n")
    k, how = int(rng.integers(len(lines))), int(rng.integers(5))
    if how == 0:
        return text[: int(rng.integers(len(text)))]
    if how < 3:
        lines[k : k + 1] = [] if how == 1 else [lines[k]] * 2
        return "\n".join(lines)
    words = list(re.finditer(r"[^\s,=\[\]{}()\"'<>:]+", lines[k]))
    if words:
        word = words[int(rng.integers(min(len(words), 8)))]
        other = rng.choice(["", "nan", "-1", "x", "1.5", "1e400", "[]", "99999999"])
        lines[k] = lines[k][: word.start()] + str(other) + lines[k][word.end() :]
    return "\n".join(lines)


TEXTS = ("amp", "snap", "eam", "nep", "gap", "yace", "runner", "neurochem", "mtp", "deepmd", "lammps")


@pytest.mark.parametrize("what", TEXTS)
def test_a_changed_file_is_refused_by_name_or_is_a_potential(what, repository, tmp_path, monkeypatch):
    """Some changes of a sound file. One that can be read has finite answers; whatever else it is, it is said of the file."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    path, options = sound(what, repository / "tests" / "golden", tmp_path)
    files, rng = parts(tmp_path), np.random.default_rng(7)
    for _ in range(25):
        file = files[int(rng.integers(len(files)))]
        whole = file.read_bytes()
        changed = mutated(whole.decode("latin-1"), rng)
        file.write_bytes(changed.encode("latin-1"))
        refused_or_finite(path, options, tmp_path, changed)
        file.write_bytes(whole)


@pytest.mark.parametrize("what", IMPORTERS)
def test_truncated_and_flipped_files_are_named(what, repository, tmp_path, monkeypatch):
    """Every file of every importer, cut at several places and with bytes turned round. What lacks a tenth is never a potential."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    path, options = sound(what, repository / "tests" / "golden", tmp_path)
    files, rng = parts(tmp_path), np.random.default_rng(11)
    for file in files if len(files) < 4 else rng.choice(files, 3, replace=False):
        whole = file.read_bytes()
        for part in (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
            file.write_bytes(whole[: int(part * len(whole))])
            refused = refused_or_finite(path, options, tmp_path, (file.name, part))
            # YAML counts nothing: an end between two functions is the end of a file with fewer
            between = what == "yace" and file.read_bytes().rstrip().endswith(b"]}")
            assert refused or between or part == 0.98, (file.name, part)
        for k in rng.integers(0, len(whole), 5):
            file.write_bytes(whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :])
            refused_or_finite(path, options, tmp_path, (file.name, int(k)))
        file.write_bytes(whole)


def refused_or_finite(path: Path, options: dict, folder: Path, changed: object) -> bool:
    """Whether it is refused, which has to name a file of this folder; what is not has finite answers."""
    said, potential = "", None
    try:
        potential = ad.import_model(path, **options)
    except ForeignModelError as refusal:
        said = str(refusal)
    if potential is None:
        assert str(folder) in said, (changed, said)
        return True
    numbers = sorted({z for term in potential.terms for z in (getattr(term, "elements", None) or ())})
    atoms = Atoms([numbers[k % len(numbers)] for k in range(4)], [[0, 0, 0], [2.1, 0.2, 0.1], [0.3, 2.2, 0.4], [0.2, 0.5, 2.3]])
    found = potential(Graph.of(atoms, potential.cutoff))
    assert bool(found.energy.isfinite().all()) and bool(found.forces.isfinite().all()), changed
    return False


def test_what_a_call_says_beside_the_file_is_heeded(repository):
    """Elements that contradict the arrays, units and intervals that mean nothing: asked for, not passed over."""
    path = repository / "tests" / "golden" / "ani-smooth.npz"
    for options, said in (
        ({"elements": ["H"]}, "it is for .*, elements H came"),
        ({"units": {"energy": "eV"}}, "torchani's models have units of their own, which are known; leave units out"),
        ({"intervals": 0}, "intervals 0 came; a spline needs at least 3"),
    ):
        with pytest.raises(ForeignModelError, match=rf"ani-smooth\.npz: {said}"):
            ad.import_model(path, **options)
    with pytest.raises(ForeignModelError, match="it is for .*, elements H came"):
        extract(path, elements=["H"])


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
