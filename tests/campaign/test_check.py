"""The gate as a command: parts told by file names, an offline page, safe cures in a new file."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from adiabat.campaign.check import examine, fix, page
from adiabat.campaign.frames import gate_json
from adiabat.campaign.gather import gather
from adiabat.data.formats import read, write
from adiabat.data.gate import check
from adiabat.data.structure import labeled
from campaign.test_convert import messy


@pytest.fixture
def copper():
    made = []
    for k in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.08, seed=k)
        atoms.calc = EMT()
        made.append(labeled(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces()))
    return made


def test_leaks_between_files_are_named(copper, tmp_path):
    write(tmp_path / "train.xyz", copper[:9])
    write(tmp_path / "test.xyz", [*copper[9:], copper[2]])
    told = gather([tmp_path / "train.xyz", tmp_path / "test.xyz"])
    (leak,) = [f for f in examine(told) if f.name == "leakage"]
    assert leak.frames == [12] and told.where(leak.frames) == f"{tmp_path / 'test.xyz'}: 3"


def test_a_messy_folder_is_examined_whole(tmp_path):
    """What is no label, and what is in hartree, is a finding of its own with the file's name; nothing stops the others."""
    folder = messy(tmp_path / "stranger")
    told = gather([folder])
    found = {f.name: f for f in examine(told)}
    assert len(told.order) == len(told.frames) + 3
    assert told.where(found["unconverged"].frames) == f"{folder / 'vasp/b/vasprun.xml'}: 0–2"
    assert told.where(found["units of energy"].frames) == f"{folder / 'hartree.xyz'}: 0–2"
    assert str(folder / "hartree.xyz") in found["units of energy"].message
    cut = found["truncated"]
    assert cut.grade == "fault" and not cut.frames and "vasp/c/vasprun.xml: the file is cut" in cut.message
    assert found["mixed levels of theory"].grade == "fault"


def test_numbers_count_unreadable_frames_too(copper, tmp_path):
    """Frame 1 of the first file cannot be read, frame 2 of the second is a duplicate: both keep the numbers they have in the files."""
    write(tmp_path / "a.xyz", copper[:4])
    lines = (tmp_path / "a.xyz").read_text().splitlines(keepends=True)
    lines[6 + 2] = lines[6 + 2].replace("Cu", "Qq")
    (tmp_path / "a.xyz").write_text("".join(lines))
    write(tmp_path / "b.xyz", [*copper[4:6], copper[4]])
    told = gather([tmp_path / "a.xyz", tmp_path / "b.xyz"])
    found = {f.name: f for f in examine(told)}
    assert found["unknown element"].frames == [1] and found["duplicates"].frames == [6]
    assert told.where([0, 1, 2, 6]) == f"{tmp_path / 'a.xyz'}: 0–2; {tmp_path / 'b.xyz'}: 2"


def test_gradients_are_turned_and_the_page_needs_no_network(copper, tmp_path):
    sown = [labeled(a, energy=a.get_potential_energy(), forces=-a.get_forces()) for a in copper]
    findings = check(sown)
    text = page(gate_json(findings, len(sown)), "set.xyz", tmp_path / "found.html").read_text(encoding="utf-8")
    assert "energies against forces" in text and 'src="http' not in text
    done, left = fix(sown, tmp_path / "mended.xyz")
    assert len(done) == 1 and not left
    for mended, a in zip(read(tmp_path / "mended.xyz"), copper):
        np.testing.assert_allclose(mended.get_forces(), a.get_forces(), rtol=1e-12)
    with pytest.raises(FileExistsError, match="exists already"):
        fix(sown, tmp_path / "mended.xyz")
