"""What a label is: the free energy, raw forces, a level of theory; and what is refused instead of labeled."""

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms

from adiabat.campaign.label import task
from adiabat.data.structure import fixed_atoms, from_json, labels, to_json
from adiabat.labelers import EngineMissing, LabelError, label, labeler
from adiabat.labelers.base import charge_and_multiplicity, installed
from labelers.stand_in import ENTROPY_eV

HERE = "labelers.stand_in:"


def test_the_energy_of_a_smeared_metal_is_its_free_energy():
    plain, smeared = labeler("ase")(bulk("Cu")), labeler("ase", calculator=HERE + "SmearedMetal")(bulk("Cu"))
    assert smeared.get_potential_energy() == plain.get_potential_energy()
    assert smeared.info["adiabat"]["energy_sigma0"] == pytest.approx(plain.get_potential_energy() + ENTROPY_eV)


def test_forces_on_fixed_atoms_are_raw_and_the_mask_travels():
    slab = fcc111("Cu", (2, 2, 3), vacuum=6.0)
    slab.rattle(0.1, seed=1)
    free = labeler("ase")(slab)
    slab.set_constraint(FixAtoms([0, 1, 2, 3]))
    held = from_json(label({"labeler": {"ase": None}, "atoms": to_json(slab)})["atoms"])
    assert (labels(held)["forces"] == labels(free)["forces"]).all() and np.abs(labels(held)["forces"][:4]).min() > 0
    assert fixed_atoms(held) == [0, 1, 2, 3] and (labels(held)["stress"] == labels(free)["stress"]).all()


def test_level_of_theory_is_of_the_physics():
    pbe = labeler("pyscf")
    assert pbe.level_of_theory().startswith("pbe/def2-svp [pyscf ")
    assert labeler("pyscf", max_cycle=99, max_memory_MB=1).level_of_theory() == pbe.level_of_theory()
    for other in ({"functional": "b3lyp"}, {"grid_level": 4}, {"charge": 1}, {"conv_tol_hartree": 1e-10}):
        assert labeler("pyscf", **other).level_of_theory() != pbe.level_of_theory()


def test_pyscf_agrees_with_another_code():
    """Isolated H, PBE/def2-SVP: -13.568422 eV by ORCA 4.2 (BOTNet-datasets, ethanol)."""
    assert labeler("pyscf").isolated_atom("H").get_potential_energy() == pytest.approx(-13.568422, abs=1e-3)


def test_isolated_atoms_are_in_their_ground_state():
    oxygen = labeler("pyscf", basis="sto-3g").isolated_atom("O")
    assert oxygen.info["multiplicity"] == 3 and oxygen.info["adiabat"]["notes"]["spin_square"] == pytest.approx(2.0, abs=0.05)
    assert oxygen.info["config_type"] == "IsolatedAtom" and not oxygen.get_forces().any()


def test_reference_atoms_are_neutral_whatever_the_settings_say_of_the_structures():
    """A cation's energy is counted from atoms, not from ions of which one has no electron left."""
    usual, ionic = labeler("tblite"), labeler("tblite", charge=1, multiplicity=1)
    for symbol, z in (("H", 1), ("O", 8)):
        neutral = usual(Atoms(symbol)).get_potential_energy()
        assert ionic.isolated_atom(symbol).get_potential_energy() == neutral
        assert ionic(Atoms(symbol, info=ionic.of_a_lone_atom(z))).get_potential_energy() == neutral
    assert usual.of_a_lone_atom(8) == labeler("gpaw").of_a_lone_atom(8) == {}  # labels of earlier runs keep their names


def test_a_breaking_bond_dissociates_into_atoms():
    """Restricted PBE leaves H2 at 4 Å several eV too high; followed down its instability it is two H atoms."""
    pbe = labeler("pyscf")
    far = pbe(Atoms("H2", [[0, 0, 0], [0, 0, 4.0]]))
    assert far.get_potential_energy() == pytest.approx(2 * pbe.isolated_atom("H").get_potential_energy(), abs=0.02)
    assert far.info["adiabat"]["notes"]["stable"] and far.info["adiabat"]["notes"]["spin_square"] == pytest.approx(
        1.0, abs=0.05
    )


def test_the_stretch_threshold_makes_no_step_in_the_energy():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.93]])  # the threshold is at 0.93 Å
    below, above = (labeler("pyscf", stretch=s)(atoms) for s in (1.6, 1.4))
    assert above.info["adiabat"]["notes"]["unrestricted"] and not below.info["adiabat"]["notes"]["unrestricted"]
    assert above.get_potential_energy() == pytest.approx(below.get_potential_energy(), abs=1e-6)


