"""Files: exact out and in; what is wrong is told with its place; nothing is guessed or dropped in silence."""

import lzma
import os

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from adiabat.data import asedb
from adiabat.data.formats import read, read_noted, write
from adiabat.data.structure import fixed_atoms, labeled, to_json
from adiabat.units import bohr, hartree

WATER = (
    '3\nProperties=species:S:1:pos:R:3:{forces}:R:3 {rest} pbc="F F F"\nO 0 0 0 0 0 0.25\nH 0 0 1 0 0 -0.25\nH 0 1 0 0 0 0\n'
)


@pytest.fixture
def frames(rng):
    made = []
    for k in range(4):
        atoms = molecule("CH3CH2OH") if k % 2 else bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=k)
        atoms.info |= {
            "config_type": "300",
            "step": k,
            "tags": ["a b", 'c"d'],
            "x": [1.5, 2.0],
            "adiabat": {"deep": {"e": 1e-300}},
        }
        atoms.set_velocities(rng.normal(size=(len(atoms), 3)))
        atoms.set_constraint(FixAtoms([k, k + 1]))
        stress = rng.normal(size=6) if atoms.pbc.any() else None
        made.append(labeled(atoms, energy=rng.normal() * 1e4, forces=rng.normal(size=(len(atoms), 3)), stress=stress))
    return made


@pytest.mark.parametrize("suffix", ["xyz", "extxyz", "xyz.xz", "xyz.gz"])
def test_extxyz_roundtrip_is_exact(frames, tmp_path, suffix):
    path = write(tmp_path / f"frames.{suffix}", frames)
    again = read(path)
    assert [to_json(a) for a in again] == [to_json(a) for a in frames]
    assert fixed_atoms(again[2]) == [2, 3]


def test_ase_reads_what_we_write(frames, tmp_path):
    theirs = ase.io.read(write(tmp_path / "frames.xyz", frames), ":")
    for a, b in zip(theirs, frames, strict=True):
        assert (a.positions == b.positions).all() and a.get_potential_energy() == b.get_potential_energy()
        assert (a.get_forces(apply_constraint=False) == b.get_forces(apply_constraint=False)).all()
        if b.pbc.any():
            assert (a.cell.array == b.cell.array).all() and (a.get_stress() == b.get_stress()).all()


def test_we_read_what_ase_writes(frames, tmp_path):
    for atoms in frames:
        atoms.set_constraint()
    for name in ("frames.xyz", "frames.traj", "frames.db"):
        if name.endswith(".db"):
            with ase.db.connect(tmp_path / name) as db:
                for atoms in frames:
                    db.write(atoms)
        else:
            ase.io.write(tmp_path / name, frames)
        for a, b in zip(read(tmp_path / name), frames, strict=True):
            assert np.allclose(a.positions, b.positions, atol=1e-8)
            assert np.allclose(a.get_forces(), b.get_forces(), atol=1e-8)
            assert a.get_potential_energy() == pytest.approx(b.get_potential_energy(), abs=1e-6)
            if b.pbc.any():
                assert np.allclose(a.get_stress(), b.get_stress(), atol=1e-8)


def test_free_energy_of_a_trajectory_is_the_label(tmp_path):
    atoms = bulk("Cu")
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, free_energy=-3.1, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "a.traj", atoms)
    (again,), notes = read_noted(tmp_path / "a.traj")
    assert again.get_potential_energy() == -3.1 and again.info["adiabat"]["energy_sigma0"] == -3.0
    assert "free energy" in notes[0]


@pytest.mark.parametrize("name", ["a.xyz", "a.traj"])
def test_two_kinds_of_energy_in_one_file_are_told(tmp_path, name):
    """A frame without the free energy gets the other one, which in a metal with smearing lies elsewhere."""
    told = [{"energy": -3.0, "free_energy": -3.1}, {"energy": -3.0}, {"energy": -2.0, "free_energy": -2.0}, {"energy": -2.5}]
    frames = []
    for known in told:
        frames.append(bulk("Cu"))
        frames[-1].calc = SinglePointCalculator(frames[-1], **known)
    ase.io.write(tmp_path / name, frames)
    found, notes = read_noted(tmp_path / name)
    assert [a.get_potential_energy() for a in found] == [-3.1, -3.0, -2.0, -2.5]
    (said,) = (note for note in notes if "two kinds of energy" in note)
    assert said.startswith("2 frames (1, 3) have 'energy' and no 'free_energy'") and "up to 0.1 eV" in said
    ase.io.write(tmp_path / name, [frames[2], frames[3]])  # nothing is smeared here: both are the same energy
    assert not any("two kinds" in note for note in read_noted(tmp_path / name)[1])


