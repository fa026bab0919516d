"""Real output files, read by us and by ASE: two readers, one number; and what must not become a label."""

# ruff: noqa: E501
from __future__ import annotations

import re
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms

from adiabat.data.engines import read_output, recognized
from adiabat.data.structure import labels
from adiabat.units import bohr, hartree, kbar


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


# file, its reader, how many of our labels it has to know, how many it does not give
PEERS = [
    ("gaussian/waterfreq.gaussianlog", "cclib", 1), ("gaussian/g16-dvb_gopt.log", "cclib", 5), ("orca/orca5.0-dvb_gopt.out", "cclib", 4),
    ("orca/orca.spout", "cclib", 1), ("gaussian/oxygen.gaussianlog", "gaussian/md", 3), ("gaussian/methane_sub.gaussianlog", "gaussian/log", 1),
    ("vasp/OUTCAR.h2o.md", "vasp/outcar", 3), ("vasp/OUTCAR.Ti-O-v6", "vasp/outcar", 1), ("vasp/OUTCAR.ch4.ml", "vasp/outcar", 4),
    ("qe/01.out", "qe/pw/scf", 1), ("qe/02.out", "qe/pw/scf", 1), ("qe/Al.out", "qe/pw/scf", 1), ("qe/na.out", "qe/pw/scf", 1),
    ("vasp/vasprun.h2o.md.10.xml", "pymatgen", 10), ("vasp/vasprun.Ge.vdw.xml", "pymatgen", 1),
]  # fmt: skip


@pytest.mark.parametrize("name, reader, n", PEERS)
def test_other_readers_give_the_same_labels(outputs, name, reader, n):
    """Energies, forces, distances between atoms and stresses, step by step, optimizations too."""
    ours, _, _ = read_output(outputs / name)
    assert len(ours) == n
    _same(ours, _read_by(reader, outputs / name))


def test_cp2k_dynamics_through_dpdata(outputs, tmp_path):
    """The real log beside a trajectory, whose positions the test makes up: both readers take energies, forces and cell from the log."""
    log = (outputs / "cp2k/aimd_stress.log").read_text()
    log = log.rstrip() + "\n PROGRAM ENDED AT 2026\n"  # the published one is cut there
    (tmp_path / "run.log").write_text(log)
    project = re.search(r"GLOBAL\| Project name\s+(\S+)", log)[1]
    [first], _, _ = read_output(outputs / "cp2k/aimd_stress.log")
    energies = re.findall(r"ENERGY\| Total FORCE_EVAL.*?(-?\d+\.\d+)", log)
    rng = np.random.default_rng(0)
    places = [first.positions + 0.1 * k * rng.normal(size=first.positions.shape) for k in range(len(energies))]
    lines = []
    for k, (energy, there) in enumerate(zip(energies, places)):
        lines += [f"{len(first):8d}", f" i = {k:8d}, time = {0.5 * k:12.3f}, E = {float(energy):20.10f}"]
        lines += [f"{s:>3s} {x:19.10f} {y:19.10f} {z:19.10f}" for s, (x, y, z) in zip(first.get_chemical_symbols(), there)]
    (tmp_path / f"{project}-pos-1.xyz").write_text("\n".join(lines) + "\n")
    ours, left_out, _ = read_output(tmp_path / "run.log")
    assert len(ours) == 7 and not left_out
    _same(ours, _dpdata(tmp_path, "cp2k/aimd_output"))


def _same(ours, theirs) -> None:
    """`theirs`: energy, forces or none, stress or none, numbers and positions of each step, in units of the house."""
    for k, atoms in enumerate(ours):
        known = labels(atoms)
        # step by step where they give as many; steps of an optimization may be nearer than two codes' electronvolts
        energy, forces, stress, twin = (
            theirs[k] if len(theirs) == len(ours) else min(theirs, key=lambda one: abs(one[0] - known["energy"]))
        )
        # constants of other years: a hartree of 2010 is 2e-8 larger, cclib 1.8's eV is one of 2002: 5e-8
        assert abs(energy - known["energy"]) < 1e-7 * abs(known["energy"])
        assert twin.numbers.tolist() == atoms.numbers.tolist()
        assert np.abs(_relative(twin) - _relative(atoms)).max() < 2e-5  # five decimals of Å are printed
        assert ("forces" in known) == (forces is not None)
        if forces is not None:  # turned with the molecule where a program prints two orientations: lengths and mutual angles
            assert np.abs(forces @ forces.T - known["forces"] @ known["forces"].T).max() < 1e-5 * max(1.0, (forces**2).max())
        if stress is not None and "stress" in known:
            assert np.abs(stress - known["stress"]).max() < 0.0051 * kbar  # which is printed with two decimals, or more


def _read_by(reader: str, path) -> list[tuple]:
    if reader == "cclib":
        return _cclib(path)
    if reader == "pymatgen":
        return _pymatgen(path)
    return _dpdata([path.with_suffix(".in"), path] if reader.startswith("qe") else path, reader)


def _cclib(path) -> list[tuple]:
    cclib = pytest.importorskip("cclib", reason="cclib is not installed: pip install -e '.[dev]'")
    told = cclib.io.ccread(str(path))
    energies = np.array(told.scfenergies) * (1 if np.abs(told.scfenergies).max() > 500 or cclib.__version__ < "2" else hartree)
    steps = zip(energies, told.atomcoords, strict=False)
    forces = [
        -g * hartree / bohr for g in getattr(told, "grads", [])
    ]  # cclib keeps hartree/bohr, and calls forces of Gaussian gradients
    return [(e, forces[k] if k < len(forces) else None, None, Atoms(told.atomnos, r)) for k, (e, r) in enumerate(steps)]


def _dpdata(path, form: str) -> list[tuple]:
    dpdata = pytest.importorskip("dpdata", reason="dpdata is not installed: pip install -e '.[dev]'")
    system = dpdata.LabeledSystem([str(p) for p in path] if isinstance(path, list) else str(path), fmt=form)
    found = []
    for k, atoms in enumerate(system.to_ase_structure()):
        cell = system["cells"][k]
        periodic = not system.data.get("nopbc", False)
        atoms.pbc = periodic
        volume = abs(np.linalg.det(cell))
        stress = -system["virials"][k] / volume if periodic and "virials" in system.data else None
        voigt = None if stress is None else stress.ravel()[[0, 4, 8, 5, 2, 1]]
        found.append(
            (
                float(system["energies"][k]),
                system["forces"][k],
                voigt,
                Atoms(atoms.numbers, atoms.positions, cell=cell, pbc=periodic),
            )
        )
    return found


def _pymatgen(path) -> list[tuple]:
    pytest.importorskip("pymatgen.io.vasp", reason="pymatgen is not installed: pip install -e '.[dev]'")
    from pymatgen.io.vasp.outputs import Vasprun

    found = []
    for step in Vasprun(str(path), parse_potcar_file=False, parse_dos=False, parse_eigen=False).ionic_steps:
        there = step["structure"]
        atoms = Atoms([s.specie.Z for s in there], there.cart_coords, cell=there.lattice.matrix, pbc=True)
        stress = None if step.get("stress") is None else -np.array(step["stress"]).ravel()[[0, 4, 8, 5, 2, 1]] * kbar
        found.append((step["e_fr_energy"], np.array(step["forces"]), stress, atoms))
    return found
