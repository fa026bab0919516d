"""Embedded atom method: an energy of embedding in the neighbors' density, and a pair energy, both tabulated.

Daw and Baskes, PRB 29, 6443 (1984); densities that depend on both elements: Finnis and Sinclair, Phil. Mag. A 50, 45 (1984).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance, polynomial_cutoff, segment_sum
from adiabat.kernels.embedding import Embedding, curves
from adiabat.kernels.spline import spline
from adiabat.kernels.triplet import pair_channel
from adiabat.nn.first_guess import best_guess
from adiabat.nn.surroundings import nearest_of_each_pair
from adiabat.potential import Model, Potential
from adiabat.typing import Float, Int, Tensor

COPPER = 2.556  # Å
STRETCHES = (0.95, 1.0, 1.05, 1.1)  # places of the first model's neighbors, in the distances of the data's


class EAM(Model):
    """E_i = F_{z_i}(ρ_i) − F_{z_i}(0) + ½ Σ_j φ_{z_i z_j}(d_ij), with ρ_i = Σ_j ρ_{z_j z_i}(d_ij).

    | table | what |
    |---|---|
    | `embedding` [Z, n] | F at ρ = 0, drho, …; beyond the last point a straight line |
    | `density` [Z, Z, n] | ρ that the first element's atom brings to the second's, at d = 0, dr, … |
    | `pair` [Z, Z, n] | d φ(d), eV Å |

    Between the points run the cubic Hermite curves of LAMMPS's pair styles, so that the same file is the same function. `points` are
    the tables' lengths (of F; of ρ and φ). Without numbers from a file the tables are those of a second-moment model of copper, Cleri
    and Rosato, PRB 48, 22 (1993), whatever the elements. Training (`learn`, which it sets) moves them to where atoms are neighbors, and
    learns splines of `knots` intervals: one that F gains, one that φ gains, and one whose exponential ρ is multiplied with, so that it
    stays positive; nearer than atoms come in the data these are as where they come nearest.
    """

    name = "eam"
    in_eV = True
    optimizer = "lbfgs"
    in_double = True  # F″, which a loss on forces asks for, is the rounding of a table in float32

    def __init__(
        self,
        cutoff: float = 6.0,
        dr: float = 0.005,
        drho: float = 0.01,
        points: list[int] | None = None,
        elements: list[str] | None = None,
        knots: int = 12,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff, self.dr, self.drho = float(cutoff), float(dr), float(drho)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        Z, (n_rho, n) = len(self.elements), points or (2000, math.ceil(self.cutoff / self.dr - 1e-9) + 1)
        at = torch.full((Z, Z), COPPER, dtype=torch.float64)
        for name, table in zip(("embedding", "density", "pair"), second_moment(self, at, n_rho, n)):
            self.register_buffer(name, table)
        self.learn = learn
        if learn:
            self.register_buffer("nearest", torch.zeros((), dtype=torch.float64))  # Å: how near atoms come in the data
            for name, rows in ("to_embedding", Z), ("to_density", Z * Z), ("to_pair", Z * (Z + 1) // 2):
                self.register_parameter(name, nn.Parameter(torch.zeros(rows, knots + 3, dtype=torch.float64)))

    def fresh(self) -> EAM:
        return EAM(**{**self.arguments, "learn": True})

    def begin(self, graphs: Sequence[Graph]) -> None:
        """The second-moment model at the distances of neighbors, and of the energy, that fit the forces best."""
        if self.elements is None or not self.learn:
            return
        shortest = min((float(g.r.norm(dim=1).min()) for g in graphs if g.n_edges), default=0.0)
        Z, nearest = len(self.elements), nearest_of_each_pair(graphs, self.elements, self.cutoff)
        z = torch.arange(Z).expand(Z, Z)
        at = torch.where(nearest.isfinite(), nearest, COPPER)[pair_channel(z, z.T)]

        def forces(stretch: float, graph: Graph) -> Tensor:
            self._move(at * stretch, 1.0)
            return Potential(self)(graph).forces

        stretch, factor = best_guess(graphs, STRETCHES, forces)
        self._move(at * stretch, factor)
        self.nearest.fill_(shortest)

    def _move(self, at: Float[Tensor, "Z Z"], factor: float) -> None:
        F, rho, pair = second_moment(self, at, self.embedding.shape[1], self.density.shape[2])
        for table, values in (self.embedding, F * factor), (self.density, rho), (self.pair, pair * factor):
            table.copy_(values)

    def tables(self) -> tuple[Float[Tensor, "Z m"], Float[Tensor, "Z Z n"], Float[Tensor, "Z Z n"]]:
        """F, ρ and d φ as they are now."""
        F, density, pair = self.embedding, self.density, self.pair
        if not self.learn:
            return F, density, pair
        Z, n = density.shape[1:]
        rho = torch.arange(F.shape[1], dtype=F.dtype, device=F.device) * self.drho
        d = torch.arange(n, dtype=F.dtype, device=F.device) * self.dr
        kinds = torch.arange(Z, device=F.device).expand(Z, Z)
        more = spline(rho, self.to_embedding.T[None], F.shape[1] * self.drho, torch.zeros_like(rho, dtype=torch.long))
        of_d = torch.cat([self.to_density, self.to_pair]).T[None]
        gained = spline(d.maximum(self.nearest.to(d)), of_d, self.cutoff, torch.zeros_like(d, dtype=torch.long)).T
        thicker, deeper = gained[: Z * Z].view(Z, Z, n), gained[Z * Z :][pair_channel(kinds, kinds.T)]
        return F + more.T, density * thicker.exp(), pair + deeper * d * polynomial_cutoff(d, self.cutoff - 4 * self.dr)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("eam: its elements are not known yet; give them, or let `fit` take them from the training data")
        species = torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)
        d, zi, zj = distance(graph.r.to(torch.float64)), species[graph.i], species[graph.j]
        embedding, density, pair = self.tables()
        inside = d < self.cutoff
        d = torch.where(inside, d, self.cutoff)
        Z = len(self.elements)
        both = torch.stack([density.flatten(0, 1), pair.transpose(0, 1).flatten(0, 1)], -1)  # row: neighbor, center
        found = hermite(d, both, self.dr, zj * Z + zi) * inside[:, None]  # E 2
        half = 0.5 * found[:, 1] / torch.where(d > 0, d, 1.0)
        rho, pairs = segment_sum(torch.stack([found[:, 0], half], 1), graph.i, graph.n_atoms).unbind(1)
        F = hermite(rho, embedding[..., None], self.drho, species, line_beyond=True)[:, 0]
        return {"energies": F - embedding[species, 0] + pairs}

    def program(self) -> Embedding | None:
        # An energy that the two ends of a pair share unlike each other belongs to no file of EAM, and not to one look at a pair.
        if self.elements is None or not torch.equal(self.pair, self.pair.transpose(0, 1)):
            return None
        with torch.no_grad():
            return Embedding(self.elements, self.cutoff, self.dr, self.drho, *self.tables())

    def uncompiled(self) -> str:
        return "its pair functions of one element beside another and the other way around are not the same"


def second_moment(
    it: EAM, at: Float[Tensor, "Z Z"], n_rho: int, n: int
) -> tuple[Float[Tensor, "Z m"], Float[Tensor, "Z Z n"], Float[Tensor, "Z Z n"]]:
    """F, ρ and d φ of copper by Cleri and Rosato, with neighbors there (Å)."""
    d = torch.arange(n, dtype=torch.float64) * it.dr
    smooth = polynomial_cutoff(d, it.cutoff - 4 * it.dr)  # slopes by differences reach two points further
    over = d / at[..., None] - 1
    embedding = -1.224 * torch.sqrt(torch.arange(n_rho, dtype=torch.float64) * it.drho)
    return (
        embedding.repeat(len(at), 1),
        torch.exp(-2 * 2.278 * over) * smooth,
        2 * 0.0855 * torch.exp(-10.960 * over) * d * smooth,
    )


def hermite(
    x: Float[Tensor, "E"], table: Float[Tensor, "rows n F"], step: float, row: Int[Tensor, "E"], line_beyond: bool = False
) -> Float[Tensor, "E F"]:
    """Curves through table[row] at x = 0, step, …, whose slopes at the points are five-point differences (fewer near the ends).

    Beyond the last point the curve keeps its value, or goes on straight.

    >>> hermite(torch.tensor([0.5, 3.5]), torch.arange(6.0).square()[None, :, None], 1.0, torch.tensor([0, 0]))[:, 0]
    tensor([ 0.3750, 12.2500])
    """
    n = table.shape[1]
    k = (x.detach() / step).nan_to_num().clamp(0, n - 2).long()
    last = (n - 1) * step
    t = ((x.clamp(max=last) if line_beyond else x) / step - k).clamp(max=1.0)[:, None]
    powers = curves(table.transpose(1, 2)).transpose(1, 2).flatten(0, 1)  # rows (n − 1), F, 4
    a, b, c, d = powers.index_select(0, row * (n - 1) + k).unbind(-1)
    value = a + t * (b + t * (c + t * d))
    if line_beyond:
        over = (x - last).clamp(min=0.0)[:, None]
        value = value + over * (b + 2 * c + 3 * d) / step
    return value
