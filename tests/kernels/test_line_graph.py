"""Edges of edges against loops over atoms and their images."""

from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.graph import Graph
from adiabat.kernels import bond_cosine, distance, line_graph
from kernels.topology import random_edges

LONG, SHORT = 3.4, 2.6


def crystal():
    """Smaller than the cutoff: atoms see several images of one neighbor, and of themselves."""
    return Atoms("SiC", [[0, 0, 0], [1.1, 0.9, 1.3]], cell=[[2.5, 0.1, 0], [0.6, 2.7, 0.2], [-0.4, 0.3, 2.9]], pbc=True)


def bonds(atoms):
    """(i, R_j − R_i) of everything within SHORT, by brute force over images."""
    images = product(range(-3, 4), repeat=3) if atoms.pbc.any() else [(0, 0, 0)]
    shifts = [np.array(n) @ atoms.cell.array for n in images]
    found = [[] for _ in atoms]
    for i, j in product(range(len(atoms)), repeat=2):
        for shift in shifts:
            r = atoms.positions[j] + shift - atoms.positions[i]
            if 1e-9 < np.linalg.norm(r) < SHORT:
                found[i].append(r)
    return found


@pytest.mark.parametrize("atoms", [molecule("CH3CH2OH"), crystal()], ids=["molecule", "crystal"])
def test_pairs_are_all_pairs_of_bonds_at_an_atom(atoms):
    graph = Graph.of(atoms, LONG)
    d = distance(graph.r)
    pairs = line_graph(graph.first, d, SHORT)
    cosines = bond_cosine(graph.r, d, pairs).numpy()
    for n, around in enumerate(bonds(atoms)):
        want = sorted(
            (np.linalg.norm(x), np.linalg.norm(y), x @ y / np.linalg.norm(x) / np.linalg.norm(y))
            for p, x in enumerate(around) for q, y in enumerate(around) if p != q
        )  # fmt: skip
        mine = graph.i[pairs.a] == n
        got = sorted(zip(d[pairs.a][mine].tolist(), d[pairs.b][mine].tolist(), cosines[mine.numpy()], strict=True))
        assert len(got) == len(want)
        # a length that occurs twice may sort either way by its last bits: what is compared does not mind
        np.testing.assert_allclose(np.sum(got, 0), np.sum(want, 0), atol=1e-9)
        np.testing.assert_allclose([x[0] for x in got], [x[0] for x in want], atol=1e-12)
        np.testing.assert_allclose(sorted(x[2] for x in got), sorted(x[2] for x in want), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(N=st.integers(1, 8), E=st.integers(0, 40), seed=st.integers(0, 99))
def test_lists_and_row_pointers_are_loops(N, E, seed):
    edges = random_edges(N, E, seed)
    d = 3 * torch.rand(E, generator=torch.Generator().manual_seed(seed))
    pairs = line_graph(edges.first, d, 1.5)
    want = [(a, b) for a in range(E) for b in range(E) if a != b and edges.i[a] == edges.i[b] and max(d[a], d[b]) < 1.5]
    assert list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == want
    assert pairs.first.tolist() == [sum(a < e for a, _ in want) for e in range(E + 1)]


def test_from_the_other_end_it_is_dimenets_list():
    """DimeNet: the message j → i hears all k → j but the one that comes from i itself."""
    graph = Graph.of(crystal(), SHORT)
    i, j, shift = graph.i.tolist(), graph.j.tolist(), graph.shift.tolist()
    pairs = line_graph(graph.first, distance(graph.r), SHORT)
    got = sorted(zip(graph.reverse[pairs.a].tolist(), pairs.b.tolist(), strict=True))
    want = [
        (e, f) for e in range(len(i)) for f in range(len(i))
        if j[e] == i[f] and not (j[f] == i[e] and [x + y for x, y in zip(shift[e], shift[f])] == [0, 0, 0])
    ]  # fmt: skip
    assert got == sorted(want)


def test_cosines_have_two_derivatives():
    graph = Graph.of(molecule("H2O"), LONG)
    pairs = line_graph(graph.first, distance(graph.r), LONG)

    def cosines(r):
        return bond_cosine(r, distance(r), pairs)

    r = graph.r.clone().requires_grad_()
    assert torch.autograd.gradcheck(cosines, r)
    assert torch.autograd.gradgradcheck(cosines, r)
