"""A .gpw file as GPAW itself writes it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from adiabat.data.formats import account, read
from adiabat.data.structure import fixed_atoms, labels


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two hydrogen atoms in a small periodic box with smeared electrons, and the file that GPAW writes of it."""
    gpaw = pytest.importorskip("gpaw", reason="gpaw is not installed; `make gpaw` builds it")
    path = tmp_path_factory.mktemp("gpw") / "h2.gpw"
    atoms = Atoms("H2", [[0, 0, 0], [0.1, 0, 0.8]], cell=[3.0, 3.2, 3.4], pbc=True, constraint=FixAtoms([0]))
    atoms.calc = gpaw.GPAW(
        mode={"name": "pw", "ecut": 200}, xc="PBE", kpts=(1, 1, 2), occupations={"name": "fermi-dirac", "width": 0.2}, txt=None,
        parallel={"domain": 1},
    )  # fmt: skip
    told = {
        "energy": atoms.calc.get_property("free_energy", atoms),
        "forces": atoms.get_forces(apply_constraint=False),
        "stress": atoms.get_stress(apply_constraint=False),
        "sigma0": atoms.get_potential_energy(),
    }
    atoms.calc.write(path)
    return atoms, told, path


def test_labels_and_settings_are_those_that_gpaw_told(written):
    """In house units to the last digits that a change of units may cost; the free energy, and the other one beside it."""
    atoms, told, path = written
    [frame] = read(path)
    known = labels(frame)
    for name in ("energy", "forces", "stress"):
        np.testing.assert_allclose(known[name], told[name], rtol=1e-9, atol=1e-12)
    record = frame.info["adiabat"]
    assert abs(record["energy_sigma0"] - told["sigma0"]) < 1e-8 and told["sigma0"] != told["energy"]
    np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-12)
    assert frame.pbc.all() and fixed_atoms(frame) == [0]
    settings = record["settings"]
    assert record["converged"] is True and settings["functional"] == "PBE" and settings["cutoff_eV"] == 200
    assert settings["k_points"]["grid"] == [1, 1, 2] and settings["smearing"]["width_eV"] == 0.2


def test_half_a_file_is_no_label(written, tmp_path):
    _, _, path = written
    (tmp_path / "cut.gpw").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, left_out, _ = account(tmp_path / "cut.gpw")
    assert not frames and left_out[0].name == "truncated", left_out
