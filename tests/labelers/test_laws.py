"""What every labeler keeps: the same numbers twice; forces and stress that are derivatives of its own energies; a full record."""

import importlib.util
import json

import numpy as np
import pytest
from ase.build import bulk, molecule

from adiabat.data.structure import content_hash, labels, to_json
from adiabat.labelers import LABELERS, label, labeler


def water():
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


def crystal(name, cubic=True):
    atoms = bulk(name, cubic=cubic)
    atoms.rattle(0.05, seed=1)
    return atoms


HAS_GPAW = importlib.util.find_spec("gpaw") is not None
with_gpaw = pytest.mark.skipif(not HAS_GPAW, reason="GPAW is not installed (make gpaw builds it; needs g++)")
PLANE_WAVES = {"cutoff_eV": 250.0, "kpoints": (1, 1, 1), "energy_tolerance_eV": 1e-8}

# name, settings, structure, tolerance of the finite differences in eV/Å: integration grids and SCF thresholds set it
CASES = {
    "pyscf": ("pyscf", {}, water(), 1e-3),
    "pyscf density fit": ("pyscf", {"density_fit": True, "basis": "sto-3g"}, water(), 1e-3),
    "pyscf hot electrons": ("pyscf", {"electronic_temperature_K": 10000.0, "basis": "sto-3g"}, water(), 1e-3),
    "GFN2": ("tblite", {}, molecule("CH3OH"), 1e-4),
    "GFN1 crystal": ("tblite", {"method": "GFN1-xTB"}, crystal("Si"), 1e-4),
    "GFN2 hot electrons": ("tblite", {"electronic_temperature_K": 8000.0}, crystal("Si"), 1e-4),
    "GPAW": ("gpaw", PLANE_WAVES, crystal("Si", cubic=False), 1e-3),
    "EMT": ("ase", {}, crystal("Cu"), 1e-6),
    "smeared metal": ("ase", {"calculator": "labelers.stand_in:SmearedMetal"}, crystal("Cu"), 1e-6),
}


PARAMETERS = [pytest.param(case, id=name, marks=[with_gpaw] * (case[0] == "gpaw")) for name, case in CASES.items()]


@pytest.fixture(params=PARAMETERS, scope="module")
def case(request):
    name, settings, atoms, tolerance = request.param
    make = labeler(name, **settings)
    return make, atoms, make(atoms), tolerance


def test_every_labeler_is_here():
    assert {name for name, *_ in CASES.values()} == set(LABELERS) - {"auto"}  # which hands on to the others


def test_the_same_numbers_twice(case):
    make, atoms, once, _ = case
    again = make(atoms)
    for name, value in labels(once).items():
        assert np.array_equal(value, labels(again)[name]) or np.abs(value - labels(again)[name]).max() < 1e-9, name


def test_forces_are_minus_the_slope_of_the_energy(case):
    make, atoms, once, tolerance = case
    direction = np.random.default_rng(0).normal(size=atoms.positions.shape)
    direction /= np.linalg.norm(direction)
    h = 4e-3

    def energy(step):
        moved = atoms.copy()
        moved.positions += step * direction
        return make(moved).get_potential_energy()

    slope = (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)  # its error is O(h⁴)
    assert slope == pytest.approx(-np.sum(once.get_forces() * direction), abs=tolerance)


# strain and tolerance in eV/Å³; which plane waves lie below the cutoff changes with the cell, in steps that small strains resolve
STRAIN = {"gpaw": (1e-2, 5e-4)}


def test_stress_is_the_slope_against_strain(case):
    make, atoms, once, _ = case
    if not atoms.pbc.any():
        assert "stress" not in labels(once)
        return
    h, tolerance = STRAIN.get(make.name, (1e-4, 1e-5))
    for voigt, (a, b) in ((1, (1, 1)), (5, (0, 1))):
        energies = []
        for sign in (-1, 1):
            strain = np.zeros((3, 3))
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(make(moved).get_potential_energy())
        slope = (energies[1] - energies[0]) / (2 * h) / atoms.get_volume()
        assert labels(once)["stress"][voigt] == pytest.approx(slope, abs=tolerance)


def test_forces_sum_to_zero(case):
    make, _, once, _ = case
    allowed = 1e-5 if make.name == "gpaw" else 1e-6  # its density is converged to 1e-6 electrons
    assert np.abs(once.get_forces().sum(axis=0)).max() < allowed


def test_the_record_is_whole_and_the_structure_untouched(case):
    make, atoms, once, _ = case
    record = once.info["adiabat"]
    assert set(record) >= {"engine", "version", "settings", "level_of_theory", "converged", "wall_s", "cpu_s", "parent"}
    assert record["converged"] is True and record["settings"] == json.loads(json.dumps(make.settings()))
    assert record["parent"] == content_hash(atoms) == content_hash(once)
    assert atoms.calc is None and "adiabat" not in atoms.info


def test_the_job_function_gives_the_same(case):
    make, atoms, once, _ = case
    name, settings = make.name, make.settings()
    arguments = json.loads(json.dumps({"labeler": {name: settings}, "atoms": to_json(atoms)}))
    result = json.loads(json.dumps(label(arguments)))["atoms"]
    assert result["labels"]["energy"] == pytest.approx(once.get_potential_energy(), abs=1e-9)
    assert result["info"]["adiabat"]["level_of_theory"] == make.level_of_theory()
