"""Every family in the registry is trained by the same `fit`, and is the better for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms

from adiabat.data.structure import labels
from adiabat.graph import Graph
from adiabat.models import MODELS
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Potential
from adiabat.training import fit
from training.sets import copper

GIVEN = {"zbl": "nuclear charges say all of it", "nep_zbl": "nuclear charges say all of it"}

# What makes a family small; those that are not here are as they are by default, new ones too.
SMALL: dict[str, dict[str, Any]] = {
    "bpnn": {"cutoff": 4.5, "radial": 8, "angular": 1, "zetas": [1.0], "hidden": [8]},
    "ani": {
        "cutoff": 4.5,
        "radial": 8,
        "shells": 2,
        "sections": 2,
        "zeta": 8.0,
        "eta": 8.0,
        "hidden": [8],
        "activation": "gelu",
    },
    "deeppot": {"cutoff": 4.5, "neurons": [4, 8], "axis_neurons": 2, "fitting": [12]},
    "gap": {"soap": {"cutoff": 4.5, "n_max": 4, "l_max": 3, "n_sparse": 20, "intervals": 1000}, "two_body": {"cutoff": 4.5}},
    "ace": {"cutoff": 4.5, "channels": 4, "l_max": 2, "correlation": 2},
    "pace": {"cutoff": 4.5, "radial": 4, "n_max": 2, "l_max": 1},
    "mtp": {"cutoff": 4.5},
    "nep": {"cutoff": 4.5, "angular_cutoff": 4.0, "neuron": 20, "l_max": 2},
    "snap": {"cutoff": 4.5, "twojmax": 4},
    "mace": {"cutoff": 4.5, "channels": 4, "l_max": 1, "correlation": 2, "radial": [8]},
    "painn": {"cutoff": 4.5, "channels": 8, "layers": 2, "radial": 8},
}
# How what is not linear is trained. Of the last two curvature leads into flat places, which the noise of batches leaves.
LBFGS = {"optimizer": "lbfgs", "epochs": 40}
BATCHES = {"optimizer": {"adamw": {"lr": 0.02}}, "epochs": 20}
STEPS = {"deeppot": BATCHES, "nep": BATCHES}


@pytest.mark.parametrize("name", MODELS)
def test_a_family_learns_the_forces_of_copper(name):
    if name in GIVEN:
        pytest.skip(GIVEN[name])
    model, train, test = MODELS[name](**SMALL.get(name, {})), list(copper(12)), list(copper(6, seed=5))
    potential = fit(model, train, test[:2], **({} if isinstance(model, LinearBasis) else STEPS.get(name, LBFGS)))
    # Half of what forgetting the forces would cost: most come to a tenth and below; a training that does not work stays near the whole.
    assert root_mean_square(potential, test) < 0.5 * root_mean_square(None, test)


def root_mean_square(potential: Potential | None, frames: list[Atoms]) -> float:
    """Of the forces' errors, eV/Å; of none, of the forces."""
    off = []
    for atoms in frames:
        F = 0.0 if potential is None else potential(Graph.of(atoms, potential.cutoff)).forces.detach().numpy()
        off.append(labels(atoms)["forces"] - F)
    return float(np.sqrt(np.mean(np.square(np.concatenate(off)))))
