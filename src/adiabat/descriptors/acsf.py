"""Atom-centered symmetry functions, the descriptors of Behler and Parrinello."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from adiabat.descriptors.described import Described, described, pairs_of, species_of
from adiabat.graph import Graph
from adiabat.kernels import angular_symmetry, cosine_cutoff, distance, radial_symmetry, segment_sum
from adiabat.typing import Tensor

if TYPE_CHECKING:
    from adiabat.graph import Atoms


def acsf(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 6.0,
    g1: bool = True,
    g2: Sequence[tuple[float, float]] = (),
    g3: Sequence[float] = (),
    g4: Sequence[tuple[float, float, float]] = (),
    g5: Sequence[tuple[float, float, float]] = (),
    derivatives: bool = False,
) -> Described:
    """Symmetry functions of every atom with the cosine cutoff.

    | function | parameters |
    |---|---|
    | G¹ = Σ_j f_c(d_ij) | |
    | G² = Σ_j exp(−η (d_ij − R_s)²) f_c(d_ij) | `g2`: (η in Å⁻², R_s in Å) |
    | G³ = Σ_j cos(κ d_ij) f_c(d_ij) | `g3`: κ in Å⁻¹ |
    | G⁴ = 2^(1−ζ) Σ_{j<k} (1 + λ cos θ)^ζ exp(−η (d_ij² + d_ik² + d_jk²)) f_c(d_ij) f_c(d_ik) f_c(d_jk) | `g4`: (η, ζ, λ) |
    | G⁵: G⁴ without what depends on d_jk | `g5`: (η, ζ, λ) |

    Radial functions come first, by neighbor element, G¹, G², G³; then angular ones by pair of elements, G⁴, G⁵. `elements` are those
    of the structure if none are named; name them where descriptors of several structures are to have the same columns.
    Behler, J. Chem. Phys. 134, 074106 (2011).

    >>> from ase.build import molecule
    >>> acsf(molecule("H2O"), cutoff=3.0, g2=[(1.0, 0.0)]).names
    ('G1 H', 'G2 H eta=1 R_s=0', 'G1 O', 'G2 O eta=1 R_s=0')
    """
    wrong = [lam for _, _, lam in (*g4, *g5) if lam not in (-1, 1)]
    if wrong:
        raise ValueError(f"acsf: λ = {wrong[0]} came; wanted 1 or −1")
    graph = Graph.of(atoms, cutoff)
    symbols, species = species_of(graph, elements)
    N, Z = graph.n_atoms, len(symbols)

    def sets(*columns: Sequence[float]) -> list[Tensor]:
        return [torch.tensor(column, dtype=torch.float64) for column in columns]

    def functions(r: Tensor) -> Tensor:
        d = distance(r)
        fade = cosine_cutoff(d, cutoff)
        eta, R_s = sets(*zip(*([(0.0, 0.0)] * g1 + [*g2])) if g1 or g2 else ([], []))
        radial = [radial_symmetry(d, fade, graph.i, species, N, Z, eta, R_s)]
        waves = torch.cos(d[:, None] * sets(g3)[0]) * fade[:, None]  # E K
        radial.append(segment_sum(waves, graph.i * Z + species, N * Z).unflatten(0, (N, Z)))
        angular = []
        for these, far in ((g4, lambda d: cosine_cutoff(d, cutoff)), (g5, None)):
            if these:
                eta, zeta, lambd = sets(*zip(*these))
                about = graph.i, species, N, Z, eta, zeta, lambd
                angular.append(angular_symmetry(r, d, fade, graph.triplets, *about, far))
        return torch.cat([torch.cat(part, -1).flatten(1) for part in (radial, angular) if part], 1)

    of_one = (
        ["G1 {}"] * g1 + [f"G2 {{}} eta={eta:.6g} R_s={R_s:.6g}" for eta, R_s in g2] + [f"G3 {{}} kappa={k:.6g}" for k in g3]
    )
    of_two = [
        f"{n} {{}} eta={eta:.6g} zeta={zeta:.6g} lambda={lam:+.0f}" for n, g in (("G4", g4), ("G5", g5)) for eta, zeta, lam in g
    ]
    names = [
        name.format(who) for whos, kinds in ((symbols, of_one), (pairs_of(symbols), of_two)) for who in whos for name in kinds
    ]
    return described(graph, functions, names, derivatives)
