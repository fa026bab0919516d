"""The kernel of the neighbor density: how much the power spectra of two atoms' surroundings overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adiabat import elements as periodic_table
from adiabat.config import checked
from adiabat.kernels import spline
from adiabat.kernels.mixing import Mixing, mixed
from adiabat.kernels.soap import compressed, density, directions, shoulder, spheres_table
from adiabat.kernels.soap_process import SoapProcess, Sums
from adiabat.nn.linear_basis import Centers
from adiabat.nn.sparse_kernel import SparseKernel
from adiabat.typing import Float, Int, Tensor


class OfSpectra(SparseKernel):
    """k(i, s) = δ² (p_i·p_s)^ζ of normalized spectra p of atoms of the element `center`."""

    center: int
    zeta: float

    def spectra(self, at: Centers) -> tuple[Int[Tensor, "c"], Float[Tensor, "c D"]]:
        """The atoms that are centers, and their spectra."""
        raise NotImplementedError

    def lone(self) -> Float[Tensor, "1 D"]:
        """The spectrum of an atom without neighbors."""
        raise NotImplementedError

    def forward(self, at: Centers) -> Float[Tensor, "n M"]:
        mine, p = self.spectra(at)
        k = self._k(p) - self.alone_as(self.center)
        return at.r.new_zeros(at.n, self.n_sparse).index_add(0, mine, k)

    def alone_as(self, species: int) -> Float[Tensor, "M"]:
        return self._k(self.lone())[0] if species == self.center else super().alone_as(species)

    def _k(self, p: Float[Tensor, "n D"]) -> Float[Tensor, "n M"]:
        return self.delta**2 * (p @ self.points.T) ** self.zeta

    def covariance(self, diagonal: float) -> Float[Tensor, "M M"]:
        x = self.points
        return self.delta**2 * (x @ x.T) ** self.zeta + diagonal * torch.eye(self.n_sparse).to(x)

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        mine, p = self.spectra(at)
        return at.r.new_zeros(at.n).index_add(0, mine, self.left(self._k(p)))

    def seen(self, at: Centers) -> Float[Tensor, "c D"]:
        return self.spectra(at)[1]


class Soap(OfSpectra):
    """k(i, s) = δ² (p_i·p_s)^ζ of normalized power spectra, of atoms of the element `center`; neighbors of other than `species` do not count.

    `center_in_all`: the atom's own Gaussian, of `central_weight`, stands in the density of every species, not of its own alone.
    `nu_r` and `nu_s` compress the spectra of many species; see `kernels.soap.compressed`. So does `mixing`, the options of a
    `kernels.mixing.Mixing`, by random sums. `intervals` are those of the radial functions' splines.
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
        nu_r: int = 2,
        nu_s: int = 2,
        intervals: int = 8192,
        mixing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(cutoff, transition_width, delta_eV, n_sparse)
        known = list(elements)
        self.center, self.zeta = known.index(center), float(zeta)
        counted = known if species is None else list(species)
        self.kind = [counted.index(s) if s in counted else -1 for s in known]
        self.n_max, self.l_max, self.sigma, self.kinds = n_max, l_max, float(atom_sigma), len(counted)
        self.nu = nu_r, nu_s
        if not {*self.nu} <= {0, 1, 2}:
            raise ValueError(f"gap.soap: nu_r {nu_r}, nu_s {nu_s} came; wanted 0, 1 or 2 of each")
        self.mixing = None if mixing is None else Mixing(**checked(Mixing, mixing, where="gap.soap.mixing"))
        if self.mixing is not None:
            if self.nu != (2, 2):
                raise ValueError(f"gap.soap: nu_r {nu_r}, nu_s {nu_s} came with mixing; wanted one of both")
            weights = self.mixing.weights([periodic_table.number(s) for s in counted], n_max)
            for name, held in zip(("one", "other", "a", "b", "factor"), (*weights, *self.mixing.pairs(self.kinds, n_max))):
                self.register_buffer(f"mix_{name}", held, persistent=False)
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
        self.dimensions = self.lone().shape[1]
        self.register_buffer("points", torch.zeros(n_sparse, self.dimensions, dtype=torch.float64))

    def _spectrum(self, c: Float[Tensor, "n c lm"]) -> Float[Tensor, "n D"]:
        if self.mixing is None:
            p = compressed(c.unflatten(1, (self.kinds, self.n_max)), *self.nu)
        else:
            p = mixed(c, (self.mix_one, self.mix_other), (self.mix_a, self.mix_b, self.mix_factor), self.mixing.coupled)
        return p / p.square().sum(-1, keepdim=True).sqrt()

    def lone(self) -> Float[Tensor, "1 D"]:
        return self._spectrum(self.alone[None])

    def spectra(self, at: Centers) -> tuple[Int[Tensor, "c"], Float[Tensor, "c D"]]:
        mine = torch.nonzero(at.species == self.center)[:, 0]
        kind = torch.tensor(self.kind, device=at.i.device)[at.neighbors]
        e = torch.nonzero((at.species[at.i] == self.center) & (kind >= 0))[:, 0]
        d, Y = directions(at.r.index_select(-2, e), self.l_max)
        R = spline(d, self.table, self.reach, torch.zeros_like(d, dtype=torch.int64))
        R = R * shoulder(d, self.cutoff, self.width)[:, None, None]
        c = density(R, Y, torch.searchsorted(mine, at.i[e]), kind[e], len(mine), self.kinds)
        return mine, self._spectrum(c + self.alone)

    def process(self, alpha: Float[Tensor, "M"]) -> SoapProcess | None:
        if self.zeta < 1:  # slopes of roots have no bound where nothing overlaps
            return None
        (nu_r, nu_s), table, kind = self.nu, self.table[0], self.kind
        alone = self.alone.unflatten(0, (self.kinds, self.n_max))
        # What is summed over in both densities is summed beforehand: densities nearly cancel in sums over radial functions.
        if nu_r == 0:
            table, alone = table.sum(-1, keepdim=True), alone.sum(1, keepdim=True)
        if nu_s == 0:
            kind, alone = [min(k, 0) for k in kind], alone.sum(0, keepdim=True)
        sums = None
        if self.mixing is not None:
            sums = Sums.mixed(self.mixing, (self.mix_one, self.mix_other), self.kinds, self.n_max)
        return SoapProcess(
            self.center, tuple(kind), (table.shape[-1], self.l_max), (nu_r or 2, nu_s or 2), self.cutoff, self.width, self.zeta,
            table, self.reach, alone.flatten(0, 1), self.points, alpha * self.delta**2, float(self.alone_as(self.center) @ alpha),
            sums,
        )  # fmt: skip
