"""The environment matrix of Deep Potentials: s(r), its statistics, and what a neighbor gives to its products with embedding networks.

Zhang et al., NeurIPS 2018 (arXiv:1805.09003); statistics as in DeePMD-kit, Zeng et al., J. Chem. Phys. 159, 054801 (2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.kernels import knots, spline_table
from adiabat.nn.radial import SINGLE_INTERVALS, RadialTable
from adiabat.nn.surroundings import Topology
from adiabat.typing import Float, Tensor

NEAR = 0.3  # Å; below it 1/d is continued by its Taylor polynomial, for tables are finite
LEAST = 1e-2  # of a standard deviation


@runtime_checkable
class Placed(Topology, Protocol):
    """A topology with its edge vectors r [E, 3], Å."""

    @property
    def r(self) -> Tensor: ...


class Environment(nn.Module):
    """s(r) of the smooth edition, its mean and deviation about each element, and the numbers of neighbors that are expected (`sel`, by
    chemical symbol; None: to be measured)."""

    def __init__(self, elements: Sequence[int], cutoff: float, smooth_from: float, sel: Mapping[str, int] | None) -> None:
        super().__init__()
        self.elements, self.open = tuple(elements), sel is None
        self.cutoff, self.smooth_from = float(cutoff), float(smooth_from)
        names = [periodic_table.symbol(number) for number in elements]
        if sel is not None and set(sel) != set(names):
            raise ValueError(f"deeppot.sel: numbers of {', '.join(sel)} came; wanted those of {', '.join(names)}")
        counts = [60.0] * len(names) if sel is None else [float(sel[name]) for name in names]
        self.register_buffer("sel", torch.tensor(counts))
        self.register_buffer("mean", torch.zeros(len(names)))
        self.register_buffer("spread", torch.ones(len(names), 2))  # radial, angular

    def fading(self, d: Float[Tensor, "*E"]) -> Float[Tensor, "*E"]:
        """s(r), unscaled; finite at zero."""
        x = ((d - self.smooth_from) / (self.cutoff - self.smooth_from)).clamp(0, 1)
        t = (d / NEAR - 1).clamp_max(0)
        inverse = torch.where(d < NEAR, (1 - t + t**2 - t**3) / NEAR, 1 / d.clamp_min(NEAR))
        return inverse * (1 - x**3 * (10 - x * (15 - 6 * x))) * (d < self.cutoff)

    @torch.no_grad()
    def measure(self, graphs: Sequence[Placed]) -> None:
        """Statistics over training data, on the CPU; places without a neighbor count as zeros, as in DeePMD-kit."""
        Z, known = len(self.elements), torch.tensor(self.elements)
        most, sums = torch.zeros(Z), torch.zeros(Z, 3, dtype=torch.float64)  # atoms, Σ s, Σ s²
        for graph in graphs:
            species, d = torch.searchsorted(known, graph.numbers), graph.r.to(torch.float64).norm(dim=1)
            near = d < self.cutoff
            i, s = graph.i[near], self.fading(d[near])
            counts = torch.bincount(i * Z + species[graph.j[near]], minlength=Z * len(graph.numbers)).view(-1, Z)
            most = torch.maximum(most, counts.amax(0)) if len(counts) else most
            sums[:, 0] += torch.bincount(species, minlength=Z)
            for power in (1, 2):
                sums[:, power] += torch.bincount(species[i], weights=s**power, minlength=Z)
        if self.open:
            self.sel.copy_((1.1 * most / 4).ceil().clamp_min(1) * 4)
        places = sums[:, 0].clamp_min(1) * float(self.sel.sum())
        mean, square = sums[:, 1] / places, sums[:, 2] / places
        seen = sums[:, 2] > 0
        spread = torch.stack([square - mean**2, square / 3], 1).clamp_min(LEAST**2).sqrt()
        self.mean.copy_(torch.where(seen, mean, 0.0))
        self.spread.copy_(torch.where(seen[:, None], spread, 1.0))


class EnvironmentTable(RadialTable):
    """What a neighbor at a distance gives to R̃^T G, for every ordered pair of elements: splines that are zero at the cutoff.

    Paths are the radial column, s̃ G(s̃) less the same at the cutoff, and the others, s G(s̃) over their deviation and √3, for they
    meet Y₁; of distances alone only one, G(s̃) less the same at the cutoff. `smooth_from` is a knot: there the third derivative jumps.
    """

    def __init__(self, environment: Environment, networks: nn.ModuleList, vectors: bool, intervals: int) -> None:
        super(RadialTable, self).__init__()  # networks of its own
        self.environment, self.networks, self.vectors = environment, networks, vectors
        share = environment.smooth_from / environment.cutoff
        least = min(intervals, SINGLE_INTERVALS)
        base = min(range(least, least + least // 8 + 1), key=lambda n: abs(share * n - round(share * n)))
        self.stride = ceil(intervals / base)
        self.knots = knots(environment.cutoff, base * self.stride)

    def compute(self) -> Float[Tensor, "kinds rows paths M"]:
        at = self.environment
        kind = at.mean.dtype
        d = self.knots if kind == torch.float64 else self.knots[:: self.stride]
        # single precision at the knots would be noise in the slopes between them
        kind = kind if self.training else torch.float64
        u = at.fading(d.to(at.mean.device))
        pairs = []
        for c, n in self.pairs():
            s, G = self.embedded(c, n, torch.cat([u, torch.zeros_like(u[:1])]).to(kind))
            radial = s * G if self.vectors else G
            paths = [radial[:-1] - radial[-1]]
            if self.vectors:
                paths.append((u.to(kind) / (sqrt(3) * at.spread[c, 1].to(kind)))[:, None] * G[:-1])
            pairs.append(torch.stack(paths, 1))
        return spline_table(torch.stack(pairs, 1)).movedim(1, 0).to(at.mean.dtype)

    def background(self) -> Float[Tensor, "Z M"]:
        """The sum over `sel` places at the cutoff, for centers of every element."""
        Z, at = len(self.environment.sel), self.environment
        found = []
        for c, n in self.pairs():
            s, G = self.embedded(c, n, torch.zeros_like(at.mean[:1]))
            found.append(at.sel[n] * (s * G if self.vectors else G)[0])
        return torch.stack(found).unflatten(0, (Z, Z)).sum(1)

    def pairs(self) -> list[tuple[int, int]]:
        Z = len(self.environment.sel)
        return [(c, n) for c in range(Z) for n in range(Z)]

    def embedded(self, c: int, n: int, u: Float[Tensor, " k"]) -> tuple[Float[Tensor, "k 1"], Float[Tensor, "k M"]]:
        """s̃ and G(s̃)."""
        at, Z = self.environment, len(self.environment.sel)
        s = ((u - at.mean[c].to(u.dtype)) / at.spread[c, 0].to(u.dtype))[:, None]
        return s, self.networks[n if len(self.networks) == Z else c * Z + n](s)
