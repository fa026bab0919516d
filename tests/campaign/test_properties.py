"""adiabat properties: a crystal's numbers from a model file, with units and errors; refusals in words."""

import json
import subprocess
import sys

import pytest
from ase.build import bulk, molecule
from ase.io import write

from adiabat.campaign.properties import properties
from adiabat.config import ConfigError
from adiabat.models import LennardJones
from adiabat.potential import Potential


@pytest.fixture(scope="module")
def argon(tmp_path_factory):
    place = tmp_path_factory.mktemp("argon")
    model, crystal = place / "argon.adiabat", place / "ar.xyz"
    Potential(LennardJones(epsilon_eV=0.0103, sigma_angstrom=3.4, cutoff=12.0, elements=["Ar"])).save(model)
    write(crystal, bulk("Ar", a=5.4))
    return str(model), str(crystal)


def test_the_command_writes_numbers_with_units(argon, tmp_path):
    out = tmp_path / "told.json"
    command = [sys.executable, "-m", "adiabat", "properties", *argon, "--what", "eos,elastic,stress", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    assert told["lattice_constant"]["unit"] == "Å" and told["lattice_constant"]["value"] == pytest.approx(5.25, abs=0.02)
    assert told["C12"]["value"] == pytest.approx(told["C44"]["value"], rel=2e-3)  # a pair potential at zero pressure
    assert abs(told["pressure"]["value"]) < 1e-3 and told["mechanically_stable"]["verdict"] == "pass"
    assert told["bulk_modulus"]["value"] == pytest.approx(told["elastic_bulk_modulus"]["value"], rel=0.01)
    assert told["elastic_bulk_modulus"]["verdict"] == "pass" and told["stress_check"]["value"] < 1e-3


def test_without_relaxation_the_pressure_is_told(argon):
    assert properties(*argon, ["elastic"], relax=False)["pressure"]["value"] < -0.1


def test_a_failed_verdict_is_a_finding(argon, tmp_path):
    """Compressed by 15 %, a crystal of argon is stable; stretched by as much it is not, and the command says so."""
    write(tmp_path / "stretched.xyz", bulk("Ar", a=6.4))
    command = [sys.executable, "-m", "adiabat", "properties", argon[0], str(tmp_path / "stretched.xyz"), "--no-relax", "--what"]
    done = subprocess.run([*command, "elastic"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "fail" in done.stdout
    done = subprocess.run([*command, " , "], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "nothing was asked for; wanted some of" in done.stderr


def test_refusals(argon, tmp_path):
    write(tmp_path / "water.xyz", molecule("H2O"))
    with pytest.raises(ConfigError, match="periodic along .* properties of crystals"):
        properties(argon[0], str(tmp_path / "water.xyz"))
    with pytest.raises(ConfigError, match="what: 'elatic' is unknown; did you mean 'elastic'"):
        properties(*argon, ["elatic"])
