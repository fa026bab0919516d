"""DeePMD-kit's models say here what they say there: made-up weights of every descriptor, on structures of every kind."""

from __future__ import annotations

import copy
import json
import lzma

import numpy as np
import pytest
import yaml
from ase import Atoms

from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.graph import Graph

CASES = ("se_e2_a", "se_e2_a, one side", "se_e2_r", "se_e3", "hybrid")


@pytest.fixture(scope="module")
def golden(repository):
    with lzma.open(repository / "tests" / "golden" / "deeppot-deepmd.json.xz", "rt") as text:
        return json.load(text)


@pytest.fixture(scope="module")
def written(golden, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deepmd")

    def write(case, change=None, name="model.yaml"):
        file = copy.deepcopy(golden["cases"][case]["file"])
        if change:
            change(file["model"])
        with open(folder / name, "w") as text:
            yaml.dump(file, text, getattr(yaml, "CSafeDumper", yaml.SafeDumper))  # as DeePMD-kit writes it
        return folder / name

    return write


@pytest.mark.parametrize("case", CASES)
def test_energies_forces_and_stress_are_the_peers(case, golden, written, agrees):
    potential = import_model(written(case))
    for name, wanted in golden["cases"][case]["answers"].items():
        atoms = Atoms(**golden["structures"][name])
        found, n = potential(Graph.of(atoms, potential.cutoff)), len(atoms)
        compared = {
            "energy": (found.energy[0] / n, wanted["energy"] / n, 1e-11),  # energies of 3000 eV in double
            "forces": (found.forces, wanted["forces"], 1e-9),  # splines of 8192 intervals, forces of 1 eV/Å
        }
        if "virial" in wanted:
            virial = np.array(wanted["virial"])
            compared["stress"] = (found.stress[0], -(virial + virial.T) / 2 / atoms.get_volume(), 1e-10)
        agrees(f"Deep Potential, {case}", golden["peer"], atoms, potential.cutoff, **compared)


def test_more_neighbors_than_expected_all_count(golden, written):
    """sel is a number in the formulas: a potential that expects fewer has another energy, and none of its neighbors is dropped."""

    def expects_fewer(model):
        at = model["descriptor"]
        at["sel"] = [2, 3]
        for name in ("davg", "dstd"):
            at["@variables"][name]["value"] = [rows[:5] for rows in at["@variables"][name]["value"]]

    potential = import_model(written("se_e2_a", expects_fewer, "fewer.yaml"))
    atoms = Atoms(**golden["structures"]["skewed"])
    graph = Graph.of(atoms, potential.cutoff)
    assert int((graph.first[1:] - graph.first[:-1]).min()) > 5
    farthest = int(
        graph.r[graph.first[0] : graph.first[1]]
        .norm(dim=1)
        .masked_fill(graph.r[: graph.first[1]].norm(dim=1) > 3.9, 0)
        .argmax()
    )
    moved = atoms.copy()
    moved.positions[int(graph.j[farthest])] += 1e-3
    before, after = (potential(Graph.of(it, potential.cutoff)).atomic_energies[0] for it in (atoms, moved))
    assert before != after


def test_hdf5_holds_the_same(golden, written, tmp_path):
    h5py = pytest.importorskip("h5py")
    told, arrays = copy.deepcopy(golden["cases"]["se_e2_r"]["file"]), []

    def moved_out(it):
        if isinstance(it, dict) and it.get("@is_variable"):
            arrays.append(np.asarray(it["value"], dtype=it["dtype"]))
            return f"/variable_{len(arrays) - 1:04d}"
        if isinstance(it, dict):
            return {key: moved_out(value) for key, value in it.items()}
        return [moved_out(value) for value in it] if isinstance(it, list) else it

    with h5py.File(tmp_path / "model.dp", "w") as file:
        file.attrs["json"] = json.dumps(moved_out(told))
        for k, array in enumerate(arrays):
            file.create_dataset(f"variable_{k:04d}", data=array)
    atoms = Atoms(**golden["structures"]["molecule"])
    text, binary = (import_model(path) for path in (written("se_e2_r"), tmp_path / "model.dp"))
    energies = [float(it(Graph.of(atoms, it.cutoff)).energy[0]) for it in (text, binary)]
    assert energies[0] == energies[1]
    content = (tmp_path / "model.dp").read_bytes()
    (tmp_path / "model.dp").write_bytes(content[: len(content) // 2])
    with pytest.raises(ForeignModelError, match=r"model\.dp: no model of deepmd-kit, cut short or damaged"):
        import_model(tmp_path / "model.dp")


def at(*keys, to):
    """A change of what stands at these keys."""

    def change(model):
        for key in keys[:-1]:
            model = model[key]
        model[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (at("type", to="linear_ener"), r"model\.type 'linear_ener' is not supported"),
        (at("descriptor", "type", to="dpa1"), r"model\.descriptor\.type 'dpa1' is not supported; known are se_e2_a, se_e2_r, se_e3"),
        (at("descriptor", "exclude_types", to=[[0, 1]]), r"model\.descriptor\.exclude_types = \[\[0, 1\]\] is not supported"),
        (at("descriptor", "env_protection", to=0.1), r"model\.descriptor\.env_protection = 0\.1 is not supported"),
        (at("descriptor", "env_mat", "use_exp_switch", to=True), r"env_mat\.use_exp_switch = True is not supported"),
        (at("descriptor", "activation_function", to="silut:10"), "activation_function 'silut:10'"),
        (at("descriptor", "@variables", "davg", to=None), r"model\.descriptor\.@variables\.davg is missing or no array"),
        (at("descriptor", "@variables", "davg", "value", 0, 3, 0, to=9.0), "davg and dstd are not those of one radial"),
        (at("descriptor", "embeddings", "networks", 1, to=None), r"embeddings\.networks\[1\] is missing"),
        (at("fitting", "type", to="dipole"), r"model\.fitting\.type 'dipole' is not supported"),
        (at("fitting", "numb_fparam", to=2), r"model\.fitting\.numb_fparam = 2 is not supported"),
        (at("fitting", "atom_ener", to=[-1.0, None]), r"model\.fitting\.atom_ener = "),
        (at("fitting", "@version", to=9), r"model\.fitting\.@version 9 came; this Adiabat reads versions up to 4"),
        (at("fitting", "neuron", to=[9, 9]), "has 4 layers; wanted 3"),
        (at("fitting", "nets", "networks", 0, "layers", 1, "@variables", "b", "value", 0, to=float("nan")), "numbers that are none"),
        (at("type_map", to=["O", "Q"]), r"model\.type_map \['O', 'Q'\]"),
        (at("pair_exclude_types", to=[[0, 0]]), r"model\.pair_exclude_types = \[\[0, 0\]\] is not supported"),
        (lambda model: model["descriptor"].pop("rcut"), r"model\.descriptor\.rcut is missing"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(change, said, written):
    with pytest.raises(ForeignModelError, match=said):
        import_model(written("se_e2_r", change, "changed.yaml"))


def test_truncated_files_are_named(written):
    path = written("se_e2_r", name="cut.yaml")
    text = path.read_text()
    for part in (0.1, 0.5, 0.9):
        path.write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match=r"cut\.yaml"):
            import_model(path)


@pytest.mark.parametrize("suffix", [".pb", ".pth"])
def test_programs_are_refused_with_the_cure(suffix, tmp_path):
    path = tmp_path / f"graph{suffix}"
    if suffix == ".pb":
        path.write_bytes(b"\n\x0b\n\x08constant")
    else:
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("graph/code/__torch__/deepmd/pt/model.py", "")
            archive.writestr("graph/constants.pkl", b"")
    with pytest.raises(ForeignModelError, match=rf"dp convert-backend graph\{suffix} graph\.yaml"):
        import_model(path)
