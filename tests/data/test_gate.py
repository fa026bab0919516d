"""The gate finds what was planted, and nothing grave in sound public sets."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from adiabat.data.composition import reference_energies
from adiabat.data.formats import read
from adiabat.data.gate import check
from adiabat.data.structure import labeled
from adiabat.labelers import labeler
from adiabat.units import bohr, hartree, kcal_per_mol


@pytest.fixture(scope="module")
def copper():
    made = []
    for k in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.08, seed=k)
        atoms.calc = EMT()
        made.append(labeled(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress()))
    return made


def faults(frames, **options):
    return {f.name: f for f in check(frames, **options) if f.grade == "fault"}


def changed(atoms, energy=1.0, forces=1.0, **info):
    other = labeled(atoms, energy=atoms.get_potential_energy() * energy, forces=atoms.get_forces() * forces)
    other.info |= info
    return other


def test_a_sound_set_has_no_finding_above_a_note(copper):
    assert {f.grade for f in check(copper)} == {"note"}


@pytest.mark.parametrize(
    "energy, forces, reading",
    [
        (1, -1, "forces are gradients"),
        (1 / hartree, 1, "energies in hartree beside forces in eV/Å"),
        (1 / kcal_per_mol, 1, "energies in kcal/mol beside forces"),
        (1, bohr / hartree, "forces in hartree/bohr beside energies in eV"),
    ],
)
def test_units_and_sign_are_seen_by_the_work_of_the_forces(copper, energy, forces, reading):
    found = faults([changed(a, energy, forces) for a in copper])
    assert reading in found["energies against forces"].message


def test_hartree_is_seen_against_all_electron_atoms():
    water = labeled(molecule("H2O"), energy=-76.3)
    found = faults([water])["units of energy"]
    assert "look like hartree" in found.message and "units={'energy': 'hartree'" in found.cure
    assert not faults([labeled(molecule("H2O"), energy=-76.3 * hartree)])


def test_isolated_atoms_of_another_unit_are_seen():
    water = labeled(molecule("H2O"), energy=-76.3 * hartree)
    assert "units of energy" in faults([water], isolated={1: -0.5, 8: -75.0})
    assert not faults([water], isolated={1: -0.5 * hartree, 8: -75.0 * hartree})


def test_what_was_planted_is_found(copper):
    moved = labeled(copper[0], energy=1.0, forces=copper[0].get_forces() + 0.1)
    assert faults([*copper[1:], moved])["net force"].frames == [11]
    assert faults([*copper, changed(copper[3], energy=1.1)])["contradicting labels"].frames == [12]
    assert [f.frames for f in check([*copper, copper[5]]) if f.name == "duplicates"] == [[12]]
    bad = copper[0].copy()
    bad.positions[1] = bad.positions[0] + [0.05, 0, 0]
    assert faults([*copper, labeled(bad, energy=0.0, forces=np.zeros((4, 3)))])["overlapping atoms"].frames == [12]
    nan = labeled(copper[0], energy=np.nan)
    assert faults([*copper, nan])["not finite"].frames == [12]
    flat = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]], pbc=True)
    assert faults([*copper, labeled(flat, energy=0.0)])["cell"].frames == [12]
    assert faults([*copper, changed(copper[0], adiabat={"converged": False})])["unconverged"].frames == [12]
    levels = [changed(a, adiabat={"level_of_theory": "pbe" if k else "hse"}) for k, a in enumerate(copper)]
    assert faults(levels)["mixed levels of theory"].frames == [0]


def test_torque_of_a_molecule_is_seen():
    h2 = molecule("H2")
    assert "net torque" in faults([labeled(h2, energy=-31.0, forces=[[1, 0, 0], [-1, 0, 0]])])


def test_near_contacts_count_periodic_images():
    near = Atoms("H2", [[0, 0, 0.1], [0, 0, 9.9]], cell=[10, 10, 10], pbc=True)
    assert [f.frames for f in check([labeled(near, energy=-1.0)]) if f.name == "near contacts"] == [[0]]


def test_missing_labels_are_counted_by_property(copper):
    bare = labeled(copper[0], energy=1.0)
    found = {f.name: f for f in check([*copper[1:], bare])}
    assert found["missing forces"].grade == "warning" and "1 frame of 12" in found["missing forces"].message
    assert found["missing stress"].frames == [11]


def test_an_empty_set_is_a_fault():
    assert check([])[0].grade == "fault"


def test_reference_energies_of_a_made_up_law(rng):
    frames = []
    for k in range(6):
        atoms = Atoms(["C"] * (k + 1) + ["H"] * (1 + k * k % 5), rng.normal(size=(k + 2 + k * k % 5, 3)) * 9)
        frames.append(labeled(atoms, energy=-3.0 * (k + 1) + 2.0 * (1 + k * k % 5)))
    fit = reference_energies(frames)
    assert fit.energies == pytest.approx({1: 2.0, 6: -3.0}) and fit.undetermined == () and fit.residual_rms < 1e-9
    fit = reference_energies([*frames, labeled(Atoms("H"), energy=2.5), labeled(Atoms("C"), energy=-2.0)])
    assert fit.method == "isolated atoms" and fit.energies == {1: 2.5, 6: -2.0}


@pytest.mark.parametrize("name", ["3bpa", "ethanol_pbe", "rmd17_aspirin", "mlearn_Cu", "mlearn_Li", "mlearn_Si"])
def test_public_sets_have_no_fault(data_folder, name):
    (path,) = [p for p in (data_folder / name).glob("train*.xyz.xz") if "extra" not in p.name]
    frames = read(path)
    assert not faults(frames)
    if "isolated_atoms.xyz.xz" in [p.name for p in (data_folder / name).iterdir()]:
        assert not faults(frames, isolated=read(data_folder / name / "isolated_atoms.xyz.xz"))


@pytest.mark.parametrize("of", [3, 5, 8])
def test_a_part_that_is_hotter_is_no_other_level(data_folder, of):
    """Few frames of a crystal that melted in between: two narrow clouds of energies, and of forces. With the cold one's forces it is one."""
    frames = read(data_folder / "mlearn_Si" / "train.xyz.xz")[::of]
    assert "energy offset" not in faults(frames) and "energy offset" in {f.name for f in check(frames)}
    cooled = [changed(a, forces=0.3) if len(a) == 63 and a.get_potential_energy() > -5 * 63 else a for a in frames]
    assert "energy offset" in faults(cooled)


