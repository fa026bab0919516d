"""Contracted moments, the descriptors of moment tensor potentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from adiabat.descriptors.described import Described, described, species_of
from adiabat.graph import Graph
from adiabat.kernels import distance
from adiabat.nn.moments import contractions, depths_of, directions_of, moment_tables, rounds_of
from adiabat.nn.moments import moments as moments_of

if TYPE_CHECKING:
    from adiabat.graph import Atoms


def moments(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 5.0,
    level: int = 8,
    derivatives: bool = False,
) -> Described:
    """All contractions of moments M_{sμν} = Σ_{j of element s} f_μ(d_ij) r̂_ij^{⊗ν} with Σ (2 + 4μ + ν) at most the level.

    f_μ = T_μ(2d/r_c − 1) (1 − d/r_c)², Chebyshev polynomials that fade out at the cutoff (Å). A column is named by the elements and μ
    of its at most four moments, and by how many indices each pair of them shares: "moments O-Si mu=0,1 shared=2" is M_{O02} : M_{Si12}.
    `elements` are those of the structure if none are named; name them where descriptors of several structures are to have the same
    columns. Shapeev, Multiscale Model. Simul. 14, 1153 (2016).

    >>> from ase.build import molecule
    >>> found = moments(molecule("H2O"), cutoff=3.0, level=4)
    >>> found.values.shape, found.names[0], found.names[2]
    ((3, 5), 'moments H mu=0 shared=', 'moments H-H mu=0,0 shared=0')
    """
    if level < 2:
        raise ValueError(f"moments.level: {level} came; wanted 2 or more")
    graph = Graph.of(atoms, cutoff)
    symbols, neighbor = species_of(graph, elements)
    Z = len(symbols)
    basics, times, scalars = moment_tables(level, Z)
    directions, depths = directions_of(basics), depths_of(basics, times)
    rounds, top = rounds_of(times, depths), int(basics[:, 0].max()) // Z

    def functions(r: torch.Tensor) -> torch.Tensor:
        d = distance(r)
        x = 2 * d / cutoff - 1
        T = [torch.ones_like(x), x]
        for _ in range(top - 1):
            T.append(2 * x * T[-1] - T[-2])
        f = torch.stack(T[: top + 1], 1) * ((1 - d / cutoff).clamp(min=0).square())[:, None]  # e mu
        own = torch.nn.functional.one_hot(neighbor, Z).to(f.dtype)
        u = r / torch.where(d == 0, 1.0, d)[:, None]
        columns = (f[:, :, None] * own[:, None]).flatten(1)  # μ × Z + s
        return moments_of(columns, u, graph.i, graph.n_atoms, directions, rounds, len(depths))[scalars].T

    return described(graph, functions, [_name(vertices, symbols) for vertices in contractions(level, Z)], derivatives)


def _name(vertices: Sequence[Sequence[int]], symbols: Sequence[str]) -> str:
    labels = [divmod(row[0], len(symbols)) for row in vertices]
    who = "-".join(symbols[s] for _, s in labels)
    shared = ",".join(str(row[1 + b]) for a, row in enumerate(vertices) for b in range(a + 1, len(vertices)))
    return f"moments {who} mu={','.join(str(mu) for mu, _ in labels)} shared={shared}"
