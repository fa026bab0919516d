"""Invariant products of an atom's density, the basis of the atomic cluster expansion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, groupby
from typing import TYPE_CHECKING

import torch

from adiabat.descriptors.described import Described, described, species_of
from adiabat.graph import Graph
from adiabat.irreps import clebsch_gordan
from adiabat.kernels import bessel, distance, polynomial_cutoff, segment_sum, spherical_harmonics
from adiabat.typing import Float, Tensor

if TYPE_CHECKING:
    from adiabat.graph import Atoms


def ace(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 5.0,
    n_max: int = 3,
    l_max: int = 2,
    correlation: int = 2,
    derivatives: bool = False,
) -> Described:
    """All invariant products of up to ν = `correlation` (1 to 3) components A_{snlm} = Σ_{j of element s} g_n(d_ij) Y_lm(r̂_ij).

    | ν | column |
    |---|---|
    | 1 | A_{sn00} |
    | 2 | Σ_m A_{snlm} A_{s'n'lm}/(2l + 1) = Σ_{jk} g_n(d_ij) g_n'(d_ik) P_l(cos θ_jik) |
    | 3 | Σ (l l' l''; m m' m'') A_{snlm} A_{s'n'l'm'} A_{s''n''l''m''}, l + l' + l'' even, with Wigner's 3j symbol at its complex harmonics |

    g_n are spherical Bessel functions of order zero that fade out at the cutoff (Å), n from 1; Y_lm with Σ_m Y² = 2l + 1. Each set of
    factors is there once, those of the same l side by side. `elements` are those of the structure if none are named; name them where
    descriptors of several structures are to have the same columns. Drautz, PRB 99, 014104 (2019).

    >>> from ase.build import molecule
    >>> found = ace(molecule("H2O"), cutoff=3.0, n_max=1, l_max=1)
    >>> found.values.shape, found.names[0], found.names[-1]
    ((3, 8), 'ace H n=1 l=0', 'ace O-O n=1,1 l=1,1')
    """
    if correlation not in (1, 2, 3):
        raise ValueError(f"ace.correlation: {correlation} came; wanted 1, 2 or 3")
    graph = Graph.of(atoms, cutoff)
    symbols, neighbor = species_of(graph, elements)
    Z, N = len(symbols), graph.n_atoms
    slots = [(s, n, l) for s in range(Z) for n in range(n_max) for l in range(l_max + 1)]
    products = [[slot] for slot in slots if slot[2] == 0]
    products += (
        [list(pair) for pair in combinations_with_replacement(slots, 2) if pair[0][2] == pair[1][2]] if correlation > 1 else []
    )
    products += (
        [list(three) for three in combinations_with_replacement(slots, 3) if _couple(*(l for *_, l in three))]
        if correlation > 2
        else []
    )

    products.sort(key=lambda product: (len(product), [l for *_, l in product]))
    # Those with the same l together: slot and radial function of each factor [factor, 2, products]
    groups = {ls: torch.tensor([[x[:2] for x in p] for p in mine]).permute(1, 2, 0) for ls, mine in _by_l(products)}

    def functions(r: torch.Tensor) -> torch.Tensor:
        d = distance(r)
        g = bessel(d, cutoff, n_max) * polynomial_cutoff(d, cutoff)[:, None]
        Y = spherical_harmonics(r / torch.where(d == 0, 1.0, d)[:, None], l_max)
        A = segment_sum(g[:, :, None] * Y[:, None], graph.i * Z + neighbor, N * Z).reshape(N, Z, n_max, -1)

        columns = []
        for ls, places in groups.items():
            factors = [A[:, places[t, 0], places[t, 1], l * l : (l + 1) ** 2] for t, l in enumerate(ls)]  # N P m
            if len(ls) == 1:
                columns.append(factors[0][:, :, 0])
            elif len(ls) == 2:
                columns.append((factors[0] * factors[1]).sum(2) / (2 * ls[0] + 1))
            else:
                columns.append(torch.einsum("abc,npa,npb,npc->np", three_j(*ls).to(r), *factors))
        return torch.cat(columns, 1)

    return described(graph, functions, [_name(product, symbols) for product in products], derivatives)


def _by_l(
    products: Sequence[Sequence[tuple[int, int, int]]],
) -> list[tuple[tuple[int, ...], list[Sequence[tuple[int, int, int]]]]]:
    return [(ls, list(mine)) for ls, mine in groupby(products, key=lambda product: tuple(l for *_, l in product))]


def _couple(l1: int, l2: int, l3: int) -> bool:
    return (l1 + l2 + l3) % 2 == 0 and abs(l1 - l2) <= l3 <= l1 + l2


def three_j(l1: int, l2: int, l3: int) -> Float[Tensor, "m1 m2 m3"]:
    """Σ |·|² = 1, of real harmonics; the sign is that of Wigner's symbol at m = 0."""
    C = torch.from_numpy(clebsch_gordan(l1, l2, l3).copy())
    return C / C.norm() * torch.sign(C[l1, l2, l3]) * (-1) ** ((l1 + l2 + l3) // 2)


def _name(product: Sequence[tuple[int, int, int]], symbols: Sequence[str]) -> str:
    who, ns, ls = (
        "-".join(symbols[s] for s, *_ in product),
        *(",".join(str(x) for x in xs) for xs in zip(*((n + 1, l) for _, n, l in product))),
    )
    return f"ace {who} n={ns} l={ls}"
