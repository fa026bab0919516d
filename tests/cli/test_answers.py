"""What the program answers about itself, and to a command that is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from cli.session import FAST, command, process, says


def test_help_answers_at_once(tmp_path):
    """None of these is imported for it: they are what takes seconds."""
    says(process(tmp_path, "--help"), 0, "train", "doctor")
    heavy = "[m for m in ('torch', 'ase', 'scipy', 'numpy', 'pydantic', 'yaml') if m in sys.modules]"
    seen = subprocess.run(
        [sys.executable, "-c", f"import sys, adiabat.cli; print({heavy})"], env=FAST, capture_output=True, text=True
    )
    assert seen.stdout.strip() == "[]"


def test_usage_is_told_without_a_traceback(here, place):
    says(here(place, "trian"), 2, "No such command 'trian'")
    says(here(place, "new", "trian"), 2, "did you mean 'train'")
    says(here(place, "train"), 2, "Missing argument")
    says(here(place, "train", "nothing.yaml"), 2, "nothing.yaml: no such file; 'adiabat new KIND > nothing.yaml' writes")


def test_new_prints_a_configuration_that_the_command_reads(here, place):
    printed = here(place, "new", "train")
    says(printed, 0, "meV|eV")
    (place / "mine.yaml").write_text(printed.stdout)
    epochs = ["fit.epochs=1", "fit.members=1", "fit.optimizer=lbfgs", "data=set.xyz", "out=mine"]
    small = "model={bpnn: {cutoff: 3.0, radial: 4, angular: 1, zetas: [1.0], hidden: [4]}}"
    says(here(place, "train", "mine.yaml", *epochs, small), 0, "energy_mae_meV_per_atom")


def test_doctor_says_what_works(here, tmp_path):
    told = here(tmp_path, "doctor", "--json", "-")
    says(told, 0)
    lines = {row["what"]: row for row in json.loads(told.stdout)}
    assert lines["torch"]["state"] == "ok" and "engine tblite" in lines and "kernels" in lines
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_foresaw_is_an_apology_and_a_file(place):
    (place / "sabotage").mkdir()
    (place / "sabotage/sitecustomize.py").write_text(
        "import json\ndef broken(*a, **k): raise KeyError('surprise')\njson.dumps = broken\n"
    )
    env = {**FAST, "PYTHONPATH": f"{place / 'sabotage'}{os.pathsep}{FAST['PYTHONPATH']}"}
    run = subprocess.run(command("check", "set.xyz", "--json", "-"), cwd=place, env=env, capture_output=True, text=True)
    says(run, 3, "sorry", "KeyError: 'surprise'", foreseen=False)
    path = Path(re.search(r"Please report it with (\S+)", run.stderr)[1])
    assert "Traceback" in path.read_text()
    path.unlink()
