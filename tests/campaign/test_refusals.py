"""An engine that refuses frames: the campaign goes on with others, and ends in words when there are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from adiabat.active import Candidate, Decision
from adiabat.build.rattle import rattle
from adiabat.campaign.committees import Committees
from adiabat.campaign.learn import learn
from adiabat.campaign.options import parse
from adiabat.campaign.rounds import Rounds
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop
from adiabat.config import build
from adiabat.labelers import LABELERS
from campaign.small import SMALL

SAID = "300 K: 90.0 % of the frames are uncertain: label the most telling of them and train again"


@pytest.fixture
def rounds(tmp_path):
    """Of a campaign whose engine gives up on stretched bonds; three candidates a round, strictly by uncertainty."""
    stretched = {"ase": {"calculator": "campaign.refusing:GivesUpWhenStretched"}}
    campaign = parse({**SMALL, "labeler": stretched, "select": {"per_round": 3, "pool": 1.0}})
    engine = build(campaign.labeler, LABELERS, where="labeler")
    with RunFolder(tmp_path, {}, kind="learn") as folder, Workshop(folder, engine, 1, lambda *_: None) as shop:
        story = Story(folder, campaign)
        yield Rounds(campaign, shop, story, Committees(campaign, shop, story))


def candidates(stretched: int, sound: int) -> list[Candidate]:
    """Stretched frames, the most uncertain ones, and sound ones."""
    frames = rattle(molecule("H2O"), stretched + sound, sigma_angstrom=0.03, rng=np.random.default_rng(2))
    for atoms in frames[:stretched]:
        atoms.set_distance(0, 1, 1.5, fix=0)
    return [Candidate(a, 1.0 - 0.01 * k, 300.0, k, 10.0) for k, a in enumerate(frames)]


def test_the_next_candidates_take_the_place_of_refused_ones(rounds):
    given = candidates(stretched=5, sound=4)
    fresh, asked, decision = rounds.telling(given, [], [], 300.0, 1, Decision("label", SAID))
    # three refused, then two refused and one sound
    assert [a.positions.tolist() for a in fresh] == [given[5].atoms.positions.tolist()]
    assert asked == 6 and decision.action == "label"
    assert decision.why == f"{SAID} (3 others could not be labeled)"
    told = [(e["stage"], e["message"]) for e in rounds.shop.folder.events()]
    assert ("label", "round 1, 300 K: none of 3 frames could be labeled; on with the next") in told
    assert sum("no convergence in 50 cycles" in message for _, message in told) == 5  # each refusal by itself


def test_when_none_is_left_it_stops_in_words(rounds):
    fresh, asked, decision = rounds.telling(candidates(stretched=5, sound=0), [], [], 300.0, 1, Decision("label", SAID))
    assert (fresh, asked, decision.action) == ([], 5, "stop")
    assert decision.why == "300 K: 90.0 % of the frames are uncertain, but none of 5 could be labeled"
    assert not decision.finished
    assert rounds.shop.folder.events()[-1]["message"] == f"round 1, {decision.why}"


@pytest.mark.slow
def test_a_campaign_whose_explored_frames_are_all_refused_ends_with_its_report(tmp_path: Path):
    refusing = {"ase": {"calculator": "campaign.refusing:GivesUpExploring"}}
    short = {"duration_fs": 40.0, "equilibration_fs": 5.0, "replicas": 2, "reference_frames": 0, "vibrations": False}
    explore = {"temperatures_K": [300.0], "replicas": 2, "duration_fs": 40.0}
    folder = learn({**SMALL, "labeler": refusing, "measure": short, "explore": explore}, out=tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    assert "could be labeled" in summary["stopped_because"] and summary["rounds"] == 1
    page = (folder / "report.html").read_text()
    assert summary["stopped_because"] in page.replace("&gt;", ">") and "no convergence in 50 cycles" in page
