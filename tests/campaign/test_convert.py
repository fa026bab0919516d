"""A stranger's messy folder becomes a clean set, with an account of what was left out and why."""

from __future__ import annotations

import numpy as np
from ase.build import bulk, molecule

from adiabat.campaign.convert import convert
from adiabat.campaign.gather import gather
from adiabat.data.formats import read, write
from adiabat.data.structure import fixed_atoms, labeled, labels
from adiabat.units import hartree
from data.engines.outputs import espresso, frames, gaussian, vasprun


def messy(folder):
    """VASP, Quantum ESPRESSO, Gaussian and extended XYZ; one cut, one unconverged, one in hartree, one with fixed atoms and smearing."""
    for name in ("vasp/a", "vasp/b", "vasp/c", "qe", "gaussian"):
        (folder / name).mkdir(parents=True)
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    held = [k > 1 for k in range(8)]
    vasprun(folder / "vasp/a/vasprun.xml", frames(salt, 4), selective=held)
    vasprun(folder / "vasp/b/vasprun.xml", frames(salt, 3, seed=1), steps=60)
    vasprun(folder / "vasp/c/vasprun.xml", frames(salt, 3, seed=2), cut=0.8)
    (folder / "vasp/a/INCAR").write_text("ENCUT = 400\n")
    (folder / "notes.log").write_text("remember to buy milk\n")
    espresso(folder / "qe/salt.out", frames(salt, 1, seed=3), fixed=held)
    gaussian(folder / "gaussian/methanol.log", frames(molecule("CH3OH"), 1))
    water = [labeled(a, energy=-76.4, forces=f / hartree) for a, _, f, _ in frames(molecule("H2O"), 3, seed=4)]
    write(folder / "hartree.xyz", water)
    return folder


def test_a_messy_folder_becomes_a_clean_set(tmp_path):
    folder = messy(tmp_path / "stranger")
    told = convert([folder], tmp_path / "clean.xyz")
    clean = read(tmp_path / "clean.xyz")
    # four of the first run, and the two whole steps of the one that was cut
    assert told["written"] == len(clean) == 6
    assert fixed_atoms(clean[0]) == [0, 1] and np.abs(labels(clean[0])["forces"][0]).max() > 0
    assert len({a.info["adiabat"]["level_of_theory"] for a in clean}) == 1
    why = {(row["file"].removeprefix(f"{folder}/"), row["frame"]): row["message"] for row in told["left_out"]}
    assert all("60 of at most 60" in why["vasp/b/vasprun.xml", k] for k in range(3))
    assert "cut" in why["vasp/c/vasprun.xml", None]
    assert "hartree" in why["hartree.xyz", 0] and "Quantum ESPRESSO".lower() in why["qe/salt.out", 0]
    assert "WB97XD" in why["gaussian/methanol.log", 0].upper()
    assert all(row["cure"] for row in told["left_out"])
    assert any("notes.log: passed over" in note for note in told["notes"])
    assert "VASP 6.3.0" in told["methods"] and "PBE" in told["methods"]


def test_another_level_is_one_word_away(tmp_path):
    folder = messy(tmp_path / "stranger")
    assert convert([folder], tmp_path / "qe.db", level="quantum espresso")["written"] == 1
    assert gather([tmp_path / "qe.db"]).frames[0].info["adiabat"]["engine"] == "quantum espresso"
