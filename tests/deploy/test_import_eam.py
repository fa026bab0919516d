"""EAM files as LAMMPS evaluates them (coarse tables, so that interpolation counts), and as ASE does (fine ones)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.eam import EAM

from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.graph import Graph
from golden.made_up import COARSE, FINE, tables

KINDS = {"x.eam": "EAM, funcfl", "x.eam.alloy": "EAM, setfl, two elements", "x.eam.fs": "EAM, eam/fs, two elements"}
FILES = list(KINDS)


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests" / "golden" / "eam-lammps.json").read_text())


def made(golden, name, file):
    atoms = Atoms(**golden["structures"][name])
    if file == "x.eam":
        atoms.symbols[:] = "Ta"
    return atoms


@pytest.mark.parametrize("file", FILES)
def test_equal_to_lammps(file, golden, tmp_path, agrees):
    (tmp_path / file).write_text(tables(file, **COARSE))
    potential = import_model(tmp_path / file)
    (case,) = (case for case in golden["cases"] if case["file"] == file)
    for name, wanted in case["answers"].items():
        atoms = made(golden, name, file)
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
        agrees(KINDS[file], golden["peer"], atoms, potential.cutoff, **compared)


@pytest.mark.parametrize("file", FILES)
def test_agrees_with_ase(file, golden, tmp_path):
    """ASE runs other curves through the points: on a fine grid both are the function that was tabulated."""
    (tmp_path / file).write_text(tables(file, **FINE))
    potential = import_model(tmp_path / file)
    calc = EAM(potential=str(tmp_path / file))
    for name in ("skewed", "molecule"):
        atoms = made(golden, name, file)
        atoms.calc = calc
        found = potential(Graph.of(atoms, potential.cutoff))
        # Its constant for effective charges is Hartree · Bohr, LAMMPS's is 27.2 · 0.529: the pair energies differ by 2e-5.
        tolerance = 1e-3 if file == "x.eam" else 1e-6
        assert abs(float(found.energy[0]) - atoms.get_potential_energy()) < tolerance * len(atoms)
        assert np.abs(found.forces.numpy() - atoms.get_forces()).max() < tolerance


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_or_changed_file_is_named(file, tmp_path):
    text = tables(file, **COARSE)
    for part in (0.01, 0.3, 0.7, 0.98):
        (tmp_path / file).write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match=file):
            import_model(tmp_path / file)
    (tmp_path / file).write_text(text + " 1.0\n")
    with pytest.raises(ForeignModelError, match="stands behind the last table"):
        import_model(tmp_path / file)
    (tmp_path / file).write_text(text.replace("e-01", "e-x1", 1))
    with pytest.raises(ForeignModelError, match="is no number"):
        import_model(tmp_path / file)


def test_a_comment_may_be_in_any_encoding_and_an_element_stands_once(tmp_path):
    text = tables("x.eam.alloy", **COARSE)
    (tmp_path / "x.eam.alloy").write_text(text)
    before = import_model(tmp_path / "x.eam.alloy").state_dict()
    (tmp_path / "x.eam.alloy").write_bytes(text.replace("made up", "Müller, Å").replace("\n", "\r\n").encode("latin-1"))
    after = import_model(tmp_path / "x.eam.alloy").state_dict()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    (tmp_path / "x.eam.alloy").write_text(text.replace("2 W Ta", "2 W W"))
    with pytest.raises(ForeignModelError, match=r"x\.eam\.alloy: an element stands twice among W, W"):
        import_model(tmp_path / "x.eam.alloy")


def test_elements_that_contradict_the_file_are_refused(tmp_path):
    (tmp_path / "x.eam.alloy").write_text(tables("x.eam.alloy", **COARSE))
    with pytest.raises(ForeignModelError, match="it is for W, Ta, elements Cu came"):
        import_model(tmp_path / "x.eam.alloy", elements=["Cu"])
