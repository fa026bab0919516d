"""What no physics has an answer to is refused in words, by every family, compiled or not: never a silent NaN."""

from __future__ import annotations

import pytest
import torch

from adiabat.graph import Graph
from adiabat.potential import Potential
from laws.potentials import cluster, graph_of


def calls(potential: Potential):
    """As it is called for values and gradients, and as it is called most quickly."""
    return potential, potential.frozen()


def broken(graph: Graph, value: float) -> Graph:
    """The first edge and its counter-edge are this along x and nothing else."""
    r = graph.r.clone()
    for e, sign in ((0, 1.0), (int(graph.reverse[0]), -1.0)):
        r[e] = 0
        r[e, 0] = sign * value
    return graph.replace(r=r)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_vector_that_is_not_a_number_is_refused(potential, value):
    graph = broken(graph_of(potential, cluster()), value)
    for call in calls(potential):
        with pytest.raises(ValueError, match="not a number"):
            call(graph)


def test_an_edge_of_no_length_is_refused(potential):
    graph = broken(graph_of(potential, cluster()), 0.0)
    for call in calls(potential):
        with pytest.raises(ValueError, match="one place"):
            call(graph)


def test_atoms_that_move_onto_each_other_are_refused(potential):
    # Half a skin of 6 Å: the list is kept, and nobody looks for neighbors anew.
    graph = graph_of(potential, cluster(), skin=6.0)
    positions = graph.positions.clone()
    i, j = int(graph.i[0]), int(graph.j[0])
    positions[i] = positions[j]
    for call in calls(potential):
        with pytest.raises(ValueError, match="one place"):
            call(graph.move(positions))


def test_positions_that_are_not_numbers_are_refused(potential):
    graph = graph_of(potential, cluster(), skin=0.5)
    for call in calls(potential):
        with pytest.raises(ValueError, match="has moved to"):
            call(graph.move(graph.positions * float("nan")))


def test_it_goes_on_after_a_refusal(potential):
    graph = graph_of(potential, cluster())
    call = potential.frozen()
    before = call(graph)
    with pytest.raises(ValueError, match="one place"):
        call(broken(graph, 0.0))
    assert torch.equal(call(graph).forces, before.forces)
