"""Pair potentials: E_i = ½ Σ_j φ(d_ij) f_c(d_ij), with φ by Lennard-Jones, Morse or Buckingham, or the screened nuclear repulsion of ZBL."""

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


class Pair(Model):
    """What the pair potentials share: half of each directed edge goes to its center."""

    def __init__(self, cutoff: float, elements: Sequence[str] | None) -> None:
        super().__init__()
        self.cutoff = float(cutoff)
        self.elements = None if elements is None else periodic_table.numbers(elements)

    def phi(self, d: Float[Tensor, "*members E"], graph: Graph) -> Float[Tensor, "*members E"]:
        raise NotImplementedError

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        half = 0.5 * self.phi(distance(graph.r), graph)  # E
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}


class LennardJones(Pair):
    """φ(d) = 4ε [(σ/d)¹² − (σ/d)⁶], Jones, Proc. R. Soc. A 106, 463 (1924), faded out smoothly at the cutoff."""

    name = "lennard_jones"

    def __init__(
        self, epsilon_eV: float = 0.0103, sigma_angstrom: float = 3.4, cutoff: float = 8.5, elements: list[str] | None = None
    ) -> None:
        super().__init__(cutoff, elements)
        self.epsilon, self.sigma = float(epsilon_eV), float(sigma_angstrom)

    def phi(self, d: Tensor, graph: Graph) -> Tensor:
        s6 = (self.sigma / d) ** 6
        return 4 * self.epsilon * (s6 * s6 - s6) * polynomial_cutoff(d, self.cutoff)

    def program(self) -> Pairs:
        return Pairs("lennard_jones", self.elements, self.cutoff, (self.sigma, self.epsilon, 0.0))


class Morse(Pair):
    """φ(d) = D [e^{−2a(d − d₀)} − 2 e^{−a(d − d₀)}], Morse, Phys. Rev. 34, 57 (1929), faded out smoothly at the cutoff."""

    name = "morse"

    def __init__(
        self,
        depth_eV: float = 1.0,
        width_per_angstrom: float = 1.5,
        minimum_angstrom: float = 2.5,
        cutoff: float = 6.0,
        elements: list[str] | None = None,
    ) -> None:
        super().__init__(cutoff, elements)
        self.depth, self.width, self.minimum = float(depth_eV), float(width_per_angstrom), float(minimum_angstrom)

    def phi(self, d: Tensor, graph: Graph) -> Tensor:
        x = torch.exp(-self.width * (d - self.minimum))
        return self.depth * (x * x - 2 * x) * polynomial_cutoff(d, self.cutoff)

    def program(self) -> Pairs:
        return Pairs("morse", self.elements, self.cutoff, (self.depth, self.width, self.minimum))


class Buckingham(Pair):
    """φ(d) = A e^{−d/ρ} − C/d⁶, Buckingham, Proc. R. Soc. A 168, 264 (1938), faded out smoothly at the cutoff.

    It falls without bound below about ρ: add a wall (`ZBL`) where atoms may come so near.
    """

    name = "buckingham"

    def __init__(
        self,
        A_eV: float = 1388.77,
        rho_angstrom: float = 0.3623,
        C_eV_angstrom6: float = 175.0,
        cutoff: float = 8.0,
        elements: list[str] | None = None,
    ) -> None:
        super().__init__(cutoff, elements)
        self.A, self.rho, self.C = float(A_eV), float(rho_angstrom), float(C_eV_angstrom6)

    def phi(self, d: Tensor, graph: Graph) -> Tensor:
        return (self.A * torch.exp(-d / self.rho) - self.C / d**6) * polynomial_cutoff(d, self.cutoff)

    def program(self) -> Pairs:
        return Pairs("buckingham", self.elements, self.cutoff, (self.A, self.rho, self.C))


