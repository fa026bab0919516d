"""What the plane-wave labeler adds to the laws: settings that no default decides, a warm start, spin, and words for what fails."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from adiabat.data.structure import labels
from adiabat.labelers import LabelError, labeler
from adiabat.labelers.auto import StandIn
from adiabat.labelers.gpaw import GPAW, _explained, forget
from adiabat.labelers.gpaw_settings import grid, plane_waves

needs_gpaw = pytest.mark.skipif(
    importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed (make gpaw builds it; needs g++)"
)
SMALL = GPAW(cutoff_eV=250.0, kpoints=(1, 1, 1))


def rattled(seed=1):
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=seed)
    return atoms


def test_everything_a_default_could_decide_is_said():
    asked = GPAW().for_frames([bulk("Si")]).arguments(bulk("Si"), spin=False)
    assert asked["mode"] == {"name": "pw", "ecut": 350.0} and asked["kpts"]["gamma"] is True and min(asked["kpts"]["size"]) > 1
    assert asked["occupations"] == {"name": "fermi-dirac", "width": 0.05} and asked["xc"] == "PBE"
    assert set(asked["convergence"]) == {"energy", "density", "forces"}


def test_one_cutoff_for_all_structures_of_a_set():
    """Silicon alone and silicon with oxygen at different cutoffs would have different zeros of energy."""
    together = GPAW().for_frames([bulk("Si"), molecule("O2")])
    assert together.cutoff_eV == plane_waves([8]) > plane_waves([14])
    assert together.level_of_theory() != GPAW().for_frames([bulk("Si")]).level_of_theory()
    assert GPAW(cutoff_eV=300.0).for_frames([molecule("O2")]).cutoff_eV == 300.0


def test_supercells_are_sampled_alike():
    cell = bulk("Si", cubic=True)
    n, doubled = np.array(grid(cell, 0.3)), np.array(grid(cell * 2, 0.3))
    assert (n == 2 * doubled).all()
    slab = cell.copy()
    slab.pbc = (True, True, False)
    assert grid(slab, 0.3)[2] == 1


@needs_gpaw
def test_a_warm_start_changes_nothing_but_the_time():
    forget()
    warm, frames = GPAW(cutoff_eV=250.0, kpoints=(1, 1, 1), warm=True), [rattled(1), rattled(2)]
    _, second = (warm(a) for a in frames)
    assert second.info["adiabat"]["notes"]["warm"]
    cold = SMALL(frames[1])
    assert labels(second)["energy"] == pytest.approx(labels(cold)["energy"], abs=1e-5)  # of thresholds of 1e-6 eV an electron
    assert np.abs(labels(second)["forces"] - labels(cold)["forces"]).max() < 2e-3
    assert warm.level_of_theory() == SMALL.level_of_theory()
    forget()


@needs_gpaw
def test_the_label_is_the_free_energy():
    hot = GPAW(cutoff_eV=250.0, kpoints=(1, 1, 1), smearing_eV=1.0)(rattled())
    assert labels(hot)["energy"] < hot.info["adiabat"]["energy_sigma0"] - 0.01


@needs_gpaw
def test_a_lone_atom_has_the_moment_of_its_ground_state():
    lone = GPAW(cutoff_eV=300.0, vacuum_angstrom=3.0).isolated_atom("H")
    assert lone.info["adiabat"]["notes"]["magnetic_moment"] == pytest.approx(1.0, abs=1e-3) and "stress" not in labels(lone)


@needs_gpaw
def test_an_unconverged_calculation_is_an_error_with_a_cure():
    with pytest.raises(LabelError, match="did not converge in 2 iterations.*raise smearing_eV") as caught:
        GPAW(cutoff_eV=250.0, kpoints=(1, 1, 1), max_iterations=2)(rattled())
    assert caught.value.kind == "not_converged"


@needs_gpaw
def test_a_functional_without_libxc_is_refused_in_words():
    with pytest.raises(LabelError, match="'SCAN' for Si2 .* was refused.*without libxc GPAW knows LDA, PBE") as caught:
        GPAW(functional="SCAN", cutoff_eV=250.0, kpoints=(1, 1, 1))(rattled())
    assert caught.value.kind == "bad_input"


@needs_gpaw
def test_a_slab_has_vacuum_no_stress_and_one_k_point_across():
    """Two layers of aluminum, moved out of the way and with a cell too small for them: it is the slab that counts, not where it stands."""
    slab = fcc111("Al", (1, 1, 2))
    slab.rattle(0.05, seed=1)
    engine = GPAW(cutoff_eV=150.0, kpoints=(2, 2, 7), smearing_eV=0.1, vacuum_angstrom=4.0)
    moved = slab.copy()
    moved.positions[:, 2] += 7.3
    one, other = engine(slab), engine(moved)
    assert one.info["adiabat"]["notes"]["kpoints"] == [2, 2, 1] and "stress" not in labels(one)
    assert one.pbc.tolist() == [True, True, False] and np.array_equal(one.positions, slab.positions)
    assert labels(one)["energy"] == pytest.approx(labels(other)["energy"], abs=1e-6)
    assert np.abs(labels(one)["forces"] - labels(other)["forces"]).max() < 1e-5


@needs_gpaw
def test_iron_is_magnetic_and_lower_for_it():
    """bcc iron, unpolarized and from the moment of a lone atom; a grid this coarse overstates the moment (2.2 in nature)."""
    coarse = {
        "cutoff_eV": 250.0,
        "kpoints": (2, 2, 2),
        "smearing_eV": 0.1,
        "density_tolerance": 1e-4,
        "energy_tolerance_eV": 1e-4,
    }
    iron = bulk("Fe", a=2.83)
    polarized, flat = GPAW(**coarse)(iron), GPAW(**coarse, spin=False)(iron)
    assert 1.5 < polarized.info["adiabat"]["notes"]["magnetic_moment"] < 4.0
    assert labels(polarized)["energy"] < labels(flat)["energy"] - 0.1
    stress = labels(polarized)["stress"]
    assert np.ptp(stress[:3]) < 1e-6 and np.abs(stress[3:]).max() < 1e-6  # cubic
    assert polarized.info["adiabat"]["level_of_theory"] != flat.info["adiabat"]["level_of_theory"]


@needs_gpaw
def test_a_multiplicity_is_imposed():
    """Oxygen's triplet lies 0.98 eV below its singlet (Huber and Herzberg 1979); unpolarized PBE in a small box is not far from it."""
    engine = GPAW(cutoff_eV=250.0, vacuum_angstrom=2.5, density_tolerance=1e-4, energy_tolerance_eV=1e-4)
    triplet, singlet = (molecule("O2") for _ in range(2))
    triplet.info["multiplicity"], singlet.info["multiplicity"] = 3, 1
    triplet.set_initial_magnetic_moments([0.3, 0.1])  # where it begins does not matter
    high, low = engine(triplet), engine(singlet)
    assert high.info["adiabat"]["notes"]["magnetic_moment"] == pytest.approx(2.0, abs=1e-6)
    assert 0.5 < labels(low)["energy"] - labels(high)["energy"] < 1.5
    triplet.info["multiplicity"] = 2
    with pytest.raises(LabelError, match="16 electrons, which cannot have multiplicity 2"):
        engine(triplet)


