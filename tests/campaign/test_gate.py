"""A campaign's finished model before the gate: told in the report, kept in the model file, refused unless waived by name."""

from __future__ import annotations

import pytest
from ase import Atoms

from adiabat.campaign import gate
from adiabat.campaign.options import parse
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.workshop import Workshop
from adiabat.config import ConfigError
from adiabat.deploy import load
from adiabat.labelers import labeler
from adiabat.models import Morse
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.report import Sections, write
from adiabat.validation.gate import GATES, GateRefusal, recorded
from campaign.small import SMALL


@pytest.fixture
def model(tmp_path):
    """A model whose bonds are too soft to keep nuclei apart."""
    soft = Morse(depth_eV=4.0, width_per_angstrom=0.5, minimum_angstrom=1.0, cutoff=3.0, elements=["H", "O"])
    path = tmp_path / "run" / "models" / "model.adiabat"
    RunFolder(tmp_path / "run", {})
    Potential(ReferenceEnergies({"H": -13.6, "O": -432.1}), soft).save(path)
    return path


def learned(model, waive=()):
    with Workshop(RunFolder(model.parents[1], {}), labeler("ase", calculator="emt"), 1, lambda *_: None) as shop:
        return gate.learned(shop, model, [Atoms("OHH", [[0, 0, 0], [1.0, 0, 0], [0.4, 0.95, 0]])], waive)


def test_a_failing_model_is_refused_until_its_gate_is_waived(model):
    found = learned(model)
    assert [check.name for check in found.failures] == ["short_range_wall"]
    with pytest.raises(GateRefusal, match="--waive short_range_wall"):
        found.refuse("the learned potential")
    assert recorded(load(model)) == found
    again = learned(model, ["short_range_wall"])  # the verdicts are the stage's product: the laws are not tried again
    assert again.passed and again.checks["forces"] == found.checks["forces"]
    assert recorded(load(model)) == again
    written = model.read_bytes()
    learned(model, ["short_range_wall"])
    assert model.read_bytes() == written


def test_verdicts_of_one_check_open_no_door(model):
    gate.gate_file(model, only=["forces"], waive=["forces"])
    with pytest.raises(GateRefusal, match="short_range_wall"):
        gate.behind_gate(load(model), "an export")


def test_a_waiver_in_the_file_stands_when_all_laws_are_tried(model):
    gate.gate_file(model, only=["short_range_wall"], waive=["short_range_wall"])
    found = gate.behind_gate(load(model), "an export")
    assert set(found.checks) == set(GATES) and found.checks["short_range_wall"].verdict == "waived"


def test_the_report_shows_the_verdicts(model):
    found, folder = learned(model), model.parents[1]
    Sections(folder).put("model_gate", **gate.section(found))
    page = write(folder).read_text(encoding="utf-8")
    assert "fit.wall: true" in page and "1 failed" in page


def test_an_unknown_waiver_is_told_before_anything_runs():
    with pytest.raises(ConfigError, match="did you mean 'short_range_wall'"):
        parse({**SMALL, "waive": ["short_range_walls"]})
