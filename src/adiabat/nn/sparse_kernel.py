"""Kernels of sparse Gaussian processes: covariances of the atoms' energies with those of sparse points; those of distances among two
and three atoms. `soap_kernel` has that of the neighbor density.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import nn

from adiabat.kernels import distance
from adiabat.kernels.gaussian_process import Columns, PairProcess, Variances
from adiabat.kernels.line_graph import line_graph
from adiabat.kernels.soap import shoulder
from adiabat.kernels.soap_process import SoapProcess
from adiabat.kernels.three_body import TripleProcess
from adiabat.nn.linear_basis import Centers, Edged
from adiabat.nn.sparse_points import chosen, spread_out
from adiabat.typing import Float, Int, Tensor

UNSURE = 1e-3  # eV: what QUIP adds to every K_MM when it tells variances

_COMPILED: WeakKeyDictionary[SparseKernel, tuple[tuple[int, int], Columns | None]] = (
    WeakKeyDictionary()
)  # of points as they were
_ROOTS: WeakKeyDictionary[SparseKernel, tuple[tuple[int, int], Tensor]] = WeakKeyDictionary()  # likewise
_DOUBTS: WeakKeyDictionary[SparseKernel, tuple[tuple[int, int], Variances | None]] = WeakKeyDictionary()  # likewise


class SparseKernel(nn.Module):
    """Covariances of the atoms' energies with those of `n_sparse` sparse points, and what is needed to choose these and to fit."""

    option: str
    points: Tensor  # [n_sparse, D]; a row of zeros where the data had fewer

    def __init__(self, cutoff: float, transition_width: float, delta_eV: float, n_sparse: int) -> None:
        super().__init__()
        self.cutoff, self.width, self.delta = float(cutoff), float(transition_width), float(delta_eV)
        self.n_sparse = int(n_sparse)
        if not 0 < self.width <= self.cutoff or self.n_sparse < 1 or not self.delta > 0:
            raise ValueError(
                f"gap.{self.option}: cutoff {cutoff}, transition_width {transition_width}, delta_eV {delta_eV}, n_sparse {n_sparse} "
                "came; wanted 0 < transition_width ≤ cutoff, delta_eV > 0 and n_sparse ≥ 1"
            )

    def forward(self, at: Centers) -> Float[Tensor, "n M"]:
        """k(i, s), less that of a lone atom."""
        raise NotImplementedError

    def alone_as(self, species: int) -> Float[Tensor, "M"]:
        """The covariances of an atom of this element without neighbors."""
        return self.points.new_zeros(self.n_sparse)

    def covariance(self, diagonal: float) -> Float[Tensor, "M M"]:
        """K_MM of the sparse points, with this much more on its diagonal."""
        raise NotImplementedError

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        """What is left of the atoms' prior variance, eV², as QUIP counts it."""
        raise NotImplementedError

    def seen(self, at: Centers) -> Float[Tensor, "e D"]:
        """What sparse points are chosen from."""
        raise NotImplementedError

    def choose(self, seen: Float[Tensor, "e D"], method: str, generator: torch.Generator) -> None:
        self.points.zero_()
        rows = chosen(seen, self.n_sparse, method, generator)
        self.points[: len(rows)].copy_(seen[rows])

    def process(self, alpha: Float[Tensor, "M"]) -> PairProcess | SoapProcess | TripleProcess | None:
        """Its energies with these coefficients, as they are compiled; None where nothing compiles it."""
        return None

    @torch.no_grad()
    def compiled(self, elements: tuple[int, ...]) -> Columns | None:
        """What sums its columns for a fit; None where nothing is compiled."""
        now = self.points.data_ptr(), self.points._version
        if self not in _COMPILED or _COMPILED[self][0] != now:
            process = self.process(torch.ones_like(self.points[:, 0]))
            _COMPILED[self] = now, None if process is None else Columns.of(elements, process)
        return _COMPILED[self][1]

    @torch.no_grad()
    def doubts(self, elements: tuple[int, ...]) -> Variances | None:
        """What tells its variances; None where nothing is compiled."""
        now = self.points.data_ptr(), self.points._version
        if self not in _DOUBTS or _DOUBTS[self][0] != now:
            process, prior = self.process(torch.ones_like(self.points[:, 0])), self.delta**2 + UNSURE**2
            _DOUBTS[self] = now, None if process is None else Variances.of(elements, process, self._root(), prior)
        return _DOUBTS[self][1]

    def by_passes(self, parts: Iterable[Centers], near: Edged) -> tuple[Tensor, Tensor, Tensor]:
        """The same by one backward pass a sparse point: Σ k(i, s) [M], what it gives for forces [N 3 M] and strain gradient [3 3 M]."""
        N, M = len(near.numbers), self.n_sparse
        energy, forces, strain = (near.r.new_zeros(*shape, M, dtype=torch.float64) for shape in ((), (N, 3), (3, 3)))
        for at in parts:
            r = at.r.detach().to(torch.float64).requires_grad_()
            with torch.enable_grad():
                k = self(replace(at, r=r)).sum(0)
                slopes = (
                    [torch.autograd.grad(k[s], r, retain_graph=True, allow_unused=True)[0] for s in range(M)]
                    if k.requires_grad
                    else []
                )
            energy += k.detach()
            if any(g is not None for g in slopes):
                J = torch.stack([torch.zeros_like(r) if g is None else g for g in slopes], -1)
                forces.index_add_(0, near.i[at.edges], J).index_add_(0, near.j[at.edges], J, alpha=-1)
                strain += torch.einsum("ex,eym->xym", r.detach(), J)
        return energy, forces, strain

    def left(self, k: Float[Tensor, "e M"]) -> Float[Tensor, "e"]:
        """δ² − k K_MM⁻¹ kᵀ with QUIP's regularization."""
        R = torch.linalg.cholesky(self.covariance(UNSURE**2)) if torch.is_grad_enabled() else self._root()
        told = torch.linalg.solve_triangular(R, k.to(R).T, upper=False).square().sum(0).to(k)
        return self.delta**2 + UNSURE**2 - told

    def _root(self) -> Float[Tensor, "M M"]:
        """The factor of K_MM, kept: dynamics that looks at variances asks for it at every look."""
        now = self.points.data_ptr(), self.points._version
        if self not in _ROOTS or _ROOTS[self][0] != now:
            _ROOTS[self] = now, torch.linalg.cholesky(self.covariance(UNSURE**2))
        return _ROOTS[self][1]


