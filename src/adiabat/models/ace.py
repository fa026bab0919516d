"""Atomic cluster expansion, linear: symmetric polynomials of an atom's density, one coefficient each.

Drautz, PRB 99, 014104 (2019); channels that mix radial functions and elements before the products are taken, instead of all
products of all of them, as in Darby et al., PRL 131, 028001 (2023) (tensor-reduced density representations). A core where nothing is
learned: Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Literal

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.irreps import Irreps
from adiabat.kernels import (
    Contraction,
    Convolution,
    edge_conv,
    edge_geometry,
    knots,
    segment_sum,
    spline,
    spline_table,
)
from adiabat.kernels.evaluator import Interaction, MessagePassingProgram
from adiabat.nn import Product
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.nn.radial import fading
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor


class ACE(LinearBasis, Model):
    """E_i = Σ_ηc W_{z_i,ηc} B_ηc(A_i): linear in W, so least squares finds its one minimum.

    | symbol | here |
    |---|---|
    | A_{c,lm} = Σ_j R_{cl,z_i z_j}(d_ij) Y_lm(r̂_ij) | `edge_conv` of ones |
    | R_{cl,zz'} = f_zz' Σ_n W^{cl}_{z'n} g_n: fixed random mixtures, drawn from `seed`, with less of higher n | `table` |
    | f_zz'(d): fades out the neighbors nearer than the nearest of the training data, as in Lysogorskiy et al. (2021) | `fading` |
    | g_n(d): Chebyshev polynomials of x(d), which runs from −1 to 1 faster near the atom, times a smooth cutoff | `radial_functions` |
    | r_c: `cutoff`, or, with `shortest`, each channel's own, evenly from there to `cutoff` | `table` |
    | B_ηc: all invariant symmetric polynomials of A_c up to order ν, without repetition | `product`; ν = `correlation` |
    | channels that have products of each order: `channels`, or as many as it lists for ν = 1, 2, …, those that end first | `taken` |

    Polynomials of what was never seen can be anything: below the nearest distance of a pair of elements in the training data this sum ends
    within a fraction of an Å, and what is left there is the wall (`ZBL`). A pair of elements that was never seen adds nothing.

    Body order is ν + 1. `cutoff` and `shortest` in Å: with both, near neighbors are seen by all channels, far ones by some; with ``auto``
    the shortest is `NEAR` times the mean distance of an atom to the next one in the training data, so that it ends behind the bonds. `elements`
    may be left to the training data. An element has a coefficient for each coupling η of each channel: 36 × `channels` for l ≤ 3 and ν = 4,
    of which 1, 4, 8 and 23 are of the orders 1 to 4.
    With `variance` a fit keeps their covariance (the square of that many numbers), and the model tells each atom's variance, eV²,
    worked out when it is read.
    """

    name = "ace"
    NEAR = 1.8
    linear_in = ("product.weights",)

    def __init__(
        self,
        cutoff: float = 5.0,
        channels: int | list[int] = 48,
        l_max: int = 3,
        correlation: int = 4,
        radial: int = 8,
        elements: list[str] | None = None,
        seed: int = 0,
        intervals: int = 512,
        variance: bool = False,
        shortest: float | Literal["auto"] | None = None,
    ) -> None:
        super().__init__()
        self.by_data = shortest == "auto"
        self.cutoff, self.shortest = float(cutoff), float(shortest if isinstance(shortest, float | int) else cutoff)
        if not 0 < self.shortest <= self.cutoff or (isinstance(shortest, str) and not self.by_data):
            raise ValueError(
                f"ace.shortest: {shortest} came; wanted the least of the channels' cutoffs, 0 < shortest ≤ {cutoff} Å, or 'auto'"
            )
        of_order = [channels] * correlation if isinstance(channels, int) else list(channels)
        if len(of_order) != correlation or of_order != sorted(of_order, reverse=True) or of_order[-1] < 0 or of_order[0] < 1:
            raise ValueError(
                f"ace.channels: {channels} came; wanted one number, or one for each order 1 to {correlation} of products, none larger "
                "than the one before: products of few densities need the most channels"
            )
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        self.l_max, self.channels, Z = l_max, of_order[0], len(self.elements)
        density = Irreps.spherical(l_max)
        self.conv = Convolution.between("0e", l_max, density)
        contraction = Contraction(density, Irreps.of("0e"), correlation)
        limits = torch.tensor([of_order[nu - 1] for _, nu in contraction.orders])
        self.taken = torch.arange(self.channels)[:, None] < limits  # C paths
        self.product = Product(contraction, Z, self.channels, None if self.taken.all() else self.taken.T)
        self.size = int(self.taken.sum())
        # Kept with the model: a library's random numbers may change with its version.
        self._drawn = radial, intervals, seed
        self.register_buffer("nearest", torch.zeros(Z, Z))  # Å, of pairs of elements in the training data; 0: not known yet
        self.register_buffer("table", self._table())
        self.register_buffer("ones", torch.ones(Z, self.channels))
        if variance:
            self.keep_posterior(Z)

    def _table(self) -> Float[Tensor, "ZZ rows L C"]:
        """One for each center's and neighbor's element, neighbors running faster."""
        radial, intervals, seed = self._drawn
        rng = np.random.default_rng(seed)
        mix = rng.standard_normal((len(self.elements or ()), self.l_max + 1, radial, self.channels))
        mix = torch.from_numpy(mix / np.sqrt(1 + np.arange(radial))[:, None])
        mix = mix / mix.square().sum(2, keepdim=True).sqrt() / 4
        d = knots(self.cutoff, intervals)
        cutoffs = np.linspace(self.shortest, self.cutoff, self.channels)
        values = torch.stack([radial_functions(d, float(cutoff), radial) for cutoff in cutoffs], -1)
        own = [
            torch.einsum("knc,lnc->klc", values * fading(d, float(near))[:, None, None], of_z)
            for nearest in self.nearest.tolist()
            for near, of_z in zip(nearest, mix, strict=True)
        ]
        return torch.stack([spline_table(one) for one in own])

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        if self.elements is None:
            return
        Z = len(self.elements)
        nearest = torch.full((Z * Z,), 2 * self.cutoff, dtype=torch.float64)
        next_ones = []  # how far the next atom is
        for graph in graphs:
            species, d = self._species(graph), graph.r.to(torch.float64).norm(dim=1)
            next_ones.append(torch.full((graph.n_atoms,), torch.inf, dtype=d.dtype).scatter_reduce_(0, graph.i, d, "amin"))
            near = d < self.cutoff
            pairs = species[graph.i[near]] * Z + species[graph.j[near]]
            nearest.scatter_reduce_(0, pairs, d[near], "amin")
        self.nearest.copy_(torch.minimum(nearest.view(Z, Z), nearest.view(Z, Z).T))
        met = torch.cat(next_ones or [nearest])
        met = met[met < self.cutoff]
        if self.by_data and len(met):
            self.shortest = min(self.cutoff, self.NEAR * float(met.mean()))
        self.table.copy_(self._table())

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("ace: its elements are not known yet; give them, or let `fit` take them from the training data")
        species = graph.once(("species of all", self.elements), lambda: self._species(graph))
        d, Y = edge_geometry(graph.r, self.l_max)
        h = self.ones.to(d.dtype)[species][:, None]
        kind = graph.once(("pairs of ace", self.elements), lambda: species[graph.i] * len(self.ones) + species[graph.j])
        A = edge_conv(h, Y, d, self.table.to(d.dtype), self.cutoff, kind, graph, self.conv)
        energies = self.product(torch.cat([a[:, :, 0] for a in A], 1), species)[0].sum((1, 2))
        return self.told(next(self.centers(graph)), energies) if self.tells_variance else {"energies": energies}

    def _species(self, graph: Graph) -> Tensor:
        return torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)

    @torch.no_grad()
    def program(self) -> MessagePassingProgram | None:
        if self.elements is None:
            return None
        Z, C, eye = len(self.elements), self.channels, torch.eye(self.channels).to(self.product.weights)
        layer = Interaction(
            conv=self.conv, product=self.product.contraction, table=self.table.to(eye), coefficients=self.product.coefficients(), up=[eye],
            mix=[eye[None]] * (self.l_max + 1), update=[eye], skip=[eye.new_zeros(Z, C, C)], kept=[None], readout=[eye.new_ones(C, 1)],
        )  # fmt: skip
        kinds = torch.arange(Z * Z).view(Z, Z)
        return MessagePassingProgram(self.elements, self.cutoff, self.ones.to(eye), kinds, (layer,))

    @torch.no_grad()
    def put(self, c: Float[Tensor, "Z K"]) -> None:
        whole = c.new_zeros(len(c), *self.taken.shape)
        whole[:, self.taken] = c
        self.product.weights.copy_(whole.transpose(1, 2))

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        d, Y = edge_geometry(at.r, self.l_max)
        return self._descriptors(self._density(spline(d, self.table, self.cutoff, self._kind(at)), Y, at))[0]

    def _kind(self, at: Centers) -> Int[Tensor, "E"]:
        return at.species[at.i] * len(self.ones) + at.neighbors

    def _density(self, R: Float[Tensor, "E L C"], Y: Float[Tensor, "E lm"], at: Centers) -> Float[Tensor, "n lm C"]:
        return segment_sum(R[:, self._l] * Y[..., None], at.i, at.n)

    def _descriptors(self, A: Float[Tensor, "n lm C"]) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n C lm P"]]:
        """B, columns (channel, coupling), and its slopes ∂B/∂A; by Euler, ν B = Σ A ∂B/∂A."""
        pairs, of_pair, third, slopes, order = self._slopes
        n, rows, C = A.shape
        x = torch.cat([A, torch.ones_like(A[:, :1])], 1).movedim(1, 0).reshape(rows + 1, n * C)
        monomials = (x[pairs[:, 0]] * x[pairs[:, 1]])[of_pair] * x[third]
        found = (slopes.to(A.dtype) @ monomials).unflatten(0, (rows, -1)).unflatten(2, (n, C))  # lm P n C
        dB = found.permute(2, 3, 0, 1).contiguous()
        B = torch.einsum("nlc,nclp->ncp", A, dB) / order.to(A.dtype)
        return B[:, self.taken], dB

    @cached_property
    def _groups(self) -> list[tuple[slice, int, slice]]:
        """Channels that have the same products: which they are, their number of couplings, and their columns."""
        found: list[tuple[slice, int, slice]] = []
        paths = self.taken.sum(1).tolist()
        at = column = 0
        for of_one, alike in groupby(paths):
            n = len(list(alike))
            found.append((slice(at, at + n), of_one, slice(column, column + n * of_one)))
            at, column = at + n, column + n * of_one
        return found

    @cached_property
    def _l(self) -> Tensor:
        """l of each row (l, m)."""
        return torch.tensor([l for l in range(self.l_max + 1) for _ in range(2 * l + 1)])

    @cached_property
    def _slopes(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """∂B_p/∂A_k = Σ_q slopes_{kp,q} A A A of three factors: a pair, of which there are fewer, and a third; and the order of each B_p."""
        poly = self.product.contraction
        rows, P = poly.irreps.dim, len(poly.orders)
        place: dict[tuple[int, ...], int] = {}
        entries: defaultdict[tuple[int, int], float] = defaultdict(float)
        for t, term in enumerate(poly.terms):
            paths = np.flatnonzero(poly.U[:, t])
            for k, times in Counter(term.factors).items():
                rest = list(term.factors)
                rest.remove(k)
                q = place.setdefault(tuple(rest), len(place))
                for p in paths:
                    entries[k * P + int(p), q] += times * float(poly.U[p, t])
        padded = torch.tensor([(*q, *[rows] * (3 - len(q))) for q in place])  # a row of ones behind the others
        pairs, of_pair = torch.unique(padded[:, :2], dim=0, return_inverse=True)
        where = torch.tensor(list(entries)).T
        slopes = torch.sparse_coo_tensor(
            where, torch.tensor(list(entries.values()), dtype=torch.float64), (rows * P, len(place)), check_invariants=False
        )
        return pairs, of_pair, padded[:, 2], slopes, torch.tensor([float(nu) for _, nu in poly.orders], dtype=torch.float64)

    @torch.no_grad()
    def derivatives(self, at: Centers) -> tuple[Float[Tensor, "n K"], Iterator[tuple[slice, Float[Tensor, "e 3 K"]]]]:
        with torch.enable_grad():
            r = at.r.detach().requires_grad_()
            d, Y = edge_geometry(r, self.l_max)
            dY = torch.stack([torch.autograd.grad(y.sum(), r, retain_graph=True)[0] for y in Y.unbind(1)], -1)  # E 3 lm
        d, Y = d.detach(), Y.detach()
        u = at.r / torch.where(d == 0, 1.0, d)[:, None]
        uY = u[:, :, None] * Y[:, None]
        radial = self._radial(d, self._kind(at))
        B, dB = self._descriptors(self._density(radial[0], Y, at))
        R, dR = (x.movedim(2, 0)[..., self._l].contiguous() for x in radial)  # C E lm
        bounds = torch.cat([at.i.new_zeros(1), torch.bincount(at.i, minlength=at.n).cumsum(0)]).tolist()

        def pieces() -> Iterator[tuple[slice, Tensor]]:
            room = at.r.new_empty(max((b - a for a, b in zip(bounds, bounds[1:])), default=0) * 3, self.size)
            for k, (a, b) in enumerate(zip(bounds, bounds[1:])):
                if a < b:  # one center at a time: what is in the cache is used at once
                    dA = (R[:, a:b, None] * dY[a:b]).addcmul_(dR[:, a:b, None], uY[a:b])  # C e 3 lm
                    J = room[: 3 * (b - a)]
                    for channels, paths, columns in self._groups:
                        slopes = torch.bmm(dA[channels].flatten(1, 2), dB[k, channels, :, :paths])
                        J[:, columns].unflatten(1, (-1, paths)).copy_(slopes.transpose(0, 1))
                    yield slice(a, b), J.view(b - a, 3, self.size)

        return B, pieces()

    def _radial(self, d: Float[Tensor, "E"], kind: Int[Tensor, "E"]) -> tuple[Float[Tensor, "E L C"], Float[Tensor, "E L C"]]:
        """R and its slope: the splines' own."""
        n = self.table.shape[1] - 3
        k = (d * (n / self.cutoff)).clamp(0, n - 1).long()
        t = d * (n / self.cutoff) - k
        u = 1 - t
        w = torch.stack([u**3, 3 * t**3 - 6 * t**2 + 4, 3 * u**3 - 6 * u**2 + 4, t**3], -1) / 6
        dw = torch.stack([-(u**2), 3 * t**2 - 4 * t, 4 * u - 3 * u**2, t**2], -1) * (n / self.cutoff / 2)
        rows = self.table[kind[:, None], k[:, None] + torch.arange(4)].flatten(2)  # E 4 LC
        both = torch.bmm(torch.stack([w, dw], 1) * (d < self.cutoff)[:, None, None], rows)
        return both[:, 0].unflatten(1, self.table.shape[2:]), both[:, 1].unflatten(1, self.table.shape[2:])


def radial_functions(d: Float[Tensor, "*E"], cutoff: float, n: int) -> Float[Tensor, "*E n"]:
    """g_k(d) = T_k(x) (1 − d²/r_c²)², k = 0…n−1, with x = 2 (1 − e^{−2d/r_c})/(1 − e^{−2}) − 1.

    >>> radial_functions(torch.tensor([0.0, 5.0]), 5.0, 3)
    tensor([[ 1., -1.,  1.],
            [ 0.,  0.,  0.]])
    """
    x = 2 * (1 - torch.exp(-2 * d / cutoff)) / (1 - math.exp(-2)) - 1
    T = [torch.ones_like(x), x]
    for _ in range(n - 2):
        T.append(2 * x * T[-1] - T[-2])
    return torch.stack(T[:n], -1) * ((1 - (d / cutoff).square()).clamp(min=0.0).square())[..., None]
