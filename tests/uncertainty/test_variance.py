"""A variance beside compiled energies: what tensors say of it, and nothing while nobody asks."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from adiabat.graph import Graph
from adiabat.models import ZBL, LennardJones
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.prediction import Prediction
from adiabat.uncertainty import Committee, with_variance
from laws.potentials import E0, ELEMENTS, close, cluster, crystal, family, graph_of

pytestmark = pytest.mark.compiled


class Untold(LennardJones):
    """A term without a program."""

    name = "untold"

    def program(self):
        return None


class Doubting(LennardJones):
    """A compiled term that tells more, and counts how often it has to."""

    name = "doubting"
    outputs = ("energies", "doubt")
    asked = 0

    def program(self):
        return super().program()

    def forward(self, graph: Graph) -> dict:
        return {**super().forward(graph), "doubt": graph.numbers.to(torch.float64)}

    def beside(self, graph: Graph) -> dict:
        self.asked += 1
        return super().beside(graph)


def gap(seed: int = 0, *others: Model, **arguments) -> Potential:
    return Potential(ReferenceEnergies(E0), Scaled(family("gap", seed, **arguments), eV=0.3), ZBL(elements=ELEMENTS), *others)


def linear(name: str) -> Potential:
    model = family(name, variance=True)
    model.posterior.copy_(torch.randn(model.posterior.shape, dtype=torch.float64).triu())
    return Potential(Scaled(model, eV=2.0), ReferenceEnergies(E0))


# Two processes for the same pair, too
ANGLES = {
    "two_body": [{"pair": ["O", "H"], "cutoff": cutoff, "n_sparse": 3} for cutoff in (3.3, 2.4)],
    "three_body": {"cutoff": 3.0, "n_sparse": 3},
}
MADE = {
    "gap": lambda: with_variance(gap()),
    "gap with angles": lambda: with_variance(gap(**ANGLES)),
    "gap beside a term without a program": lambda: with_variance(gap(0, Untold(0.01, 1.2, 3.0, ELEMENTS))),
    "committee of gaps": lambda: with_variance(Committee.of([gap(seed, **ANGLES) for seed in range(3)])),
    **{name: lambda name=name: linear(name) for name in ("ace", "mtp", "snap")},
}


def equal(found: Prediction, wanted: Prediction) -> None:
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        close(getattr(found, name), getattr(wanted, name))
    assert set(found.outputs) == set(wanted.outputs)
    for name, value in wanted.outputs.items():
        close(found.outputs[name], value)


@pytest.mark.parametrize("kind", MADE)
def test_compiled_energies_and_their_variance_are_those_of_tensors(kind):
    potential = MADE[kind]()
    graph = graph_of(potential, [cluster(), crystal()], skin=0.5)
    frozen = potential.frozen()
    found, wanted = frozen(graph), potential(graph)
    assert "variance" in found.outputs and float(wanted.outputs["variance"].min()) > 0
    equal(found, wanted)
    if isinstance(potential, Committee):
        equal(potential.without_spread.frozen()(graph), potential.mean(graph))


def test_a_committee_keeps_its_predictions_and_its_file(tmp_path):
    from adiabat.deploy import load

    plain = Committee.of([gap(seed) for seed in range(2)])
    telling = with_variance(plain)
    graph = graph_of(plain, crystal())
    assert torch.equal(telling(graph).forces, plain(graph).forces)
    telling.save(tmp_path / "gaps.adiabat")
    again = load(tmp_path / "gaps.adiabat")
    assert torch.equal(again(graph).outputs["variance"], telling(graph).outputs["variance"])


def test_nothing_is_worked_out_that_nobody_reads():
    term = Doubting(0.01, 1.2, 3.0, ELEMENTS)
    potential = Potential(term, Untold(0.01, 1.2, 3.0, ELEMENTS))
    atoms = cluster().copy()
    atoms.calc = potential.calculator()
    first = potential.frozen()(graph_of(potential, atoms))
    for _ in range(3):
        atoms.rattle(0.01)
        atoms.get_forces()
        assert "doubt" in atoms.calc.results and "doubt" in first.outputs and "other" not in first.outputs
    assert term.asked == 0
    np.testing.assert_array_equal(atoms.calc.results["doubt"], atoms.numbers)
    np.testing.assert_array_equal(dict(atoms.calc.results)["doubt"], atoms.numbers)
    assert term.asked == 1, "once for one structure"


def test_results_that_are_kept_tell_of_their_own_structure():
    potential = with_variance(gap())
    atoms = crystal().copy()
    atoms.calc = potential.calculator()
    atoms.get_forces()
    before, graph = atoms.calc.results, graph_of(potential, atoms)
    sent = pickle.loads(pickle.dumps(before))
    atoms.rattle(0.1, seed=1)
    atoms.get_forces()
    wanted = potential(graph).outputs["variance"]
    close(before["variance"], wanted)
    close(sent["variance"], wanted)
    close(copy.deepcopy(before)["variance"], wanted)
    assert np.abs(atoms.calc.results["variance"] - before["variance"]).max() > 1e-6


def test_sparse_points_that_move_are_taken_up():
    potential = with_variance(gap())
    graph, frozen = graph_of(potential, crystal()), potential.frozen()
    before = frozen(graph).outputs["variance"].clone()
    with torch.no_grad():
        for kernel in potential.terms[1].model.kernels:
            kernel.points.copy_(kernel.points.roll(1, -1) * 0.9)
    now = frozen(graph).outputs["variance"]
    close(now, potential(graph).outputs["variance"])
    assert float((now - before).abs().max()) > 1e-6
