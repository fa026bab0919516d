"""The short-range wall: the screened repulsion of nuclei by Ziegler, Biersack and Littmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels.geometry import distance
from adiabat.kernels.pairs import Pairs
from adiabat.kernels.radial import polynomial_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.potential import Model
from adiabat.typing import Float, Tensor
from adiabat.units import COULOMB, bohr


class ZBL(Model):
    """E_i = ½ Σ_j φ(d_ij), φ(d) = Z_i Z_j e²/(4πε₀ d) · Σ_k c_k e^{−b_k d/a}, a = 0.8854 a₀ / (Z_i^0.23 + Z_j^0.23).

    Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter (Pergamon, 1985). It fades out at `reach` times
    the sum of the covalent radii, inside any bond, so that it acts only where no training data can be expected. With `inner` and
    `outer` (Å) it is LAMMPS's pair style zbl instead, with its constants: φ(d) + S(d) below `outer`, S a constant up to `inner` and a
    polynomial of the fourth order behind it, so that energy, slope and curvature end in zero.
    """

    name = "zbl"

    SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
    LAMMPS = 14.399645, 0.46850  # e²/4πε₀ in eV Å, units metal; 0.8854 a₀ in Å

    def __init__(
        self, reach: float = 0.8, elements: list[str] | None = None, inner: float | None = None, outer: float | None = None
    ) -> None:
        known = periodic_table.numbers(elements) if elements is not None else range(1, len(periodic_table.SYMBOLS))
        farthest, table = 2 * reach * max(periodic_table.COVALENT_RADII[z] for z in known), None
        if inner is not None or outer is not None:
            if inner is None or outer is None or not 0 < inner < outer:
                raise ValueError(f"zbl: inner {inner} and outer {outer} came; wanted 0 < inner < outer in Å, or neither")
            farthest, table = outer, _switched(known, inner, outer)
        super().__init__()
        self.elements, self.cutoff = None if elements is None else tuple(known), float(farthest)
        self.reach, self.known, self.switched = float(reach), tuple(known), table

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self._nobody_near(graph):  # the usual case in dynamics: no pair is inside a bond
            return {"energies": torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)}
        half = 0.5 * self.pair_energies(distance(graph.r), graph)  # E
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}

    def pair_energies(self, d: Float[Tensor, "*members E"], graph: Graph) -> Float[Tensor, "*members E"]:
        if self.switched is not None:
            table = self.switched
            kinds = torch.searchsorted(torch.tensor(self.known, device=graph.device), graph.numbers)
            row = table.to(graph.device)[kinds[graph.i], kinds[graph.j]].to(d.dtype)  # E 7
            z, u, inner, outer, third, fourth, constant = row.unbind(-1)
            t = (d - inner).clamp_min(0.0)
            return (z / d * screened(d * u) + t**3 * (third + fourth * t) + constant) * (d < outer)
        z, reach, a = (x.to(d.dtype) for x in graph.once(("zbl", self.reach), lambda: self._pairs(graph)))
        return COULOMB * z / d * screened(d / a) * polynomial_cutoff(d / reach, 1.0)

    def program(self) -> Pairs:
        if self.switched is not None:
            rows = torch.nn.functional.pad(self.switched, (0, 3))
            return Pairs("switched_zbl", self.known, self.cutoff, (0.0, 0.0, 0.0), rows=rows, cut=True)
        reach = [self.reach * radius for radius in periodic_table.COVALENT_RADII]
        power = [z**0.23 for z in range(len(reach))]
        return Pairs("zbl", self.elements, self.cutoff, (COULOMB, 0.88534 * bohr, 0.0), reach, power)

    def _nobody_near(self, graph: Graph) -> bool:
        reach = self.cutoff if self.switched is not None else graph.once(("zbl", self.reach), lambda: self._pairs(graph))[1]
        return not bool(((graph.r.detach() ** 2).sum(-1) < reach**2).any())

    def _pairs(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Z_i Z_j, the reach in Å, and the screening length in Å of each edge."""
        z = graph.numbers.to(torch.float64)
        radii = torch.tensor(periodic_table.COVALENT_RADII, dtype=torch.float64, device=graph.device)[graph.numbers]
        i, j = graph.i, graph.j
        return z[i] * z[j], self.reach * (radii[i] + radii[j]), 0.88534 * bohr / (z[i] ** 0.23 + z[j] ** 0.23)


def screened(x: Tensor, order: int = 0) -> Tensor:
    """Σ_k c_k e^{−b_k x}, or a derivative of it by x."""
    return torch.stack([c * (-b) ** order * torch.exp(-b * x) for c, b in ZBL.SCREENING]).sum(0)


def _switched(known: Sequence[int], inner: float, outer: float) -> Float[Tensor, "Z Z 7"]:
    """LAMMPS's: e²/4πε₀ Z Z, 1/a, inner, outer, and S's numbers: of t³ and t⁴ with t = d − inner, and its constant."""
    z = torch.tensor(known, dtype=torch.float64)
    u = (z[:, None] ** 0.23 + z**0.23) / ZBL.LAMMPS[1]
    x, scale, w = u * outer, ZBL.LAMMPS[0] * z[:, None] * z, outer - inner
    s, s1, s2 = screened(x), u * screened(x, 1), u * u * screened(x, 2)
    y, slope, curve = s / outer, s1 / outer - s / outer**2, s2 / outer - 2 * s1 / outer**2 + 2 * s / outer**3
    third, fourth = (w * curve - 3 * slope) / (3 * w**2), (2 * slope - w * curve) / (4 * w**3)
    constant = w / 2 * slope - w**2 / 12 * curve - y
    ends = torch.tensor([inner, outer], dtype=torch.float64).expand(*u.shape, 2)
    return torch.cat([torch.stack([scale, u], -1), ends, scale[..., None] * torch.stack([third, fourth, constant], -1)], -1)
