"""Dynamics from the command line: what is written, what goes on after a kill, what is said when it explodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

import adiabat
from adiabat.campaign.analyze import analyze, told
from adiabat.campaign.md import MDStopped, md
from adiabat.data.formats import read, write
from adiabat.models import LennardJones
from adiabat.potential import Potential

FAST = {**os.environ, "PYTHONPATH": str(Path(adiabat.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
ARGON = {"timestep_fs": 2.0, "every": 50}


@pytest.fixture
def argon(tmp_path, monkeypatch):
    """A model file and a structure, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Potential(LennardJones(epsilon_eV=0.0103, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"])).save("argon.adiabat")
    write("start.xyz", Atoms("Ar4", 3.9 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])))
    return {"model": "argon.adiabat", "structure": "start.xyz", **ARGON}


def test_the_trajectory_tells_step_time_and_energies(argon):
    summary = md(**argon, ensemble="nve", temperature_K=20.0, steps=1000, out="nve.xyz")
    frames = read("nve.xyz")
    assert summary["frames"] == len(frames) == 20 and summary["time_ps"] == 2.0
    assert [a.info["step"] for a in frames] == list(range(50, 1001, 50))
    conserved = np.array([a.info["conserved_eV"] for a in frames])
    assert np.ptp(conserved) < 1e-5
    assert summary["drift"]["unit"] == "meV/atom/ns" and summary["drift"]["advice"]
    assert json.loads(Path("nve.summary.json").read_text()) == summary
    found = analyze("nve.xyz", ["drift", "temperature", "msd"])
    assert analyze("nve.xyz", ["distances"], cutoff=5.0)["distances"]["Ar-Ar"]["unit"] == "Å"
    assert found["drift"]["value"] == pytest.approx(summary["drift"]["value"])
    assert found["temperature"]["value"] == pytest.approx(summary["temperature_K"]["value"])


def test_a_drift_is_judged_by_what_is_conserved_in_a_heat_bath_and_refused_where_nobody_counted_it(argon):
    """One run in a bath cannot fail by the bath's noise; another program's frames, which do not tell of the bath, are refused."""
    drift = md(**{**argon, "timestep_fs": 4.0, "every": 10}, temperature_K=30.0, steps=1000, out="nvt.xyz")["drift"]
    found = analyze("nvt.xyz", ["drift"])["drift"]
    assert (found["value"], found["error"]) == pytest.approx((drift["value"], drift["error"]))
    frames, engine = read("nvt.xyz"), adiabat.load("argon.adiabat").calculator()
    kinetic = np.array([a.info["kinetic_eV"] for a in frames])
    heat = [a.info["conserved_eV"] - a.info["potential_eV"] - a.info["kinetic_eV"] for a in frames]
    assert np.std(heat) > kinetic.std() > 20 * drift["fluctuation_meV_per_atom"] * 4e-3
    write("foreign.xyz", [stripped(a, engine) for a in frames])
    with pytest.raises(ValueError, match=r"total energy of the frames varies by .* eV, their .*--ensemble nve"):
        analyze("foreign.xyz", ["drift"], interval_fs=40.0)
    drift = md(**{**argon, "every": 10}, ensemble="nve", temperature_K=20.0, steps=200, out="nve.xyz")["drift"]
    write("foreign.xyz", [stripped(a, engine) for a in read("nve.xyz")], overwrite=True)
    found = analyze("foreign.xyz", ["drift"], interval_fs=20.0)["drift"]
    assert (found["value"], found["error"]) == pytest.approx((drift["value"], drift["error"]), rel=1e-3)


def stripped(atoms: Atoms, engine: Calculator) -> Atoms:
    """As another program writes a frame: energy and velocities."""
    bare = Atoms(atoms.numbers, atoms.positions, momenta=atoms.get_momenta())
    bare.calc = engine
    energy = bare.get_potential_energy()
    bare.calc = SinglePointCalculator(bare, energy=energy)
    return bare


def test_constant_energy_from_a_minimum_is_told_to_lose_half_its_temperature(argon):
    told = []
    at_rest = 2 ** (1 / 6) * 3.4 * np.array([[0, 0, 0], [1, 0, 0]])  # a pair at the minimum of its curve
    write("rest.xyz", Atoms("Ar2", at_rest))
    options = {**argon, "temperature_K": 10.0, "steps": 50, "say": lambda *said: told.append(said[1])}
    md(**{**options, "structure": "rest.xyz"}, ensemble="nve", out="rest.xyz.nve.xyz")
    assert any("falls to about half" in words for words in told)
    told.clear()
    write("tight.xyz", Atoms("Ar2", 0.9 * at_rest))
    md(**{**options, "structure": "tight.xyz"}, ensemble="nve", out="tight.nve.xyz")
    md(**{**options, "structure": "rest.xyz"}, ensemble="nvt", out="rest.nvt.xyz")
    assert not any("falls to about half" in words for words in told)