class ZBL(Pair):
    """The short-range wall: φ(d) = Z_i Z_j e²/(4πε₀ d) · Σ_k c_k e^{−b_k d/a}, a = 0.8854 a₀ / (Z_i^0.23 + Z_j^0.23).

    Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter (Pergamon, 1985). It fades out at `reach` times
    the sum of the covalent radii, inside any bond, so that it acts only where no training data can be expected.
    """

    name = "zbl"

    SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))

    def __init__(self, reach: float = 0.8, elements: list[str] | None = None) -> None:
        known = periodic_table.numbers(elements) if elements is not None else range(1, len(periodic_table.SYMBOLS))
        super().__init__(2 * reach * max(periodic_table.COVALENT_RADII[z] for z in known), elements)
        self.reach = float(reach)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self._nobody_near(graph):  # the usual case in dynamics: no pair is inside a bond
            return {"energies": torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)}
        return super().forward(graph)

    def phi(self, d: Tensor, graph: Graph) -> Tensor:
        z, reach, a = graph.once(("zbl", self.reach), lambda: self._pairs(graph))
        x = d / a.to(d.dtype)
        screening = sum(c * torch.exp(-b * x) for c, b in self.SCREENING)
        return COULOMB * z.to(d.dtype) / d * screening * polynomial_cutoff(d / reach.to(d.dtype), 1.0)

    def program(self) -> Pairs:
        reach = [self.reach * radius for radius in periodic_table.COVALENT_RADII]
        power = [z**0.23 for z in range(len(reach))]
        return Pairs("zbl", self.elements, self.cutoff, (COULOMB, 0.88534 * bohr, 0.0), reach, power)

    def _nobody_near(self, graph: Graph) -> bool:
        _, reach, _ = graph.once(("zbl", self.reach), lambda: self._pairs(graph))
        return not bool(((graph.r.detach() ** 2).sum(-1) < reach**2).any())

    def _pairs(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Z_i Z_j, the reach in Å, and the screening length in Å of each edge."""
        z = graph.numbers.to(torch.float64)
        radii = torch.tensor(periodic_table.COVALENT_RADII, dtype=torch.float64, device=graph.device)[graph.numbers]
        i, j = graph.i, graph.j
        return z[i] * z[j], self.reach * (radii[i] + radii[j]), 0.88534 * bohr / (z[i] ** 0.23 + z[j] ** 0.23)


class NEPZBL(Pair):
    """The wall of NEP files: φ(d) = Z_i Z_j e²/(4πε₀ d) · Σ_k c_k e^{−b_k d/a}, faded out by a cosine from `inner` to `outer` Å.

    Liu et al., PRB 108, 054312 (2023), with GPUMD's constants: 1/a = 2.134563 Å⁻¹ (Z_i^0.23 + Z_j^0.23). With `factor` ("typewise") a
    pair fades out from 0 to `factor` times the sum of its covalent radii, where this is nearer than `outer`. `pairs` ("flexible")
    gives pairs, "Si-O", numbers of their own: inner, outer, c₁, b₁, …, c₄, b₄.
    """

    name = "nep_zbl"

    COULOMB, INVERSE_LENGTH = 14.399645, 2.134563  # eV Å, Å⁻¹: as in GPUMD

    def __init__(
        self,
        inner: float = 0.6,
        outer: float = 1.2,
        elements: list[str] | None = None,
        factor: float | None = None,
        pairs: dict[str, list[float]] | None = None,
    ) -> None:
        known = periodic_table.numbers(elements) if elements is not None else tuple(range(1, len(NEP_RADII) + 1))
        table = torch.empty(len(known), len(known), 10, dtype=torch.float64)
        for a, first in enumerate(known):
            for b, second in enumerate(known):
                names = periodic_table.symbol(first), periodic_table.symbol(second)
                row = None if pairs is None else pairs.get("-".join(names), pairs.get("-".join(names[::-1])))
                if pairs is not None and (row is None or len(row) != 10):
                    raise ValueError(f"nep_zbl.pairs: {'-'.join(names)} wants ten numbers: inner, outer, c₁, b₁, …, c₄, b₄")
                universal = [x for term in ZBL.SCREENING for x in term]
                numbers = row or [*_range(first, second, inner, outer, factor), *universal]
                table[a, b] = torch.tensor(numbers, dtype=torch.float64)
        reach = table[..., 1].max()
        if not ((table[..., 0] >= 0) & (table[..., 0] < table[..., 1])).all():
            raise ValueError("nep_zbl: wanted 0 ≤ inner < outer")
        super().__init__(float(reach), elements)
        self.known = known
        self.register_buffer("table", table, persistent=False)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if not (graph.r.detach().square().sum(-1) < self.cutoff**2).any():
            return {"energies": torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)}
        return super().forward(graph)

    def program(self) -> Pairs:
        power = [float(z) ** 0.23 for z in range(len(NEP_RADII) + 1)]
        numbers = (self.COULOMB, self.INVERSE_LENGTH, float(len(self.known)))
        return Pairs("nep_zbl", self.known, self.cutoff, numbers, self.table.flatten().tolist(), power)

    def phi(self, d: Tensor, graph: Graph) -> Tensor:
        kinds = torch.searchsorted(torch.tensor(self.known, device=graph.device), graph.numbers)
        i, j, z = graph.i, graph.j, graph.numbers.to(torch.float64)
        row = self.table[kinds[i], kinds[j]].to(d.dtype)  # E 10
        inner, outer = row[:, 0], row[:, 1]
        x = d * (self.INVERSE_LENGTH * (z[i] ** 0.23 + z[j] ** 0.23)).to(d.dtype)
        screening = (row[:, 2::2] * torch.exp(-row[:, 3::2] * x[..., None])).sum(-1)
        fade = 0.5 + 0.5 * torch.cos(torch.pi * ((d - inner) / (outer - inner)).clamp(0, 1))
        return (self.COULOMB * z[i] * z[j]).to(d.dtype) / d * screening * fade * (d < outer)


def _range(first: int, second: int, inner: float, outer: float, factor: float | None) -> tuple[float, float]:
    if factor is None:
        return inner, outer
    return 0.0, min(factor * (NEP_RADII[first - 1] + NEP_RADII[second - 1]), outer)


# Å, hydrogen to plutonium: covalent radii of Pyykkö and Atsumi, metals' less a tenth, times 4/3 (Grimme et al., J. Chem. Phys. 132,
# 154104 (2010)), to six digits as that code has them; in hundredths of an Å before the factor.
NEP_RADII = [
    float(f"{hundredths / 75:.6g}")
    for hundredths in (
        32, 46, 120, 94, 77, 75, 71, 63, 64, 67, 140, 125, 113, 104, 110, 102, 99, 96, 176, 154, 133, 122, 121, 110, 107, 104, 100, 99, 101,
        109, 112, 109, 115, 110, 114, 117, 189, 167, 147, 139, 132, 124, 115, 113, 113, 108, 115, 123, 128, 126, 126, 123, 132, 131, 209,
        176, 162, 147, 158, 157, 156, 155, 151, 152, 151, 150, 149, 149, 148, 153, 146, 137, 131, 123, 118, 116, 111, 112, 113, 132, 130,
        130, 136, 131, 138, 142, 201, 181, 167, 158, 152, 153, 154, 155,
    )
]  # fmt: skip
