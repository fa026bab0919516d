"""Gaussian approximation potentials: sparse Gaussian processes on distances and on the power spectrum of the neighbor density.

Bartók, Payne, Kondor and Csányi, PRL 104, 136403 (2010); SOAP: Bartók, Kondor and Csányi, PRB 87, 184115 (2013); sums of kernels and
their fit: Deringer et al., Chem. Rev. 121, 10073 (2021), section 2. Descriptors, cutoffs and kernels are QUIP's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.config import checked
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.kernels import distance, spline
from adiabat.kernels.gaussian_process import PairProcess, Processes, SoapProcess, spectra
from adiabat.kernels.soap import density, directions, power_spectrum, shoulder, spheres_table
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.nn.sparse_points import METHODS, chosen, spread_out
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor

JITTER = 1e-10  # of a kernel's diagonal, so that K_MM has a Cholesky factor
UNSURE = 1e-3  # eV: what QUIP adds to every K_MM when it tells variances


class GAP(LinearBasis, Model):
    """E_i = Σ_j Σ_s α_s k₂(d_ij, d_s) + Σ_s α_s k(p_i, p_s), each sum less a lone atom's.

    | symbol | here |
    |---|---|
    | k₂ = δ² exp(−(d − d_s)²/2θ²) f_c(d) f_c(d_s) | `TwoBody`, one a pair of elements |
    | k = δ² (p·p_s)^ζ | `Soap`, one an element of the center |
    | s: sparse points, chosen from the training data | buffers `points` of the kernels |
    | α, minimizing Σ ((E − Ê)/σ)² + … + αᵀ K_MM α | `coefficients`; σ: `noise`; K_MM: `prior` |

    `soap` and `two_body` are options of these kernels, or lists of options, each with a `center` or a `pair` of elements; [] leaves
    them out. `noise`: σ of energies and strain gradients, eV/atom (times √N for a structure), and of forces, eV/Å. `sparse`: how
    environments are chosen, `leverage`, `farthest` or `random`; distances are chosen evenly. With `variance` the model tells each
    atom's predictive variance, eV², as QUIP defines it, and is not compiled.

    It computes in double precision whatever is asked for: coefficients are as large as 10⁵ eV and cancel.
    """

    name = "gap"
    shared = True

    def __init__(
        self,
        soap: Mapping[str, Any] | Sequence[Mapping[str, Any]] = {},
        two_body: Mapping[str, Any] | Sequence[Mapping[str, Any]] = {},
        noise: Mapping[str, float] = {"energy": 0.002, "forces": 0.1, "stress": 0.02},
        sparse: str = "leverage",
        elements: list[str] | None = None,
        variance: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if elements is not None:
            self.elements = periodic_table.numbers(elements)
        names = [symbol(z) for z in self.elements or (1,)]
        pairs = [[a, b] for k, a in enumerate(names) for b in names[k:]]
        kernels: list[Kernel] = []
        for kind, key, options, each in ((TwoBody, "pair", two_body, pairs), (Soap, "center", soap, names)):
            listed = [{key: one, **options} for one in each] if isinstance(options, Mapping) else options
            for given in listed:
                kernels.append(kind(names, **checked(kind, given, where=f"gap.{kind.option}", given={"elements": names})))
        if not kernels:
            raise ValueError("gap: neither soap nor two_body is left; a GAP needs one kernel at least")
        if sparse not in METHODS:
            raise ValueError(f"gap.sparse: {sparse!r} came; wanted {', '.join(METHODS)}")
        self.cutoff = max(kernel.cutoff for kernel in kernels)
        self.noise, self.sparse, self.seed = {k: float(v) for k, v in noise.items()}, sparse, seed
        if elements is None:
            return
        self.kernels = nn.ModuleList(kernels)
        self.size = sum(kernel.n_sparse for kernel in kernels)
        self.coefficients = nn.Parameter(torch.randn(1, self.size, dtype=torch.float64) / (10 * self.size))
        if variance:
            self.outputs = ("energies", "variance")  # type: ignore[misc]

    def _apply(self, fn: Any, recurse: bool = True) -> GAP:
        def kept(x: Tensor) -> Tensor:  # another place, but never another precision
            return moved if (moved := fn(x)).dtype == x.dtype else x.to(moved.device)

        return super()._apply(kept, recurse)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("gap: its elements are not known yet; give them, or let `fit` take them from the training data")
        (at,) = self.centers(graph.replace(r=graph.r.to(torch.float64)))
        found = {"energies": self.basis(at) @ self.coefficients[0]}
        if "variance" in self.outputs:
            found["variance"] = torch.stack([kernel.variance(at) for kernel in self._kernels]).sum(0)
        return found

    @property
    def _kernels(self) -> list[Kernel]:
        return list(self.kernels)

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        return torch.cat([kernel(at) for kernel in self._kernels], 1)

    @torch.no_grad()
    def program(self) -> Processes | None:
        if self.elements is None or any(kernel.option == "soap" and kernel.zeta % 1 for kernel in self._kernels):
            return None
        each = self.coefficients.detach()[0].split([kernel.n_sparse for kernel in self._kernels])
        made = [kernel.process(alpha) for kernel, alpha in zip(self._kernels, each)]
        pairs = tuple(it for it in made if isinstance(it, PairProcess))
        if len({it.pair for it in pairs}) < len(pairs):
            return None
        soap = tuple(it for it in made if isinstance(it, SoapProcess))
        return Processes(self.elements, soap, pairs)

    def alone(self) -> Float[Tensor, "Z K"]:
        """What is taken from the kernels: those of an atom of each element without neighbors."""
        return torch.stack(
            [torch.cat([kernel.alone_as(z) for kernel in self._kernels]) for z in range(len(self.elements or ()))]
        )

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        for k, kernel in enumerate(self._kernels):
            found = [x for graph in graphs for at in self.centers(graph, 20_000) if len(x := kernel.seen(at))]
            if found:
                generator = torch.Generator().manual_seed(1_000_003 * self.seed + k)
                kernel.choose(torch.cat(found).to(torch.float64), self.sparse, generator)

    @torch.no_grad()
    def prior(self) -> Float[Tensor, "K K"]:
        """A factor R of K_MM = Rᵀ R, which is block diagonal: the rows that make a fit of coefficients a Gaussian process."""
        return torch.block_diag(
            *(torch.linalg.cholesky(kernel.covariance(JITTER * kernel.delta**2)).T for kernel in self._kernels)
        )

    @torch.no_grad()
    def derivatives(self, at: Centers) -> tuple[Float[Tensor, "n K"], Iterator[tuple[slice, Float[Tensor, "e 3 K"]]]]:
        made = [slopes for kernel in self._kernels if (slopes := kernel.slopes(at)) is not None]
        if len(made) < len(self._kernels):  # nothing compiled here
            return super().derivatives(at)
        bounds = torch.cat([at.i.new_zeros(1), torch.bincount(at.i, minlength=at.n).cumsum(0)]).tolist()

        def pieces() -> Iterator[tuple[slice, Tensor]]:
            room = at.r.new_empty(max((b - a for a, b in zip(bounds, bounds[1:])), default=0), 3, self.size)
            for k, (a, b) in enumerate(zip(bounds, bounds[1:])):
                if a < b:  # one center at a time: what is in the cache is used at once
                    J, start = room[: b - a], 0
                    for kernel, (_, put) in zip(self._kernels, made):
                        put(k, slice(a, b), J[..., start : start + kernel.n_sparse])
                        start += kernel.n_sparse
                    yield slice(a, b), J

        return torch.cat([B for B, _ in made], 1), pieces()


class Kernel(nn.Module):
    """Covariances of the atoms' energies with those of `n_sparse` sparse points, and what is needed to choose these and to fit."""

    option: str
    points: Tensor  # [n_sparse, D]; a row of zeros where the data had fewer

    def __init__(self, cutoff: float, transition_width: float, delta_eV: float, n_sparse: int) -> None:
        super().__init__()
        self.cutoff, self.width, self.delta, self.n_sparse = (
            float(cutoff),
            float(transition_width),
            float(delta_eV),
            int(n_sparse),
        )
        if not 0 < self.width <= self.cutoff or self.n_sparse < 1 or not self.delta > 0:
            raise ValueError(
                f"gap.{self.option}: cutoff {cutoff}, transition_width {transition_width}, delta_eV {delta_eV}, n_sparse {n_sparse} "
                "came; wanted 0 < transition_width ≤ cutoff, delta_eV > 0 and n_sparse ≥ 1"
            )

    def alone_as(self, species: int) -> Float[Tensor, "M"]:
        """The covariances of an atom of this element without neighbors."""
        return self.points.new_zeros(self.n_sparse)

    def _whiten(self, k: Float[Tensor, "n M"]) -> Float[Tensor, "n"]:
        """k K_MM⁻¹ kᵀ with QUIP's regularization."""
        R = torch.linalg.cholesky(self.covariance(UNSURE**2))
        return torch.linalg.solve_triangular(R, k.to(R).T, upper=False).square().sum(0).to(k)