def test_atoms_held_along_some_axes_are_told(tmp_path):
    """Whole atoms are held or free here; what a file holds in part is said, not dropped."""
    atoms = molecule("H2O")
    atoms.set_constraint(FixCartesian([0, 1], mask=(True, True, True)))
    ase.io.write(tmp_path / "whole.xyz", atoms)
    (whole,), notes = read_noted(tmp_path / "whole.xyz")
    assert fixed_atoms(whole) == [0, 1] and not any("move_mask" in note for note in notes)
    atoms.set_constraint([FixCartesian([0], mask=(False, False, True)), FixCartesian([2])])
    ase.io.write(tmp_path / "part.xyz", atoms)
    (part,), notes = read_noted(tmp_path / "part.xyz")
    assert fixed_atoms(part) == [2]
    assert any("move_mask holds atoms of 1 frame (0) along some axes only" in note for note in notes)


def test_nothing_is_overwritten_unasked(frames, tmp_path):
    path = write(tmp_path / "a.xyz", frames[:1])
    with pytest.raises(FileExistsError, match=r"a\.xyz: exists already.*overwrite=True"):
        write(path, frames)
    assert len(read(write(path, frames, overwrite=True))) == 4


@pytest.mark.parametrize("name", ["a.xyz", "a.xyz.xz", "a.json", "a.db"])
def test_what_is_written_is_on_the_disk_before_it_has_its_name(frames, tmp_path, monkeypatch, name):
    """Else a power cut leaves the name of the old file with none of the content of the new one. The calls are passed on."""
    done, sync, rename = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(os.path.realpath(f"/proc/self/fd/{handle}")), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("renamed"), rename(a, b))[1])
    (write if ".xyz" in name else asedb.write)(tmp_path / name, frames[:1])
    assert [os.path.dirname(done[0]), *done[1:]] == [str(tmp_path), "renamed", str(tmp_path)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_frame_that_cannot_be_written_leaves_the_old_file(frames, tmp_path):
    path = write(tmp_path / "a.xyz", frames[:1])
    with pytest.raises(ValueError, match="would be read back as a label"):
        write(path, [frames[1], Atoms("H", info={"energy": 3.0})], overwrite=True)
    assert len(read(path)) == 1 and [path.name for path in tmp_path.iterdir()] == ["a.xyz"]


def test_foreign_keys_are_found_and_told(tmp_path, caplog):
    path = tmp_path / "a.xyz"
    path.write_text(WATER.format(forces="DFT_forces", rest="REF_energy=-14.2 mace_energy=-14.1"))
    (atoms,) = read(path)
    assert atoms.get_potential_energy() == -14.2 and atoms.get_forces()[0, 2] == 0.25
    assert "energy taken from 'REF_energy'" in caplog.text and "forces taken from 'DFT_forces'" in caplog.text
    assert "not taken as labels: 'mace_energy'" in caplog.text


def test_two_energies_are_not_chosen_between(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(WATER.format(forces="forces", rest="energy=-14.0 dft_energy=-14.2"))
    with pytest.raises(
        ValueError, match=r"2 entries could be the energy: 'energy' .*'dft_energy' .*keys=\{'energy': 'energy'\}"
    ):
        read(path)
    assert read(path, keys={"energy": "dft_energy"})[0].get_potential_energy() == -14.2
    with pytest.raises(ValueError, match=r"keys wants energy from 'E', which no frame has; there are: .*dft_energy"):
        read(path, keys={"energy": "E"})


def test_units_are_converted_once(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(WATER.format(forces="forces", rest="energy=-76.0"))
    (atoms,) = read(path, units={"energy": "hartree", "length": "bohr"})
    assert atoms.get_potential_energy() == pytest.approx(-76 * hartree)
    assert atoms.positions[1, 2] == pytest.approx(bohr) and atoms.get_forces()[0, 2] == pytest.approx(0.25 * hartree / bohr)
    with pytest.raises(ValueError, match=r"a\.xyz: units=.*unit 'furlong' is unknown; known here"):
        read(path, units={"length": "furlong"})


@pytest.mark.parametrize(
    "entry, expected",
    [
        ('stress="1 2 3 4 5 6"', [1, 2, 3, 4, 5, 6]),
        ('stress="1 6 5 6 2 4 5 4 3"', [1, 2, 3, 4, 5, 6]),
        ("stress=[[1,6,5],[6,2,4],[5,4,3]]", [1, 2, 3, 4, 5, 6]),
        ('virial="1 6 5 6 2 4 5 4 3"', [-x / 8 for x in (1, 2, 3, 4, 5, 6)]),
    ],
)
def test_stress_in_every_shape(tmp_path, entry, expected):
    path = tmp_path / "a.xyz"
    path.write_text(f'1\nLattice="2 0 0 0 2 0 0 0 2" Properties=species:S:1:pos:R:3 energy=1 {entry}\nCu 0 0 0\n')
    assert read(path)[0].get_stress() == pytest.approx(expected)


def _one(rest='energy=1 pbc="F F F"', rows="H 0 0 0 0 0 0", n=1, properties="species:S:1:pos:R:3:forces:R:3"):
    return f"{n}\nProperties={properties} {rest}\n{rows}\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "file is empty"),
        ("\n\n", "no frame in it"),
        ("hello\nworld\n", "line 1: 'hello' came where frame 0"),
        (_one(rows="Xx 0 0 0 0 0 0"), "frame 0, atom 0: 'Xx' is not a chemical symbol"),
        (_one(rows="H 0 nan 0 0 0 0"), r"frame 0: positions\[0\] is .*nan.*wanted finite"),
        (_one(rows="H 0 0 0 0 inf 0"), r"frame 0: forces\[0\] is .*inf.*wanted finite"),
        (_one(rest="energy=nan"), "frame 0: energy is nan, wanted a finite"),
        (_one(rest='energy="1 2"'), r"frame 0: energy is '\[1, 2\]', wanted one number"),
        (_one(rows="H 0 0 0 0 0", properties="species:S:1:pos:R:3:forces:R:2"), r"forces have shape \(1, 2\), wanted \(1, 3\)"),
        (_one(rows="H 0 0 0 0 0"), "line 3: 6 columns came, wanted 7"),
        (_one(rows="H 0 0 a 0 0 0"), "column 'pos' holds what is no float"),
        (_one(rest='Lattice="2 0 0 0 2 0 0 0 2" stress="1 2 3"'), r"stress has shape \(3,\), wanted 6"),
        (_one(rest='Lattice="2 0 0 0 2 0 0 0 2" stress="1 2 3 4 5 6 7 8 9"'), "stress is not symmetric"),
        (_one(rest='stress="1 2 3 4 5 6"'), "stress came without a cell"),
        (_one(rest='Lattice="2 0 0 0"'), r"Lattice has shape \(4,\), wanted 9"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, words):
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)bad\.xyz.*{words}"):
        read(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_names_what_can_be_read(frames, tmp_path, compressed):
    whole = write(tmp_path / "whole.xyz", frames).read_bytes()
    cut = whole[: int(len(whole) * 0.6)]
    path = tmp_path / "cut.xyz"
    if compressed:
        path, cut = tmp_path / "cut.xyz.xz", lzma.compress(cut)
    path.write_bytes(cut)
    with pytest.raises(ValueError, match=r"ends inside frame 2.*2 whole frames \(0 to 1\) can be read.*partial=True"):
        read(path)
    part, notes = read_noted(path, partial=True)
    assert [to_json(a) for a in part] == [to_json(a) for a in frames[:2]]
    assert "only frames 0 to 1 were read" in notes[0]


def test_a_broken_compressed_stream_is_a_truncation(frames, tmp_path):
    packed = write(tmp_path / "whole.xyz.xz", frames * 200).read_bytes()
    (tmp_path / "cut.xyz.xz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match="ends inside"):
        read(tmp_path / "cut.xyz.xz")


def test_paths_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(tmp_path / "none.xyz")
    with pytest.raises(ValueError, match="a folder came"):
        read(tmp_path)
    (tmp_path / "a.dat").write_text("1")
    with pytest.raises(ValueError, match=r"a\.dat: format unknown by its name; wanted one of .*\.traj"):
        read(tmp_path / "a.dat")


def test_structure_files_are_read(tmp_path):
    si = bulk("Si", cubic=True)
    for name in ("POSCAR", "si.cif"):
        ase.io.write(tmp_path / name, si)
        (again,) = read(tmp_path / name)
        assert np.allclose(again.cell.array, si.cell.array) and len(again) == 8


def test_labels_do_not_hide_in_info(tmp_path):
    with pytest.raises(ValueError, match=r"info\['energy'\] would be read back as a label"):
        write(tmp_path / "a.xyz", Atoms("H", info={"energy": 3.0}))


def test_public_sets_read_as_ase_reads_them(data_folder):
    path = data_folder / "mlearn_Si" / "test.xyz.xz"
    for a, b in zip(read(path), ase.io.read(path, ":"), strict=True):
        assert (a.positions == b.positions).all() and (a.get_forces() == b.get_forces()).all()
        assert np.allclose(a.get_stress(), b.get_stress(), rtol=0, atol=1e-15)


def test_a_file_that_ase_wrote_with_energies_an_atom_is_read(tmp_path):
    """Calculators that tell per-atom energies (EMT, ours) leave a column of them; the energy of the frame is another entry."""
    import ase.io
    from ase.calculators.emt import EMT

    water = molecule("H2O")
    water.calc = EMT()
    water.get_forces()
    assert "energies" in water.calc.results
    ase.io.write(tmp_path / "by_ase.xyz", water)
    [back] = read(tmp_path / "by_ase.xyz")
    assert back.get_potential_energy() == pytest.approx(water.get_potential_energy(), abs=1e-7)
    assert "energies" in back.arrays


@pytest.mark.parametrize("name", ["set.ase.db", "set.json"])
def test_ase_databases_keep_labels_info_arrays_and_fixed_atoms(tmp_path, name):
    """Through ASE's own file and back; ASE reads the same numbers and finds frames by their info."""
    slab = bulk("Cu", cubic=True)
    slab.set_constraint(FixAtoms([0, 2]))
    slab.set_array("group", np.array([1, 1, 2, 2]))
    told = labeled(slab, energy=-1 / 3, forces=np.arange(12).reshape(4, 3) / 7, stress=np.arange(6) / 9)
    told.info |= {
        "config_type": "slab",
        "step": 3,
        "number": "300",
        "adiabat": {"level_of_theory": "pbe", "deep": [1, {"a": 0.1}]},
    }
    hydroxide = labeled(Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1, "multiplicity": 1}), energy=-75.0)
    asedb.write(tmp_path / name, [told, hydroxide])
    assert [to_json(a) for a in read(tmp_path / name)] == [to_json(told), to_json(hydroxide)]
    [row] = ase.db.connect(tmp_path / name).select(config_type="slab")
    assert row.energy == -1 / 3 and row.step == 3 and row.forces.tolist() == told.calc.results["forces"].tolist()
    with pytest.raises(FileExistsError, match="exists already"):
        asedb.write(tmp_path / name, [told])


def test_another_persons_database_keeps_its_words(tmp_path):
    """Its data may hold an `info` of its own; ours is known by both of its parts."""
    with ase.db.connect(tmp_path / "theirs.db") as database:
        database.write(Atoms("He"), key_value_pairs={"relaxed": True}, data={"info": {"by": "somebody"}})
    [found] = asedb.read(tmp_path / "theirs.db")
    assert found.info["relaxed"] and found.info["info"] == {"by": "somebody"}
