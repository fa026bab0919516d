"""Atomic environment vectors, the descriptors of ANI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adiabat.descriptors.described import Described, described, pairs_of, species_of
from adiabat.graph import Graph
from adiabat.kernels import AEV, environments

if TYPE_CHECKING:
    from adiabat.graph import Atoms


def aev(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 5.2,
    angular_cutoff: float = 3.5,
    radial: int | Sequence[float] = 16,
    shells: int | Sequence[float] = 4,
    sections: int | Sequence[float] = 8,
    eta: float = 16.0,
    angular_eta: float = 8.0,
    zeta: float = 32.0,
    start: float = 0.9,
    fade: str = "cosine",
    derivatives: bool = False,
) -> Described:
    """ANI's radial and angular functions of every atom; arguments and defaults as in `models.ANI`: those of ANI-1x.

    Radial functions come first, by neighbor element and shift, then angular ones by pair of elements, shift and angle. `elements`
    are those of the structure if none are named; name them where descriptors of several structures are to have the same columns.
    Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017).

    >>> from ase.build import molecule
    >>> found = aev(molecule("H2O"), radial=2, shells=1, sections=2)
    >>> found.values.shape, found.names[0], found.names[-1]
    ((3, 10), 'radial H R_s=0.9', 'angular O-O R_s=0.9 theta_s=2.35619')
    """
    graph = Graph.of(atoms, cutoff)
    symbols, species = species_of(graph, elements)
    functions = AEV.even(
        cutoff, angular_cutoff, radial, shells, sections,
        start=start, eta=eta, angular_eta=angular_eta, zeta=zeta, fade=fade,
    )  # fmt: skip
    names = [f"radial {s} R_s={x:.6g}" for s in symbols for x in functions.shifts]
    names += [
        f"angular {pair} R_s={x:.6g} theta_s={theta:.6g}"
        for pair in pairs_of(symbols) for x in functions.angular_shifts for theta in functions.sections
    ]  # fmt: skip
    return described(graph, lambda r: environments(r, species, graph, len(symbols), functions), names, derivatives)
