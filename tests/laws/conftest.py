"""The laws run over everything in `potentials.POTENTIALS`. A law is waived by its test's name, without `test_`."""

from __future__ import annotations

import pytest
import torch
from ase import Atoms
from scipy.spatial.transform import Rotation

from adiabat.potential import Potential
from laws.potentials import POTENTIALS, cluster, crystal


@pytest.fixture(params=POTENTIALS)
def potential(request) -> Potential:
    made = POTENTIALS[request.param]()
    law = request.node.originalname.removeprefix("test_").removesuffix("_in_single_precision")
    for term in made.terms:
        if law in term.waived:
            pytest.skip(f"{term.name}: {term.waived[law]}")
    return made


@pytest.fixture(params=["cluster", "crystal"])
def atoms(request) -> Atoms:
    return {"cluster": cluster, "crystal": crystal}[request.param]().copy()


@pytest.fixture
def Q() -> torch.Tensor:
    """A rotation about no special axis."""
    return torch.tensor(Rotation.random(rng=3).as_matrix())
