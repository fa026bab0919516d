"""Moment tensor potential: contractions of moment tensors of an atom's neighbors, one coefficient each.

Shapeev, Multiscale Model. Simul. 14, 1153 (2016); several elements and levels as in Gubaev, Podryabinkin, Hart and Shapeev,
Comput. Mater. Sci. 156, 148 (2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance
from adiabat.kernels.moments import Moments
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.nn.moments import depths_of, directions_of, moment_tables, moments, rounds_of
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor


class MTP(LinearBasis, Model):
    """E_i = Σ_α ξ_α B_α(i), B_α a contraction of moments M_{μ,ν}(i) = Σ_j f_μ(d_ij, z_i, z_j) r̂_ij^{⊗ν} to a number.

    | symbol | here |
    |---|---|
    | f_μ(d, z_i, z_j) = s Σ_n c_{μn} T_n(x) (d − R_max)² below R_max, x from −1 at R_min to 1 at R_max | `radial_coefficients`, `scaling` |
    | components of M_{μ,ν}: x^a y^b z^c with a + b + c = ν | rows of `basics`: μ a b c |
    | products that build the contractions: m_t += factor · m_a m_b | rows of `times`: a b factor t |
    | B_α | places in m, `scalars` |
    | ξ, the same for every element | `coefficients` |

    The basis of a level holds all contractions of up to four moments with Σ (2 + 4μ + ν) at most the level. It is linear in ξ, and in
    the radial coefficients it is not: least squares leaves them as they are drawn. `sizes`, lengths of the three tables, and `radials`,
    the number of f_μ, are for imported potentials, whose tables come with their numbers. Lengths in Å; `nearest` is R_min, `cutoff` R_max.
    With `variance` a fit keeps the covariance of ξ, and the model tells each atom's variance, eV², worked out when it is read.
    """

    name = "mtp"
    shared = True
    one_by_one = True  # its tables say which operations there are
    _known: tuple[tuple, Plan, tuple[Tensor, ...]] | None = None

    def __init__(
        self,
        cutoff: float = 5.0,
        level: int = 8,
        radial: int = 8,
        nearest: float = 0.5,
        scaling: float = 0.1,
        elements: list[str] | None = None,
        radials: int | None = None,
        sizes: list[int] | None = None,
        variance: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff, self.nearest, self.scaling = float(cutoff), float(nearest), float(scaling)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        tables = [torch.zeros(n, 4, dtype=torch.int64) for n in sizes[:2]] if sizes else list(moment_tables(level)[:2])
        scalars = torch.zeros(sizes[2], dtype=torch.int64) if sizes else moment_tables(level)[2]
        for name, table in zip(("basics", "times", "scalars"), (*tables, scalars), strict=True):
            self.register_buffer(name, table.clone())  # of its own: loading numbers writes into it
        Z, self.size = len(self.elements), len(scalars)
        mus = radials or int(tables[0][:, 0].max()) + 1
        self.radial_coefficients = nn.Parameter(torch.randn(Z, Z, mus, radial) / (1 + torch.arange(radial)))
        self.coefficients = nn.Parameter(torch.randn(1, self.size) / self.size)
        if variance:
            self.keep_posterior(1)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("mtp: its elements are not known yet; give them, or let `fit` take them from the training data")
        (at,) = self.centers(graph)
        return self.told(at, self.basis(at) @ self.coefficients[0])

    @torch.no_grad()
    def program(self) -> Moments | None:
        if self.elements is None:
            return None
        depth = torch.tensor(self.plan.depths)[self.times[:, 3]]  # products in an order in which they can be taken
        return Moments(
            self.elements, self.nearest, self.cutoff, self.scaling, self.basics, self.times[torch.argsort(depth, stable=True)],
            self.scalars, self.coefficients[0], self.radial_coefficients,
        )  # fmt: skip

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        return self.moments(at)[self.scalars].T

    def moments(self, at: Centers) -> Float[Tensor, "m n"]:
        """All of them: the basic ones, then the products."""
        d = distance(at.r)
        u = at.r / torch.where(d == 0, 1.0, d)[:, None]
        f = self.radial_functions(d, at.species[at.i], at.neighbors)
        return moments(f, u, at.i, at.n, self.plan.directions, self.plan.rounds, len(self.plan.depths))

    def radial_functions(self, d: Float[Tensor, "e"], zi: Int[Tensor, "e"], zj: Int[Tensor, "e"]) -> Float[Tensor, "e mu"]:
        x = (2 * d - (self.nearest + self.cutoff)) / (self.cutoff - self.nearest)
        T = [torch.ones_like(x), x]
        for _ in range(self.radial_coefficients.shape[-1] - 2):
            T.append(2 * x * T[-1] - T[-2])
        smooth = self.scaling * (d - self.cutoff).square() * (d < self.cutoff)
        T_n = torch.stack(T[: self.radial_coefficients.shape[-1]], -1) * smooth[:, None]
        Z = len(self.elements or ())
        if Z == 1:
            return T_n @ self.radial_coefficients[0, 0].T
        c = self.radial_coefficients.flatten(0, 1)[zi * Z + zj]
        return torch.einsum("en,emn->em", T_n, c)

    @property
    def plan(self) -> Plan:
        """What the tables say of the order of work; read again when they were changed, replaced or moved."""
        tables = (self.basics, self.times)
        key = tuple((t.data_ptr(), t._version, t.device) for t in tables)
        if self._known is None or self._known[0] != key:
            # They are held, so that no other tensor takes an address that the key knows.
            self._known = key, Plan.of(*tables), tables
        return self._known[1]


class Plan(NamedTuple):
    """Distinct exponents of the basic moments with which of them and which μ each has; behind how many products each moment is; the
    products in rounds, of which none needs a moment of its own round or a later one."""

    directions: tuple[Tensor, Tensor, Tensor]
    depths: list[int]
    rounds: list[tuple[Tensor, Tensor, Tensor, Tensor]]

    @classmethod
    def of(cls, basics: Int[Tensor, "b 4"], times: Int[Tensor, "t 4"]) -> Plan:
        depths = depths_of(basics, times)
        rounds, where = rounds_of(times.cpu(), depths), times.device
        return cls(
            directions_of(basics),
            depths,
            [(a.to(where), b.to(where), factor.to(where), t.to(where)) for a, b, factor, t in rounds],
        )
