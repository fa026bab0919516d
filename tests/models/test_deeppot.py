"""Deep Potential: what the registry's laws do not see: statistics, expected neighbors, tables, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adiabat.graph import Graph
from adiabat.models import DeepPot
from adiabat.potential import Potential
from laws.potentials import close, cluster, crystal

CUTOFF, START = 3.0, 1.2


def switch(d: float) -> float:
    """w of eq. 5 in words of its own: 1, then a polynomial of fifth degree with two flat derivatives at both ends, then 0."""
    u = min(max((d - START) / (CUTOFF - START), 0.0), 1.0)
    return 1 - (10 * u**3 - 15 * u**4 + 6 * u**5)


def test_statistics_count_empty_places():
    model = DeepPot(CUTOFF, START, elements=["H", "O"], neurons=[2], axis_neurons=1, fitting=[2]).double()
    frames = [cluster(), crystal()]
    model.prepare([Graph.of(atoms, CUTOFF + 0.5) for atoms in frames])
    environment = model.parts[0].environment
    rows: dict[int, list[np.ndarray]] = {1: [], 8: []}
    most, atoms_of = {1: 0, 8: 0}, {1: 0, 8: 0}
    for atoms in frames:
        graph = Graph.of(atoms, CUTOFF)
        for n, number in enumerate(atoms.numbers):
            edges = slice(int(graph.first[n]), int(graph.first[n + 1]))
            near = atoms.numbers[graph.j[edges]]
            for other in most:
                most[other] = max(most[other], int((near == other).sum()))
            atoms_of[number] += 1
            for r in graph.r[edges].numpy():
                d = np.linalg.norm(r)
                rows[number].append(switch(d) / d * np.array([1, *(r / d)]))
    sel = [4 * np.ceil(1.1 * most[number] / 4) for number in (1, 8)]
    close(environment.sel, torch.tensor(sel).double())
    for z, number in enumerate((1, 8)):
        R, places = np.array(rows[number]), atoms_of[number] * sum(sel)
        mean = R[:, 0].sum() / places
        close(environment.mean[z], torch.tensor(mean))
        close(environment.spread[z, 0], torch.tensor(np.sqrt((R[:, 0] ** 2).sum() / places - mean**2)))
        close(environment.spread[z, 1], torch.tensor(np.sqrt((R[:, 1:] ** 2).sum() / 3 / places)))


def test_numbers_of_neighbors_that_were_given_stay():
    model = DeepPot(CUTOFF, START, elements=["H", "O"], neurons=[2], axis_neurons=1, fitting=[2], sel={"O": 3, "H": 5})
    model.prepare([Graph.of(crystal(), CUTOFF)])
    assert model.parts[0].environment.sel.tolist() == [5, 3]


def test_tables_converge_with_their_fourth_power():
    """Where the switching begins the third derivative jumps: that place is a knot, or the error would fall more slowly."""
    found = []
    for intervals in (64, 128, 1024):
        torch.manual_seed(0)
        model = DeepPot(CUTOFF, START, elements=["H", "O"], neurons=[4], axis_neurons=2, fitting=[4], intervals=intervals)
        potential = Potential(model).double()
        found.append(potential(Graph.of(cluster(), CUTOFF)).energy)
    coarse, fine = (float((energy - found[-1]).abs()) for energy in found[:-1])
    assert fine < coarse / 8  # 16 without other terms


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"descriptor": "dpa2"}, "'dpa2' came; wanted se_e2_a, se_e2_r, se_e3. Descriptors with type embedding"),
        ({"descriptor": [{"descriptor": "se_e3", "cutof": 3.0}]}, "of the others descriptor, cutoff"),
        ({"descriptor": [{"cutoff": 3.0}]}, "wanted a descriptor"),
        ({"descriptor": []}, "at least one of each"),
        ({"smooth_from": 7.0}, "smooth_from: 7.0 Å came; wanted a distance below the cutoff, 6.0 Å"),
        ({"axis_neurons": 200}, "axis_neurons 200 make no descriptor"),
        ({"sel": {"H": 3}}, "numbers of H came; wanted those of H, O"),
        ({"activation": "tan"}, "'tan' came; wanted tanh, gelu"),
    ],
)
def test_mistakes_are_told(settings, said):
    with pytest.raises(ValueError, match=said):
        DeepPot(elements=["H", "O"], **settings)
