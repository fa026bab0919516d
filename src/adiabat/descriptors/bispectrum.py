"""Bispectrum components, the descriptors of SNAP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from adiabat.descriptors.described import Described, described, species_of
from adiabat.graph import Graph
from adiabat.nn.bispectrum import bispectrum as components_of
from adiabat.nn.bispectrum import triples

if TYPE_CHECKING:
    from adiabat.graph import Atoms


def bispectrum(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 5.0,
    twojmax: int = 8,
    rfac0: float = 0.99363,
    radii: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    derivatives: bool = False,
) -> Described:
    """Components B_{j₁j₂j} of every atom's neighbors on the 3-sphere, less those of an atom without neighbors: zero for such a one.

    Elements differ by what a neighbor counts for (`weights`, 1 where not given) and by the pair's cutoff, `cutoff` (R_i + R_j) in Å
    with `radii` of 0.5 where not given. There are 55 components for `twojmax` 8, twice the largest j; they are named by doubled j.
    In LAMMPS's order, and equal to its compute sna/atom with bzeroflag 1. `elements` are taken from the structure if none are named;
    they do not change the columns. Thompson et al., J. Comput. Phys. 285, 316 (2015).

    >>> from ase.build import molecule
    >>> found = bispectrum(molecule("H2O"), cutoff=3.0, twojmax=2)
    >>> found.values.shape, found.names
    ((3, 5), ('bispectrum all 0,0,0', 'bispectrum all 1,0,1', 'bispectrum all 1,1,2', 'bispectrum all 2,0,2', 'bispectrum all 2,2,2'))
    """
    if not 0 <= twojmax <= 16:
        raise ValueError(f"bispectrum.twojmax: {twojmax} came; wanted a whole number from 0 to 16")
    graph = Graph.of(atoms, 2 * cutoff * max([0.5, *(radii or {}).values()]))
    symbols, neighbor = species_of(graph, elements)
    unknown = sorted({*(radii or {}), *(weights or {})} - set(symbols))
    if unknown and elements is not None:
        raise ValueError(f"bispectrum: radii and weights name {', '.join(unknown)}; elements are {', '.join(symbols)}")
    R, w = (
        torch.tensor([(given or {}).get(s, default) for s in symbols], dtype=torch.float64)
        for given, default in ((radii, 0.5), (weights, 1.0))
    )
    center = neighbor[graph.reverse]  # the neighbor of an edge's counter-edge is its center
    reach, names = cutoff * (R[center] + R[neighbor]), triples(twojmax)
    none = R[:0]
    lone = components_of(none.new_zeros(0, 3), none.long(), 1, none, none, rfac0, names)  # 2j + 1, with the same rounding

    def functions(r: torch.Tensor) -> torch.Tensor:
        return components_of(r, graph.i, graph.n_atoms, reach, w[neighbor], rfac0, names) - lone

    return described(graph, functions, [f"bispectrum all {a},{b},{c}" for a, b, c in names], derivatives)
