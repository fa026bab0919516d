"""The way from labels to a model and its errors by hand, and the outputs other programs rely on."""

from __future__ import annotations

import json

import adiabat
from adiabat.data.formats import read, write
from adiabat.data.structure import labels
from cli.session import MODEL, says


def test_training_leaves_a_model_a_summary_and_a_report(trained):
    summary = json.loads((trained / "run/summary.json").read_text())
    assert summary["labels"] == 24 and summary["errors_on"] == "test" and summary["force_mae_meV_per_A"] < 3000
    assert (trained / "run" / summary["model"]).exists() and (trained / "run" / summary["report"]).stat().st_size > 1e5
    events = [json.loads(line) for line in (trained / "run/events.jsonl").read_text().splitlines()]
    assert events[0]["stage"] == "start" and events[-1]["stage"] == "done"


def test_test_prints_the_contract(here, trained):
    told = here(trained, "test", MODEL, "set.xyz", "--json", "-")
    says(told, 0)
    keys = {"n_structures", "energy_mae_meV_per_atom", "energy_rmse_meV_per_atom", "energy_r2", "force_mae_meV_per_A",
            "force_rmse_meV_per_A", "force_r2", "stress_mae_GPa"}  # fmt: skip
    found = json.loads(told.stdout)
    assert set(found) == keys | {"by_kind"} and found["stress_mae_GPa"] is None and found["n_structures"] == 24
    assert set(found["by_kind"]["rattle"]) == keys
    says(here(trained, "test", MODEL, "set.xyz", "--out", "parity"), 0, "rattle", "force mae meV/A")
    assert (trained / "parity/report.html").exists()


def test_the_model_is_an_ase_calculator(trained, water):
    atoms = water[0].copy()
    atoms.calc = adiabat.load(trained / MODEL).calculator()
    assert abs(atoms.get_potential_energy() - water[0].get_potential_energy()) < 0.5


def test_check_prints_the_contract(here, place):
    told = here(place, "check", "set.xyz", "--json", "-")
    says(told, 0)
    found = json.loads(told.stdout)
    assert found["n_structures"] == 24
    assert all(set(f) == {"name", "grade", "frames", "message", "cure", "value"} for f in found["findings"])
    says(here(place, "check", "set.xyz"), 0, "set.xyz: no units given: its labels are taken as eV and Å")


def test_sample_and_label(here, place):
    (place / "sample.yaml").write_text(
        "structures: start.xyz\nout: drawn.xyz\ndraw: [{rattle: {count: 3, sigma_angstrom: 0.05}}]\n"
    )
    says(here(place, "sample", "sample.yaml"), 0, "3 structures in drawn.xyz")
    says(here(place, "sample", "sample.yaml"), 2, "drawn.xyz: exists already")
    (place / "label.yaml").write_text("structures: drawn.xyz\nout: lab\nlabeler: {tblite: {}}\n")
    says(here(place, "label", "label.yaml", "--workers", "1"), 0, "3 labels in lab/labels.db")
    first = {p: p.stat().st_mtime_ns for p in (place / "lab/results").rglob("*.json")}
    again = here(place, "label", "label.yaml", "--workers", "2")
    says(again, 0, "3 labels")
    assert {p: p.stat().st_mtime_ns for p in (place / "lab/results").rglob("*.json")} == first
    assert [labels(a)["energy"] for a in read(place / "lab/labels.db")] == [
        labels(a)["energy"] for a in read(place / "lab/labels.xyz")
    ]


def test_convert_and_check_a_store(here, place):
    says(here(place, "convert", "set.xyz", "--to", "set.db"), 0, "24 of 24 structures in set.db")
    says(here(place, "convert", "set.db", "--to", "back.xyz"), 0)
    assert [labels(a)["energy"] for a in read(place / "back.xyz")] == [labels(a)["energy"] for a in read(place / "set.xyz")]
    says(here(place, "convert", "set.db", "--to", "back.xyz"), 2, "back.xyz: exists already")


def test_a_folder_is_checked_whole(here, place):
    """Its files are numbered through in the order of their names; what is no result is passed over and told."""
    (place / "set").mkdir()
    frames = read(place / "set.xyz")
    write(place / "set/a.xyz", frames[:12])
    write(place / "set/b.xyz", [*frames[12:], frames[3]])
    (place / "set/notes.txt").write_text("remember to buy milk\n")
    told = here(place, "check", "set", "--json", "-")
    says(told, 0)
    found = json.loads(told.stdout)
    assert found["n_structures"] == 25
    assert [(f["file"], f["frames"], f["left_out"]) for f in found["files"]] == [("set/a.xyz", 12, 0), ("set/b.xyz", 13, 0)]
    assert [f["frames"] for f in found["findings"] if f["name"] == "duplicates"] == [[24]]
    says(here(place, "check", "set"), 0, "25 structures", r"duplicates +set/b.xyz: 12 ", "notes.txt: passed over")
