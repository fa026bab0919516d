"""Embedded atom method: an energy of embedding in the neighbors' density, and a pair energy, both tabulated.

Daw and Baskes, PRB 29, 6443 (1984); densities that depend on both elements: Finnis and Sinclair, Phil. Mag. A 50, 45 (1984).
"""

from __future__ import annotations

import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels import distance, polynomial_cutoff, segment_sum
from adiabat.kernels.embedding import Embedding
from adiabat.potential import Model
from adiabat.typing import Float, Int, Tensor


class EAM(Model):
    """E_i = F_{z_i}(ρ_i) − F_{z_i}(0) + ½ Σ_j φ_{z_i z_j}(d_ij), with ρ_i = Σ_j ρ_{z_j z_i}(d_ij).

    | table | what |
    |---|---|
    | `embedding` [Z, n] | F at ρ = 0, drho, …; beyond the last point a straight line |
    | `density` [Z, Z, n] | ρ that the first element's atom brings to the second's, at d = 0, dr, … |
    | `pair` [Z, Z, n] | d φ(d), eV Å |

    Between the points run the cubic Hermite curves of LAMMPS's pair styles, so that the same file is the same function. `points` are
    the tables' lengths (of F; of ρ and φ). Without numbers from a file the tables are those of a second-moment model of copper, Cleri
    and Rosato, PRB 48, 22 (1993), whatever the elements: something to start a test with. Nothing here learns.
    """

    name = "eam"

    def __init__(
        self,
        cutoff: float = 6.0,
        dr: float = 0.005,
        drho: float = 0.01,
        points: list[int] = [2000, 1201],  # noqa: B006 (recorded, never changed)
        elements: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.cutoff, self.dr, self.drho = float(cutoff), float(dr), float(drho)
        if elements is None:
            return
        self.elements = periodic_table.numbers(elements)
        Z, (n_rho, n) = len(self.elements), points
        d = torch.arange(n, dtype=torch.float64) * self.dr
        smooth = polynomial_cutoff(d, self.cutoff - 4 * self.dr)  # slopes by differences reach two points further
        density = torch.exp(-2 * 2.278 * (d / 2.556 - 1)) * smooth
        pair = 2 * 0.0855 * torch.exp(-10.960 * (d / 2.556 - 1)) * d * smooth
        embedding = -1.224 * torch.sqrt(torch.arange(n_rho, dtype=torch.float64) * self.drho)
        self.register_buffer("embedding", embedding.repeat(Z, 1))
        self.register_buffer("density", density.repeat(Z, Z, 1))
        self.register_buffer("pair", pair.repeat(Z, Z, 1))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("eam: its elements are not known yet; give them, or let `fit` take them from the training data")
        species = torch.searchsorted(torch.tensor(self.elements, device=graph.device), graph.numbers)
        d, zi, zj = distance(graph.r), species[graph.i], species[graph.j]
        inside = d < self.cutoff
        d = torch.where(inside, d, self.cutoff)
        Z = len(self.elements)
        both = torch.stack([self.density.flatten(0, 1), self.pair.transpose(0, 1).flatten(0, 1)], -1)  # row: neighbor, center
        found = hermite(d, both, self.dr, zj * Z + zi) * inside[:, None]  # E 2
        half = 0.5 * found[:, 1] / torch.where(d > 0, d, 1.0)
        rho, pairs = segment_sum(torch.stack([found[:, 0], half], 1).to(torch.float64), graph.i, graph.n_atoms).unbind(1)
        F = hermite(rho.to(d.dtype), self.embedding[..., None], self.drho, species, line_beyond=True)[:, 0]
        return {"energies": F.to(torch.float64) - self.embedding[species, 0].to(torch.float64) + pairs}

    def program(self) -> Embedding | None:
        # An energy that the two ends of a pair share unlike each other belongs to no file of EAM, and not to one look at a pair.
        if self.elements is None or not torch.equal(self.pair, self.pair.transpose(0, 1)):
            return None
        return Embedding(self.elements, self.cutoff, self.dr, self.drho, self.embedding, self.density, self.pair)

    def uncompiled(self) -> str:
        return "its pair functions of one element beside another and the other way around are not the same"


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

    def at(shift: int) -> Tensor:
        return table[row, (k + shift).clamp(0, n - 1)]

    def slope(shift: int) -> Tensor:
        place, own = (k + shift)[:, None], at(shift)
        down, up = at(shift - 1), at(shift + 1)
        five = (at(shift - 2) - at(shift + 2) + 8 * (up - down)) / 12
        near = torch.where((place == 1) | (place == n - 2), 0.5 * (up - down), five)
        return torch.where(place == 0, up - own, torch.where(place == n - 1, own - down, near))

    f, m, p = at(0), slope(0), slope(1)
    rise = at(1) - f
    value = f + t * (m + t * (3 * rise - 2 * m - p + t * (m + p - 2 * rise)))
    if line_beyond:
        over = (x - last).clamp(min=0.0)[:, None]
        value = value + over * p / step
    return value
