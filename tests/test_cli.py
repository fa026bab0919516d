"""The command line as a user meets it: real commands in fresh processes, exit codes, what is said, and that nothing is lost."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

import adiabat
from adiabat.build import rattle
from adiabat.data.formats import read, write
from adiabat.data.structure import labeled, labels
from adiabat.labelers import labeler

FAST = {
    **os.environ,
    "PYTHONPATH": str(Path(adiabat.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
    "ADIABAT_KERNELS": "reference",
}
TRAIN = """
data: set.xyz
out: run
model: {bpnn: {cutoff: 3.0, radial: 4, angular: 1, zetas: [1.0], hidden: [4]}}
fit: {optimizer: lbfgs, epochs: 20}
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "adiabat", *arguments]


def adiabat_(place: Path, *arguments: str, **more):
    """The finished process of a command that was run in `place`."""
    return subprocess.run(
        command(*arguments), cwd=place, env=FAST, capture_output=True, text=True, timeout=300, check=False, **more
    )


def says(run, code: int, *parts: str) -> None:
    """One message with these parts, this exit code, and no traceback."""
    heard = run.stdout + run.stderr
    assert run.returncode == code, heard
    assert "Traceback" not in heard
    for part in parts:
        assert re.search(part, heard), f"{part!r} is not in: {heard}"


@pytest.fixture(scope="session")
def water() -> list[Atoms]:
    """Labeled water molecules by GFN2-xTB."""
    engine = labeler("tblite")
    return [engine(a) for a in rattle(molecule("H2O"), 24, sigma_angstrom=0.06, rng=np.random.default_rng(1))]


@pytest.fixture
def place(tmp_path, water) -> Path:
    """A folder with labeled water and a configuration that trains on it."""
    write(tmp_path / "set.xyz", water)
    write(tmp_path / "start.xyz", molecule("H2O"))
    (tmp_path / "train.yaml").write_text(TRAIN)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, water) -> Path:
    """A folder in which that training is done."""
    folder = tmp_path_factory.mktemp("trained")
    write(folder / "set.xyz", water)
    write(folder / "start.xyz", molecule("H2O"))
    (folder / "train.yaml").write_text(TRAIN)
    says(adiabat_(folder, "train", "train.yaml"), 0, "force_mae_meV_per_A")
    return folder


MODEL = "run/models/model.adiabat"


# ------------------------------------------------------------------------------------------------------------------ answers


def test_help_answers_at_once(tmp_path):
    begun = time.monotonic()
    says(adiabat_(tmp_path, "--help"), 0, "train", "doctor")
    assert time.monotonic() - begun < 3.0  # 0.2 s on an idle core; the imports below are the reason
    heavy = "[m for m in ('torch', 'ase', 'scipy', 'numpy', 'pydantic', 'yaml') if m in sys.modules]"
    seen = subprocess.run(
        [sys.executable, "-c", f"import sys, adiabat.cli; print({heavy})"], env=FAST, capture_output=True, text=True
    )
    assert seen.stdout.strip() == "[]"


def test_usage_is_told_without_a_traceback(place):
    says(adiabat_(place, "trian"), 2, "No such command 'trian'")
    says(adiabat_(place, "new", "trian"), 2, "did you mean 'train'")
    says(adiabat_(place, "train"), 2, "Missing argument")
    says(adiabat_(place, "train", "nothing.yaml"), 2, "nothing.yaml: no such file; 'adiabat new KIND > nothing.yaml' writes")


def test_new_prints_a_configuration_that_the_command_reads(place):
    printed = adiabat_(place, "new", "train")
    says(printed, 0, "meV|eV")
    (place / "mine.yaml").write_text(printed.stdout)
    epochs = ["fit.epochs=1", "fit.members=1", "fit.optimizer=lbfgs", "data=set.xyz", "out=mine"]
    small = "model={bpnn: {cutoff: 3.0, radial: 4, angular: 1, zetas: [1.0], hidden: [4]}}"
    says(adiabat_(place, "train", "mine.yaml", *epochs, small), 0, "energy_mae_meV_per_atom")


def test_doctor_says_what_works(tmp_path):
    told = adiabat_(tmp_path, "doctor", "--json", "-")
    says(told, 0)
    lines = {row["what"]: row for row in json.loads(told.stdout)}
    assert lines["torch"]["state"] == "ok" and "engine tblite" in lines and "kernels" in lines
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- the way through, by hand


