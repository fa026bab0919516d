"""Atomic cluster expansion as pacemaker writes it: listed products of the atomic density's components, through an embedding function.

Drautz, PRB 99, 014104 (2019); Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021); several elements: Bochkarev et al., Phys. Rev. Mater.
6, 013804 (2022).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import pi

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance, segment_sum, spherical_harmonics
from adiabat.kernels.expansion import MOST_DENSITIES, MOST_L, MOST_RADIAL, Expansion
from adiabat.nn.listed_functions import BASES, falling, power, shifted_power
from adiabat.nn.listed_products import ProductSums, invariant_products
from adiabat.nn.listed_start import start
from adiabat.nn.remembered import Remembered
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor

BONDS = ("rcut", "dcut", "lambda", "prehc", "lambdahc", "rcut_in", "dcut_in")
EMBEDDINGS = ("FinnisSinclair", "FinnisSinclairShiftedScaled")
MOST_MIXED = 2000  # products that are learned in coordinates of their own
FLOOR = 1e-10  # of the ridge: what the data hardly tell costs large coefficients, which are dear when the radial functions move


class PACE(Model):
    """E_i = f(ρ_core) Σ_p w_p F(ρ_p, m_p) + ρ_core, of densities ρ_p = Σ_v c_vp Σ_m c̃_vmp Re Π_t A_{v_t m_t}.

    | symbol | here |
    |---|---|
    | A_{μ n l m} = Σ_j R_nl(d_ij) Y_lm(r̂_ij) over neighbors of element μ, R_nl = Σ_k c_nlk g_k | `sums` of g_k Y_lm, `radial_coefficients` |
    | A_{μ k} = Σ_j g_k(d_ij), what products of one factor are made of | `sums` at l = 0 |
    | g_k: Chebyshev polynomials of x(d), or spherical Bessel functions, faded out at r_c | `BASES`, by name |
    | Y_lm: complex, Σ_m \\|Y_lm\\|² = 2l + 1 | `ProductSums` |
    | products v, their components m, and c̃ | rows of `products`, `components`, `couplings` |
    | c | `coefficients`: 1 in an imported potential, whose c̃ hold them |
    | F | `embeddings` of an element: one of EMBEDDINGS, w and m in `embedding` |
    | ρ_core = Σ_j p e^{−λ d²}/d …, f from 1 to 0 as it passes `core` | `radial_functions` |

    A new potential has all products of up to `factors` (2 to 4) components, `invariant_products`, and w = 1, m = 1, ½, ½, … for its
    `densities`: of two, a linear sum and a square root. `sizes` (products, components, longest product) are for imported ones, whose tables
    come with their numbers: `products` (element, first component, factors), `components` (place in A of each factor, −1 behind a
    shorter product's). Lengths in Å; `cutoff` is the largest of the pairs'.

    Training steps in coordinates in which the data see all coefficients alike, `mixing` and `reach`, from least squares (`begin`).
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
        if "mixing" not in self._buffers:
            return self.coefficients, self.radial_coefficients
        return self.mixing @ self.coefficients, self.reach * self.radial_coefficients

    @torch.no_grad()
    def settle(self) -> None:
        """Coefficients as files hold them."""
        if "mixing" in self._buffers:
            c, radial = self.effective()
            self.coefficients.copy_(c)
            self.radial_coefficients.copy_(radial)
            del self.mixing, self.reach

    def rho(self, z: int, S: Float[Tensor, "a Z k lm"], c: Float[Tensor, "P D"], radial: Tensor) -> Float[Tensor, "D a"]:
        """ρ of atoms of one element."""
        return self.lists[z].rho(S, c.to(S.dtype), radial[z].to(S.dtype), self.couplings.to(S.dtype))

    def begin(self, graphs: Sequence[Graph]) -> None:
        """A linear density by least squares, and coordinates in which the data see all coefficients alike; see `listed_start`."""
        if self.arguments.get("sizes") or len(self.products) > MOST_MIXED or not graphs:
            return
        it = copy.deepcopy(self).cpu().double()
        mixing, reach = start(
            it, [graph.to(device="cpu") for graph in graphs], max(torch.finfo(self.couplings.dtype).eps, FLOOR)
        )
        self.register_buffer("mixing", mixing)
        self.register_buffer("reach", reach)
        self.coefficients.data.copy_(it.coefficients)
        self.radial_coefficients.data.copy_(it.radial_coefficients)
        self.to(self.coefficients)

    @torch.no_grad()
    def program(self) -> Expansion | None:
        if self.elements is None or self.uncompiled():
            return None
        c, radial = self.effective()
        return Expansion(
            self.elements, tuple(map(tuple, self.bases)), tuple(self.embeddings), self.inner, self.products, self.components,
            c[self._owner] * self.couplings, radial, self.bonds, self.embedding, self.core,
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
        shape = (graph.n_atoms, len(known), self.radial_coefficients.shape[-1], (self.l_max + 1) ** 2)
        if (remembered := graph.features.get(self._key)) is not None:
            return Remembered(*remembered).at(graph.r, row).reshape(shape), graph.r.new_zeros(graph.n_atoms), species
        d = distance(graph.r)
        g, wall = self.radial_functions(d, species[graph.i], species[graph.j])
        Y = spherical_harmonics(graph.r / torch.where(d == 0, 1.0, d)[:, None], self.l_max)
        S = segment_sum((g[:, :, None] * Y[:, None]).flatten(1), row, shape[0] * shape[1])
        return S.reshape(shape), segment_sum(wall, graph.i, graph.n_atoms), species

    def remember(self, graph: Graph) -> Graph:
        if bool((self.bonds[..., BONDS.index("prehc")] != 0).any()):  # a repulsion is not remembered
            return graph
        known = torch.tensor(self.elements)
        species = torch.searchsorted(known, graph.numbers)
        zi, zj = species[graph.i], species[graph.j]

        def radial(d: Tensor) -> Tensor:
            return self.radial_functions(d, zi, zj)[0]

        def harmonics(r: Tensor) -> Tensor:
            d = distance(r)
            return spherical_harmonics(r / torch.where(d == 0, 1.0, d)[:, None], self.l_max)

        with torch.enable_grad():
            found = Remembered.of(graph.r, graph.i * len(known) + zj, (graph.n_atoms, len(known)), radial, harmonics)
        return graph.replace(features={**graph.features, self._key: found})

    @property
    def _key(self) -> str:
        """By which features are known to be this model's."""
        bonds = self.bonds.flatten().tolist()
        return f"sums {self.elements} {self.l_max} {self.radial_coefficients.shape[-1]} {self.bases} {self.inner} {bonds}"

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

    @property
    def _owner(self) -> Int[Tensor, "M"]:
        """The product each row of `components` belongs to."""
        first = nn.functional.pad(self.products[:, 1], (0, 1), value=len(self.components))
        return torch.repeat_interleave(torch.arange(len(self.products), device=first.device), first.diff())

    @property
    def lists(self) -> list[ProductSums]:
        """By element; made once on each device."""
        device, (there, made) = self.products.device, self.__dict__.get("_lists", (None, []))
        if there != device:
            owner = self._owner
            element, factors = self.products[owner, 0], self.products[owner, 2]
            made = [
                ProductSums(self.components, owner, factors, element == z, self.l_max) for z in range(len(self.elements or ()))
            ]
            self.__dict__["_lists"] = device, made
        return made
