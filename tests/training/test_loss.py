"""The loss: what is labeled counts, by its weight, however the set is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from adiabat.data.structure import labeled
from adiabat.graph import Graph
from adiabat.models import BPNN, LennardJones, Morse
from adiabat.potential import Potential
from adiabat.training import fit
from adiabat.training.batches import cut
from adiabat.training.loss import Loss, Sum, readable, squared_errors, usual_weights
from training.sets import copper, water, without

POTENTIAL = Potential(Morse(depth_eV=0.3, minimum_angstrom=1.5, cutoff=4.0))


def graph_of(atoms: Atoms, weight: float = 1.0) -> Graph:
    return Graph.of(atoms, POTENTIAL.cutoff).replace(weight=torch.tensor([weight], dtype=torch.float64))


def sums_of(graphs) -> dict[str, Sum]:
    batch = Graph.batch(list(graphs))
    return squared_errors(POTENTIAL(batch), batch)


def by_hand(frames, weights, loss: Loss) -> float:
    """The docstring's formula, frame by frame in numpy."""
    tops, counts = dict.fromkeys(("energy", "forces", "stress"), 0.0), dict.fromkeys(("energy", "forces", "stress"), 0.0)
    for atoms, w in zip(frames, weights):
        p = POTENTIAL(Graph.of(atoms, POTENTIAL.cutoff))
        results, n = atoms.calc.results, len(atoms)
        if "energy" in results:
            tops["energy"] += w * ((float(p.energy) - results["energy"]) / n) ** 2
            counts["energy"] += w
        if "forces" in results:
            tops["forces"] += w * ((p.forces.numpy() - results["forces"]) ** 2).sum()
            counts["forces"] += w * 3 * n
        if "stress" in results:
            voigt = results["stress"][[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
            tops["stress"] += w * ((atoms.get_volume() * (p.stress[0].numpy() - voigt) / n) ** 2).sum()
            counts["stress"] += w * 9
    return sum(loss.weights[k] * tops[k] / counts[k] for k in tops if counts[k])


FRAMES = [
    *copper(3),
    *water(3),
    without(water(4)[3], "energy"),
    without(copper(4)[3], "forces"),
    without(copper(5)[4], "stress"),
]
WEIGHTS = [1.0, 0.5, 2.0, 1.0, 3.0, 0.0, 1.5, 0.7, 1.0]


def test_the_loss_is_its_formula():
    loss = Loss(energy=3.0, forces=0.4, stress=7.0)
    found = loss(sums_of(graph_of(a, w) for a, w in zip(FRAMES, WEIGHTS)))
    assert float(found) == pytest.approx(by_hand(FRAMES, WEIGHTS, loss), rel=1e-12)


@pytest.mark.parametrize("edges", [1, 60, 500, 10**9])
def test_batches_add_up_however_they_are_cut(edges):
    graphs = [graph_of(a, w) for a, w in zip(FRAMES, WEIGHTS)]
    parts = [squared_errors(POTENTIAL(b), b) for b in cut(graphs, edges)]
    total: dict[str, Sum] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    assert sum(len(b.cell) for b in cut(graphs, edges)) == len(graphs)
    assert float(Loss()(total)) == pytest.approx(float(Loss()(sums_of(graphs))), rel=1e-13)


def test_batches_keep_their_budget_and_their_order():
    graphs = [graph_of(a) for a in FRAMES]
    largest = max(g.n_edges for g in graphs)
    for budget in (1, largest, 2 * largest):
        batches = list(cut(graphs, budget))
        assert all(b.n_edges <= budget or b.n_structures == 1 for b in batches)
        assert torch.equal(torch.cat([b.numbers for b in batches]), torch.cat([g.numbers for g in graphs]))


def test_a_label_that_is_missing_contributes_nothing():
    present, bare = graph_of(copper(1)[0]), graph_of(without(copper(2)[1], "energy", "forces", "stress"))
    for name, both in sums_of([present, bare]).items():
        alone = sums_of([present])[name]
        assert float(both.square) == float(alone.square) and float(both.count) == float(alone.count)
    assert sums_of([bare]) == {}


def test_a_missing_stress_brings_no_NaN_into_the_gradient():
    """A molecule has no volume: where its stress would be 0/0, neither the loss nor its gradient may know."""
    from training.test_laws_of_training import network

    potential = network().train()
    batch = Graph.batch([Graph.of(water(1)[0], 4.0)]).replace()
    mixed = Graph.of([water(1)[0], *_periodic_water()], 4.0)
    for graph in (batch, mixed):
        loss = Loss()(squared_errors(potential(graph), graph))
        gradients = torch.autograd.grad(loss, list(potential.parameters()), allow_unused=True)
        assert torch.isfinite(loss) and all(torch.isfinite(g).all() for g in gradients if g is not None)


def _periodic_water() -> list[Atoms]:
    from training.sets import emt

    atoms = water(2)[1].copy()
    atoms.set_cell([4.0, 4.0, 4.0])
    atoms.pbc = True
    return [emt(atoms)]


def test_a_frame_counts_by_its_weight():
    one, other = copper(2)
    twice = sums_of([graph_of(one, 2.0), graph_of(other)])
    repeated = sums_of([graph_of(one), graph_of(one), graph_of(other)])
    assert float(Loss()(twice)) == pytest.approx(float(Loss()(repeated)), rel=1e-13)


@pytest.mark.parametrize("edges", [1, 60, 500])
def test_the_means_of_batches_by_their_numbers_of_labels_are_that_of_all(edges):
    """What steps by batches go down is the whole set's loss, on the average: a batch of light frames is not brought to full weight."""
    graphs = [graph_of(a, w) for a, w in zip(FRAMES, WEIGHTS)]
    usual = usual_weights(graphs)
    whole = sums_of(graphs)
    parts = [squared_errors(POTENTIAL(b), b, usual) for b in cut(graphs, edges)]
    for name, all_of_them in whole.items():
        number = [float(p[name].count) / usual[name] if name in p else 0.0 for p in parts]
        means = [float(p[name].mean_square) if name in p else 0.0 for p in parts]
        assert np.average(means, weights=number) == pytest.approx(float(all_of_them.mean_square), rel=1e-12)


def test_a_light_frame_hardly_pulls_when_every_frame_is_a_batch():
    """Each structure twice, with its forces and with weight 0.01 with twice its forces: the weighted mean is 1.01 times the forces.

    Unweighted it is 1.5 times; with means over each batch alone, or every gradient clipped to one length, it was 1.2.
    """
    frames = [without(a, "energy") for a in water(5)]
    light = [labeled(a, forces=2 * a.calc.results["forces"]) for a in frames]
    for atoms in light:
        atoms.info["weight"] = 0.01
    model = BPNN(cutoff=3.0, hidden=[6])
    options = {"loss": {"energy": 0.0, "stress": 0.0}, "wall": False, "epochs": 150, "batch_edges": 1, "check_every": 150}
    potential = fit(model, [*frames, *light], [], optimizer={"adamw": {"lr": 0.01}}, **options)
    graph = Graph.of(frames, potential.cutoff)
    found, wanted = potential(graph).forces, graph.labels["forces"].value
    assert abs(float((found * wanted).sum() / wanted.square().sum()) - 1.01) < 0.04  # what the fit of so few steps is worth


def test_a_frame_without_weight_teaches_nothing_even_alone():
    sums = sums_of([graph_of(copper(1)[0], 0.0)])
    assert float(Loss()(sums)) == 0.0 and all(np.isfinite(v) for v in readable(sums).values())


def test_errors_people_read_are_plain_means():
    frames = list(copper(3))
    told = readable(sums_of(graph_of(a) for a in frames))
    force_errors, energy_errors = [], []
    for a in frames:
        p = POTENTIAL(Graph.of(a, POTENTIAL.cutoff))
        force_errors.append((p.forces.numpy() - a.calc.results["forces"]).ravel())
        energy_errors.append((float(p.energy) - a.calc.results["energy"]) / len(a))
    assert told["force_rmse_meV_per_A"] == pytest.approx(1e3 * np.sqrt(np.mean(np.concatenate(force_errors) ** 2)))
    assert told["force_mae_meV_per_A"] == pytest.approx(1e3 * np.mean(np.abs(np.concatenate(force_errors))))
    assert told["energy_mae_meV_per_atom"] == pytest.approx(1e3 * np.mean(np.abs(energy_errors)))


def test_labels_are_those_of_the_graph_asked():
    """Two sets of labels on the same edges, one after the other in the same memory, must not be taken for each other."""
    graph = graph_of(copper(1)[0])
    for name in ("energy", "forces", "stress") * 3:
        only = graph.replace(labels={k: type(v)(v.value, v.mask & (k == name)) for k, v in graph.labels.items()})
        assert set(squared_errors(POTENTIAL(only), only)) == {name}
        del only


@pytest.mark.parametrize("weights, message", [({"energy": -1.0}, "loss.energy: -1.0 came"), ({"forces": float("nan")}, "loss.forces"),
                                              ({"energy": 0, "forces": 0, "stress": 0}, "every weight is 0")])  # fmt: skip
def test_weights_that_make_no_sense_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Loss(**weights)


def test_weights_that_were_given_stay_and_the_others_follow_the_optimizer():
    frames, seen = list(copper(8)), {}
    for name, given in (("lbfgs", {}), ("adamw", {}), ("sgd", {"energy": 7.0, "stress": 0.0})):
        made = fit(BPNN(cutoff=3.0, hidden=[2]), frames, [], optimizer=name, epochs=1, loss=given)
        seen[name] = made.metadata["training"]["loss"]
    assert seen["lbfgs"]["energy"] == seen["lbfgs"]["stress"] > seen["adamw"]["energy"] == seen["adamw"]["stress"]
    assert seen["sgd"] == {"energy": 7.0, "forces": 1.0, "stress": 0.0}


def test_a_loss_of_nothing_is_an_error():
    lj = Potential(LennardJones(cutoff=4.0))
    graph = Graph.of(without(water(1)[0], "forces"), 4.0)
    with pytest.raises(ValueError, match=r"no frame has a label that the loss weighs \(forces\)"):
        Loss(energy=0, stress=0)(squared_errors(lj(graph), graph))
