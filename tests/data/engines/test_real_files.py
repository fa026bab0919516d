"""Real output files, read by us and by ASE: two readers, one number; and what must not become a label."""

# ruff: noqa: E501
from __future__ import annotations

import importlib.util
import warnings

import ase.io
import numpy as np
import pytest

from adiabat.data.engines import read_output, recognized
from adiabat.data.structure import labels


@pytest.fixture
def outputs(data_folder):
    folder = data_folder / "engine_outputs"
    if not folder.is_dir():
        pytest.skip(f"no engine outputs in {folder}: they are no part of the repository (docs/files.md)")
    return folder


# Optimizations are left to cclib below: ASE sets forces and positions of several steps beside each other there.
# file, ASE's format, how many labels are in it
SAME = [
    ("vasp/OUTCAR.Ti-O-v6", "vasp-out", 1), ("vasp/OUTCAR.h2o.md", "vasp-out", 3),
    ("vasp/vasprun.Ge.vdw.xml", "vasp-xml", 1), ("vasp/vasprun.Ti-O-v6.xml", "vasp-xml", 1), ("vasp/vasprun.h2o.md.10.xml", "vasp-xml", 10),
    ("vasp/vasprun.h2o.md.conv.xml", "vasp-xml", 3), ("vasp/vasprun.h2o.md.novirial.xml", "vasp-xml", 3),
    ("qe/01.out", "espresso-out", 1), ("qe/02.out", "espresso-out", 1), ("qe/Al.out", "espresso-out", 1), ("qe/na.out", "espresso-out", 1),
    ("gaussian/methane.gaussianlog", "gaussian-out", 1), ("gaussian/waterfreq.gaussianlog", "gaussian-out", 1),
    ("gaussian/g16-water_ccsdt.log", "gaussian-out", 1),
    ("orca/orca.spout", "orca-output", 1), ("orca/orca5.0-dvb_sp.out", "orca-output", 1),
]  # fmt: skip


@pytest.mark.parametrize("name, form, n", SAME)
def test_ase_reads_the_same_numbers(outputs, name, form, n):
    ours, left_out, _ = read_output(outputs / name)
    assert len(ours) == n and not left_out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ase.io.read(outputs / name, index=":", format=form)
    matched = 0
    for atoms in ours:
        known = labels(atoms)
        twin = min(theirs, key=lambda a: abs(_energy(a) - known["energy"]))
        # the rydberg of ASE's pw.x reader is 9e-7 smaller than CODATA 2018's, its hartree 3e-9
        if abs(_energy(twin) - known["energy"]) > 1e-6 * abs(known["energy"]) * (1 if "espresso" in form else 0.01):
            continue  # ASE's readers give only some steps of some formats
        matched += 1
        assert twin.numbers.tolist() == atoms.numbers.tolist()
        if form != "gaussian-out":  # which takes the standard orientation where both are printed
            assert np.abs(_relative(twin) - _relative(atoms)).max() < 2e-5
        if "forces" in known and "forces" in twin.calc.results:
            assert np.abs(twin.calc.results["forces"] - known["forces"]).max() < 1e-5
        if "stress" in known and "stress" in twin.calc.results:
            assert np.abs(twin.calc.results["stress"] - known["stress"]).max() < 1e-6
    assert matched


def _energy(atoms) -> float:
    return atoms.calc.results.get("free_energy", atoms.calc.results["energy"])


def _relative(atoms) -> np.ndarray:
    """ASE's readers wrap or center some formats: distances are the same."""
    return atoms.get_all_distances(mic=bool(atoms.pbc.any()))


