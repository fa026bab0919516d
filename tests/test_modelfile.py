"""The file people keep: bit for bit, no code in it, and every damage named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from ase import Atoms
from ase.build import molecule
from safetensors.torch import save_file

from adiabat import modelfile
from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.modelfile import ModelFileError
from adiabat.models import BPNN, ZBL
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee

GOLDEN = Path(__file__).parent / "golden"


def small(seed: int = 0) -> Potential:
    torch.manual_seed(seed)
    network = BPNN(cutoff=3.0, elements=["H", "O"], radial=2, angular=1, zetas=[1.0], hidden=[3]).to(torch.float64)
    terms = ReferenceEnergies({"H": -13.6, "O": -432.1}), ZBL(elements=["H", "O"]), Scaled(network, eV=1.5)
    potential = Potential(*terms, metadata={"level_of_theory": "PBE", "training": {"data_hash": "0123"}})
    potential.prepare([Graph.of(molecule("H2O"), 3.0)])
    return potential


@pytest.fixture
def path(tmp_path: Path) -> Path:
    small().save(tmp_path / "water.adiabat")
    return tmp_path / "water.adiabat"


def water() -> Graph:
    return Graph.of(Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), 3.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["potential", "committee"])
def test_what_is_read_is_what_was_written(tmp_path, kind, dtype):
    potential = (small() if kind == "potential" else Committee.of([small(0), small(1)])).to(dtype)
    potential.metadata["calibration"] = {"scale": {"forces": 2.0, "energy": 3.0}}
    potential.save(tmp_path / "p.adiabat")
    again = load(tmp_path / "p.adiabat")
    assert type(again) is type(potential) and again.dtype == dtype and not again.training
    assert again.header() == potential.header() and again.metadata == potential.metadata
    for name, value in potential.state_dict().items():
        assert torch.equal(again.state_dict()[name], value) and again.state_dict()[name].dtype == value.dtype
    a, b = potential(water()), again(water())
    assert torch.equal(a.energy, b.energy) and torch.equal(a.forces, b.forces)
    assert all(torch.equal(a.outputs[k], b.outputs[k]) for k in a.outputs)


def test_torch_s_default_precision_changes_no_number(path):
    first = load(path)(water())
    torch.set_default_dtype(torch.float64)
    second = load(path)(water())
    assert torch.equal(first.energy, second.energy) and torch.equal(first.forces, second.forces)


def test_the_header_tells_what_is_needed_to_judge_a_model(path):
    header, _ = modelfile.read(path)
    assert header["format_version"] == modelfile.FORMAT_VERSION == 1
    assert header["elements"] == ["H", "O"] and header["cutoff"] == 3.0
    assert header["units"] == {"energy": "eV", "length": "angstrom"} and header["dtype"] == "float64"
    assert [next(iter(term)) for term in header["terms"]] == ["reference_energies", "zbl", "scaled"]
    assert header["terms"][0]["reference_energies"]["energies"] == {"H": -13.6, "O": -432.1}
    assert header["metadata"]["level_of_theory"] == "PBE"


def edit(path: Path, change) -> Path:
    """The same tensors under a changed header."""
    header, tensors = modelfile.read(path)
    changed = change(header)
    other = path.with_name("edited.adiabat")
    save_file(tensors, other, metadata={"adiabat": json.dumps(header if changed is None else changed)})
    return other


def test_every_truncation_is_named(path):
    data = path.read_bytes()
    cut = path.with_name("cut.adiabat")
    for n in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:n])
        with pytest.raises(ModelFileError, match="not a model file, or a damaged one"):
            load(cut)


def test_a_missing_file_is_named(tmp_path):
    for name in ("none.adiabat", "."):
        with pytest.raises(FileNotFoundError, match="no such model file"):
            load(tmp_path / name)


def test_somebody_else_s_safetensors_are_refused(tmp_path):
    save_file({"x": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match=r"without an Adiabat header; 'adiabat import'"):
        load(tmp_path / "x.safetensors")


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "a.adiabat").write_bytes(pickle.dumps(Trap()))
    torch.save({"trap": Trap()}, tmp_path / "b.adiabat")
    for name in ("a.adiabat", "b.adiabat"):
        with pytest.raises(ModelFileError):
            load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_is_no_model(tmp_path):
    modelfile.write(tmp_path / "c", {"kind": "checkpoint"}, {"x": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="holds a 'checkpoint'; wanted a model file"):
        load(tmp_path / "c")


def test_a_newer_version_says_what_to_install(path):
    def newer(header):
        header["format_version"] = 2

    with pytest.raises(ModelFileError, match=r"format version 2; this Adiabat reads version 1. Install a newer one"):
        load(edit(path, newer))


def put(*keys, value):
    def change(header):
        place = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (put("terms", 2, value={"scald": {}}), "'scald' is unknown; did you mean 'scaled'"),
        (put("terms", 2, "scaled", "model", value={"bpn": {}}), "got .*bpn"),
        (put("terms", 2, "scaled", "model", "bpnn", "hiden", value=[3]), "unknown option 'hiden'; did you mean 'hidden'"),
        (put("terms", 2, "scaled", "model", "bpnn", "radial", value=3), "do not fit its header"),
        (put("terms", 2, "scaled", "model", "bpnn", "elements", value=["H", "Xx"]), "'Xx' is not a chemical symbol"),
        (put("terms", 2, "scaled", "model", "bpnn", "cutoff", value="os.system"), "wanted float"),
        (put("terms", value=[]), "at least one term"),
        (put("terms", value=3), "describes no potential"),
        (put("dtype", value="load"), "describes no potential"),
        (put("dtype", value="float32"), "do not fit its header"),
        (put("kind", value="committee"), "a committee of None members"),
        (put("kind", value="os"), "holds a 'os'"),
        (lambda header: [1, 2], "its Adiabat header cannot be read"),
        (lambda header: {}, "its Adiabat header cannot be read"),
    ],
)
def test_an_edited_header_is_refused(path, change, message):
    with pytest.raises(ModelFileError, match=message):
        load(edit(path, change))


def test_a_header_that_is_no_json_is_refused(path):
    save_file({"x": torch.zeros(1)}, path, metadata={"adiabat": "{"})
    with pytest.raises(ModelFileError, match="its Adiabat header cannot be read"):
        load(path)


def test_numbers_that_do_not_fit_are_refused(path):
    header, tensors = modelfile.read(path)
    name = next(n for n in tensors if n.endswith("weight"))
    for wrong in (
        {**tensors, name: tensors[name][:-1]},
        {**tensors, "more": torch.zeros(1)},
        {k: v for k, v in tensors.items() if k != name},
    ):
        modelfile.write(path, {k: v for k, v in header.items() if k != "format_version"}, wrong)
        with pytest.raises(ModelFileError, match="its numbers do not fit its header"):
            load(path)


def test_a_model_is_for_others_to_read(path):
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        small(1).save(path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("version", [1])
def test_files_of_every_released_version_stay_loadable(version):
    """Written by `python tests/test_modelfile.py` with the Adiabat of that version, torch 2.13 on x86-64, float64."""
    potential = load(GOLDEN / f"committee-v{version}.adiabat")
    told = json.loads((GOLDEN / f"committee-v{version}.json").read_text())
    found = potential(water())
    # The order of sums, and the machine's exp and tanh, may differ in the last places of numbers of order 500 eV.
    assert found.energy.tolist() == pytest.approx(told["energy_eV"], rel=1e-12)
    assert found.forces.flatten().tolist() == pytest.approx(told["forces_eV_per_A"], abs=1e-9)
    assert found.outputs["forces_spread"].tolist() == pytest.approx(told["forces_spread_eV_per_A"], abs=1e-9)
    assert potential.metadata["level_of_theory"] == "PBE"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    committee = Committee.of([small(0), small(1)])
    committee.metadata["calibration"] = {"scale": {"forces": 2.0, "energy": 3.0}}
    file = GOLDEN / f"committee-v{modelfile.FORMAT_VERSION}.adiabat"
    committee.save(file)
    made = committee(water())
    record = {
        "energy_eV": made.energy.tolist(),
        "forces_eV_per_A": made.forces.flatten().tolist(),
        "forces_spread_eV_per_A": made.outputs["forces_spread"].tolist(),
    }
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
