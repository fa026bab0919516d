"""ANI models in NeuroChem's files: the same numbers as extracted arrays give; torchani reads the folders written here (`make_ani`'s models)."""

import runpy
from pathlib import Path

import pytest

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError
from adiabat.deploy.importers.answers import disagreement
from adiabat.deploy.importers.extracted import Extracted
from adiabat.uncertainty import Committee

GOLDEN = Path(__file__).parent.parent / "golden"
write = runpy.run_path(str(GOLDEN / "neurochem_folder.py"))["write"]
MODEL = Extracted.read(GOLDEN / "ani-ensemble.npz")


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


@pytest.fixture
def info(tmp_path):
    return write(tmp_path / "model", MODEL.settings, MODEL.arrays)


def test_it_is_torchanis_function(info):
    """The form keeps float32: weights are rounded, 1e-6 of the forces."""
    potential = ad.import_model(info)
    assert isinstance(potential, Committee) and potential.metadata["imported"]["from"] == "NeuroChem"
    found = disagreement(potential, MODEL)
    assert found["force_eV_per_A"] < 1e-6 * found["force_rms_eV_per_A"] and found["energy_eV_per_atom"] < 1e-6


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("m.params", lambda text: text.replace(b"EtaA", b"Beta"), r"m\.params: EtaA not found"),
        ("sae.dat", lambda text: text.replace(b"Si,", b"Ge,"), r"sae\.dat: no self energy of Si"),
        ("train1/networks/ANN-H.nnf", lambda text: text[:60], r"ANN-H\.nnf: damaged or cut short"),
        ("train0/networks/ANN-C-l1.wparam", lambda text: text[:-2], r"ANN-C-l1\.wparam: cut short"),
        ("train0/networks/ANN-C-l1.wparam", lambda text: text[:-4], r"ANN-C\.nnf: layer 0 is .* its files hold"),
        ("m.params", lambda text: text.replace(b"[O,", b"[Xx,"), r"m\.info: damaged, .*Xx"),
        (
            "train0/networks/ANN-C-l1.bparam",
            lambda text: b"\xff" * len(text),
            r"m\.info: damaged: .*bias comes out as no number",
        ),
        ("m.params", lambda text: text.replace(b"Rcr = 4", b"Rcr = 1e400 #"), r"m\.params: "),
        (
            "m.params",
            lambda text: text.replace(b"6.0999999046325684", b"1e400"),
            r"m\.info: damaged: a setting comes out as no number",
        ),
        ("m.info", lambda text: b"m.params\nsae.dat\n", r"m\.info: wanted four lines"),
    ],
)
def test_damaged_files_are_named(info, file, damage, said):
    path = info.parent / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ForeignModelError, match=said):
        ad.import_model(info)