@needs_gpaw
def test_a_radical_is_polarized_by_itself():
    """OH has one unpaired electron, and lies lower for it; a water molecule and its cation have none and one."""
    engine = GPAW(cutoff_eV=250.0, vacuum_angstrom=2.0, density_tolerance=1e-4, energy_tolerance_eV=1e-4)
    radical = molecule("OH")
    radical.set_initial_magnetic_moments(None)
    found, flat = engine(radical), replace(engine, spin=False)(radical)
    assert found.info["adiabat"]["notes"]["magnetic_moment"] == pytest.approx(1.0, abs=1e-3)  # smearing of 0.05 eV
    assert labels(found)["energy"] < labels(flat)["energy"] - 0.1
    water, cation = molecule("H2O"), molecule("H2O")
    cation.info["charge"] = 1
    assert [engine._polarized(a) for a in (water, cation, bulk("Al"))] == [False, True, False]


def test_a_multiplicity_that_the_settings_rule_out_is_refused():
    triplet = molecule("O2")
    triplet.info["multiplicity"] = 3
    with pytest.raises(LabelError, match="has multiplicity 3 and spin is off, .* a singlet; leave spin out") as caught:
        GPAW(cutoff_eV=250.0, spin=False)._placed(triplet)
    assert caught.value.kind == "bad_input"


def test_strained_cells_keep_the_grid_of_the_cell_they_come_from():
    cell = bulk("Si", cubic=True)
    pinned = GPAW(kspacing_per_angstrom=0.3).pinned(cell)
    assert pinned.kpoints == grid(cell, 0.3)
    stretched = cell.copy()
    stretched.set_cell(cell.cell.array * 1.4, scale_atoms=True)
    assert grid(stretched, 0.3) != grid(cell, 0.3), "left alone it would have changed"
    asked = [pinned.arguments(a, spin=False)["kpts"] for a in (cell, stretched)]
    assert asked[0] == asked[1]
    assert pinned.arguments(Atoms("Si"), spin=True)["kpts"]["size"] == (1, 1, 1)
    assert GPAW(kpoints=(4, 4, 4)).pinned(cell).kpoints == (4, 4, 4)


def test_only_what_we_know_the_cure_of_is_explained():
    missing = _explained(FileNotFoundError('Could not find required PAW dataset file "Po.PBE".'), bulk("Si"), GPAW())
    assert isinstance(missing, LabelError) and missing.kind == "bad_input"
    other = RuntimeError("the setup of the parallel grid failed")
    assert _explained(other, bulk("Si"), GPAW()) is other


def test_misspelled_centering_is_named():
    with pytest.raises(ValueError, match="centering 'gama' came; wanted 'gamma' or 'shifted'"):
        labeler("gpaw", centering="gama")


def test_the_engine_by_case(monkeypatch):
    assert labeler("auto").for_frames([molecule("H2O")]).name == "pyscf"
    water = labeler("auto")(Atoms("H"))
    assert water.info["adiabat"]["engine"] == "pyscf"  # a label carries the name of who made it
    monkeypatch.setattr("adiabat.labelers.gpaw.installed", _missing)
    with pytest.warns(
        StandIn, match="gpaw, the engine for periodic structures, is not installed; GFN1-xTB stands in: tight binding"
    ):
        assert labeler("auto").for_frames([bulk("Si")]).name == "tblite"


def _missing(package, install):
    from adiabat.labelers import EngineMissing

    raise EngineMissing(f"the engine {package} is not installed here", cure=f"install it with: {install}")
