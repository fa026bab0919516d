"""Files with faults: where, what came, what was wanted, what to do; nothing is dropped in silence and nothing is lost."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase.build import molecule

from adiabat.data.formats import read, write
from adiabat.data.structure import labeled, labels
from adiabat.units import hartree
from cli.session import MODEL, says, stands


def test_files_that_hold_no_frames(here, place):
    (place / "empty.xyz").write_text("")
    says(here(place, "check", "empty.xyz"), 2, "empty.xyz: the file is empty; wanted at least one frame")
    says(here(place, "check", "nowhere.xyz"), 2, "nowhere.xyz: there is no such file")
    says(here(place, "train", "train.yaml", "data=nowhere.xyz"), 2, "nowhere.xyz: there is no such file")
    assert not (place / "run").exists()


def test_a_truncated_file_names_its_readable_part(here, place):
    lines = (place / "set.xyz").read_text().splitlines(keepends=True)
    (place / "cut.xyz").write_text("".join(lines[: 5 * 10 + 3]))  # ten frames of five lines, and a part
    says(here(place, "check", "cut.xyz", "--json", "cut.json"), 1)
    told = json.loads((place / "cut.json").read_text())
    [fault] = [f for f in told["findings"] if f["grade"] == "fault"]
    assert fault["name"] == "truncated" and fault["frames"] == [10]
    assert "ends inside frame 10: it has 1 of 3 atoms; 10 whole frames (0 to 9) can be read" in fault["message"]
    assert told["n_structures"] == 11
    says(here(place, "convert", "cut.xyz", "--to", "whole.xyz"), 2, "cut.xyz: the file ends inside frame 10")
    assert not (place / "whole.xyz").exists()
    says(
        here(place, "convert", "cut.xyz", "--to", "whole.xyz", "--partial"),
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
def test_all_unreadable_frames_are_found_and_the_others_examined(here, place, name, was, becomes, told):
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
    says(here(place, "check", "bad.xyz", "--json", "found.json"), 1)
    found = json.loads((place / "found.json").read_text())
    faults = {f["name"]: f for f in found["findings"] if f["grade"] == "fault"}
    assert found["n_structures"] == 24 and faults[name]["frames"] == [0, 12]
    assert faults["overlapping atoms"]["frames"] == [5]
    assert re.search(f"2 frames have .*bad.xyz, {told}", faults[name]["message"]), faults[name]["message"]
    if name != "unknown element":
        return  # what follows is the same for all
    says(here(place, "convert", "bad.xyz", "--to", "good.xyz"), 1, "of 24 structures in good.xyz", name)
    assert len(read(place / "good.xyz")) <= 21
    says(here(place, "train", "train.yaml", "data=bad.xyz"), 2, "bad.xyz", told)
    assert not (place / "run").exists()


def test_cures_name_the_options_of_the_command_that_runs(here, place, trained):
    text = (place / "set.xyz").read_text()
    (place / "two.xyz").write_text(re.sub(r"(energy=)(\S+)", r"REF_energy=\2 dft_energy=\2", text))
    says(here(place, "check", "two.xyz"), 2, "2 entries could be the energy: .*; name one, as in --keys energy=REF_energy$")
    says(here(place, "check", "two.xyz", "--keys", "energy=REF_energy"), 0, "24 structures")
    (place / "cut.xyz").write_text("".join(text.splitlines(keepends=True)[:13]))
    cut = (str(trained / MODEL), "cut.xyz")
    says(here(place, "test", *cut), 2, "or read them alone with --partial$")
    says(here(place, "test", *cut, "--partial"), 0, "force mae")
    says(
        here(place, "train", "train.yaml", "data=cut.xyz"),
        2,
        "or read them alone with {file: FILE, partial: true} for its name$",
    )
    told = here(place, "check", "cut.xyz", "--json", "-")
    says(told, 1, "2 whole frames")
    assert "alone with `adiabat convert FILE --to whole.xyz --partial`;" in json.loads(told.stdout)["findings"][0]["cure"]
    write(place / "one.xyz", read(place / "set.xyz")[:1])
    told = here(place, "check", "one.xyz")
    assert re.search(r"^1 structure\s*$", told.stdout, re.MULTILINE) and "1 frame have" not in told.stdout


def test_hartree_energies_stop_before_any_training(here, place, water):
    wrong = [labeled(a, energy=labels(a)["energy"] / hartree, forces=labels(a)["forces"]) for a in water]
    write(place / "hartree.xyz", wrong)
    checked = here(place, "check", "hartree.xyz", "--json", "found.json")
    says(checked, 1)
    faults = [f["name"] for f in json.loads((place / "found.json").read_text())["findings"] if f["grade"] == "fault"]
    assert faults
    says(here(place, "train", "train.yaml", "data=hartree.xyz", "out=stopped"), 1, "the data gate found", faults[0], "waive")
    assert (place / "stopped/report.html").exists() and not (place / "stopped/models").exists()


def test_overlapping_atoms_are_left_out_and_listed(here, place):
    good, bad = molecule("H2O"), molecule("H2O")
    bad.positions[1] = bad.positions[0] + 0.05
    write(place / "mixed.xyz", [good, bad])
    (place / "label.yaml").write_text("structures: mixed.xyz\nout: lab\nlabeler: {tblite: {}}\n")
    says(here(place, "label", "label.yaml"), 1, "1 labels in", "1 structures have no label", "bad_input", "apart")
    assert json.loads((place / "lab/failures.json").read_text())[0]["frames"] == [1]
    write(place / "known.xyz", [labeled(a, energy=-137.9, forces=np.zeros((3, 3))) for a in (good, bad)])
    says(here(place, "check", "known.xyz"), 1, "overlapping atoms")
    says(here(place, "convert", "known.xyz", "--to", "clean.xyz"), 1, "1 of 2 structures", "overlapping atoms")


COMMANDS = {
    "check": ("check", "bad.xyz"),
    "convert": ("convert", "bad.xyz", "--to", "out.xyz"),
    "train": ("train", "train.yaml", "data=bad.xyz", "out=out"),
    "test": ("test", MODEL, "bad.xyz"),
    "label": ("label", "label.yaml", "structures=bad.xyz", "out=out"),
    "md": ("md", MODEL, "bad.xyz", "--temperature-K", "300", "--steps", "5", "--out", "out.xyz"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "fault", ["empty", "cut", "unknown element", "infinite position", "labels that are no numbers", "stress of four numbers"]
)
def test_every_command_refuses_what_it_cannot_read_and_leaves_nothing_behind(here, place, trained, name, fault):
    """The same words whoever reads the file; `check` and `convert` tell of the fault and go on with the other frames."""
    lines = (place / "set.xyz").read_text().splitlines(keepends=True)[:15]
    if fault == "empty":
        lines, told, codes = [], "bad.xyz: the file is empty; wanted at least one frame", {}
    elif fault == "cut":
        lines, told, codes = lines[:13], "ends inside frame 2: it has 1 of 3 atoms; 2 whole frames", {"check": 1}
    else:
        row, old, new, told = {
            "unknown element": (7, "^O", "Qq", "frame 1, atom 0: 'Qq' is not a chemical symbol"),
            "infinite position": (8, r"^H \S+", "H inf", r"frame 1: positions\[1\] .* wanted finite numbers"),
            "stress of four numbers": (
                6,
                r"\benergy=",
                'stress="1 2 3 4" energy=',
                "frame 1: stress has shape .* wanted 6 numbers",
            ),
            "labels that are no numbers": (
                6,
                r"\benergy=",
                "energy=nan old=",
                "frame 1: energy is nan, wanted a finite number",
            ),
        }[fault]
        lines[row] = re.sub(old, new, lines[row])
        codes = {"check": 1, "convert": 1}
    (place / "bad.xyz").write_text("".join(lines))
    (place / "label.yaml").write_text("structures: set.xyz\nout: lab\nlabeler: {ase: {calculator: emt}}\nworkers: 1\n")
    words = [str(trained / MODEL) if word == MODEL else word for word in COMMANDS[name]]
    before = stands(place)
    run = here(place, *words, *(["--json", "-"] if name == "check" else []))
    says(run, codes.get(name, 2), *([told] if name != "convert" or codes.get(name, 2) == 2 else []))
    if name == "convert" and run.returncode == 1:
        assert len(read(place / "out.xyz")) == 2 and "1 left out" in run.stdout
        (place / "out.xyz").unlink()
    assert stands(place) == before and not (place / "out").exists()


def test_without_units_it_is_said_what_the_labels_are_taken_as(here, place):
    told = "set.xyz: no units given: its labels are taken as eV and Å"
    says(here(place, "check", "set.xyz"), 0, told)
    says(here(place, "convert", "set.xyz", "--to", "set.db"), 0, told)
    says(here(place, "train", "train.yaml", "out=told", "fit.epochs=1"), 0, told)
    stated = here(place, "check", "set.xyz", "--units", "energy=eV,length=angstrom")
    says(stated, 0)
    assert "no units given" not in stated.stdout + stated.stderr
    says(here(place, "check", "set.db"), 0)  # a store says its units itself
    says(here(place, "check", "set.xyz", "--units", "energy=hartee"), 2, "hartee", "hartree")


def test_hartree_is_seen_by_magnitude_and_its_cure_works(here, place):
    """All-electron energies of water in hartree: the option that the cure names is what mends them."""
    write(place / "hartree.xyz", labeled(molecule("H2O"), energy=-76.3))
    checked = here(place, "check", "hartree.xyz", "--json", "-")
    says(checked, 1, "they look like hartree, wanted eV")
    [fault] = [f for f in json.loads(checked.stdout)["findings"] if f["name"] == "units of energy"]
    assert abs(fault["value"] * hartree - 1) < 0.03  # the number that the message tells, as a number
    option = re.search(r"--units (energy=hartree)", fault["cure"])[1]
    says(here(place, "convert", "hartree.xyz", "--to", "eV.xyz"), 1, "nothing to write", "look like hartree")
    assert not (place / "eV.xyz").exists()
    says(here(place, "convert", "hartree.xyz", "--to", "eV.xyz", "--units", option), 0, "1 of 1 structure in eV.xyz")
    assert labels(read(place / "eV.xyz")[0])["energy"] == pytest.approx(-76.3 * hartree, rel=1e-12)


def test_a_cut_file_can_be_trained_on_by_asking_for_it(here, place):
    whole = "".join((place / "set.xyz").read_text().splitlines(keepends=True)[: 5 * 20 + 3])
    (place / "cut.xyz").write_text(whole)
    asked = here(place, "train", "train.yaml", "data={file: cut.xyz, partial: true}", "out=part", "fit.epochs=1")
    says(asked, 0, "only frames 0 to 19 were read")
    assert json.loads((place / "part/summary.json").read_text())["labels"] == 20


def test_one_convert_for_all_inputs_takes_the_same_options(here, place):
    """--level, --json and --partial mean the same for extended XYZ as for an engine's output."""
    frames = read(place / "set.xyz")
    for k, a in enumerate(frames):
        a.info["adiabat"] = {"level_of_theory": "pbe" if k < 20 else "hse"}
    write(place / "two.xyz", frames)
    told = here(place, "convert", "two.xyz", "--to", "pbe.xyz", "--json", "-")
    says(told, 1)
    account = json.loads(told.stdout)
    assert account["written"] == 20 and account["levels"] == {"pbe": 20, "hse": 4}
    assert [r["frame"] for r in account["left_out"]] == [20, 21, 22, 23]
    assert {r["name"] for r in account["left_out"]} == {"another level of theory"}
    says(here(place, "convert", "two.xyz", "--to", "hse.ase.db", "--level", "hse"), 1, "4 of 24 structures")
    assert len(read(place / "hse.ase.db")) == 4
    says(here(place, "convert", "two.xyz", "--to", "all.xyz", "--level", "all"), 0, "24 of 24 structures")
    says(
        here(place, "convert", "two.xyz", "--to", "none.xyz", "--level", "b3lyp"),
        2,
        "no frame is at such a level; there are: pbe; hse",
    )
