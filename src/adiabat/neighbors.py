"""Who is near whom: directed pairs within a cutoff, periodic images included.

The list is computed by vesin (cell lists in C++); the tests hold it against ASE's on skewed, thin, partly periodic and
missing cells. Edges come sorted by (center, neighbor, shift), so that the same structure always gives the same list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import vesin


@dataclass(frozen=True)
class Edges:
    """Directed edges i → j with R_j + shift·cell − R_i shorter than the cutoff."""

    i: np.ndarray  # E int64, the center, ascending
    j: np.ndarray  # E int64, the neighbor
    shift: np.ndarray  # E 3 int64, the neighbor's periodic image
    reverse: np.ndarray  # E int64, the edge j → i with the opposite shift


def edges(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> Edges:
    """All pairs closer than `cutoff` (Å), each in both directions; an atom sees its own images, never itself.

    >>> found = edges(np.array([[0.0, 0, 0], [0, 0, 1.0]]), np.zeros((3, 3)), np.zeros(3, bool), cutoff=1.5)
    >>> found.i, found.j, found.reverse
    (array([0, 1]), array([1, 0]), array([1, 0]))
    """
    if len(positions) < 2 and not pbc.any():  # nothing to list, and no call that an empty array could upset
        nothing = np.zeros(0, np.int64)
        return Edges(nothing, nothing, np.zeros((0, 3), np.int64), nothing)
    search = vesin.NeighborList(cutoff=float(cutoff), full_list=True, n_threads=1)
    i, j, shift = search.compute(positions, _searchable(cell, pbc), [bool(p) for p in pbc], "ijS")
    i, j, shift = i.astype(np.int64), j.astype(np.int64), shift.astype(np.int64)
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], j, i))
    i, j, shift = i[order], j[order], shift[order]
    # Sorting the counter-edges by the same key puts them in the order of the edges themselves.
    counter = np.lexsort((-shift[:, 2], -shift[:, 1], -shift[:, 0], i, j))
    assert np.array_equal(i[counter], j) and np.array_equal(shift[counter], -shift), "an edge without its counter-edge"
    return Edges(i, j, shift, counter)


def _searchable(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """A cell of full rank with the periodic vectors unchanged: missing ones are completed by unit normals."""
    cell = np.array(cell, float)
    lengths = np.linalg.norm(cell, axis=1)
    if (lengths[pbc] == 0).any():
        raise ValueError(
            f"pbc is {pbc.tolist()} but cell vector {int(np.argmax(pbc & (lengths == 0)))} is zero; "
            "give the cell or set pbc to False there"
        )
    if not pbc.any():
        return np.eye(3)
    kept = cell[pbc]
    if np.linalg.matrix_rank(kept, tol=1e-9) < len(kept):
        raise ValueError(f"the periodic cell vectors {kept.tolist()} are not linearly independent")
    if pbc.all():
        return cell
    normals = np.linalg.svd(kept)[2][len(kept) :]
    cell[~pbc] = normals
    return cell
