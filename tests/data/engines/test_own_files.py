"""Laws of every reader, on files written here in the engine's form: numbers come back, nothing unconverged or cut becomes a label."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule

from adiabat.data.engines import read_output, recognized
from adiabat.data.structure import fixed_atoms, labels
from data.engines.outputs import ENGINES, frames, vasprun

PERIODIC = ("vasprun", "espresso", "cp2k", "gpaw")


def sample(engine: str, n: int = 1):
    if engine in PERIODIC:
        return frames(bulk("NaCl", "rocksalt", a=5.6, cubic=True), n)
    return frames(molecule("CH3OH"), n)


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_come_back_in_house_units(engine, tmp_path):
    data = sample(engine)
    found, left_out, _ = read_output(ENGINES[engine](tmp_path / "result.out", data))
    assert not left_out and len(found) == 1
    atoms, energy, forces, stress = data[0]
    known = labels(found[0])
    # the coarsest number of these files has six decimals of an Å or an eV
    np.testing.assert_allclose(found[0].positions, atoms.positions, atol=2e-6)
    np.testing.assert_allclose(known["energy"], energy, atol=2e-6)
    np.testing.assert_allclose(known["forces"], forces, atol=2e-6)
    if engine in PERIODIC:
        np.testing.assert_allclose(found[0].cell.array, atoms.cell.array, atol=2e-6)
        np.testing.assert_allclose(known["stress"], stress, atol=2e-6)
        assert found[0].pbc.all()
    else:
        assert not found[0].pbc.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_did_not_converge_is_no_label(engine, tmp_path):
    wrong = {"steps": 60} if engine == "vasprun" else {"converged": False}
    found, left_out, _ = read_output(ENGINES[engine](tmp_path / "result.out", sample(engine), **wrong))
    assert found == []
    assert len(left_out) == 1 and left_out[0].frame == 0
    assert "onverge" in left_out[0].why and left_out[0].cure


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "pyscf"])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_a_cut_file_says_so_and_gives_no_half_label(engine, share, tmp_path):
    whole = read_output(ENGINES[engine](tmp_path / "whole.out", sample(engine)))[0]
    cut = ENGINES[engine](tmp_path / "cut.out", sample(engine), cut=share)
    if recognized(cut) is None:
        pytest.fail("cut before its first lines")
    found, left_out, _ = read_output(cut)
    assert any("cut" in one.why for one in left_out), left_out
    for atoms in found:  # what is taken is what the whole file gives
        assert labels(atoms)["energy"] == labels(whole[0])["energy"]
        np.testing.assert_array_equal(atoms.positions, whole[0].positions)
        if "forces" in labels(atoms):
            np.testing.assert_array_equal(labels(atoms)["forces"], labels(whole[0])["forces"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_record_tells_how_it_was_computed(engine, tmp_path):
    (atoms,), _, _ = read_output(ENGINES[engine](tmp_path / "result.out", sample(engine)))
    record = atoms.info["adiabat"]
    assert record["converged"] is True and record["energy"] == labels(atoms)["energy"]
    told = record["settings"]
    assert told["version"] and told["functional"] and told["system"] == atoms.get_chemical_formula()
    assert told.get("cutoff_eV") or told.get("basis") or told.get("density_cutoff_eV")
    assert told["functional"] in record["level_of_theory"]


def test_vasp_keeps_fixed_atoms_smearing_and_dispersion(tmp_path):
    data = sample("vasprun", 2)
    held = [k not in (0, 3) for k in range(8)]
    found, left_out, _ = read_output(vasprun(tmp_path / "vasprun.xml", data, selective=held, entropy=-0.02))
    assert not left_out and len(found) == 2
    assert fixed_atoms(found[0]) == [0, 3]
    np.testing.assert_allclose(labels(found[0])["forces"], data[0][2], atol=1e-7)  # raw: not zero on fixed atoms
    record = found[0].info["adiabat"]
    assert record["energy_sigma0"] == pytest.approx(data[0][1] + 0.01, abs=1e-7)  # half the entropy term lies between the two
    assert record["settings"]["smearing"] == {"type": "Methfessel-Paxton order 1", "width_eV": 0.1}
    assert record["settings"]["dispersion"] == "D3(BJ)"
    assert (
        record["settings"]["k_points"]["grid"] == [3, 3, 1] and record["settings"]["k_points"]["centering"] == "Gamma-centered"
    )


def test_machine_learned_steps_of_vasp_are_passed_over(tmp_path):
    found, left_out, notes = read_output(vasprun(tmp_path / "vasprun.xml", sample("vasprun", 3), learned=2))
    assert len(found) == 3 and not left_out
    assert "6 machine-learned" in notes[0]


def test_a_tensor_of_nelm_steps_that_met_ediff_is_a_label(tmp_path):
    path = vasprun(tmp_path / "vasprun.xml", sample("vasprun"), steps=1, nelm=1)
    assert read_output(path)[0] == []  # one step, nothing to compare with
    text = path.read_text().replace(
        "</scstep>", "</scstep>" + path.read_text().split("<calculation>")[1].split("</scstep>")[0] + "</scstep>"
    )
    path.write_text(text.replace(">    1</i>", ">    2</i>"))
    assert len(read_output(path)[0]) == 1


def test_standard_orientation_does_not_belong_to_the_forces(tmp_path):
    found, left_out, _ = read_output(ENGINES["gaussian"](tmp_path / "a.log", sample("gaussian"), orientation="Standard"))
    assert found == [] and "standard orientation" in left_out[0].why and "nosymm" in left_out[0].cure


def test_cp2k_steps_without_positions_are_left_out_and_named(tmp_path):
    path = ENGINES["cp2k"](tmp_path / "md.log", sample("cp2k", 3))
    assert len(read_output(path)[0]) == 3
    (tmp_path / "PROJECT-pos-1.xyz").unlink()
    found, left_out, _ = read_output(path)
    assert len(found) == 1 and [one.frame for one in left_out] == [1, 2]
    assert "PROJECT-pos-1.xyz" in left_out[0].cure