def test_valence_energies_that_look_like_rydberg_by_chance_are_no_fault():
    """GFN2-xTB leaves the cores out: methanol's energy is 0.0716 of the all-electron one, and 1/13.6 is 0.0735."""
    engine = labeler("tblite")
    frames = [engine(molecule("CH3OH")) for _ in range(2)]
    assert not [f for f in check(frames) if f.name == "units of energy"]
    for atoms in frames:
        del atoms.info["adiabat"]  # as if read from somebody's file
    assert {f.grade for f in check(frames) if f.name == "units of energy"} == {"warning"}


def test_a_record_beside_another_calculations_labels_is_a_fault():
    """A labeled frame is copied, moved, computed by something else, and still says who labeled it first."""
    frames = [labeler("ase", calculator="emt")(molecule("H2O")) for _ in range(2)]
    assert not [f for f in check(frames) if f.name == "foreign record"]
    moved = frames[1].copy()
    moved.rattle(0.05, seed=1)
    moved = labeled(moved, energy=1.0, forces=np.zeros((3, 3)))
    (found,) = [f for f in check([frames[0], moved]) if f.name == "foreign record"]
    assert (found.grade, list(found.frames)) == ("fault", [1])


def test_isolated_atoms_are_single_and_labeled(copper):
    """A molecule among them would be taken for its first atom."""
    hydrogen = labeled(molecule("H2"), energy=-31.7)
    for wrong in (hydrogen, Atoms("Cu")):
        with pytest.raises(ValueError, match="wanted single atoms with an energy"):
            check(copper, isolated=[wrong])
    with pytest.raises(ValueError, match="sides name frames"):
        check(copper, sides={"train": [0], "test": [len(copper)]})
