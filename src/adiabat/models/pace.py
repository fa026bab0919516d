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
from adiabat.nn.listed_products import ProductSums, invariant_products
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
        S, core, species = self.sums(graph)
        energies = torch.zeros(graph.n_atoms, dtype=S.dtype, device=S.device)
        coefficients = self.effective()
        for z, number in enumerate(self.elements or ()):
            atoms = graph.atoms_of(number)
            if len(atoms):
                rho = self.rho(z, S.index_select(0, atoms), *coefficients)
                w, m = self.embedding[z].to(rho.dtype)[:, :, None].unbind(1)
                F = shifted_power if self.embeddings[z] == EMBEDDINGS[1] else power
                energies = energies.index_add(0, atoms, (w * F(rho, m)).sum(0))
        end, width = self.core.to(S.dtype)[species].unbind(1)
        return {"energies": energies * falling(core, end, width) + core}

    def effective(self) -> tuple[Tensor, Tensor]:
        """c and c_nlk as they are in files."""
        return self.coefficients, self.radial_coefficients

    def rho(self, z: int, S: Float[Tensor, "a Z k lm"], c: Float[Tensor, "P D"], radial: Tensor) -> Float[Tensor, "D a"]:
        """ρ of atoms of one element."""
        return self._lists[z].rho(S, c.to(S.dtype), radial[z].to(S.dtype), self.couplings.to(S.dtype))

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

    def sums(self, graph: Graph) -> tuple[Float[Tensor, "N Z k lm"], Float[Tensor, " N"], Int[Tensor, " N"]]:
        """Σ_j g_k Y_lm of each neighbor's element (real harmonics), ρ_core, and the atoms' elements."""
        if self.elements is None:
            raise ValueError("pace: its elements are not known yet; give them, or let `fit` take them from the training data")
        known = torch.tensor(self.elements, device=graph.device)
        species = graph.once(("species of all", self.elements), lambda: torch.searchsorted(known, graph.numbers))
        row = graph.once(("row", self.elements), lambda: graph.i * len(known) + species[graph.j])
        d = distance(graph.r)
        g, wall = self.radial_functions(d, species[graph.i], species[graph.j])
        Y = spherical_harmonics(graph.r / torch.where(d == 0, 1.0, d)[:, None], self.l_max)
        S = segment_sum((g[:, :, None] * Y[:, None]).flatten(1), row, graph.n_atoms * len(known))
        core = segment_sum(wall, graph.i, graph.n_atoms)
        return S.reshape(graph.n_atoms, len(known), g.shape[1], Y.shape[1]), core, species

    def radial_functions(self, d: Tensor, zi: Tensor, zj: Tensor) -> tuple[Float[Tensor, "E k"], Float[Tensor, " E"]]:
        """g_k and the repulsion of each pair."""
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
        p, decay = bond["prehc"].abs(), bond["lambdahc"].abs()
        wall = p * torch.exp(-decay * here.square()) / here * 0.5 * (1 + torch.cos(pi * here / bond["rcut"]))
        return g, torch.where(inside & (decay * d.square() < 50), wall * fade if self.inner == "distance" else wall, 0.0)

    @cached_property
    def _owner(self) -> Int[Tensor, "M"]:
        """The product each row of `components` belongs to."""
        first = torch.cat([self.products[:, 1], torch.tensor([len(self.components)])])
        return torch.repeat_interleave(torch.arange(len(self.products)), first.diff())

    @cached_property
    def _lists(self) -> list[ProductSums]:
        element, factors = self.products[self._owner, 0].cpu(), self.products[self._owner, 2].cpu()
        return [
            ProductSums(self.components.cpu(), self._owner.cpu(), factors, element == z, self.l_max)
            for z in range(len(self.elements or ()))
        ]


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