class TwoBody(Kernel):
    """k₂(i, s) = δ² f_c(d_s) Σ_j f_c(d_ij) exp(−(d_ij − d_s)²/2θ²) over the neighbors j that make a pair of these two elements."""

    option = "two_body"

    def __init__(
        self,
        elements: Sequence[str],
        pair: Sequence[str],
        cutoff: float = 5.0,
        transition_width: float = 1.0,
        theta_angstrom: float = 1.0,
        delta_eV: float = 2.0,
        n_sparse: int = 20,
    ) -> None:
        super().__init__(cutoff, transition_width, delta_eV, n_sparse)
        self.theta = float(theta_angstrom)
        known = list(elements)
        one, other = sorted(known.index(element) for element in pair)
        self.pair = one, other
        # As if there were data: evenly spaced
        self.register_buffer("points", spread_out(0.4 * self.cutoff, self.cutoff, self.n_sparse)[:, None])

    def forward(self, at: Centers) -> Float[Tensor, "n M"]:
        e, d = self._edges(at)
        return at.r.new_zeros(at.n, self.n_sparse).index_add(
            0, at.i[e], self._k(d) * shoulder(d, self.cutoff, self.width)[:, None]
        )

    def _edges(self, at: Centers) -> tuple[Int[Tensor, "e"], Float[Tensor, "e"]]:
        a, b = torch.minimum(own := at.species[at.i], at.neighbors), torch.maximum(own, at.neighbors)
        e = torch.nonzero((a == self.pair[0]) & (b == self.pair[1]))[:, 0]
        return e, distance(at.r.index_select(-2, e))

    def _k(self, d: Float[Tensor, "e"]) -> Float[Tensor, "e M"]:
        s = self.points[:, 0]
        return self.delta**2 * shoulder(s, self.cutoff, self.width) * torch.exp(-0.5 * ((d[:, None] - s) / self.theta).square())

    def slopes(self, at: Centers) -> tuple[Tensor, Any] | None:
        e, d = self._edges(at)
        f, df = _with_slope(d, self.cutoff, self.width)
        k = self._k(d)
        dk = k * (df[:, None] - f[:, None] * (d[:, None] - self.points[:, 0]) / self.theta**2)  # e M
        u = at.r[e] / d[:, None]
        place = torch.full((len(at.r),), -1).index_copy(0, e, torch.arange(len(e)))

        def put(_: int, edges: slice, J: Tensor) -> None:
            mine = place[edges]
            J.copy_(torch.where((mine >= 0)[:, None, None], u[mine][:, :, None] * dk[mine][:, None] if len(e) else 0.0, 0.0))

        return at.r.new_zeros(at.n, self.n_sparse).index_add_(0, at.i[e], k * f[:, None]), put

    def process(self, alpha: Float[Tensor, "M"]) -> PairProcess:
        """Its energies with these coefficients, as they are compiled."""
        a = alpha * self.delta**2 * shoulder(self.points[:, 0], self.cutoff, self.width)
        return PairProcess(self.pair, self.cutoff, self.width, self.theta, self.points[:, 0], a)

    def covariance(self, diagonal: float) -> Float[Tensor, "M M"]:
        s = self.points.to(torch.float64)[:, 0]
        f = shoulder(s, self.cutoff, self.width)
        K = f[:, None] * f * self.delta**2 * torch.exp(-0.5 * ((s[:, None] - s) / self.theta).square())
        return K + diagonal * torch.eye(self.n_sparse).to(K)

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        e, d = self._edges(at)
        left = self.delta**2 + UNSURE**2 - self._whiten(self._k(d))
        return at.r.new_zeros(at.n).index_add(0, at.i[e], left * shoulder(d, self.cutoff, self.width).square())

    def seen(self, at: Centers) -> Float[Tensor, "e 1"]:
        d = self._edges(at)[1]
        return d[d < self.cutoff][:, None]

    def choose(self, seen: Float[Tensor, "e 1"], method: str, generator: torch.Generator) -> None:
        self.points.copy_(spread_out(float(seen.min()), self.cutoff, self.n_sparse)[:, None])


