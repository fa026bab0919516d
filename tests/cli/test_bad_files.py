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
from cli.session import MODEL, says


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
    says(here(place, "check", "cut.xyz"), 1, "2 whole frames", "`adiabat convert FILE --to whole.xyz --partial`")
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
