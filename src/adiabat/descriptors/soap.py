"""The SOAP power spectrum, in dscribe's and in QUIP's conventions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from adiabat.config import checked
from adiabat.descriptors.described import Described, described, species_of
from adiabat.graph import Graph
from adiabat.kernels import distance, spherical_harmonics
from adiabat.kernels.mixing import Mixing, mixed
from adiabat.kernels.soap import PADDING, compressed, density, gaussian_orbitals, polynomials, power_spectrum, shoulder, spheres
from adiabat.typing import Tensor

if TYPE_CHECKING:
    from adiabat.graph import Atoms

RADIAL = {"gto": gaussian_orbitals, "polynomial": polynomials, "quip": spheres}


def soap(
    atoms: Atoms | Sequence[Atoms],
    elements: Sequence[str] | None = None,
    *,
    cutoff: float = 5.0,
    n_max: int = 8,
    l_max: int = 6,
    atom_sigma: float = 0.5,
    radial: str = "gto",
    transition_width: float = 0.5,
    central_weight: float = 1.0,
    normalize: bool = True,
    nu_r: int = 2,
    nu_s: int = 2,
    mixing: Mapping[str, Any] | None = None,
    derivatives: bool = False,
) -> Described:
    """Power spectrum p_{nn'l} of the neighbor density of every atom, itself included, for each pair of neighbor elements.

    | `radial` | radial functions | columns | smooth at `cutoff` |
    |---|---|---|---|
    | gto | r^l exp(−α_nl r²), dscribe's | π √(8/(2l+1)) Σ_m c c', by pair of elements, l, n, n' | no: neighbors to r_c + 3.7 σ |
    | polynomial | (r_c − r)^(n+2), dscribe's | the same | no: the same |
    | quip | Gaussians on n_max spheres, QUIP's | Σ_m c c'/√(2l+1), by a ≥ b (a runs over elements, n), l; √2 where a ≠ b | yes |

    Only the last knows `transition_width` (Å, over which a neighbor fades), `central_weight`, `normalize` (to length 1), `nu_r`, `nu_s`
    and `mixing`; GAP is made from it. n counts from 1. `elements` are those of the structure if none are named; name them where descriptors
    of several structures are to have the same columns. Bartók, Kondor and Csányi, PRB 87, 184115 (2013).

    `nu_r` (radial functions) and `nu_s` (elements) compress the spectrum: of the two densities in a product so many keep them, and *
    stands where they are summed over; 2 and 2 are the whole spectrum, 0 and 0 are l_max + 1 numbers. Where one of the two alone keeps
    something, all products stand there, without √2. Darby, Kermode and Csányi, npj Comput. Mater. 8, 166 (2022).

    `mixing`, the options of a `kernels.mixing.Mixing`, compresses it by random sums, k = 1 … `channels`, over `species`, over `radial`
    functions or over both, with QUIP's weights: its size does not grow with the elements then. `symmetric` are QUIP's sym_mix,
    `coupled` its coupling, `shift` its mix_shift. Darby et al., PRL 131, 028001 (2023).

    >>> from ase.build import molecule
    >>> found = soap(molecule("H2O"), cutoff=3.0, n_max=2, l_max=1)
    >>> found.values.shape, found.names[0], found.names[-1]
    ((3, 20), 'soap H-H l=0 n=1 n=1', 'soap O-O l=1 n=2 n=2')
    >>> found = soap(molecule("H2O"), cutoff=3.0, n_max=2, l_max=1, radial="quip", nu_r=1, nu_s=1)
    >>> found.values.shape, found.names[0], found.names[-1]
    ((3, 8), 'soap H-* l=0 n=1 n=*', 'soap O-* l=1 n=2 n=*')
    >>> found = soap(molecule("H2O"), cutoff=3.0, n_max=2, l_max=1, radial="quip", mixing={"channels": 3, "radial": False})
    >>> found.values.shape, found.names[0], found.names[-1]
    ((3, 72), 'soap *-* l=0 n=1 n=1 k=1 k=1', 'soap *-* l=1 n=2 n=2 k=3 k=3')
    """
    if radial not in RADIAL:
        raise ValueError(f"soap.radial: {radial!r} came; wanted {', '.join(RADIAL)}")
    quip = radial == "quip"
    if not {nu_r, nu_s} <= {0, 1, 2} or (not quip and (nu_r, nu_s) != (2, 2)):
        raise ValueError(
            f"soap: nu_r {nu_r}, nu_s {nu_s} of radial {radial!r} came; wanted 0, 1 or 2, and 2 unless it is 'quip'"
        )
    way = None if mixing is None else Mixing(**checked(Mixing, mixing, where="soap.mixing"))
    if way is not None and (not quip or (nu_r, nu_s) != (2, 2)):
        raise ValueError(f"soap: mixing came with radial {radial!r}, nu_r {nu_r}, nu_s {nu_s}; wanted 'quip', 2 and 2")
    reach = cutoff if quip else cutoff + atom_sigma * math.sqrt(-2 * math.log(PADDING))
    graph = Graph.of(atoms, reach)
    symbols, kind = species_of(graph, elements)
    N, Z = graph.n_atoms, len(symbols)
    own = torch.searchsorted(torch.tensor(_numbers(symbols)), graph.numbers)
    channels = [(z, n) for z in range(Z) for n in range(n_max)]
    if way is not None:
        weights, products = way.weights(_numbers(symbols), n_max), way.pairs(Z, n_max)

    def spectrum(r: Tensor) -> Tensor:
        # Atoms are neighbors of their own, at no distance: there the harmonics of l > 0 are zero.
        d, u = distance(r), r / torch.where(distance(r) == 0, 1.0, distance(r))[:, None]
        R = RADIAL[radial](d, n_max, l_max, cutoff, atom_sigma)
        at_center = RADIAL[radial](d.new_zeros(1), n_max, l_max, cutoff, atom_sigma)
        if quip:
            R = R * shoulder(d, cutoff, transition_width)[:, None, None]
            at_center = at_center * central_weight
        Y = spherical_harmonics(u, l_max)
        nothing = torch.zeros_like(spherical_harmonics(u.new_zeros(1, 3), l_max))
        nothing[:, 0] = 1.0
        c = density(R, Y, graph.i, kind, N, Z) + density(
            at_center.expand(N, -1, -1), nothing.expand(N, -1), torch.arange(N), own, N, Z
        )
        if way is not None:
            p = mixed(c, weights, products, way.coupled)
        else:
            p = compressed(c.unflatten(1, (Z, n_max)), nu_r, nu_s) if quip else power_spectrum(c)
        if quip:
            length = p.square().sum(1, keepdim=True).sqrt()
            return p / torch.where(length == 0, 1.0, length) if normalize else p
        return p[:, order] * scale

    pairs = [(a, b) for a in range(len(channels)) for b in range(a + 1)]
    if way is not None:
        of = _sums(way, symbols, n_max)
        both = [(of[a], of[b]) for a, b in zip(*(x.tolist() for x in products[:2]), strict=True)]
        names = [f"soap {z}-{y} l={l} n={n} n={m} k={k} k={q}" for (z, n, k), (y, m, q) in both for l in range(l_max + 1)]
    elif quip:
        kept = _kept(symbols, n_max, nu_r, nu_s)
        names = [f"soap {z}-{y} l={l} n={n} n={m}" for (z, n), (y, m) in kept for l in range(l_max + 1)]
    else:
        place = {pair: k for k, pair in enumerate(pairs)}
        keys = [
            (z * n_max + n, y * n_max + m, l)
            for z in range(Z) for y in range(z, Z) for l in range(l_max + 1)
            for n in range(n_max) for m in range(n if z == y else 0, n_max)
        ]  # fmt: skip
        names = [_name(symbols, channels[b], channels[a], l) for b, a, l in keys]
        order = torch.tensor([place[a, b] * (l_max + 1) + l for b, a, l in keys])
        # what `power_spectrum` multiplies with is taken back
        scale = torch.tensor(
            [math.pi * math.sqrt(8) / (1 if a == b else math.sqrt(2)) for b, a, l in keys], dtype=torch.float64
        )
    return described(graph, spectrum, names, derivatives)


def _numbers(symbols: Sequence[str]) -> list[int]:
    from adiabat.elements import numbers

    return list(numbers(symbols))


def _kept(symbols: Sequence[str], n_max: int, nu_r: int, nu_s: int) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Elements and radial functions of the products of a compressed spectrum, in its order."""
    radial = [str(n + 1) for n in range(n_max)]
    one, other = (
        [(z, n) for z in (symbols if nu_s >= of_two else "*") for n in (radial if nu_r >= of_two else "*")] for of_two in (1, 2)
    )
    if 1 in (nu_r, nu_s):
        return [(a, b) for a in one for b in other]
    return [(b, a) for k, a in enumerate(one) for b in one[: k + 1]]


def _sums(way: Mixing, symbols: Sequence[str], n_max: int) -> list[tuple[str, str, str]]:
    """Elements, radial functions and numbers of the random sums, * where they are summed over, in the order of `Mixing.weights`."""
    kept = symbols if not way.species else [str(n + 1) for n in range(n_max)] if not way.radial else ["*"]
    found = [("", "", "")] * way.channels * len(kept)
    for s, of_kept in enumerate(way.places(len(symbols), n_max).tolist()):
        for k, place in enumerate(of_kept):
            found[place] = (kept[s] if not way.species else "*", kept[s] if not way.radial else "*", str(k + 1))
    return found


def _name(symbols: Sequence[str], one: tuple[int, int], other: tuple[int, int], l: int) -> str:
    (z, n), (y, m) = one, other
    return f"soap {symbols[z]}-{symbols[y]} l={l} n={n + 1} n={m + 1}"
