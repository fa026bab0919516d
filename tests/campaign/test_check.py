"""The gate as a command: parts told by file names, an offline page, safe cures in a new file."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from adiabat.campaign.check import fix, page, read_parts
from adiabat.campaign.frames import examine
from adiabat.data.formats import read, write
from adiabat.data.gate import check
from adiabat.data.structure import labeled


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
    frames, _, refused, sides = read_parts([str(tmp_path / "train.xyz"), str(tmp_path / "test.xyz")])
    (leak,) = [f for f in examine(frames, refused, sides) if f.name == "leakage"]
    assert leak.frames == [12]


def test_gradients_are_turned_and_the_page_needs_no_network(copper, tmp_path):
    sown = [labeled(a, energy=a.get_potential_energy(), forces=-a.get_forces()) for a in copper]
    findings = check(sown)
    text = page(findings, len(sown), "set.xyz", tmp_path / "found.html").read_text(encoding="utf-8")
    assert "energies against forces" in text and 'src="http' not in text
    done, left = fix(sown, tmp_path / "mended.xyz")
    assert len(done) == 1 and not left
    for mended, a in zip(read(tmp_path / "mended.xyz"), copper):
        np.testing.assert_allclose(mended.get_forces(), a.get_forces(), rtol=1e-12)
    with pytest.raises(FileExistsError, match="exists already"):
        fix(sown, tmp_path / "mended.xyz")
