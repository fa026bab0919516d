"""The neighbor list against ASE's, which is slow and plain, in every kind of cell."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.neighbors import edges


def oracle(positions, cell, pbc, cutoff):
    """Sorted (i, j, shift) by ASE; it wants some cell even where there is none."""
    cell = np.where(np.linalg.norm(cell, axis=1)[:, None] > 0, cell, np.eye(3) * 50)
    if abs(np.linalg.det(cell)) < 1e-6:
        cell = cell + 50 * np.diag(~np.asarray(pbc))
    i, j, s = primitive_neighbor_list("ijS", pbc, cell, positions, cutoff)
    return sorted(zip(i.tolist(), j.tolist(), map(tuple, s.tolist())))


def found(positions, cell, pbc, cutoff):
    e = edges(positions, cell, pbc, cutoff)
    return list(zip(e.i.tolist(), e.j.tolist(), map(tuple, e.shift.tolist())))


SKEWED = np.array([[4.0, 0, 0], [3.1, 2.2, 0], [-2.0, 1.4, 3.0]])
CELLS = {
    "cubic": 5.0 * np.eye(3),
    "skewed": SKEWED,
    "left-handed": SKEWED[[1, 0, 2]],
    "thin": np.diag([20.0, 18.0, 1.1]),
    "small": np.array([[1.5, 0, 0], [0.4, 1.4, 0], [0.2, -0.3, 1.6]]),
    "needle": np.array([[1.2, 0, 0], [9.0, 1.3, 0], [0, 0, 8.0]]),
    "none": np.zeros((3, 3)),
    "slab": np.array([[3.0, 0, 0], [1.0, 2.8, 0], [0, 0, 0]]),
    "wire": np.array([[0, 0, 0], [0.5, 0.5, 2.0], [0, 0, 0]]),
}
PBC = [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)]


@pytest.mark.parametrize("pbc", PBC, ids=str)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("cutoff", [0.8, 3.3, 5.5])
def test_the_list_is_that_of_ASE(rng, cell, pbc, cutoff):
    box = CELLS[cell]
    pbc = np.array(pbc) & (np.linalg.norm(box, axis=1) > 0)
    # Some atoms lie far outside the cell, and the origin is no special place.
    positions = rng.uniform(-3, 7, (9, 3)) @ (np.where(box.any(), box / 4, np.eye(3))) + [11.0, -7.0, 3.0]
    assert found(positions, box, pbc, cutoff) == oracle(positions, box, pbc, cutoff)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.3, 6.0))
def test_the_list_is_that_of_ASE_in_random_cells(seed, n, cutoff):
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * rng.uniform(1, 5)
    if abs(np.linalg.det(cell)) < 0.2 * np.prod(np.linalg.norm(cell, axis=1)) or abs(np.linalg.det(cell)) < 5:
        cell = cell + 4 * np.eye(3)
    if abs(np.linalg.det(cell)) < 5:
        return  # ASE's oracle would take minutes in a cell of no height
    pbc = rng.random(3) < 0.6
    positions = rng.normal(size=(n, 3)) * 4
    assert found(positions, cell, pbc, cutoff) == oracle(positions, cell, pbc, cutoff)


@pytest.mark.parametrize("cell", CELLS)
def test_every_edge_has_its_counter_edge(rng, cell):
    box = CELLS[cell]
    e = edges(rng.uniform(-3, 3, (8, 3)), box, np.linalg.norm(box, axis=1) > 0, 4.0)
    assert len(e.i)
    np.testing.assert_array_equal(e.i[e.reverse], e.j)
    np.testing.assert_array_equal(e.j[e.reverse], e.i)
    np.testing.assert_array_equal(e.shift[e.reverse], -e.shift)
    np.testing.assert_array_equal(e.reverse[e.reverse], np.arange(len(e.i)))
    assert (np.diff(e.i) >= 0).all()


def test_one_atom_sees_its_images_and_never_itself():
    e = edges(np.zeros((1, 3)), 2.0 * np.eye(3), np.ones(3, bool), 2.1)
    assert len(e.i) == 6 and not (e.shift == 0).all(1).any()
    assert len(edges(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool), 9.0).i) == 0


def test_a_pair_at_the_cutoff_itself_does_not_upset_the_list():
    """On a lattice many distances equal the cutoff to rounding: whatever side they fall on, both directions do."""
    for n in range(1, 12):
        atoms = Atoms("Ar", cell=[2.3, 2.3, 2.3], pbc=True).repeat(3)
        e = edges(atoms.positions + 0.1 * n, atoms.cell.array, atoms.pbc, 2.3 * np.sqrt(n))
        np.testing.assert_array_equal(e.i[e.reverse], e.j)


@pytest.mark.parametrize(
    "cell, pbc, message",
    [
        (np.zeros((3, 3)), [True, False, False], "cell vector 0 is zero; give the cell or set pbc to False"),
        (np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 1.0]]), [True, True, False], "are not linearly independent"),
    ],
)
def test_a_cell_that_cannot_be_periodic_is_refused(cell, pbc, message):
    with pytest.raises(ValueError, match=message):
        edges(np.zeros((2, 3)), cell, np.array(pbc), 3.0)
