"""Atomic cluster expansion as pacemaker writes it: listed products of the atomic density's components, through an embedding function.

Drautz, PRB 99, 014104 (2019); Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021); several elements: Bochkarev et al., Phys. Rev. Mater.
6, 013804 (2022).
"""

from __future__ import annotations

from functools import cached_property
from math import pi, sqrt

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance, segment_sum, spherical_harmonics
from adiabat.kernels.expansion import MOST_DENSITIES, MOST_L, MOST_RADIAL, Expansion
from adiabat.nn.listed_products import invariant_products
from adiabat.potential import Model
from adiabat.typing import Bool, Float, Int, Tensor

BONDS = ("rcut", "dcut", "lambda", "prehc", "lambdahc", "rcut_in", "dcut_in")
EMBEDDINGS = ("FinnisSinclair", "FinnisSinclairShiftedScaled")


class PACE(Model):
    """E_i = f(ρ_core) Σ_p w_p F(ρ_p, m_p) + ρ_core, of densities ρ_p = Σ_v c_vp Σ_m c̃_vmp Re Π_t A_{v_t m_t}.

    | symbol | here |
    |---|---|
    | A_{μ n l m} = Σ_j R_nl(d_ij) Y_lm(r̂_ij) over neighbors of element μ, R_nl = Σ_k c_nlk g_k | `densities`, `radial_coefficients` |
    | A_{μ k} = Σ_j g_k(d_ij), what products of one factor are made of | the same |
    | g_k: Chebyshev polynomials of x(d), or spherical Bessel functions, faded out at r_c | `BASES`, by name |
    | Y_lm: complex, Σ_m \\|Y_lm\\|² = 2l + 1 | `_complex` |
    | products v, their components m, and c̃ | rows of `products`, `components`, `couplings` |
    | c | `coefficients`: 1 in an imported potential, whose c̃ hold them |
    | F | `embeddings` of an element: one of EMBEDDINGS, w and m in `embedding` |
    | ρ_core = Σ_j p e^{−λ d²}/d …, f from 1 to 0 as it passes `core` | `repulsion` |

    A new potential has all products of up to `factors` (2 to 4) components, `invariant_products`, and w = 1, m = 1, ½, ½, … for its
    `densities`: of two, a linear sum and a square root. `sizes` (products, components, longest product) are for imported ones, whose tables
    come with their numbers: `products` (element, first component, factors), `components` (place in A of each factor, −1 behind a
    shorter product's). Lengths in Å; `cutoff` is the largest of the pairs'.
    """

    name = "pace"
    one_by_one = True  # its tables say which operations there are

    def __init__(
        self,
        cutoff: float = 5.0,
        elements: list[str] | None = None,
        radial: int = 6,
        n_max: int = 3,
        l_max: int = 2,
        densities: int = 1,
        factors: int = 3,
        bases: list[list[str]] | str = "ChebExpCos",
        embeddings: list[str] | str = "FinnisSinclairShiftedScaled",
        inner: str = "density",
        sizes: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        Z, self.n_max, self.l_max, self.inner = len(self.elements), n_max, l_max, inner
        self.bases = [[bases] * Z] * Z if isinstance(bases, str) else bases
        self.embeddings = [embeddings] * Z if isinstance(embeddings, str) else embeddings
        unknown = [b for row in self.bases for b in row if b not in BASES] + [e for e in self.embeddings if e not in EMBEDDINGS]
        if unknown or inner not in ("density", "distance"):
            raise ValueError(
                f"pace: {(*unknown, inner)[0]!r} came; wanted {', '.join((*BASES, *EMBEDDINGS))}; density or distance"
            )
        if any("ChebLinear" in row for row in self.bases):
            self.waived = dict.fromkeys(  # type: ignore[misc]
                ("a_pair_parts_smoothly", "an_atom_leaves_a_molecule_smoothly"), "ChebLinear's functions end in a step"
            )
        if sizes:
            P, M, most = sizes
            products, components = torch.zeros(P, 3, dtype=torch.int64), torch.zeros(M, most, dtype=torch.int64)
            couplings = torch.zeros(M)
        else:
            products, components, couplings = invariant_products(Z, radial, n_max, l_max, factors)
        self.register_buffer("products", products)
        self.register_buffer("components", components)
        self.register_buffer("couplings", couplings[:, None].repeat(1, densities))
        self.coefficients = nn.Parameter(torch.randn(len(self.products), densities) / len(self.products))
        self.radial_coefficients = nn.Parameter(torch.randn(Z, Z, n_max, l_max + 1, radial) / radial)
        bonds = torch.tensor([self.cutoff, 0.01, 5.0, 0.0, 1.0, 0.0, 0.01])
        self.register_buffer("bonds", bonds.repeat(Z, Z, 1))  # columns: BONDS
        exponents = torch.tensor([1.0] + [0.5] * (densities - 1))
        self.register_buffer("embedding", torch.stack([torch.ones(densities), exponents], 1).repeat(Z, 1, 1))  # w, m
        self.register_buffer("core", torch.tensor([1e5, 250.0]).repeat(Z, 1))  # eV: where f is 0, and over which it falls

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("pace: its elements are not known yet; give them, or let `fit` take them from the training data")
        known = torch.tensor(self.elements, device=graph.device)
        species = graph.once(("species of all", self.elements), lambda: torch.searchsorted(known, graph.numbers))
        single, A, core = self.densities(graph.r, graph, species)
        rho = torch.zeros(graph.n_atoms, self.couplings.shape[1], dtype=A.real.dtype, device=A.device)
        for z, number in enumerate(self.elements):
            atoms = graph.atoms_of(number)
            for rows, of, factors in self._lists[z] if len(atoms) else ():
                if factors is None:
                    B = single.index_select(0, atoms)[:, of]
                else:
                    mine = A.index_select(0, atoms)
                    B = mine[:, factors[:, 0]]  # atoms components
                    for factor in factors[:, 1:].unbind(1):
                        B = B * mine[:, factor]
                    B = B.real
                c = (self.coefficients[self._owner[rows]] * self.couplings[rows]).to(B.dtype)
                rho = rho.index_add(0, atoms, B @ c)
        w, m = self.embedding.to(rho.dtype)[species].unbind(2)
        shifted = torch.tensor([e == EMBEDDINGS[1] for e in self.embeddings], device=species.device)[species][:, None]
        E = (w * torch.where(shifted, shifted_power(rho, m), power(rho, m))).sum(1)
        end, width = self.core.to(rho.dtype)[species].unbind(1)
        return {"energies": E * falling(core, end, width) + core}

    @torch.no_grad()
    def program(self) -> Expansion | None:
        if self.elements is None or self.uncompiled():
            return None
        return Expansion(
            self.elements, tuple(map(tuple, self.bases)), tuple(self.embeddings), self.inner, self.products, self.components,
            self.coefficients[self._owner] * self.couplings, self.radial_coefficients, self.bonds, self.embedding, self.core,
        )  # fmt: skip

    def uncompiled(self) -> str:
        *_, l, radial = self.radial_coefficients.shape
        if radial <= MOST_RADIAL and l <= MOST_L + 1 and self.couplings.shape[1] <= MOST_DENSITIES:
            return ""
        return (
            f"compiled are up to {MOST_RADIAL} radial functions, l ≤ {MOST_L} and {MOST_DENSITIES} densities; "
            f"these are {radial}, {l - 1} and {self.couplings.shape[1]}"
        )

    def densities(self, r: Tensor, graph: Graph, species: Int[Tensor, "N"]) -> tuple[Tensor, Tensor, Tensor]:
        """A of single factors [N, μ k], A [N, μ n l m] complex, ρ_core [N]."""
        Z, N, d = len(self.elements or ()), graph.n_atoms, distance(r)
        zi, zj = species[graph.i], species[graph.j]
        bond = dict(zip(BONDS, self.bonds.to(d.dtype)[zi, zj].unbind(1), strict=True))
        inside = d < bond["rcut"]
        here = torch.where(inside, d, 0.5 * bond["rcut"])  # functions are taken within the cutoff only
        g = d.new_zeros(len(d), self.radial_coefficients.shape[-1])
        for name in sorted({b for row in self.bases for b in row}):
            mine = torch.tensor([[b == name for b in row] for row in self.bases], device=zi.device)[zi, zj]
            g = torch.where(mine[:, None], BASES[name](here, bond, g.shape[1]), g)
        fade = falling(d, bond["rcut_in"], bond["dcut_in"])
        begun = inside & (d > bond["rcut_in"] - bond["dcut_in"])
        g = torch.where(begun[:, None], g * (1 - fade[:, None]) if self.inner == "distance" else g, 0.0)
        row = graph.i * Z + zj
        single = segment_sum(g, row, N * Z).reshape(N, -1)
        c = self.radial_coefficients.to(d.dtype).flatten(0, 1)[zi * Z + zj]
        R = torch.einsum("ek,enlk->enl", g, c)
        u = r / torch.where(d == 0, 1.0, d)[:, None]
        Y = self._complex(spherical_harmonics(u, self.l_max))  # E lm 2
        l = torch.tensor([l for l in range(self.l_max + 1) for _ in range(2 * l + 1)], device=r.device)
        A = segment_sum((R[:, :, l, None] * Y[:, None]).flatten(1), row, N * Z).reshape(N, -1, 2)
        p, decay = bond["prehc"].abs(), bond["lambdahc"].abs()
        wall = p * torch.exp(-decay * here.square()) / here * 0.5 * (1 + torch.cos(pi * here / bond["rcut"]))
        wall = torch.where(inside & (decay * d.square() < 50), wall * fade if self.inner == "distance" else wall, 0.0)
        return single, torch.view_as_complex(A.contiguous()), segment_sum(wall, graph.i, N)

    def _complex(self, Y: Float[Tensor, "E lm"]) -> Float[Tensor, "E lm 2"]:
        """Harmonics with the Condon–Shortley phase: Y_l^m = (−1)^m (Y_lm + i Y_l−m)/√2, Y_l^−m = (Y_lm − i Y_l−m)/√2, m > 0."""
        columns = []
        for l in range(self.l_max + 1):
            for m in range(-l, l + 1):
                at, size = l * l + l, sqrt(0.5) * (1.0 if m < 0 or m % 2 == 0 else -1.0)
                cosine, sine = Y[:, at + abs(m)], Y[:, at - abs(m)]
                pair = (cosine, torch.zeros_like(cosine)) if m == 0 else (size * cosine, size * sine * (1 if m > 0 else -1))
                columns.append(torch.stack(pair, -1))
        return torch.stack(columns, 1)

    @cached_property
    def _owner(self) -> Int[Tensor, "M"]:
        """The product each row of `components` belongs to."""
        first = torch.cat([self.products[:, 1], torch.tensor([len(self.components)])])
        return torch.repeat_interleave(torch.arange(len(self.products)), first.diff())

    @cached_property
    def _lists(self) -> list[list[tuple[Tensor, Tensor | None, Tensor | None]]]:
        """For each element and number of factors: rows of `components`, places in single A's, or in A."""
        element, factors = self.products[self._owner, 0], self.products[self._owner, 2]
        found = []
        for z in range(len(self.elements or ())):
            mine: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
            for n in sorted(set(factors[element == z].tolist())):
                rows = torch.nonzero((element == z) & (factors == n))[:, 0]
                places = self.components[rows, :n]
                mine.append((rows, places[:, 0], None) if n == 1 else (rows, None, places))
            found.append(mine)
        return found


def falling(x: Tensor, end: Tensor, width: Tensor) -> Tensor:
    """1 below end − width, 0 above end, and between them a polynomial of fifth order with flat ends.

    >>> falling(torch.tensor([0.0, 1.5, 3.0]), torch.tensor(2.0), torch.tensor(1.0))
    tensor([1.0000, 0.5000, 0.0000])
    """
    between = (x > end - width) & (x < end)
    y = 1 - 2 * (1 + torch.where(between, x - end, 0.0) / torch.where(width == 0, 1.0, width))
    f = 0.5 + 3.75 * (y / 4 - y**3 / 6 + y**5 / 20)
    return torch.where(between, f, (x < end).to(f.dtype))


def power(rho: Tensor, m: Tensor) -> Tensor:
    """F = ± \\|ρ\\|^m, linear near zero: within some 10⁻⁶ it goes over to ρ 10^(6 − 6m)."""
    sign, slope = torch.where(rho < 0, -1.0, 1.0).to(rho), 1e-6 ** (m - 1)
    a = torch.where(rho.abs() > 1e-10, rho * sign, 1.0)
    cube = (1e6 * a) ** 3
    g = torch.where(cube > 30, 0.0, torch.exp(-cube.clamp(max=30)))
    return torch.where(rho.abs() > 1e-10, sign * ((1 - g) * a**m + slope * g * a), slope * rho)


def shifted_power(rho: Tensor, m: Tensor) -> Tensor:
    """F = ± ((\\|ρ\\| + x e^−\\|ρ\\|)^m − y e^−\\|ρ\\|) with x = m^(−1/(m−1)), y = x^m: F(0) = 0 and a finite slope there; ρ for m = 1."""
    linear: Bool[Tensor, "*any"] = (m - 1).abs() < 1e-10
    m = torch.where(linear, 2.0, m)
    sign = torch.where(rho < 0, -1.0, 1.0).to(rho)
    a, n = rho * sign, 1 / m
    x, y = n ** (n / (1 - n)) * torch.exp(-a), n ** (1 / (1 - n)) * torch.exp(-a)
    return torch.where(linear, rho, sign * ((x + a) ** m - y))


def _chebyshev(x: Tensor, n: int) -> Tensor:
    """T_0 … T_n."""
    T = [torch.ones_like(x), x]
    for _ in range(n - 1):
        T.append(2 * x * T[-1] - T[-2])
    return torch.stack(T[: n + 1], 1)


def _cheb_exp_cos(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    cutoff, wide, decay = bond["rcut"], bond["dcut"], bond["lambda"]
    x = 1 - 2 * (torch.exp(-decay * d / cutoff) - torch.exp(-decay)) / (1 - torch.exp(-decay))
    T = _chebyshev(x, max(n - 1, 1))[:, :n]
    late = torch.where(d > cutoff - wide, 0.5 * (1 + torch.cos(pi * (d - cutoff + wide) / wide)), 1.0)
    fade = 0.5 * (1 + torch.cos(pi * d / cutoff)) * late
    return torch.cat([T[:, :1], 0.5 - 0.5 * T[:, 1:]], 1) * fade[:, None]


def _cheb_pow(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    return 0.5 - 0.5 * _chebyshev(1 - 2 * (1 - d / bond["rcut"]) ** bond["lambda"], n)[:, 1:]


def _cheb_linear(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    return 0.5 - 0.5 * _chebyshev(1 - d / bond["rcut"], n)[:, 1:]


def _bessel(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    """Sums of two neighboring sin(kπd/r_c)/d with vanishing value and slope at r_c, made orthogonal.

    Kocer, Mason and Erturk, AIP Adv. 10, 015021 (2020).
    """
    cutoff = bond["rcut"]
    g: list[Tensor] = []
    before = 1.0
    for k in range(n):
        size = (-1) ** k * sqrt(2) * pi * (k + 1) * (k + 2) / sqrt((k + 1) ** 2 + (k + 2) ** 2)
        f = size / cutoff**1.5 * (torch.sinc((k + 1) * d / cutoff) + torch.sinc((k + 2) * d / cutoff))
        e = k**2 * (k + 2) ** 2 / (4 * (k + 1) ** 4 + 1)
        now = 1 - e / before
        g.append((f + sqrt(e / before) * g[-1]) / sqrt(now) if k else f)
        before = now
    return torch.stack(g, 1)


BASES = {
    "ChebExpCos": _cheb_exp_cos, "ChebPow": _cheb_pow, "ChebLinear": _cheb_linear, "SBessel": _bessel, "TEST_SBessel": _bessel,
}  # fmt: skip
