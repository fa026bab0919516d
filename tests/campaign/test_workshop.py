"""The workshop's labels and where a campaign's structure comes from."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk
from ase.io import write

from adiabat.campaign.options import structure_of
from adiabat.campaign.run_folder import RunFolder
from adiabat.campaign.workshop import Workshop
from adiabat.labelers import labeler


def test_progress_ends_when_all_is_done_though_frames_are_alike(tmp_path):
    heard: list[dict] = []
    frames = [Atoms("Cu2", [[0, 0, 0], [0, 0, d]]) for d in (2.2, 2.2, 2.4)]
    engine = labeler("ase", calculator="emt")
    with Workshop(RunFolder(tmp_path / "run", {}), engine, 1, lambda stage, message, data: heard.append(data)) as shop:
        assert len(shop.label(frames, "dimer")) == 3
    told = [data for data in heard if "done" in data]
    assert [data["done"] for data in told] == [1, 2] and {data["of"] for data in told} == {2}


def test_a_structure_file_needs_no_suffix(tmp_path):
    write(tmp_path / "POSCAR", bulk("Cu", a=3.6), format="vasp")
    found = structure_of(str(tmp_path / "POSCAR"))
    assert found.pbc.all() and abs(found.get_volume() - 3.6**3 / 4) < 1e-6