def test_a_finished_run_is_told_again_and_another_is_refused(argon):
    first = md(**argon, temperature_K=20.0, steps=200, out="nvt.xyz")
    before = Path("nvt.xyz").read_text()
    assert md(**argon, temperature_K=20.0, steps=200, out="nvt.xyz") == first
    assert Path("nvt.xyz").read_text() == before
    with pytest.raises(
        FileExistsError, match=r"nvt\.xyz: the run there has temperature_K = 20\.0, this one 30\.0; .*--overwrite"
    ):
        md(**argon, temperature_K=30.0, steps=200, out="nvt.xyz")
    assert Path("nvt.xyz").read_text() == before
    md(**argon, temperature_K=30.0, steps=200, out="nvt.xyz", overwrite=True)
    with pytest.raises(FileExistsError, match=r"start\.xyz: exists already"):
        md(**argon, temperature_K=20.0, steps=200, out="start.xyz")


def test_a_killed_run_goes_on_with_the_same_numbers(argon, tmp_path):
    options = ["argon.adiabat", "start.xyz", "--temperature-K", "20", "--timestep-fs", "2", "--every", "50", "--steps", "3000"]
    call = [sys.executable, "-m", "adiabat", "md", *options]
    process = subprocess.Popen([*call, "--out", "killed.xyz"], env=FAST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    log = tmp_path / "killed.log"
    while time.monotonic() < end and not (log.exists() and len(log.read_text().splitlines()) > 13):  # beyond a checkpoint
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 13 < len(log.read_text().splitlines()) < 61
    with open("killed.xyz", "a") as file:
        file.write("3\nhalf a fra")  # as a kill within a write leaves it
    subprocess.run([*call, "--out", "killed.xyz"], env=FAST, check=True, capture_output=True)
    subprocess.run([*call, "--out", "whole.xyz"], env=FAST, check=True, capture_output=True)
    assert Path("killed.log").read_text() == Path("whole.log").read_text()
    assert Path("killed.xyz").read_text() == Path("whole.xyz").read_text().replace("trajectory=whole", "trajectory=killed")


def test_at_constant_pressure_the_cell_moves_and_a_cut_run_goes_on_with_the_same_numbers(argon):
    """Cut between checkpoints by whoever watches, it goes on from the last one; every digit of the log is that of a run in one piece."""
    write("crystal.xyz", bulk("Ar", "fcc", a=5.3, cubic=True))
    options = {
        **argon,
        "structure": "crystal.xyz",
        "ensemble": "npt",
        "temperature_K": 40.0,
        "pressure_GPa": 0.5,
        "cell": "free",
    }
    options |= {"steps": 700, "every": 50, "timestep_fs": 5.0}

    def cut(stage, message, data):
        if data.get("done") == 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        md(**options, out="cut.xyz", say=cut)
    md(**options, out="cut.xyz")
    summary = md(**options, out="whole.xyz")
    assert Path("cut.log").read_text() == Path("whole.log").read_text()
    assert Path("whole.log").read_text().splitlines()[0].split()[-2:] == ["pressure_GPa", "volume_A3"]
    frames = read("whole.xyz")
    volumes = [a.cell.volume for a in frames]
    assert np.ptp(volumes) > 1.0 and volumes == pytest.approx([a.info["volume_A3"] for a in frames])
    assert summary["volume_A3_per_atom"]["value"] == pytest.approx(np.mean(volumes) / 4)
    assert abs(summary["pressure_GPa"]["value"] - 0.5) < 0.3  # √(kT B/V) of four atoms is 0.1; the first picosecond is in it
    with pytest.raises(FileExistsError, match=r"pressure_GPa = 0\.5, this one 1\.0"):
        md(**{**options, "pressure_GPa": 1.0}, out="whole.xyz")


def test_a_cell_that_boils_away_is_told(argon):
    write("crystal.xyz", bulk("Ar", "fcc", a=5.3, cubic=True))
    options = {**argon, "structure": "crystal.xyz", "ensemble": "npt", "temperature_K": 300.0, "timestep_fs": 5.0}
    with pytest.raises(MDStopped, match="more than a factor of 2 from where it began"):
        md(**options, pressure_GPa=0.0, steps=5000, out="gas.xyz")


def test_an_explosion_is_told_with_advice_and_what_came_before_is_kept(argon):
    write("tight.xyz", Atoms("Ar2", [[0, 0, 0], [0, 0, 1.2]]))
    with pytest.raises(MDStopped, match=r"exploded(.|\n)*trajectory up to there is in boom\.xyz"):
        md(**{**argon, "structure": "tight.xyz", "every": 1}, ensemble="nve", temperature_K=10.0, steps=500, out="boom.xyz")
    assert len(read("boom.xyz")) > 0
    assert "exploded" in json.loads(Path("boom.summary.json").read_text())["stopped_because"]


def test_wrong_usage_is_told_before_anything_is_written(argon, tmp_path):
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="temperature_K nan came; wanted a finite number"):
        md(**argon, temperature_K=float("nan"), steps=5, out="x.xyz")
    with pytest.raises(ValueError, match="temperature_K is missing"):
        md(**argon, steps=10, out="a.xyz")
    with pytest.raises(ValueError, match=r"start\.xyz: periodic along 0 of three axes"):
        md(**argon, steps=10, ensemble="npt", temperature_K=10.0, pressure_GPa=0.0, out="a.xyz")
    with pytest.raises(ValueError, match="pressure_GPa is missing"):
        md(**argon, steps=10, ensemble="npt", temperature_K=10.0, out="a.xyz")
    with pytest.raises(ValueError, match=r"pressure_GPa = 1\.0 came with ensemble nvt"):
        md(**argon, steps=10, temperature_K=10.0, pressure_GPa=1.0, out="a.xyz")
    with pytest.raises(ValueError, match="wanted a name ending in .xyz"):
        md(**argon, steps=10, temperature_K=10.0, out="a.traj")
    with pytest.raises(FileNotFoundError, match="nowhere.adiabat: no such model file"):
        md(**{**argon, "model": "nowhere.adiabat"}, steps=10, temperature_K=10.0, out="a.xyz")
    assert set(tmp_path.iterdir()) == before


