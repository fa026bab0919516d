"""Labeled water, a folder to train in, and one in which that training is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from adiabat.build import rattle
from adiabat.data.formats import write
from adiabat.labelers import labeler
from cli.session import TRAIN, Here, process, says


@pytest.fixture
def here(monkeypatch, capsys) -> Here:
    """Runs a command in this process."""
    return Here(monkeypatch, capsys)


@pytest.fixture(scope="session")
def water() -> list[Atoms]:
    """Labeled water molecules by GFN2-xTB."""
    engine = labeler("tblite")
    return [engine(a) for a in rattle(molecule("H2O"), 24, sigma_angstrom=0.06, rng=np.random.default_rng(1))]


@pytest.fixture
def place(tmp_path, water) -> Path:
    """A folder with labeled water and a configuration that trains on it."""
    return furnished(tmp_path, water)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, water) -> Path:
    """A folder in which that training is done."""
    folder = furnished(tmp_path_factory.mktemp("trained"), water)
    says(process(folder, "train", "train.yaml"), 0, "force_mae_meV_per_A")
    return folder


def furnished(folder: Path, water: list[Atoms]) -> Path:
    write(folder / "set.xyz", water)
    write(folder / "start.xyz", molecule("H2O"))
    (folder / "train.yaml").write_text(TRAIN)
    return folder