def test_charge_and_multiplicity_come_from_the_structure_first():
    cation = Atoms("OH3", molecule("NH3").positions, info={"charge": 1})
    assert charge_and_multiplicity(cation, 0, None, "") == (1, 1)
    neutral = cation.copy()
    neutral.info.clear()
    assert charge_and_multiplicity(neutral, 0, None, "") == (0, 2)
    tight = labeler("tblite")
    assert tight(cation).get_potential_energy() > tight(neutral).get_potential_energy()


H2O = molecule("H2O")
REFUSED = {
    "no atoms": ("tblite", {}, Atoms(), "bad_input", "a structure without atoms came; give"),
    "NaN": ("tblite", {}, Atoms("H", [[0, 0, np.nan]]), "bad_input", r"positions\[0\] of H is .*nan.*wanted finite.*leave"),
    "unknown element": (
        "pyscf",
        {},
        Atoms("XH", [[0, 0, 0], [0, 0, 1]]),
        "bad_input",
        r"atomic numbers \[0\].*wanted 1 to 118",
    ),
    "overlap": (
        "pyscf",
        {},
        Atoms("H2", [[0, 0, 0], [0, 0, 0.1]]),
        "bad_input",
        r"atoms 0 and 1 .* 0\.100 Å apart.*wanted at least",
    ),
    "no cell": ("ase", {}, Atoms("Cu", pbc=True), "bad_input", "cell vector 0 is zero; set the cell"),
    "parity": ("pyscf", {"multiplicity": 2}, H2O, "bad_input", "10 electrons, which cannot have multiplicity 2; set"),
    "periodic": ("pyscf", {}, bulk("Si"), "bad_input", "is periodic .* molecules only; use gpaw or tblite"),
    "basis": ("pyscf", {"basis": "nope"}, H2O, "bad_input", "basis 'nope' .*refused"),
    "functional": ("pyscf", {"functional": "nope"}, H2O, "bad_input", "functional 'nope' is unknown.*for example pbe"),
    "nonlocal": ("pyscf", {"functional": "wb97x_v"}, H2O, "bad_input", "nonlocal .*choose a functional without"),
    "SCF": (
        "pyscf",
        {"max_cycle": 1, "basis": "sto-3g"},
        H2O,
        "not_converged",
        "did not converge .* 1 cycles.*second-order.*leave",
    ),
    "SCC": ("tblite", {"max_iterations": 2}, H2O, "not_converged", "did not converge in 2 iterations.*raise max_iterations"),
    "slab": ("tblite", {}, fcc111("Cu", (1, 1, 2), vacuum=5), "bad_input", "none or all three directions; set pbc=True"),
    "EMT": ("ase", {}, bulk("Si"), "bad_input", "emt failed for Si.*No EMT-potential.*see whether"),
    "gives up": ("ase", {"calculator": HERE + "GivesUp"}, H2O, "not_converged", "did not converge for H2O.*loosen"),
    "silent": ("ase", {"calculator": HERE + "Silent"}, H2O, "not_converged", "not converged for H2O.*change"),
    "silent in numpy": ("ase", {"calculator": HERE + "SilentInNumpy"}, H2O, "not_converged", "not converged for H2O.*change"),
    "half a charge": (
        "tblite",
        {},
        Atoms("OH2", H2O.positions, info={"charge": 0.5}),
        "bad_input",
        r"H2O has charge 0\.5; wanted a whole number; correct info\['charge'\]",
    ),
    "multiplicity of nothing": (
        "pyscf",
        {},
        Atoms("OH2", H2O.positions, info={"multiplicity": 1.5}),
        "bad_input",
        r"multiplicity 1\.5; wanted a whole",
    ),
    "pseudopotential": (
        "pyscf",
        {"basis": "gth-szv"},
        H2O,
        "bad_input",
        "'gth-szv' is made for a pseudopotential of [OH] that PySCF does not bring",
    ),
    "not finite": ("ase", {"calculator": HERE + "NotFinite"}, H2O, "crashed", "forces .*not finite, wanted"),
    "no forces": ("ase", {"calculator": HERE + "NoForces"}, H2O, "bad_input", "needs energy and forces; choose"),
    "arguments": ("ase", {"calculator": HERE + "ENTROPY_eV"}, H2O, "bad_input", "refused the arguments.*correct"),
    "missing": (
        "ase",
        {"calculator": "nowhere_at_all:Engine"},
        H2O,
        "engine_missing",
        "cannot be imported.*pip install nowhere_at_all",
    ),
}