class OfDistances(SparseKernel):
    """k(i, s) = δ² f_s Σ_t f_t exp(−½ Σ_x (q_tx − q_sx)²/θ_x²) over tuples t of the atom i and its neighbors, of coordinates q that
    are made of distances; f is the product of the cutoff functions of their edges at i."""

    def __init__(
        self, cutoff: float, transition_width: float, delta_eV: float, n_sparse: int, theta: Sequence[float], points: Tensor
    ) -> None:
        super().__init__(cutoff, transition_width, delta_eV, n_sparse)
        if min(theta) <= 0:
            raise ValueError(f"gap.{self.option}: θ of {[*theta]} came; wanted lengths above 0")
        self.register_buffer("theta", torch.tensor(theta, dtype=torch.float64), persistent=False)
        self.register_buffer("points", points)

    def tuples(self, at: Centers) -> tuple[Int[Tensor, "t"], Float[Tensor, "t D"], Float[Tensor, "t"]]:
        """The place of i, q and f of the tuples."""
        raise NotImplementedError

    def fade(self, q: Float[Tensor, "t D"]) -> Float[Tensor, "t"]:
        """f, from q alone."""
        raise NotImplementedError

    def forward(self, at: Centers) -> Float[Tensor, "n M"]:
        i, q, f = self.tuples(at)
        return at.r.new_zeros(at.n, self.n_sparse).index_add(0, i, self._k(q) * f[:, None])

    def _k(self, q: Float[Tensor, "t D"]) -> Float[Tensor, "t M"]:
        away = ((q[:, None] - self.points) / self.theta).square().sum(-1)
        return self.delta**2 * self.fade(self.points) * torch.exp(-0.5 * away)

    def covariance(self, diagonal: float) -> Float[Tensor, "M M"]:
        K = self.fade(self.points)[:, None] * self._k(self.points)
        return K + diagonal * torch.eye(self.n_sparse).to(K)

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        i, q, f = self.tuples(at)
        return at.r.new_zeros(at.n).index_add(0, i, self.left(self._k(q)) * f.square())

    def seen(self, at: Centers) -> Float[Tensor, "t D"]:
        _, q, f = self.tuples(at)
        return q[f > 0]


