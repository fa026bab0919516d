"""What a campaign tells about itself: budgets, verdicts; from the sections it writes to the words on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from adiabat.campaign.demo import WATER
from adiabat.campaign.learn import parse
from adiabat.campaign.options import STAGES, as_mapping
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.story import Story
from adiabat.config import ConfigError
from adiabat.report import Sections
from adiabat.report.page import write
from campaign.small import SMALL


def story(folder: Path, **options) -> Story:
    return Story(RunFolder(folder, {}, kind="learn"), parse({**SMALL, **options}))


def test_a_stage_over_its_budget_is_told_and_nothing_more(tmp_path):
    told = story(tmp_path, budget_s=300, budgets_s={"label": 80, "train": 90})
    over = told.costs({"label": 95.0, "train": 60.0, "other": 3.0}, [], workers=2)
    assert over == [("label", 95.0)]
    assert Sections(tmp_path)["time_budget"] == {
        "budget_s": 300.0,
        "stages": [
            {"name": "label", "wall_s": 95.0, "budget_s": 80.0},
            {"name": "train", "wall_s": 60.0, "budget_s": 90.0},
            {"name": "other", "wall_s": 3.0},
        ],
    }
    page = write(tmp_path).read_text()
    assert "Over budget: label (95 s of 80 s). A budget is an aim: nothing was cut short." in page


def test_budgets_are_by_known_stages():
    with pytest.raises(ConfigError, match=r"budgets_s: there is no stage 'lable'; did you mean 'label'"):
        parse({**SMALL, "budgets_s": {"lable": 80}})
    with pytest.raises(ConfigError, match=r"budgets_s.label: 0 came; wanted a positive number of seconds"):
        parse({**SMALL, "budgets_s": {"label": 0}})


@pytest.mark.parametrize(("block", "name", "value", "wanted"), [
    ("test", "frames", 0, "at least 1"), ("start", "rattle_angstrom", -0.1, "a positive number"), ("start", "rattled", -1, "0 or more"),
    ("start", "strain_largest", 0.5, "a share between 0 and 0.2"), ("solid", "eos_points", 3, "at least 5"),
    ("explore", "temperatures_K", [300.0, 0.0], "a positive number"), ("explore", "temperatures_K", [], "at least one number"),
    ("measure", "timestep_fs", float("nan"), "a positive number"), ("measure", "supercell", [2, 2, 0], "at least 1"),
    ("explore", "replicas", 0, "at least 1"),
])  # fmt: skip
def test_a_number_that_no_campaign_can_be_run_with_is_refused_before_it_begins(block, name, value, wanted):
    with pytest.raises(ConfigError, match=rf"^{block}\.{name}: .* came; wanted {wanted}$"):
        parse({**SMALL, block: {**SMALL.get(block, {}), name: value}})


def test_the_demo_divides_all_its_time_among_its_stages():
    budgets = as_mapping(parse(WATER))["budgets_s"]
    assert set(budgets) == set(STAGES)
    assert sum(budgets.values()) == WATER["budget_s"]