def test_training_leaves_a_model_a_summary_and_a_report(trained):
    summary = json.loads((trained / "run/summary.json").read_text())
    assert summary["labels"] == 24 and summary["errors_on"] == "test" and summary["force_mae_meV_per_A"] < 3000
    assert (trained / "run" / summary["model"]).exists() and (trained / "run" / summary["report"]).stat().st_size > 1e5
    events = [json.loads(line) for line in (trained / "run/events.jsonl").read_text().splitlines()]
    assert events[0]["stage"] == "start" and events[-1]["stage"] == "done"


def test_test_prints_the_contract(trained):
    told = adiabat_(trained, "test", MODEL, "set.xyz", "--json", "-")
    says(told, 0)
    keys = {"n_structures", "energy_mae_meV_per_atom", "energy_rmse_meV_per_atom", "energy_r2", "force_mae_meV_per_A",
            "force_rmse_meV_per_A", "force_r2", "stress_mae_GPa"}  # fmt: skip
    found = json.loads(told.stdout)
    assert set(found) == keys | {"by_kind"} and found["stress_mae_GPa"] is None and found["n_structures"] == 24
    assert set(found["by_kind"]["rattle"]) == keys
    says(adiabat_(trained, "test", MODEL, "set.xyz", "--out", "parity"), 0, "rattle", "force mae meV/A")
    assert (trained / "parity/report.html").exists()


def test_the_model_is_an_ase_calculator(trained, water):
    atoms = water[0].copy()
    atoms.calc = adiabat.load(trained / MODEL).calculator()
    assert abs(atoms.get_potential_energy() - water[0].get_potential_energy()) < 0.5


def test_check_prints_the_contract(place):
    told = adiabat_(place, "check", "set.xyz", "--json", "-")
    says(told, 0)
    found = json.loads(told.stdout)
    assert found["n_structures"] == 24
    assert all(set(f) == {"name", "grade", "frames", "message", "cure"} for f in found["findings"])
    says(adiabat_(place, "check", "set.xyz"), 0, "set.xyz: no units given: its labels are taken as eV and Å")


def test_sample_and_label(place):
    (place / "sample.yaml").write_text(
        "structures: start.xyz\nout: drawn.xyz\ndraw: [{rattle: {count: 3, sigma_angstrom: 0.05}}]\n"
    )
    says(adiabat_(place, "sample", "sample.yaml"), 0, "3 structures in drawn.xyz")
    says(adiabat_(place, "sample", "sample.yaml"), 2, "drawn.xyz: exists already")
    (place / "label.yaml").write_text("structures: drawn.xyz\nout: lab\nlabeler: {tblite: {}}\n")
    says(adiabat_(place, "label", "label.yaml", "--workers", "1"), 0, "3 labels in lab/labels.db")
    first = {p: p.stat().st_mtime_ns for p in (place / "lab/results").rglob("*.json")}
    again = adiabat_(place, "label", "label.yaml", "--workers", "2")
    says(again, 0, "3 labels")
    assert {p: p.stat().st_mtime_ns for p in (place / "lab/results").rglob("*.json")} == first
    assert [labels(a)["energy"] for a in read(place / "lab/labels.db")] == [
        labels(a)["energy"] for a in read(place / "lab/labels.xyz")
    ]


def test_convert_and_check_a_store(place):
    says(adiabat_(place, "convert", "set.xyz", "--to", "set.db"), 0, "24 of 24 structures in set.db")
    says(adiabat_(place, "convert", "set.db", "--to", "back.xyz"), 0)
    assert [labels(a)["energy"] for a in read(place / "back.xyz")] == [labels(a)["energy"] for a in read(place / "set.xyz")]
    says(adiabat_(place, "convert", "set.db", "--to", "back.xyz"), 2, "back.xyz: exists already")


# -------------------------------------------------------------------------------------------------------------- bad input


def test_files_that_hold_no_frames(place):
    (place / "empty.xyz").write_text("")
    says(adiabat_(place, "check", "empty.xyz"), 2, "empty.xyz: the file is empty; wanted at least one frame")
    says(adiabat_(place, "check", "nowhere.xyz"), 2, "nowhere.xyz: there is no such file")
    says(adiabat_(place, "train", "train.yaml", "data=nowhere.xyz"), 2, "nowhere.xyz: there is no such file")
    assert not (place / "run").exists()


