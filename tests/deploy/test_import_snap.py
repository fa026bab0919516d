"""SNAP as LAMMPS evaluates it: made-up potentials of two elements, and those of Zuo et al., J. Phys. Chem. A 124, 731 (2020)."""

from __future__ import annotations

import json
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.graph import Graph


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests" / "golden" / "snap-lammps.json").read_text())


def written(case, folder):
    for name, text in case["files"].items():
        (folder / name).write_text(text)
    return folder / "x.snapcoeff"


@pytest.mark.parametrize("case", range(4))
def test_two_elements_linear_and_quadratic(case, golden, tmp_path, agrees):
    flags = [line for line in golden["cases"][case]["files"]["x.snapparam"].splitlines() if "flag" in line]
    row = ", ".join(["SNAP, two elements", *flags])
    potential = import_model(written(golden["cases"][case], tmp_path))
    for name, wanted in golden["cases"][case]["answers"].items():
        atoms = Atoms(**golden["structures"][name])
        found = potential(Graph.of(atoms, potential.cutoff))
        n = len(atoms)
        compared = {
            "energy": (found.energy[0] / n, wanted["energy"] / n, 1e-12),  # both in double
            "forces": (found.forces, wanted["forces"], 1e-12),
        }
        if "stress" in wanted:
            xx, yy, zz, yz, xz, xy = wanted["stress"]
            full = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])

            compared["stress"] = (found.stress[0], full, 1e-14)
        agrees(row, golden["peer"], atoms, potential.cutoff, **compared)


@pytest.mark.parametrize("kind", ["snap", "qsnap"])
@pytest.mark.parametrize("element", ["Cu", "Li", "Si"])
def test_published_potentials(element, kind, data_folder, agrees):
    folder = data_folder / "reference_mlearn_potentials" / element
    potential = import_model(folder / kind / "SNAPotential.snapparam")
    with lzma.open(folder / "expected_first5_test_frames.json.xz") as file:
        wanted = json.load(file)[kind]
    with lzma.open(data_folder / f"mlearn_{element}" / "test.xyz.xz", "rt") as file:
        atoms = read(file, "0", format="extxyz")
    found = potential(Graph.of(atoms, potential.cutoff))
    agrees(
        f"{'quadratic SNAP' if kind == 'qsnap' else 'SNAP'}, {element} of Zuo et al. 2020",
        str(wanted["engine"]),
        atoms,
        potential.cutoff,
        energy=(found.energy[0] / len(atoms), wanted["energy"][0] / len(atoms), 1e-11),  # energies of 300 eV in double
        forces=(found.forces, wanted["forces"][0], 1e-10),  # kept to ten decimals
    )


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("x.snapparam", "rfac0 0.97", "chemflag 1", "chemflag 1 is not supported"),
        ("x.snapparam", "rfac0 0.97", "rmin0 0.5", "rmin0 0.5 is not supported"),
        ("x.snapparam", "rfac0 0.97", "sinner 1.0", "'sinner' is not supported"),
        ("x.snapparam", "twojmax 4", "twojmax 6", "15 coefficients an element; twojmax 6 has 31"),
        ("x.snapparam", "twojmax 4\n", "", "twojmax is missing"),
        ("x.snapcoeff", "W 0.5 1.0", "W 0.0 1.0", "radius 0.0 of W came; wanted a positive number"),
        ("x.snapcoeff", "W 0.5 1.0", "W 0.5", "element 1 wants a line 'name radius weight'"),
        ("x.snapcoeff", "2 15", "2 16", "33 lines for 2 elements of 16 coefficients; wanted 35"),
    ],
)
def test_what_is_not_supported_is_named(file, before, after, said, golden, tmp_path):
    path = written(golden["cases"][0], tmp_path)
    text = (tmp_path / file).read_text()
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after))
    with pytest.raises(ForeignModelError, match=said):
        import_model(path)


def test_a_comment_may_be_in_any_encoding(golden, tmp_path):
    path = written(golden["cases"][0], tmp_path)
    before = import_model(path).state_dict()
    path.write_bytes("# Müller 2017, Å\n".encode("latin-1") + path.read_bytes())
    assert all(bool((before[name] == value).all()) for name, value in import_model(path).state_dict().items())


def test_terms_beside_it_are_told(golden, tmp_path):
    """LAMMPS's own potentials of Ta and W come with such an input."""
    path = written(golden["cases"][0], tmp_path)
    (tmp_path / "W.snap").write_text(
        f"pair_style hybrid/overlay zbl 4.0 4.8 snap\npair_coeff * * snap {path.name} x.snapparam W\n"
    )
    with pytest.warns(UserWarning, match=r"W\.snap adds other terms .*hybrid/overlay zbl 4\.0 4\.8 snap.* wrong without them"):
        import_model(path)


def test_a_truncated_or_missing_file_is_named(golden, tmp_path):
    path = written(golden["cases"][0], tmp_path)
    text = path.read_text()
    for part in (0.2, 0.5, 0.9):
        path.write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match="snapcoeff"):
            import_model(path)
    path.unlink()
    with pytest.raises(ForeignModelError, match="x.snapcoeff is not beside it"):
        import_model(tmp_path / "x.snapparam")
