"""report.json: strict when written, atomic, the same after a round trip."""

from __future__ import annotations

import json

import numpy as np
import pytest

from adiabat.report import Run, Sections
from adiabat.report.record import plain
from report.water import sections


def test_sections_survive_the_round_trip(tmp_path):
    content = sections()
    for name, section in content.items():
        Sections(tmp_path).put(name, section)
    read = Sections(tmp_path)
    assert all(read[name] == plain(section) for name, section in content.items())
    assert not Run.read(tmp_path).problems


def test_a_section_is_replaced_and_the_others_stay(tmp_path):
    Sections(tmp_path).put("learning_curve", labels=[24])
    Sections(tmp_path).put("versions", software={"adiabat": "0.1.0"})
    Sections(tmp_path).put("learning_curve", {"labels": [24, 36]}, test_force_mae_meV_per_A=np.array([9.0, np.nan]))
    assert Sections(tmp_path)["learning_curve"] == {"labels": [24, 36], "test_force_mae_meV_per_A": [9.0, None]}
    assert "versions" in Sections(tmp_path)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("learning_curv", {}, "unknown section 'learning_curv'; did you mean 'learning_curve'"),
    ("nve", {"time_ps": [0], "energy_meV_per_atom": [[0]], "slope": 1}, "unknown key 'slope'"),
    ("rounds", {"rounds": [{"round": 1, "choosen": 3}]}, r"unknown key 'choosen' in rounds.0; did you mean 'chosen'"),
    ("parity", {"sets": {"test": {"energy_reference": [1]}}}, "unknown key 'energy_reference' in sets.test; did you mean 'energy_reference_eV"),
    ("learning_curve", {"labels": [1, 2], "test_force_mae_meV_per_A": [1.0]}, "columns differ in length"),
    ("nve", {"time_ps": [0.0], "energy_meV_per_atom": [[0.0, 1.0]]}, "a line of energy_meV_per_atom has 2 entries, time_ps only 1"),
    ("parity", {"sets": {"test": {"force_model_eV_per_A": [1.0]}}}, "force_reference_eV_per_A has 0 entries, force_model_eV_per_A 1"),
    ("data_gate", {"findings": [{"name": "x", "grade": "bad", "message": ""}]}, "findings.0.grade: Input should be"),
    ("vibrations", {}, "modes: Field required"),
])  # fmt: skip
def test_a_wrong_section_is_refused_and_nothing_is_written(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        Sections(tmp_path).put(name, content)
    assert not (tmp_path / "report.json").exists()


def test_an_unreadable_file_is_kept_aside(tmp_path):
    (tmp_path / "report.json").write_text("{half")
    Sections(tmp_path).put("versions", software={"a": "1"})
    assert (tmp_path / "report.unreadable.json").read_text() == "{half"
    assert json.loads((tmp_path / "report.json").read_text())["format"] == 1


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    Sections(tmp_path).put("versions", software={"a": "1"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        Sections(tmp_path).put("versions", software={"a": "2"})
    assert Sections(tmp_path)["versions"] == {"software": {"a": "1"}}
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