def test_a_truncated_file_names_its_readable_part(place):
    lines = (place / "set.xyz").read_text().splitlines(keepends=True)
    (place / "cut.xyz").write_text("".join(lines[: 5 * 10 + 3]))  # ten frames of five lines, and a part
    says(adiabat_(place, "check", "cut.xyz", "--json", "cut.json"), 1)
    told = json.loads((place / "cut.json").read_text())
    [fault] = [f for f in told["findings"] if f["grade"] == "fault"]
    assert fault["name"] == "truncated" and fault["frames"] == [10]
    assert "ends inside frame 10: it has 1 of 3 atoms; 10 whole frames (0 to 9) can be read" in fault["message"]
    assert told["n_structures"] == 11
    says(adiabat_(place, "convert", "cut.xyz", "--to", "whole.xyz"), 2, "cut.xyz: the file ends inside frame 10")
    assert not (place / "whole.xyz").exists()
    says(
        adiabat_(place, "convert", "cut.xyz", "--to", "whole.xyz", "--partial"),
        0,
        "10 of 10 structures",
        "only frames 0 to 9 were read",
    )


@pytest.mark.parametrize(
    "name, was, becomes, told",
    [
        ("unknown element", r"^O ", "Qq ", "frame 0, atom 0: 'Qq' is not a chemical symbol"),
        ("not finite", r"^(O .*) \S+$", r"\1 nan", r"frame 0: forces\[0\] .* wanted finite numbers"),
        ("not finite", r"^O \S+", "O inf", r"frame 0: positions\[0\] .* wanted finite numbers"),
        ("not finite", r"energy=\S+", "energy=nan", r"frame 0: energy is nan, wanted a finite number"),
        ("shape", r"energy=", 'stress="1 2 3 4" energy=', "frame 0: stress has shape .*wanted 6 numbers"),
        ("shape", r"forces:R:3", "forces:R:2:rest:R:1", r"frame 0: forces have shape \(3, 2\), wanted \(3, 3\)"),
        ("unreadable", r"^(O .*) \S+$", r"\1", r"frame 0, line 3: 6 columns came, wanted 7"),
        ("unreadable", r"^(O .*) \S+$", r"\1 ***", r"frame 0: column 'forces' holds what is no float"),
    ],
)  # fmt: skip
def test_all_unreadable_frames_are_found_and_the_others_examined(place, name, was, becomes, told):
    """Frames 0 and 12 are spoiled, frame 5 has another fault; none hides another, and training does not begin."""
    frames = read(place / "set.xyz")
    frames[5].positions[1] = frames[5].positions[0] + 0.01
    frames[5].calc.atoms = frames[5].copy()
    write(place / "set.xyz", frames, overwrite=True)
    lines = (place / "set.xyz").read_text().splitlines(keepends=True)
    for k in (0, 12):
        spoiled = re.sub(was, becomes, "".join(lines[5 * k : 5 * k + 5]), count=1, flags=re.MULTILINE)
        lines[5 * k : 5 * k + 5] = spoiled.splitlines(keepends=True)
    (place / "bad.xyz").write_text("".join(lines))
    says(adiabat_(place, "check", "bad.xyz", "--json", "found.json"), 1)
    found = json.loads((place / "found.json").read_text())
    faults = {f["name"]: f for f in found["findings"] if f["grade"] == "fault"}
    assert found["n_structures"] == 24 and faults[name]["frames"] == [0, 12]
    assert faults["overlapping atoms"]["frames"] == [5]
    assert re.search(f"2 frames have .*bad.xyz, {told}", faults[name]["message"]), faults[name]["message"]
    if name != "unknown element":
        return  # what follows is the same for all
    says(adiabat_(place, "convert", "bad.xyz", "--to", "good.xyz"), 1, "of 24 structures in good.xyz", name)
    assert len(read(place / "good.xyz")) <= 21
    says(adiabat_(place, "train", "train.yaml", "data=bad.xyz"), 2, "bad.xyz", told)
    assert not (place / "run").exists()