class TwoBody(OfDistances):
    """q = d_ij, of the neighbors j that make a pair of these two elements."""

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
        # As if there were data: evenly spaced
        points = spread_out(0.4 * float(cutoff), float(cutoff), int(n_sparse))[:, None]
        super().__init__(cutoff, transition_width, delta_eV, n_sparse, [float(theta_angstrom)], points)
        self.pair = _places(elements, pair)

    def tuples(self, at: Centers) -> tuple[Int[Tensor, "e"], Float[Tensor, "e 1"], Float[Tensor, "e"]]:
        e = torch.nonzero(_make(self.pair, at.species[at.i], at.neighbors))[:, 0]
        d = distance(at.r.index_select(-2, e))[:, None]
        return at.i[e], d, self.fade(d)

    def fade(self, q: Float[Tensor, "e 1"]) -> Float[Tensor, "e"]:
        return shoulder(q[:, 0], self.cutoff, self.width)

    def choose(self, seen: Float[Tensor, "e 1"], method: str, generator: torch.Generator) -> None:
        self.points.copy_(spread_out(float(seen.min()), self.cutoff, self.n_sparse)[:, None])

    def process(self, alpha: Float[Tensor, "M"]) -> PairProcess:
        a = alpha * self.delta**2 * self.fade(self.points)
        return PairProcess(self.pair, self.cutoff, self.width, float(self.theta), self.points[:, 0], a)


class ThreeBody(OfDistances):
    """q = (d_ij + d_ik, (d_ij − d_ik)², d_jk) of atoms i of the element `center` and neighbors j, k that make a pair of these two elements,
    each pair in both orders: QUIP's angle_3b. Scales θ are Å, Å², Å."""

    option = "three_body"
    one_by_one = True  # which triples count is seen from distances: nothing that members do together

    def __init__(
        self,
        elements: Sequence[str],
        center: str,
        pair: Sequence[str],
        cutoff: float = 3.5,
        transition_width: float = 0.6,
        theta: Sequence[float] = (1.0, 1.0, 1.0),
        delta_eV: float = 0.3,
        n_sparse: int = 50,
    ) -> None:
        points = torch.tensor([float(cutoff), 0.0, 0.5 * float(cutoff)], dtype=torch.float64).repeat(int(n_sparse), 1)
        points[:, 2] *= torch.linspace(0.5, 3.5, int(n_sparse))  # as if there were data: angles of equal legs
        super().__init__(cutoff, transition_width, delta_eV, n_sparse, [float(x) for x in theta], points)
        self.center, self.pair = [*elements].index(center), _places(elements, pair)

    def tuples(self, at: Centers) -> tuple[Int[Tensor, "t"], Float[Tensor, "t 3"], Float[Tensor, "t"]]:
        one, other = self.pair
        counted = (at.neighbors == one) | (at.neighbors == other)
        e = torch.nonzero((at.species[at.i] == self.center) & counted)[:, 0]
        r, i = at.r.index_select(-2, e), at.i[e]
        d = distance(r)
        first = torch.cat([i.new_zeros(1), torch.bincount(i, minlength=at.n).cumsum(0)])
        j, k, _ = line_graph(first, d, self.cutoff)
        mine = torch.nonzero(_make(self.pair, at.neighbors[e][j], at.neighbors[e][k]))[:, 0]
        j, k = j[mine], k[mine]
        q = torch.stack([d[j] + d[k], (d[j] - d[k]).square(), distance(r[j] - r[k])], 1)
        return i[j], q, shoulder(d[j], self.cutoff, self.width) * shoulder(d[k], self.cutoff, self.width)

    def fade(self, q: Float[Tensor, "t 3"]) -> Float[Tensor, "t"]:
        half, apart = 0.5 * q[:, 0], 0.5 * q[:, 1].sqrt()
        return shoulder(half + apart, self.cutoff, self.width) * shoulder(half - apart, self.cutoff, self.width)

    def process(self, alpha: Float[Tensor, "M"]) -> TripleProcess:
        a = alpha * self.delta**2 * self.fade(self.points)
        return TripleProcess(self.center, self.pair, self.cutoff, self.width, tuple(self.theta.tolist()), self.points, a)


def _places(elements: Sequence[str], pair: Sequence[str]) -> tuple[int, int]:
    one, other = sorted([*elements].index(element) for element in pair)
    return one, other


def _make(pair: tuple[int, int], one: Int[Tensor, "t"], other: Int[Tensor, "t"]) -> Tensor:
    """Where these two are such a pair."""
    return (torch.minimum(one, other) == pair[0]) & (torch.maximum(one, other) == pair[1])