class Soap(Kernel):
    """k(i, s) = δ² (p_i·p_s)^ζ of normalized power spectra, of atoms of the element `center`; neighbors of other than `species` do not count.

    `center_in_all`: the atom's own Gaussian, of `central_weight`, stands in the density of every species, not of its own alone.
    `intervals` are those of the radial functions' splines.
    """

    option = "soap"

    def __init__(
        self,
        elements: Sequence[str],
        center: str,
        cutoff: float = 5.0,
        n_max: int = 8,
        l_max: int = 6,
        atom_sigma: float = 0.5,
        transition_width: float = 1.0,
        zeta: float = 4.0,
        delta_eV: float = 0.2,
        n_sparse: int = 500,
        species: Sequence[str] | None = None,
        central_weight: float = 1.0,
        center_in_all: bool = False,
        intervals: int = 8192,
    ) -> None:
        super().__init__(cutoff, transition_width, delta_eV, n_sparse)
        known = list(elements)
        self.center, self.zeta = known.index(center), float(zeta)
        counted = known if species is None else list(species)
        self.kind = [counted.index(s) if s in counted else -1 for s in known]
        self.n_max, self.l_max, self.sigma, self.kinds = n_max, l_max, float(atom_sigma), len(counted)
        table, self.reach = spheres_table(n_max, l_max, self.cutoff, self.sigma, intervals)
        self.register_buffer("table", table[None], persistent=False)
        own = torch.full((self.kinds,), float(center_in_all), dtype=torch.float64)
        if center in counted:
            own[counted.index(center)] = 1.0
        at_center = spline(torch.zeros(1, dtype=torch.float64), self.table, self.reach, torch.tensor([0]))[0, 0]
        alone = torch.zeros(self.kinds, n_max, (l_max + 1) ** 2, dtype=torch.float64)
        alone[:, :, 0] = central_weight / math.sqrt(4 * math.pi) * own[:, None] * at_center
        self.register_buffer("alone", alone.flatten(0, 1), persistent=False)
        if not bool(self.alone.any()):
            raise ValueError(
                f"gap.soap: nothing stands at the center {center} (central_weight {central_weight}); the kernel would jump where the last "
                "neighbor leaves. Give it a weight, or name it among the species"
            )
        channels = self.kinds * n_max
        self.dimensions = channels * (channels + 1) // 2 * (l_max + 1)
        self.register_buffer("points", torch.zeros(n_sparse, self.dimensions, dtype=torch.float64))

    def forward(self, at: Centers) -> Float[Tensor, "n M"]:
        mine, p = self._spectra(at)
        k = self._k(p) - self.alone_as(self.center)
        return at.r.new_zeros(at.n, self.n_sparse).index_add(0, mine, k)

    def alone_as(self, species: int) -> Float[Tensor, "M"]:
        return (
            self._k(_normalized(power_spectrum(self.alone[None])))[0] if species == self.center else super().alone_as(species)
        )

    def _k(self, p: Float[Tensor, "n D"]) -> Float[Tensor, "n M"]:
        return self.delta**2 * (p @ self.points.T) ** self.zeta

    def _edges(self, at: Centers) -> tuple[Int[Tensor, "c"], Int[Tensor, "e"], Int[Tensor, "e"], Int[Tensor, "e"]]:
        """The atoms that are centers; the edges that count, with the place of their center among these and the kind of their neighbor."""
        mine = torch.nonzero(at.species == self.center)[:, 0]
        kind = torch.tensor(self.kind, device=at.i.device)[at.neighbors]
        e = torch.nonzero((at.species[at.i] == self.center) & (kind >= 0))[:, 0]
        return mine, e, torch.searchsorted(mine, at.i[e]), kind[e]

    def _radial(self, d: Float[Tensor, "e"]) -> Float[Tensor, "e L n"]:
        return (
            spline(d, self.table, self.reach, torch.zeros_like(d, dtype=torch.int64))
            * shoulder(d, self.cutoff, self.width)[:, None, None]
        )

    def _spectra(self, at: Centers) -> tuple[Int[Tensor, "c"], Float[Tensor, "c D"]]:
        mine, e, i, kind = self._edges(at)
        d, Y = directions(at.r.index_select(-2, e), self.l_max)
        c = density(self._radial(d), Y, i, kind, len(mine), self.kinds) + self.alone
        return mine, _normalized(power_spectrum(c))

    def slopes(self, at: Centers) -> tuple[Tensor, Any] | None:
        mine = at.species == self.center
        kind = torch.tensor(self.kind)[at.neighbors]
        channel = torch.where(mine[at.i] & (distance(at.r) < self.cutoff), kind, -1)
        first = torch.cat([at.i.new_zeros(1), torch.bincount(at.i, minlength=at.n).cumsum(0)])
        if (found := spectra(self.process(torch.zeros_like(self.points[:, 0])), first, channel, at.r)) is None:
            return None
        p, dp = found
        overlap = p @ self.points.T
        rate = self.delta**2 * self.zeta * overlap ** (self.zeta - 1) * mine[:, None]

        def put(atom: int, edges: slice, J: Tensor) -> None:
            torch.mul((dp[edges].flatten(0, 1) @ self.points.T).view_as(J), rate[atom], out=J)

        return (self.delta**2 * overlap**self.zeta - self.alone_as(self.center)) * mine[:, None], put

    def process(self, alpha: Float[Tensor, "M"]) -> SoapProcess:
        """Its energies with these coefficients, as they are compiled."""
        return SoapProcess(
            self.center, tuple(self.kind), (self.n_max, self.l_max), self.cutoff, self.width, int(self.zeta),
            self.table[0], self.reach, self.alone, self.points, alpha * self.delta**2, float(self.alone_as(self.center) @ alpha),
        )  # fmt: skip

    def covariance(self, diagonal: float) -> Float[Tensor, "M M"]:
        x = self.points.to(torch.float64)
        return self.delta**2 * (x @ x.T) ** self.zeta + diagonal * torch.eye(self.n_sparse).to(x)

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        mine, p = self._spectra(at)
        left = self.delta**2 + UNSURE**2 - self._whiten(self._k(p))
        return at.r.new_zeros(at.n).index_add(0, mine, left)

    def seen(self, at: Centers) -> Float[Tensor, "c D"]:
        return self._spectra(at)[1]

    def choose(self, seen: Float[Tensor, "c D"], method: str, generator: torch.Generator) -> None:
        self.points.zero_()
        rows = chosen(seen, self.n_sparse, method, generator)
        self.points[: len(rows)].copy_(seen[rows])


def _normalized(p: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
    return p / p.square().sum(-1, keepdim=True).sqrt()


def _with_slope(d: Float[Tensor, "e"], cutoff: float, width: float) -> tuple[Tensor, Tensor]:
    """The cutoff function and its slope."""
    x = math.pi * ((d - cutoff + width) / width).clamp(0, 1)
    return shoulder(d, cutoff, width), -0.5 * math.pi / width * torch.sin(x)
