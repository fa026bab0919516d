"""The workshop's labels, the relaxation they drive, and where a campaign's structure comes from."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from adiabat.campaign.groundwork import Groundwork, positions_only
from adiabat.campaign.matter import matter_of
from adiabat.campaign.options import parse, structure_of
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.workshop import Workshop
from adiabat.labelers import labeler

EMT = {"ase": {"calculator": "emt"}}


def test_progress_ends_when_all_is_done_though_frames_are_alike(tmp_path):
    heard: list[dict] = []
    frames = [Atoms("Cu2", [[0, 0, 0], [0, 0, d]]) for d in (2.2, 2.2, 2.4)]
    engine = labeler("ase", calculator="emt")
    with Workshop(RunFolder(tmp_path / "run", {}), engine, 1, lambda stage, message, data: heard.append(data)) as shop:
        assert len(shop.label(frames, "dimer")) == 3
    told = [data for data in heard if "done" in data]
    assert [data["done"] for data in told] == [1, 2] and {data["of"] for data in told} == {2}


@pytest.mark.parametrize("fmax, told", [(0.0, True), (0.05, False)])
def test_a_relaxation_that_did_not_end_is_told(tmp_path, fmax, told):
    write(tmp_path / "cu.xyz", Atoms("Cu3", [[0, 0, 0], [2.3, 0, 0], [0.9, 2.1, 0]]))
    engine, heard = labeler("ase", calculator="emt"), []
    campaign = parse({"structure": str(tmp_path / "cu.xyz"), "labeler": EMT, "start": {"fmax_eV_per_angstrom": fmax}})
    with Workshop(RunFolder(tmp_path / "run", {}), engine, 1, lambda stage, message, data: heard.append(message)) as shop:
        atoms = structure_of(campaign.structure)
        Groundwork(campaign, shop, matter_of(atoms)).relaxed(atoms)
    assert any("not at rest after 50 steps" in message for message in heard) == told


def test_magnetic_moments_reach_the_engine_and_the_next_frames(tmp_path):
    """They are where an engine's electrons begin: another beginning is another task, and dynamics goes on with its start's."""
    up = bulk("Cu", cubic=True)
    up.set_initial_magnetic_moments([1.0, -1.0, 1.0, -1.0])
    flat = bulk("Cu", cubic=True)
    engine = labeler("ase", calculator="emt")
    with Workshop(RunFolder(tmp_path / "run", {}), engine, 1, lambda *_: None) as shop:
        found, other = shop.label([up], "up")[0], shop.label([flat], "flat")[0]
        assert shop.ledger.counts()["done"] == 2
    assert found.get_initial_magnetic_moments().tolist() == [1.0, -1.0, 1.0, -1.0]
    assert not other.has("initial_magmoms")
    moved = positions_only(flat, found)
    assert moved.get_initial_magnetic_moments().tolist() == [1.0, -1.0, 1.0, -1.0]
    assert not positions_only(found, other).has("initial_magmoms")


def test_a_structure_file_needs_no_suffix(tmp_path):
    write(tmp_path / "POSCAR", bulk("Cu", a=3.6), format="vasp")
    found = structure_of(str(tmp_path / "POSCAR"))
    assert found.pbc.all() and abs(found.get_volume() - 3.6**3 / 4) < 1e-6
