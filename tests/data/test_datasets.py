"""Public sets: small files of exactly their formats, written here; numbers in house units, licence and citation with every frame."""

# ruff: noqa: E501
from __future__ import annotations

import json
import pickle
import zlib

import numpy as np
import pytest

from adiabat.data.datasets import recognized
from adiabat.data.formats import account, read
from adiabat.data.structure import labels
from adiabat.units import hartree, kbar, kcal_per_mol

R = np.array([[[0, 0, 0], [0, 0, 0.74]], [[0, 0, 0], [0, 0.1, 0.8]]], dtype=float)
F = np.array([[[0, 0, 1.0], [0, 0, -1.0]], [[0, 0.2, 0.5], [0, -0.2, -0.5]]])


def test_md17_and_its_revision(tmp_path):
    E = np.array([-700.0, -699.5])
    np.savez(tmp_path / "md17_h2.npz", R=R, z=np.array([1, 1]), E=E[:, None], F=F, theory="PBE+vdW-TS", name="h2")
    np.savez(
        tmp_path / "rmd17_h2.npz", coords=R, nuclear_charges=np.array([1, 1]), energies=E, forces=F, old_indices=np.arange(2)
    )
    for name, said in (("md17_h2.npz", "Sci. Adv."), ("rmd17_h2.npz", "abba6f")):
        frames = read(tmp_path / name)
        assert [labels(a)["energy"] for a in frames] == pytest.approx(E * kcal_per_mol, abs=1e-12)
        np.testing.assert_allclose(labels(frames[1])["forces"], F[1] * kcal_per_mol)
        np.testing.assert_array_equal(frames[1].positions, R[1])
        record = frames[0].info["adiabat"]
        assert said in record["citation"] and record["licence"] and record["url"].startswith("http")


def test_an_npz_that_needs_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", R=np.array([{}], dtype=object), z=np.array([1, 1]))
    with pytest.raises(ValueError, match="plain arrays"):
        read(tmp_path / "bad.npz")


QM9 = """3
gdb 3\t799.58812\t437.90386\t282.94545\t1.8511\t6.31\t-0.2928\t0.0687\t0.3615\t19.0002\t0.021375\t-76.404702\t-76.401867\t-76.400922\t-76.422349\t6.002
O\t-0.0343604951\t 0.9775395708\t 0.0076015923\t-0.589706
H\t 0.0647664923\t 0.0205721989\t 1.5346341*^-3\t 0.294853
H\t 0.8717903737\t 1.3007924048\t 0.0006931336\t 0.294853
1671.4222\t3803.6305\t3907.698
O\tO
InChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2
"""


def test_qm9_energy_is_without_the_zero_point(tmp_path):
    (tmp_path / "dsgdb9nsd_000003.xyz").write_text(QM9)
    (water,) = read(tmp_path / "dsgdb9nsd_000003.xyz")
    assert labels(water)["energy"] == pytest.approx((-76.404702 - 0.021375) * hartree)
    assert water.positions[1, 2] == pytest.approx(1.5346341e-3) and water.info["qm9_index"] == 3
    (tmp_path / "cut.xyz").write_text(QM9[:300])
    frames, left_out, _ = account(tmp_path / "cut.xyz")
    assert not frames and "cut" in left_out[0].why


def test_ani_counts_what_was_not_computed(tmp_path):
    h5py = pytest.importorskip("h5py", reason="pip install h5py")
    with h5py.File(tmp_path / "ani1x.h5", "w") as file:
        group = file.create_group("H2")
        group["atomic_numbers"], group["coordinates"] = np.array([1, 1], dtype=np.uint8), R.astype(np.float32)
        group["wb97x_dz.energy"], group["wb97x_dz.forces"] = np.array([-1.16, np.nan]), F.astype(np.float32)
    frames, left_out, notes = account(tmp_path / "ani1x.h5")
    assert len(frames) == 1 and labels(frames[0])["energy"] == pytest.approx(-1.16 * hartree)
    np.testing.assert_allclose(labels(frames[0])["forces"], F[0] * hartree)
    assert "1 conformations" in left_out[0].why and "s41597-020-0473-z" in notes[0]


def test_lmdb_of_json_is_read_and_pickles_are_never_opened(tmp_path):
    lmdb = pytest.importorskip("lmdb", reason="pip install lmdb")
    row = {
        "numbers": [1, 1],
        "positions": R[0].tolist(),
        "cell": np.diag([8.0, 8, 8]).tolist(),
        "pbc": [True] * 3,
        "energy": -6.5,
        "forces": {"__ndarray__": [[2, 3], "float64", F[0].ravel().tolist()]},
    }
    with lmdb.open(str(tmp_path / "set.aselmdb"), subdir=False) as store, store.begin(write=True) as view:
        view.put(b"1", zlib.compress(json.dumps(row).encode()))
        view.put(b"nextid", zlib.compress(b"2"))
    (frame,) = read(tmp_path / "set.aselmdb")
    assert labels(frame)["energy"] == -6.5 and frame.pbc.all()
    np.testing.assert_array_equal(labels(frame)["forces"], F[0])

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with lmdb.open(str(tmp_path / "data.lmdb"), subdir=False) as store, store.begin(write=True) as view:
        view.put(b"0", pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="pickle runs the code"):
        read(tmp_path / "data.lmdb")
    assert not (tmp_path / "ran").exists()


def test_mptrj_and_materials_project(tmp_path):
    site = [
        {"species": [{"element": s, "occu": 1}], "abc": abc, "xyz": [0, 0, 0], "label": s}
        for s, abc in (("Na", [0, 0, 0]), ("Cl", [0.5, 0.5, 0.5]))
    ]
    structure = {"@class": "Structure", "lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]}, "sites": site}
    stress = [[10.0, 1, 2], [1, 20, 3], [2, 3, 30]]
    entry = {
        "structure": structure,
        "uncorrected_total_energy": -6.8,
        "corrected_total_energy": -7.4,
        "energy_per_atom": -3.7,
        "force": F[0].tolist(),
        "stress": stress,
    }
    (tmp_path / "mptrj.json").write_text(json.dumps({"mp-1": {"mp-1-0-0": entry}}))
    (frame,) = read(tmp_path / "mptrj.json")
    assert labels(frame)["energy"] == -6.8 and frame.info["adiabat"]["dataset"] == "MPtrj"
    np.testing.assert_allclose(labels(frame)["stress"], -np.array([10, 20, 30, 3, 2, 1]) * kbar)
    np.testing.assert_allclose(frame.positions[1], [2, 2, 2])
    (tmp_path / "mp.json").write_text(
        json.dumps(
            [{"material_id": "mp-2", "structure": structure, "uncorrected_energy_per_atom": -3.4}, {"structure": structure}]
        )
    )
    frames, left_out, _ = account(tmp_path / "mp.json")
    assert labels(frames[0])["energy"] == pytest.approx(-6.8) and "no uncorrected energy" in left_out[0].why


def test_plain_files_are_no_set(tmp_path):
    (tmp_path / "a.xyz").write_text("1\nProperties=species:S:1:pos:R:3 energy=1.0\nH 0 0 0\n")
    assert recognized(tmp_path / "a.xyz") is None
