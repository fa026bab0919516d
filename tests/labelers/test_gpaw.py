"""What the plane-wave labeler adds to the laws: settings that no default decides, a warm start, spin, and words for what fails."""

import importlib.util

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from adiabat.data.structure import labels
from adiabat.labelers import LabelError, labeler
from adiabat.labelers.auto import StandIn
from adiabat.labelers.gpaw import GPAW, forget
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