def test_cures_name_the_options_of_the_command_that_runs(place, trained):
    text = (place / "set.xyz").read_text()
    (place / "two.xyz").write_text(re.sub(r"(energy=)(\S+)", r"REF_energy=\2 dft_energy=\2", text))
    says(adiabat_(place, "check", "two.xyz"), 2, "2 entries could be the energy: .*; name one, as in --keys energy=REF_energy$")
    says(adiabat_(place, "check", "two.xyz", "--keys", "energy=REF_energy"), 0, "24 structures")
    (place / "cut.xyz").write_text("".join(text.splitlines(keepends=True)[:13]))
    cut = (str(trained / MODEL), "cut.xyz")
    says(adiabat_(place, "test", *cut), 2, "or read them alone with --partial$")
    says(adiabat_(place, "test", *cut, "--partial"), 0, "force mae")
    says(adiabat_(place, "train", "train.yaml", "data=cut.xyz"), 2, "with `adiabat convert FILE --to whole.xyz --partial`$")
    write(place / "one.xyz", read(place / "set.xyz")[:1])
    told = adiabat_(place, "check", "one.xyz")
    assert re.search(r"^1 structure\s*$", told.stdout, re.MULTILINE) and "1 frame have" not in told.stdout


def test_hartree_energies_stop_before_any_training(place, water):
    from adiabat.units import hartree

    wrong = [labeled(a, energy=labels(a)["energy"] / hartree, forces=labels(a)["forces"]) for a in water]
    write(place / "hartree.xyz", wrong)
    checked = adiabat_(place, "check", "hartree.xyz", "--json", "found.json")
    says(checked, 1)
    faults = [f["name"] for f in json.loads((place / "found.json").read_text())["findings"] if f["grade"] == "fault"]
    assert faults
    says(
        adiabat_(place, "train", "train.yaml", "data=hartree.xyz", "out=stopped"), 1, "the data gate found", faults[0], "waive"
    )
    assert (place / "stopped/report.html").exists() and not (place / "stopped/models").exists()


def test_overlapping_atoms_are_left_out_and_listed(place):
    good, bad = molecule("H2O"), molecule("H2O")
    bad.positions[1] = bad.positions[0] + 0.05
    write(place / "mixed.xyz", [good, bad])
    (place / "label.yaml").write_text("structures: mixed.xyz\nout: lab\nlabeler: {tblite: {}}\n")
    says(adiabat_(place, "label", "label.yaml"), 1, "1 labels in", "1 structures have no label", "bad_input", "apart")
    assert json.loads((place / "lab/failures.json").read_text())[0]["frames"] == [1]
    write(place / "known.xyz", [labeled(a, energy=-137.9, forces=np.zeros((3, 3))) for a in (good, bad)])
    says(adiabat_(place, "check", "known.xyz"), 1, "overlapping atoms")
    says(adiabat_(place, "convert", "known.xyz", "--to", "clean.xyz"), 1, "1 of 2 structures", "overlapping atoms")


def test_an_unknown_option_offers_the_nearest(place):
    says(adiabat_(place, "train", "train.yaml", "modle=bpnn"), 2, "train: unknown option 'modle'; did you mean 'model'")
    says(adiabat_(place, "train", "train.yaml", "fit.epoch=3"), 2, "fit: unknown option 'epoch'; did you mean 'epochs'")
    says(adiabat_(place, "train", "train.yaml", "model={bpn: {}}"), 2, "'bpn' is unknown; did you mean 'bpnn'")
    says(adiabat_(place, "train", "train.yaml", "fit.optimizer={lbfgs: {memory: 3}}"), 2, "unknown option 'memory'")
    assert not (place / "run").exists()


def test_an_engine_that_is_not_installed_is_told_with_its_cure(place):
    (place / "label.yaml").write_text(
        "structures: start.xyz\nout: lab\nlabeler: {ase: {calculator: 'nowhere.engine:Engine'}}\n"
    )
    says(adiabat_(place, "label", "label.yaml"), 3, "cannot be imported", "pip install nowhere")
    assert not (place / "lab").exists()


def test_an_engine_that_fails_ends_with_3(place):
    (place / "label.yaml").write_text("structures: start.xyz\nout: lab\nlabeler: {tblite: {max_iterations: 2}}\n")
    says(adiabat_(place, "label", "label.yaml"), 3, "0 labels", "not_converged|crashed")


