"""Atomic cluster expansion, linear: symmetric polynomials of an atom's density, one coefficient each.

Drautz, PRB 99, 014104 (2019); channels that mix radial functions and elements before the products are taken, instead of all
products of all of them, as in Darby et al., PRL 131, 028001 (2023) (tensor-reduced density representations).
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.irreps import Irreps
from adiabat.kernels import Contraction, Convolution, edge_conv, edge_geometry, knots, polynomial_cutoff, spline, spline_table
from adiabat.kernels.edge_geometry import reference_edge_geometry
from adiabat.kernels.evaluator import Interaction, MessagePassingProgram
from adiabat.nn import Product
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.potential import Model
from adiabat.typing import Float, Tensor


class ACE(LinearBasis, Model):
    """E_i = Σ_ηc W_{z_i,ηc} B_ηc(A_i): linear in W, so least squares finds its one minimum.

    | symbol | here |
    |---|---|
    | A_{c,lm} = Σ_j R_{cl,z_j}(d_ij) Y_lm(r̂_ij) | `edge_conv` of ones |
    | R_{cl,z} = Σ_n W^{cl}_{zn} g_n: fixed random mixtures, drawn from `seed`, narrower for higher n | `table` |
    | g_n(d): Chebyshev polynomials of x(d), which runs from −1 to 1 faster near the atom, times a smooth cutoff | `radial_functions` |
    | B_ηc: all invariant symmetric polynomials of A_c up to order ν, without repetition | `product`; ν = `correlation` |

    Body order is ν + 1. `cutoff` in Å; `elements` may be left to the training data. An element has (number of couplings η) × `channels`
    coefficients: 36 × `channels` for l ≤ 3 and ν = 4.
    """

    name = "ace"

    def __init__(
        self,
        cutoff: float = 5.0,
        channels: int = 48,
        l_max: int = 3,
        correlation: int = 4,
        radial: int = 8,
        elements: list[str] | None = None,
        seed: int = 0,
        intervals: int = 512,
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.l_max, self.channels, Z = l_max, channels, len(self.elements)
        density = Irreps.spherical(l_max)
        self.conv = Convolution.between("0e", l_max, density)
        self.product = Product(Contraction(density, Irreps.of("0e"), correlation), Z, channels)
        self.size = len(self.product.contraction.orders) * channels
        # Kept with the model: a library's random numbers may change with its version.
        self.register_buffer("table", self._table(radial, intervals, np.random.default_rng(seed)))
        self.register_buffer("ones", torch.ones(Z, channels))

    def _table(self, radial: int, intervals: int, rng: np.random.Generator) -> Float[Tensor, "Z rows L C"]:
        mix = rng.standard_normal((len(self.elements or ()), self.l_max + 1, radial, self.channels))
        mix = torch.from_numpy(mix / np.sqrt(1 + np.arange(radial))[:, None])
        mix = mix / mix.square().sum(2, keepdim=True).sqrt() / 4
        values = radial_functions(knots(self.cutoff, intervals), self.cutoff, radial)
        return torch.stack([spline_table(torch.einsum("kn,lnc->klc", values, of_z)) for of_z in mix])

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("ace: its elements are not known yet; give them, or let `fit` take them from the training data")
        species = graph.once(("species of all", self.elements), lambda: self._species(graph))
        d, Y = edge_geometry(graph.r, self.l_max)
        h = self.ones[species][:, None]
        kind = graph.once(("neighbor kind", self.elements), lambda: species[graph.j])
        A = edge_conv(h, Y, d, self.table, self.cutoff, kind, graph, self.conv)
        return {"energies": self.product(torch.cat([a[:, :, 0] for a in A], 1), species)[0].sum((1, 2))}

    def _species(self, graph: Graph) -> Tensor:
        return torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)

    @torch.no_grad()
    def program(self) -> MessagePassingProgram | None:
        if self.elements is None:
            return None
        Z, C, eye = len(self.elements), self.channels, torch.eye(self.channels).to(self.ones)
        layer = Interaction(
            conv=self.conv, product=self.product.contraction, table=self.table, coefficients=self.product.coefficients(), up=[eye],
            mix=[eye[None]] * (self.l_max + 1), update=[eye], skip=[eye.new_zeros(Z, C, C)], kept=[None], readout=[eye.new_ones(C, 1)],
        )  # fmt: skip
        kinds = torch.arange(Z).expand(Z, Z)
        return MessagePassingProgram(self.elements, self.cutoff, self.ones, kinds, (layer,))

    @torch.no_grad()
    def put(self, c: Float[Tensor, "Z K"]) -> None:
        self.product.weights.copy_(c.unflatten(1, (self.channels, -1)).transpose(1, 2))

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        return self._descriptors(self._density(at))[0]

    def _density(self, at: Centers) -> Float[Tensor, "n lm C"]:
        d, Y = edge_geometry(at.r, self.l_max)
        R = spline(d, self.table, self.cutoff, at.neighbors)[:, self._l]
        return torch.zeros(at.n, *R.shape[1:], dtype=R.dtype, device=R.device).index_add(0, at.i, R * Y[..., None])

    def _descriptors(self, A: Float[Tensor, "n lm C"]) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n C lm P"]]:
        """B, columns (channel, coupling), and its slopes ∂B/∂A; by Euler, ν B = Σ A ∂B/∂A."""
        factors, slopes, order = self._slopes
        n, rows, C = A.shape
        x = torch.cat([A, torch.ones_like(A[:, :1])], 1).movedim(1, 0).reshape(rows + 1, n * C)
        monomials = math.prod(x[column] for column in factors.unbind(1))
        found = (slopes.to(A.dtype) @ monomials).unflatten(0, (rows, -1)).unflatten(2, (n, C))  # lm P n C
        dB = found.permute(2, 3, 0, 1).contiguous()
        B = torch.einsum("nlc,nclp->ncp", A, dB) / order.to(A.dtype)
        return B.flatten(1), dB

    @cached_property
    def _l(self) -> Tensor:
        """l of each row (l, m)."""
        return torch.tensor([l for l in range(self.l_max + 1) for _ in range(2 * l + 1)])

    @cached_property
    def _slopes(self) -> tuple[Tensor, Tensor, Tensor]:
        """∂B_p/∂A_k = Σ_q slopes_{kp,q} Π A[factors_q], and the order of each B_p."""
        poly = self.product.contraction
        rows, P = poly.irreps.dim, len(poly.orders)
        place: dict[tuple[int, ...], int] = {}
        entries: Counter = Counter()
        for t, term in enumerate(poly.terms):
            paths = np.flatnonzero(poly.U[:, t])
            for k, times in Counter(term.factors).items():
                rest = list(term.factors)
                rest.remove(k)
                q = place.setdefault(tuple(rest), len(place))
                for p in paths:
                    entries[k * P + int(p), q] += times * float(poly.U[p, t])
        padded = torch.tensor([(*q, *[rows] * (poly.correlation - 1 - len(q))) for q in place]).reshape(len(place), -1)
        where = torch.tensor(list(entries)).T
        slopes = torch.sparse_coo_tensor(
            where, torch.tensor(list(entries.values()), dtype=torch.float64), (rows * P, len(place)), check_invariants=False
        )
        return padded, slopes, torch.tensor([float(nu) for _, nu in poly.orders], dtype=torch.float64)

    @torch.no_grad()
    def derivatives(self, at: Centers) -> tuple[Float[Tensor, "n K"], Float[Tensor, "e 3 K"]]:
        def along(x: int) -> tuple[Tensor, Tensor]:
            step = torch.zeros_like(at.r)
            step[:, x] = 1
            return torch.func.jvp(lambda r: reference_edge_geometry(r, self.l_max), (at.r,), (step,))[1]

        def radial(d: Tensor) -> Tensor:
            return spline(d, self.table, self.cutoff, at.neighbors)

        d, Y = reference_edge_geometry(at.r, self.l_max)
        u, dY = (torch.stack(parts, 1) for parts in zip(*map(along, range(3)), strict=True))  # E 3, E 3 lm
        R, dR = (x[:, self._l].movedim(2, 0) for x in torch.func.jvp(radial, (d,), (torch.ones_like(d),)))  # C E lm
        B, dB = self._descriptors(self._density(at))
        dA = R[:, :, None] * dY + dR[:, :, None] * (u[:, :, None] * Y[:, None])  # C E 3 lm
        J = at.r.new_empty(len(at.r), 3, self.size)
        bounds = torch.cat([at.i.new_zeros(1), torch.bincount(at.i, minlength=at.n).cumsum(0)]).tolist()
        for k, (a, b) in enumerate(zip(bounds, bounds[1:])):
            of_k = torch.bmm(dA[:, a:b].flatten(1, 2), dB[k])  # C 3e P
            J[a:b].view(3 * (b - a), self.channels, -1).copy_(of_k.transpose(0, 1))
        return B, J


def radial_functions(d: Float[Tensor, "*E"], cutoff: float, n: int) -> Float[Tensor, "*E n"]:
    """g_k(d) = T_k(x) f_c(d), k = 0…n−1, with x = 2 (1 − e^{−2d/r_c})/(1 − e^{−2}) − 1.

    >>> radial_functions(torch.tensor([0.0, 5.0]), 5.0, 3)
    tensor([[ 1., -1.,  1.],
            [ 0.,  0.,  0.]])
    """
    x = 2 * (1 - torch.exp(-2 * d / cutoff)) / (1 - math.exp(-2)) - 1
    T = [torch.ones_like(x), x]
    for _ in range(n - 2):
        T.append(2 * x * T[-1] - T[-2])
    return torch.stack(T[:n], -1) * polynomial_cutoff(d, cutoff, 2)[..., None]