@pytest.mark.parametrize("name, settings, atoms, kind, words", REFUSED.values(), ids=REFUSED.keys())
def test_no_label_but_an_error_with_a_cure(name, settings, atoms, kind, words):
    with pytest.raises(LabelError, match=rf"(?s){words}") as caught:
        labeler(name, **settings)(atoms)
    assert caught.value.kind == kind and caught.value.cure and caught.value.cure in str(caught.value)


def test_a_basis_of_valence_functions_comes_with_its_core_potential():
    """Experiment: HCl lies 4.4 eV below its atoms; with all electrons in valence functions it would be keV."""
    engine = labeler("pyscf", basis="lanl2dz")
    bound, H, Cl = (
        engine(a).get_potential_energy() for a in (Atoms("HCl", [[0, 0, 0], [0, 0, 1.29]]), Atoms("H"), Atoms("Cl"))
    )
    assert -6 < bound - H - Cl < -2


@pytest.mark.parametrize("basis", ["def2-svp", "Def2-SVP", "ma-def2-svp", "lanl2dz"])
def test_iodines_core_is_its_potential_however_the_basis_is_spelled(basis):
    molecule, _ = labeler("pyscf", basis=basis)._molecule(Atoms("HI", [[0, 0, 0], [0, 0, 1.61]]))
    assert molecule.nelectron == 54 - (46 if basis == "lanl2dz" else 28)


def test_a_missing_engine_says_how_to_install_it():
    with pytest.raises(EngineMissing, match="not installed here; install it with: pip install nothing") as caught:
        installed("nothing-of-this-name", "pip install nothing")
    assert caught.value.kind == "engine_missing"


@pytest.mark.parametrize(
    "name, settings, words",
    [
        ("tblit", {}, "labeler: unknown name 'tblit'; did you mean 'tblite'"),
        ("pyscf", {"functionall": "pbe"}, "labeler.pyscf: unknown option 'functionall'; did you mean 'functional'"),
        ("tblite", {"method": "GFN3"}, "labeler.tblite: method 'GFN3' is unknown; wanted one of GFN1-xTB"),
        (
            "tblite",
            {"electronic_temperature_K": -5.0},
            "labeler.tblite: electronic_temperature_K -5.0 came; wanted no negative number",
        ),
        ("tblite", {"accuracy": float("nan")}, "labeler.tblite: accuracy nan came; wanted a positive number"),
        ("pyscf", {"electronic_temperature_K": -1.0}, "electronic_temperature_K -1.0 came; wanted no negative"),
        ("pyscf", {"max_cycle": 0}, "max_cycle 0 came; wanted a positive"),
        ("gpaw", {"cutoff_eV": -5.0}, "labeler.gpaw: cutoff_eV -5.0 came; wanted a positive number"),
        ("gpaw", {"smearing_eV": -0.1}, "smearing_eV -0.1 came; wanted no negative"),
        ("gpaw", {"kpoints": [2, 2]}, r"labeler.gpaw: kpoints \[2, 2\] came; wanted three numbers"),
        ("ase", {"calculator": "emtt"}, "labeler.ase: calculator 'emtt' is unknown; wanted one of emt"),
    ],
)
def test_misspellings_are_named(name, settings, words):
    with pytest.raises(ValueError, match=words):
        labeler(name, **settings)


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(LabelError("a", "resources", "b")))
    assert (error.message, error.kind, error.cure) == ("a", "resources", "b")
    assert isinstance(pickle.loads(pickle.dumps(EngineMissing("a", cure="b"))), EngineMissing)


@pytest.mark.parametrize(
    "name, settings, engine, data",
    [("gpaw", {"cutoff_eV": 250.0}, "gpaw", "gpaw-data"), ("pyscf", {"dispersion": "d4"}, "pyscf", "pyscf-dispersion")],
)
def test_other_data_behind_an_engine_are_another_label(name, settings, engine, data, tmp_path, monkeypatch):
    """PAW data and the parameters of dispersion come in packages of their own: upgraded, no label of before is taken for one of now."""
    keys = []
    for version in ("1.0", "2.0"):
        place = tmp_path / version
        for package in (engine, data):  # as pip leaves them: the engine's version stays, its data's does not
            told = place / f"{package.replace('-', '_')}-{version}.dist-info" / "METADATA"
            told.parent.mkdir(parents=True)
            told.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version if package == data else '7.0'}\n")
        with monkeypatch.context() as here:
            here.syspath_prepend(str(place))
            make = labeler(name, **settings)
            keys.append(task(make, make.record(), molecule("H2O")).key)
            assert make.version() == f"{engine} 7.0, {data} {version}"
    assert keys[0] != keys[1]


def test_an_engine_without_such_data_keeps_its_keys():
    """Labels that were there before stay known."""
    for name in ("pyscf", "tblite", "ase"):
        assert "," not in labeler(name).version()