def test_a_run_folder_of_another_run_is_refused(trained):
    before = {p.name: p.stat().st_mtime_ns for p in (trained / "run").iterdir()}
    says(adiabat_(trained, "train", "train.yaml", "seed=7"), 2, "run: the run there has seed = 0, this one 7")
    says(adiabat_(trained, "train", "train.yaml", "out=."), 2, "files that no run wrote")
    assert {p.name: p.stat().st_mtime_ns for p in (trained / "run").iterdir()} == before


def test_a_model_does_not_guess_about_elements_it_has_not_seen(trained):
    write(trained / "ammonia.xyz", labeled(molecule("NH3"), energy=-100.0, forces=np.zeros((4, 3))), overwrite=True)
    told = ("contains N, which this potential has not seen; it knows H O", "Train with structures that contain it")
    says(adiabat_(trained, "test", MODEL, "ammonia.xyz"), 2, *told)
    says(adiabat_(trained, "md", MODEL, "ammonia.xyz", "--temperature-K", "300", "--steps", "10", "--out", "a.xyz"), 2, *told)
    says(adiabat_(trained, "test", "set.xyz", "set.xyz"), 2, "set.xyz: not a model file")


# ------------------------------------------------------------------------------------------------- interrupted, out of room


def interrupted(place: Path, *arguments: str, when, by=signal.SIGINT):
    """The command, interrupted as soon as `when()` holds."""
    process = subprocess.Popen(
        command(*arguments), cwd=place, env=FAST, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it, and so would we
    )  # fmt: skip
    end = time.monotonic() + 60
    while not when() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(by)
    heard, _ = process.communicate(timeout=60)
    return process.returncode, heard


def test_an_interrupted_training_goes_on_to_the_same_bits(trained):
    log = trained / "twice/training/metrics.jsonl"
    more = ("train", "train.yaml", "fit.epochs=400")  # long enough to be caught on a busy machine
    code, heard = interrupted(trained, *more, "out=twice", when=log.exists)
    assert code == 130 and "run the same command again to go on" in heard and "Traceback" not in heard
    assert not (trained / "twice/models").exists()
    says(adiabat_(trained, *more, "out=twice"), 0)
    says(adiabat_(trained, *more, "out=once"), 0)
    assert (trained / "twice" / "models/model.adiabat").read_bytes() == (trained / "once" / "models/model.adiabat").read_bytes()


def test_interrupted_labels_are_kept_and_not_computed_again(place):
    write(place / "many.xyz", rattle(molecule("CH3CH2OH"), 200, sigma_angstrom=0.05, rng=np.random.default_rng(0)))
    (place / "label.yaml").write_text("structures: many.xyz\nout: lab\nlabeler: {tblite: {}}\nworkers: 1\n")

    def published():
        return sorted((place / "lab/results").rglob("*.json"))

    code, heard = interrupted(place, "label", "label.yaml", when=lambda: len(published()) > 5, by=signal.SIGTERM)
    assert code == 130 and "stopped by SIGTERM after" in heard and "run the same command again to go on" in heard
    before = {p: p.stat().st_mtime_ns for p in published()}
    assert 5 < len(before) < 200
    assert len(read(place / "lab/labels.db")) == len(before)  # what was done is there already
    says(adiabat_(place, "label", "label.yaml"), 0, "200 labels")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_full_disk_while_training_loses_nothing(place):
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, resource.RLIM_INFINITY))

    says(adiabat_(place, "train", "train.yaml", preexec_fn=small), 3, "free some space, and run the same command again")
    says(adiabat_(place, "train", "train.yaml"), 0, "force_mae_meV_per_A")


def test_what_nobody_foresaw_is_an_apology_and_a_file(place):
    (place / "sabotage").mkdir()
    (place / "sabotage/sitecustomize.py").write_text(
        "import json\ndef broken(*a, **k): raise KeyError('surprise')\njson.dumps = broken\n"
    )
    env = {**FAST, "PYTHONPATH": f"{place / 'sabotage'}{os.pathsep}{FAST['PYTHONPATH']}"}
    run = subprocess.run(command("check", "set.xyz", "--json", "-"), cwd=place, env=env, capture_output=True, text=True)
    says(run, 3, "sorry", "KeyError: 'surprise'")
    path = Path(re.search(r"Please report it with (\S+)", run.stderr)[1])
    assert "Traceback" in path.read_text()
    path.unlink()
