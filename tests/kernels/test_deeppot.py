"""A Deep Potential in one compiled call equals the model, whatever its widths, short cuts and number of threads."""

from __future__ import annotations

import pytest
import torch
from ase.build import molecule

from adiabat.graph import Graph
from adiabat.models import DeepPot
from adiabat.potential import Potential
from kernels.frozen import assert_same_bits

WIDTHS = {
    "as published, small": {"neurons": [4, 8, 16], "axis_neurons": 4, "fitting": [12, 12, 12]},
    "no width a multiple of anything": {"neurons": [7, 13], "axis_neurons": 13, "fitting": [5, 10, 11]},
    "one of each": {"neurons": [1], "axis_neurons": 1, "fitting": [3]},
    "wide": {"neurons": [35], "axis_neurons": 2, "fitting": [130, 260], "fitting_dt": False, "type_one_side": True},
    "distances": {"descriptor": "se_e2_r", "neurons": [3, 6], "fitting": [5, 10]},
    "pairs of neighbors": {"descriptor": "se_e3", "neurons": [2, 4, 8], "fitting": [5, 10]},
    "pairs of neighbors, steps and no short cut": {
        "descriptor": "se_e3",
        "neurons": [3, 6, 5],
        "embedding_dt": True,
        "fitting": [7],
    },
    "a hybrid": {
        "descriptor": [
            {"descriptor": "se_e2_a", "neurons": [5, 10], "axis_neurons": 3},
            {"descriptor": "se_e3", "cutoff": 2.5, "smooth_from": 0.2},
            {"descriptor": "se_e2_r", "cutoff": 2.2},
            {"descriptor": "se_e2_a", "neurons": [3, 17], "axis_neurons": 5},
        ],
        "neurons": [2, 4],
        "fitting": [12, 12],
    },
}


def made(name: str) -> tuple[Potential, Graph]:
    torch.manual_seed(1)
    model = DeepPot(cutoff=2.9, smooth_from=1.0, elements=["O", "H", "C"], intervals=40, **WIDTHS[name]).double()
    atoms = [molecule(it) for it in ("CH3CH2OH", "H2O", "H", "C6H6", "O")]
    for it in atoms:
        it.rattle(0.1, seed=2)
    graph = Graph.of(atoms, 2.9, skin=0.4)
    model.prepare([graph])
    return Potential(model), graph


@pytest.mark.parametrize("name", WIDTHS)
def test_compiled_it_is_the_model(name):
    potential, graph = made(name)
    frozen = potential.frozen()
    found, wanted = frozen(graph), potential(graph)
    assert frozen.evaluators
    for it in ("energy", "atomic_energies", "forces", "strain_gradient"):
        torch.testing.assert_close(getattr(found, it), getattr(wanted, it), rtol=1e-12, atol=1e-12)  # sums in another order
    single = potential.float()
    rough = single.frozen()(graph)
    size = float(wanted.forces.abs().max())
    assert float((rough.forces - wanted.forces).abs().max()) < 1e-4 * size  # 100 roundings of 6e-8, and slopes of tables


def test_bits_do_not_depend_on_the_number_of_threads():
    potential, graph = made("as published, small")
    graph = Graph.batch([graph] * 3)
    assert graph.n_atoms > 64  # more than one chunk a thread
    assert_same_bits(potential, graph)


@pytest.mark.parametrize(
    "settings",
    [
        {"fitting_activation": "gelu"},
        {"descriptor": "se_e3", "neurons": [2], "activation": "gelu"},
        {"axis_neurons": 1, "neurons": [6], "fitting": [6]},
    ],
)
def test_what_is_not_compiled_runs_as_it_is(settings):
    """The last one's first layer has a short cut of the descriptor, which the compiled one keeps in another order and unscaled."""
    potential = Potential(DeepPot(cutoff=2.9, elements=["H", "O"], intervals=40, **settings)).double()
    graph, frozen = Graph.of(molecule("H2O"), 2.9), potential.frozen()
    assert torch.equal(frozen(graph).energy, potential(graph).energy) and not frozen.evaluators
