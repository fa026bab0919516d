"""What the first pages show is true: their Python runs as it stands, their commands exist, their numbers are the measured ones."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

import adiabat
from adiabat.campaign import options
from adiabat.campaign.demo import WATER
from adiabat.cli import app

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/water/README.md", "benchmarks/README.md"]
PAGES += sorted(str(page.relative_to(REPOSITORY)) for page in (REPOSITORY / "docs").glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (REPOSITORY / page).read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Every command in a shell block, with its page; comments and redirections left out."""
    found = []
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            words = line.split(" # ")[0].split("  #")[0].split(" > ")[0].strip()
            if words and not words.startswith("#"):
                found.append((page, words))
    return found


def said(place: Path, *arguments: str) -> str:
    """What a fresh Python process prints that runs with these arguments in a folder; it has to end well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(adiabat.__file__).parent.parent)}
    run = subprocess.run(
        [sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, f"{' '.join(arguments)}: {run.stdout}{run.stderr}"
    return run.stdout


def examples(place: Path) -> Path:
    """A copy of the examples."""
    return Path(shutil.copytree(REPOSITORY / "examples", place / "examples", ignore=shutil.ignore_patterns("run-*")))


def test_the_ten_lines_of_the_readme_train_and_say_what_they_promise(tmp_path):
    [code] = blocks("README.md", "python")
    examples(tmp_path)
    errors, energy = said(tmp_path, "-c", code).splitlines()
    energy_error, force_error = map(float, re.match(r"([\d.]+) meV/atom, ([\d.]+) meV/Å", errors).groups())
    assert energy_error < 0.05
    assert force_error < 1  # measured 0.04
    assert re.match(r"-2075\.\d{4} eV ± [\d.e-]+ meV", energy)


@pytest.mark.slow
def test_the_tutorial_runs_from_first_to_last(tmp_path):
    """Its commands in order, its Python as one script where it stands; what is marked as taking minutes or an hour is left out."""
    place = examples(tmp_path) / "water"
    text = (REPOSITORY / "docs/tutorial.md").read_text()
    parts = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    script, last = "", max(k for k, (language, _) in enumerate(parts) if language == "python")
    for k, (language, block) in enumerate(parts):
        if language == "python":
            script += block
            if k == last:
                heard = said(place, "-c", script)
        for line in block.splitlines() if language == "sh" else ():
            if line.startswith("adiabat ") and "(an hour)" not in line:
                words = shlex.split(line.split("  #")[0].split(" > ")[0])
                said(place, "-m", "adiabat", *words[1:])
    bond, angle = map(float, re.search(r"O–H ([\d.]+) Å, H–O–H ([\d.]+)°", heard).groups())
    assert abs(bond - 0.9746) < 0.005  # PySCF's own minimum: the last frame of the relaxation in water.xyz
    assert abs(angle - 102.05) < 0.7
    doubts = [float(x) for x in re.findall(r"force spread (\d+) meV/Å", heard)]
    assert doubts[0] < 100 < doubts[1]
    assert (place / "nve.xyz").exists()


@pytest.mark.parametrize("page, line", [(p, c) for p, c in commands() if c.startswith("adiabat ")])
def test_every_shown_command_is_understood(page, line):
    _, verb, *arguments = shlex.split(line)
    known = typer.main.get_command(app).commands
    assert verb in known, f"{page}: {line}"
    known[verb].make_context(f"adiabat {verb}", arguments)  # reads the arguments, runs nothing; unknown options are errors


@pytest.mark.parametrize("page, line", [(p, c) for p, c in commands() if c.startswith(("make ", "python benchmarks", "bash "))])
def test_every_shown_target_and_script_is_there(page, line):
    program, target, *_ = shlex.split(line)
    if program == "make":
        assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), f"{page}: {line}"
    else:
        assert (REPOSITORY / target).is_file(), f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    place = (REPOSITORY / page).parent
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (REPOSITORY / page).read_text())
    assert [link for link in links if "://" not in link and not (place / link).exists()] == []


def test_the_table_of_the_demo_is_what_was_measured():
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    try:
        import demo
        import rows
    finally:
        sys.path.pop(0)
    table = demo.table(rows.read(demo.FILE)[-1])
    for page in demo.PAGES:
        assert table in (REPOSITORY / page).read_text(), f"{page}: run python benchmarks/demo.py --write"


def test_the_learning_example_is_the_demo():
    content = yaml.safe_load((REPOSITORY / "examples/water/learn.yaml").read_text())
    assert options.parse({**content, "out": "run"}) == options.parse(WATER)


def test_the_training_example_is_valid_and_its_files_are_there():
    from adiabat.campaign.train import check_fit, train
    from adiabat.config import build, checked
    from adiabat.models import MODELS

    content = yaml.safe_load((REPOSITORY / "examples/water/train.yaml").read_text())
    checked(train, content, where="train", given={"say": None})
    check_fit(content["fit"])
    build(content["model"], MODELS, where="model")
    for name in (content["data"], content["test"]):
        assert (REPOSITORY / "examples/water" / name).is_file()


def test_the_example_set_passes_the_gate_and_is_what_its_page_says():
    from collections import Counter

    from adiabat.data.formats import read
    from adiabat.data.gate import check
    from adiabat.data.structure import content_hash

    frames, held_out = (read(REPOSITORY / "examples/water" / name) for name in ("water.xyz", "test.xyz"))
    assert [f for part in (frames, held_out) for f in check(part) if f.grade == "fault"] == []
    assert {a.info["adiabat"]["level_of_theory"].split(" [")[0] for a in (*frames, *held_out)} == {"pbe/def2-svp"}
    assert (len(frames), len(held_out)) == (80, 45)
    assert Counter(a.info["config_type"] for a in frames)["isolated_atom"] == 2
    assert not {content_hash(a) for a in frames} & {content_hash(a) for a in held_out}
