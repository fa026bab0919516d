"""What `adiabat new` prints is valid as it stands, names every option there is, and says what each one means."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from importlib.resources import files

import pytest
import yaml

from adiabat.campaign import options
from adiabat.campaign.train import check_fit
from adiabat.cli.campaigns import KINDS
from adiabat.config import build, checked
from adiabat.labelers import LABELERS
from adiabat.models import MODELS

# Options that the templates show as a comment, since without them something else is meant, and those a command line has.
ASIDE = {"units", "keys", "validation", "test", "say", "retry", "finish"}


def text(kind: str) -> str:
    return files("adiabat.campaign").joinpath(f"templates/{kind}.yaml").read_text()


def verb(kind: str):
    return getattr(importlib.import_module(f"adiabat.campaign.{kind}"), kind)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "learn"])
def test_a_template_is_valid_and_whole(kind):
    content = yaml.safe_load(text(kind))
    checked(verb(kind), content, where=kind, given={"say": None})
    assert set(inspect.signature(verb(kind)).parameters) - set(content) <= ASIDE
    for block, registry in (("model", MODELS), ("labeler", LABELERS)):
        if isinstance(content.get(block), dict):
            build(content[block], registry, where=block)


def test_the_training_template_names_every_option_of_a_fit():
    from adiabat.training import fit

    content = yaml.safe_load(text("train"))["fit"]
    check_fit(content)
    untold = {"model", "train", "validation", "seed", "folder", "progress", "remember_MB", "check_every", "finish", "tick"}
    assert set(inspect.signature(fit).parameters) - set(content) == untold


def test_the_sampling_template_draws_with_known_options():
    from adiabat.build import BUILDERS
    from adiabat.campaign.sample import GIVEN
    from adiabat.samplers import SAMPLERS

    known = {**BUILDERS, **SAMPLERS}
    commented = text("sample").replace("  # - ", "  - ")
    for spec in yaml.safe_load(commented)["draw"]:
        [(name, arguments)] = spec.items()
        checked(known[name], arguments, where=name, given=GIVEN)


def test_the_learning_template_is_valid_and_whole():
    content = yaml.safe_load(text("learn"))
    campaign = options.parse(content)
    for field in dataclasses.fields(campaign):
        value = getattr(campaign, field.name)
        assert field.name in content, field.name
        if dataclasses.is_dataclass(value):
            assert {f.name for f in dataclasses.fields(value)} == set(content[field.name]), field.name


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_its_comment(kind):
    bare = [
        line
        for line in text(kind).splitlines()
        if ":" in line
        and not line.lstrip().startswith(("#", "-", "pyscf:", "labeler: {", "bpnn: {", "ace: {"))
        and "#" not in line
    ]
    obvious = ("data:", "fit:", "seed:", "overwrite:", "timestep_fs:", "temperature_K:", "hot_temperature_K:", "replicas:")
    obvious += ("energy_mae", "force_mae", "nve_drift")
    assert [line for line in bare if not line.lstrip().startswith(obvious)] == []