def test_atoms_that_are_held_have_no_temperature(tmp_path):
    """Half of the atoms fixed, velocities drawn at 300 K for the others: counted over all it would be 150 K."""
    from ase.build import bulk
    from ase.constraints import FixAtoms
    from ase.md.velocitydistribution import thermalize_momenta

    frames = []
    rng = np.random.default_rng(0)
    for _ in range(40):
        atoms = bulk("Cu", cubic=True) * (3, 3, 3)
        atoms.set_constraint(FixAtoms(range(54)))
        thermalize_momenta(atoms, temperature_K=300, rng=rng)
        frames.append(atoms)
    write(tmp_path / "held.xyz", frames)
    found = analyze(str(tmp_path / "held.xyz"), ["temperature"])["temperature"]
    assert abs(found["value"] - 300) < 5 * 300 * np.sqrt(2 / (3 * 54 * 40))  # χ² of all samples together


def test_wandering_is_told_by_element_and_of_all_on_request(tmp_path, rng):
    """Two gases that diffuse at 0.01 and 0.0001 Å²/fs, D = σ²/2Δt: a mean of both describes neither. The box drifts besides."""
    sigma = np.array([0.2] * 20 + [0.02] * 30)[:, None]
    walk = np.cumsum(rng.normal(size=(240, 50, 3)) * sigma, 0) + 0.05 * np.arange(240)[:, None, None]
    write(tmp_path / "two.xyz", [Atoms("He20Kr30", x, cell=[9.0] * 3, pbc=True) for x in walk])
    found = analyze(str(tmp_path / "two.xyz"), ["msd", "diffusion"], interval_fs=2.0)
    assert list(found["msd"]) == list(found["diffusion"]) == ["He", "Kr"]
    for name, D in (("He", 0.01), ("Kr", 0.0001)):
        q = found["diffusion"][name]
        # Student's t of 4; the center of mass, nearly krypton's, wanders with 0.0002 of helium's share
        assert abs(q["value"] - D) < 5 * q["error"] + 0.05 * D
    rows = [row for name, result in found.items() for row in told(name, result)]
    assert [row[0] for row in rows] == ["msd He", "msd Kr", "diffusion He", "diffusion Kr"]
    whole = analyze(str(tmp_path / "two.xyz"), ["diffusion"], interval_fs=2.0, of=["all"])["diffusion"]
    mean = (20 * found["diffusion"]["He"]["value"] + 30 * found["diffusion"]["Kr"]["value"]) / 50
    assert whole["value"] == pytest.approx(mean, rel=1e-9) and whole["of"] == "all"
    with pytest.raises(ValueError, match=r"no atom of 'Ne' in the trajectory; wanted He, Kr or all"):
        analyze(str(tmp_path / "two.xyz"), ["msd"], interval_fs=2.0, of=["Ne"])


def test_analysis_of_what_does_not_tell_its_time(argon):
    write("bare.xyz", [Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8 + 0.01 * k]]) for k in range(12)])
    with pytest.raises(ValueError, match="give it with --interval-fs"):
        analyze("bare.xyz", ["msd"])
    curve = analyze("bare.xyz", ["msd"], interval_fs=2.0)["msd"]["msd_A2"]
    assert all(b > a for a, b in pairwise(curve))
