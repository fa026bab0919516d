"""The kernel of TurboGAP's neighbor density, of which the radial and angular widths are apart and grow with the distance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adiabat.kernels import spline
from adiabat.kernels.soap import density, directions
from adiabat.kernels.soap_process import SoapProcess, Sums, TurboRadial
from adiabat.kernels.turbo import MOST, angular_table, central, filtered_from, products, radial, root
from adiabat.kernels.turbo import compression as matrix_of
from adiabat.nn.linear_basis import Centers
from adiabat.nn.soap_kernel import OfSpectra
from adiabat.typing import Float, Int, Tensor

MODES = r"trivial|[012]_[012]"
ARGUMENTS = 1000.0  # of Bessel functions: (cutoff/σ)² above it is beyond their quadrature


class SoapTurbo(OfSpectra):
    """k(i, s) = δ² (p_i·p_s)^ζ of normalized spectra, of atoms of the element `center`; neighbors of other than `species` do not count.

    | option | what | symbol |
    |---|---|---|
    | transition_width | from the soft cutoff on, Å before `cutoff` | r_hard − r_soft |
    | n_max | radial functions | alpha_max |
    | sigma_r, sigma_t | widths along the distance and across it, Å | atom_sigma_r, atom_sigma_t |
    | sigma_r_scaling, sigma_t_scaling | how they grow, Å an Å | |
    | amplitude_scaling | power of the function by which amplitudes fade; 0: they do not | |
    | central_weight | of the atom's own Gaussian | |

    Each from `n_max` on is a number, or a list of one for each of `species`. `radial_enhancement`, 0, 1 or 2: amplitudes also grow as
    that power of r averaged over the Gaussian. `filter_width`: of how many of its widths the filter's Gaussian is made. `compression`: a
    mode of `kernels.turbo.compression`, or a matrix as {"rows": …, "columns": …, "values": …}, counted from zero. `intervals` are those of
    the splines of what angles are multiplied with.
    """

    option = "soap_turbo"

    def __init__(
        self,
        elements: Sequence[str],
        center: str,
        cutoff: float = 5.0,
        n_max: int | Sequence[int] = 8,
        l_max: int = 8,
        transition_width: float = 0.5,
        sigma_r: float | Sequence[float] = 0.5,
        sigma_t: float | Sequence[float] = 0.5,
        sigma_r_scaling: float | Sequence[float] = 0.0,
        sigma_t_scaling: float | Sequence[float] = 0.0,
        amplitude_scaling: float | Sequence[float] = 1.0,
        central_weight: float | Sequence[float] = 1.0,
        radial_enhancement: int = 0,
        basis: str = "poly3",
        filter_width: float = 4.0,
        compression: str | Mapping[str, Any] | None = None,
        zeta: float = 4.0,
        delta_eV: float = 0.2,
        n_sparse: int = 500,
        species: Sequence[str] | None = None,
        intervals: int = 8192,
    ) -> None:
        super().__init__(cutoff, transition_width, delta_eV, n_sparse)
        known = list(elements)
        counted = known if species is None else list(species)
        if center not in counted:
            raise ValueError(f"gap.soap_turbo: center {center} came, which is not among the species {', '.join(counted)}")
        self.center, self.zeta, self.l_max, self.own = known.index(center), float(zeta), l_max, counted.index(center)
        self.kind = [counted.index(s) if s in counted else -1 for s in known]

        def each(name: str, value: Any) -> list[Any]:
            listed = list(value) if isinstance(value, Sequence) else [value] * len(counted)
            if len(listed) != len(counted):
                raise ValueError(
                    f"gap.soap_turbo.{name}: {listed} came; wanted one for each of {', '.join(counted)}, or one number"
                )
            return listed

        self.n_max = [int(n) for n in each("n_max", n_max)]
        r, t, r_more, t_more, fade, weight = (
            [float(x) for x in each(name, value)]
            for name, value in (
                ("sigma_r", sigma_r), ("sigma_t", sigma_t), ("sigma_r_scaling", sigma_r_scaling), ("sigma_t_scaling", sigma_t_scaling),
                ("amplitude_scaling", amplitude_scaling), ("central_weight", central_weight),
            )
        )  # fmt: skip
        if basis not in MOST or not all(2 <= n <= MOST[basis] for n in self.n_max):
            raise ValueError(
                f"gap.soap_turbo: basis {basis!r} with n_max {self.n_max} came; wanted poly3 (2 to 10 radial functions) or poly3gauss "
                "(2 to 11): of more the overlap has no inverse in double precision"
            )
        if (
            radial_enhancement not in (0, 1, 2)
            or min(*r, *t) <= 0
            or min(*r_more, *t_more, *fade) < 0
            or not self.width < self.cutoff
        ):
            raise ValueError(
                f"gap.soap_turbo: radial_enhancement {radial_enhancement}, sigma_r {r}, sigma_t {t}, scalings {r_more}, {t_more}, {fade}, "
                f"transition_width {self.width} came; wanted 0, 1 or 2, widths above 0, scalings from 0 on, and less than the cutoff"
            )
        if any((self.cutoff / (s + more * self.cutoff)) ** 2 > ARGUMENTS for s, more in zip(t, t_more, strict=True)):
            raise ValueError(f"gap.soap_turbo.sigma_t: {t} came; wanted more than a thirtieth of the cutoff {self.cutoff}")
        if weight[self.own] <= 0:
            raise ValueError(
                f"gap.soap_turbo.central_weight: {weight[self.own]} of {center} came; wanted more than 0: else the kernel jumps where the last "
                "neighbor leaves"
            )
        angular = [angular_table(l_max, self.cutoff, sigma, intervals) for sigma in zip(t, t_more, strict=True)]
        self.register_buffer("table", torch.stack([table for table, _ in angular]), persistent=False)
        self.reach = angular[0][1]
        soft = self.cutoff - self.width
        self.radial = [
            (self.n_max[k], self.cutoff, soft, (r[k], r_more[k]), fade[k], radial_enhancement, float(filter_width), basis)
            for k in range(len(counted))
        ]
        alone = torch.zeros(sum(self.n_max), (l_max + 1) ** 2, dtype=torch.float64)
        first, n, k = sum(self.n_max[: self.own]), self.n_max[self.own], self.own
        alone[first : first + n, 0] = weight[k] * central(
            n, self.cutoff, soft, r[k], t[k], fade[k], radial_enhancement, float(filter_width), basis
        )
        self.register_buffer("alone", alone, persistent=False)
        self._compress(compression)
        self.dimensions = self.lone().shape[1]
        self.register_buffer("points", torch.zeros(n_sparse, self.dimensions, dtype=torch.float64))

    def _compress(self, how: str | Mapping[str, Any] | None) -> None:
        size = sum(self.n_max) * (sum(self.n_max) + 1) // 2 * (self.l_max + 1)
        if how is None:
            self.P: tuple[Tensor, Tensor, Tensor] | None = None
            return
        if isinstance(how, str):
            if not re.fullmatch(MODES, how):
                raise ValueError(f"gap.soap_turbo.compression: {how!r} came; wanted 'trivial', 'ν_R_ν_S' as '1_2', or a matrix")
            rows, columns, values = matrix_of(how, self.n_max, self.l_max)
        else:
            rows, columns = (torch.tensor(how[name], dtype=torch.int64) for name in ("rows", "columns"))
            values = torch.tensor(how["values"], dtype=torch.float64)
        if (
            not len(rows) == len(columns) == len(values) > 0
            or min(int(rows.min()), int(columns.min())) < 0
            or int(columns.max()) >= size
        ):
            raise ValueError(
                f"gap.soap_turbo.compression: {len(rows)} rows, {len(columns)} columns to {int(columns.max())} and {len(values)} values came; "
                f"wanted as many of each, columns below {size}"
            )
        self.P = rows, columns, values
        for name, held in zip(("rows", "columns", "values"), self.P, strict=True):
            self.register_buffer(f"compress_{name}", held, persistent=False)

    def lone(self) -> Float[Tensor, "1 D"]:
        return self._spectrum(self.alone[None])

    def spectra(self, at: Centers) -> tuple[Int[Tensor, "c"], Float[Tensor, "c D"]]:
        mine = torch.nonzero(at.species == self.center)[:, 0]
        kind = torch.tensor(self.kind, device=at.i.device)[at.neighbors]
        found = []
        for k, functions in enumerate(self.radial):
            near = at.r.detach().square().sum(-1) < self.cutoff**2
            e = torch.nonzero((at.species[at.i] == self.center) & (kind == k) & near)[:, 0]
            d, Y = directions(at.r.index_select(-2, e), self.l_max)
            R = spline(d, self.table, self.reach, torch.full_like(e, k))[:, :, None] * radial(d, *functions)[:, None]  # e L n
            found.append(density(R, Y, torch.searchsorted(mine, at.i[e]), torch.zeros_like(e), len(mine), 1))
        return mine, self._spectrum(torch.cat(found, 1) + self.alone)

    def _spectrum(self, c: Float[Tensor, "n c lm"]) -> Float[Tensor, "n D"]:
        p = products(c)
        if self.P is not None:
            rows, columns, values = self.compress_rows, self.compress_columns, self.compress_values
            p = p.new_zeros(len(p), int(rows.max()) + 1).index_add(1, rows, p[:, columns] * values)
        return p / p.square().sum(-1, keepdim=True).sqrt()

    def process(self, alpha: Float[Tensor, "M"]) -> SoapProcess | None:
        if self.zeta < 1:  # slopes of roots have no bound where nothing overlaps
            return None
        rc, made = self.cutoff, []
        for n, _, soft, sigma, fading, enhancement, filter_width, basis in self.radial:
            made.append(TurboRadial(
                soft / rc, (rc - soft) / rc / filter_width, sigma[0] / rc, sigma[1], filtered_from(soft, sigma) / rc, fading, enhancement,
                basis == "poly3gauss", root(n, sigma[0] / rc, basis)[0] * math.sqrt(rc),
            ))  # fmt: skip
        n_max, L = max(self.n_max), torch.arange(self.l_max + 1, dtype=torch.float64)
        alone = torch.zeros(len(self.n_max), n_max, self.alone.shape[1]).to(self.alone)
        for k, part in enumerate(self.alone.split(self.n_max)):
            alone[k, : len(part)] = part
        # Products of the kernel are divided by √(2l+1), these are not.
        return SoapProcess(
            self.center, tuple(self.kind), (n_max, self.l_max), (2, 2), rc, self.width, self.zeta,
            self.table * (2 * L + 1) ** 0.25, self.reach, alone.flatten(0, 1), self.points, alpha * self.delta**2,
            float(self.alone_as(self.center) @ alpha), Sums.alone(self.n_max, n_max), tuple(made), self.P,
        )  # fmt: skip
