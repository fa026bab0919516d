"""The examples on published sets run as they stand, on the first frames of the files that users hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

import adiabat as ad
from adiabat.campaign.train import train
from adiabat.data.formats import write

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ADIABAT_DATA", REPOSITORY.parent / "shared" / "data"))
# the example, the folder its README tells to run it in, and what it learns by
EXAMPLES = [("3bpa", "3bpa", "adamw"), ("mlearn", "mlearn_Li", "least squares")]


@pytest.mark.slow
@pytest.mark.parametrize("example, folder, how", EXAMPLES)
def test_an_example_trains_on_the_files_it_names(example, folder, how, tmp_path, monkeypatch):
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is a published set that users hold, and ADIABAT_DATA has no such folder")
    config = yaml.safe_load((REPOSITORY / f"examples/{example}/train.yaml").read_text())
    named = [*([config["data"]] if isinstance(config["data"], str) else config["data"]), config["test"]]
    for name in named:
        write(tmp_path / name.removesuffix(".xz"), ad.read(DATA / folder / name)[:12])
    config |= {"data": [name.removesuffix(".xz") for name in named[:-1]], "test": named[-1].removesuffix(".xz")}
    monkeypatch.chdir(tmp_path)
    shorter = {} if how == "least squares" else {"epochs": 1}
    run = train(**{**config, "fit": {**config["fit"], **shorter}})
    summary = json.loads((run / "summary.json").read_text())
    assert summary["errors_on"] == "test" and summary["n_test"] == 12
    model = ad.load(run / summary["model"])
    assert {z for a in ad.read(tmp_path / config["test"]) for z in a.numbers} <= set(model.elements)
    assert model.metadata["training"]["optimizer"] == how
