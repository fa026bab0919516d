"""Labeling as a run: which frames are the same work, and what is kept of states of one structure."""

import json

import pytest
from ase.build import bulk
from ase.io import write

from adiabat.campaign.label import label
from adiabat.data.store import Dataset
from adiabat.data.structure import labels


def test_another_start_of_the_moments_is_another_calculation(tmp_path):
    """Ferromagnetic and antiferromagnetic iron have the same positions; the lower state is the structure's label."""
    frames = [bulk("Fe", cubic=True) for _ in range(3)]
    for atoms, moments in zip(frames, ([2.2, -2.2], [2.2, 2.2], [2.2, -2.2])):
        atoms.set_initial_magnetic_moments(moments)
    write(tmp_path / "iron.traj", frames)
    out = tmp_path / "run"
    summary = label(
        structures=str(tmp_path / "iron.traj"),
        labeler={"ase": {"calculator": "labelers.stand_in:Magnetic"}},
        out=str(out),
        workers=1,
    )
    assert (summary["labels"], summary["failed"], summary["open"]) == (1, 1, 0)
    with Dataset(out / "labels.db") as store:
        (kept,) = store
    assert labels(kept)["energy"] == pytest.approx(-0.1)
    assert kept.get_initial_magnetic_moments().tolist() == [2.2, 2.2]
    (higher,) = json.loads((out / "failures.json").read_text())
    assert higher["frames"] == [0, 2] and "0.2 eV below" in higher["message"]
