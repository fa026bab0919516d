"""Every golden file of a peer says who computed it, with what version, when and from which seed; has all six cases; and can be made anew."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from ase import Atoms

from parity import CASES, cases

FOLDER = Path(__file__).parent / "golden"
OURS = re.compile(r"-v\d+\.")  # files of our own formats, which test_compatibility keeps
FILES = sorted(path.name for path in FOLDER.iterdir() if re.search(r"\.json(\.xz)?$", path.name) and not OURS.search(path.name))
# What else lies there: models that peers wrote or hold, each beside the answers of the same name.
MODELS = {"ani": "ani.json", "mace": "mace.json", "painn": "painn.json", "gap": "gap.json"}


def told(name: str) -> dict:
    path = FOLDER / name
    return json.loads(lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes())


def structures(of: dict) -> Iterator[Atoms]:
    """Wherever they stand: what has positions is one."""
    if "positions" in of:
        yield Atoms(of.get("symbols", of.get("numbers")), of["positions"], cell=of["cell"], pbc=of["pbc"])
    else:
        for value in of.values():
            if isinstance(value, dict):
                yield from structures(value)


@pytest.mark.parametrize("name", FILES)
def test_it_says_where_it_comes_from(name):
    head = told(name)
    assert re.match(r"\S+ \S*\d", head["peer"]), "a name and a version"
    assert date(2026, 11, 1) <= date.fromisoformat(head["date"]) <= date.today()
    assert isinstance(head["seed"], int)
    assert (FOLDER / name).stat().st_size < 100_000


@pytest.mark.parametrize("name", FILES)
def test_it_has_all_six_cases(name):
    """Cutoffs are at least 3.1 Å, and the vacuum of slabs is wider than any."""
    found = set().union(*(cases(atoms, 3.1) for atoms in structures(told(name))))
    assert found == {*CASES}


def test_each_can_be_made_anew(repository):
    """A generator with a target of the Makefile each; and nothing lies there that none of them wrote."""
    makefile = (repository / "Makefile").read_text()
    kinds = {path.stem.removeprefix("make_") for path in FOLDER.glob("make_*.py")} - {"formats"}
    targets = dict(re.findall(r"^golden-(\w+):\n\t.*?tests/golden/make_(\w+)\.py", makefile, re.MULTILINE))
    assert targets == {kind: kind for kind in kinds}
    assert all(f" golden-{kind}" in makefile.partition(".DELETE_ON_ERROR")[0] for kind in kinds)
    assert {name.split("-")[0].partition(".")[0] for name in FILES} == kinds
    others = {
        p.name
        for p in FOLDER.iterdir()
        if p.is_file() and p.suffix != ".py" and p.name not in FILES and not OURS.search(p.name)
    }
    assert {name.split("-")[0] for name in others} <= {*MODELS}