def test_both_files_of_one_vasp_run_agree(outputs):
    for one, other in (("OUTCAR.h2o.md", "vasprun.h2o.md.conv.xml"), ("OUTCAR.Ti-O-v6", "vasprun.Ti-O-v6.xml")):
        for a, b in zip(read_output(outputs / "vasp" / one)[0], read_output(outputs / "vasp" / other)[0], strict=True):
            assert labels(a)["energy"] == pytest.approx(labels(b)["energy"], abs=1e-8)
            assert np.abs(labels(a)["forces"] - labels(b)["forces"]).max() < 2e-6  # OUTCAR has six decimals
            assert np.abs(labels(a)["stress"] - labels(b)["stress"]).max() < 1e-8 * 1e3
            assert a.info["adiabat"]["level_of_theory"] == b.info["adiabat"]["level_of_theory"]


REFUSED = [
    ("vasp/OUTCAR.ch4.unconverged", [0], "15 of at most 15"), ("vasp/OUTCAR.ch4.1step", [0], "1 of at most 1"),
    ("gaussian/noncoveraged.gaussianlog", [0], "Convergence failure"), ("gaussian/largeforce.gaussianlog", [0], "Convergence criterion not met"),
    ("cp2k/aimd_stress.log", [1, 2, 3, 4, 5, 6, None], "no positions"),
]  # fmt: skip


@pytest.mark.parametrize("name, steps, why", REFUSED)
def test_what_is_no_label_is_named(outputs, name, steps, why):
    found, left_out, _ = read_output(outputs / name)
    assert [one.frame for one in left_out] == steps
    assert why in left_out[0].why and left_out[0].cure
    assert not {a.info["adiabat"]["source_step"] for a in found} & set(steps)


def test_only_dft_steps_of_an_on_the_fly_run(outputs):
    found, left_out, notes = read_output(outputs / "vasp/OUTCAR.ch4.ml")
    assert len(found) == 4 and not left_out and "10 machine-learned" in notes[0]
    assert all(np.abs(labels(a)["forces"]).max() > 1e-4 for a in found)  # the machine's predictions in this file are zeros


def test_cut_real_files_say_so(outputs, tmp_path):
    for path in sorted(outputs.glob("*/*")):
        engine = recognized(path)
        if engine is None or path.name.startswith("noncov"):
            continue
        text = path.read_text(errors="replace")
        whole, _, _ = read_output(path, engine)
        (tmp_path / "cut").write_text(text[: int(0.75 * len(text))])
        found, left_out, _ = read_output(tmp_path / "cut", engine)
        assert left_out, path
        for atoms in found:
            twins = [a for a in whole if abs(labels(a)["energy"] - labels(atoms)["energy"]) < 1e-6]
            assert twins, path


PEERS = [
    ("cclib", "gaussian/waterfreq.gaussianlog"), ("cclib", "gaussian/g16-dvb_gopt.log"), ("cclib", "orca/orca.spout"),
    ("dpdata", "vasp/OUTCAR.h2o.md"), ("dpdata", "vasp/OUTCAR.ch4.ml"),
    ("pymatgen", "vasp/vasprun.h2o.md.10.xml"),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("peer, name", PEERS)
def test_other_readers_give_the_same_energies(outputs, peer, name):
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed: pip install {peer}")
    ours = [labels(a)["energy"] for a in read_output(outputs / name)[0]]
    theirs = _peer(peer, outputs / name)
    # constants of other years: cclib's eV differs by 2e-8 relative
    for energy in ours:
        assert min(abs(energy - e) for e in theirs) < 1e-3 + 1e-7 * abs(energy)


def _peer(peer: str, path) -> list[float]:
    if peer == "cclib":
        from cclib.io import ccread

        from adiabat.units import hartree

        told = ccread(str(path)).scfenergies
        return [float(e) for e in told] + [float(e) * hartree for e in told]  # eV up to version 1, hartree after
    if peer == "dpdata":
        import dpdata

        return [float(e) for e in dpdata.LabeledSystem(str(path), fmt="vasp/outcar")["energies"]]
    from pymatgen.io.vasp.outputs import Vasprun

    run = Vasprun(str(path), parse_potcar_file=False, parse_dos=False, parse_eigen=False)
    return [step["e_fr_energy"] for step in run.ionic_steps]
