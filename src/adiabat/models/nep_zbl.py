"""The wall of NEP files: screened nuclear repulsion whose terms and range may be each pair's own."""

from __future__ import annotations

import torch

from adiabat import elements as periodic_table
from adiabat.graph import Graph
from adiabat.kernels.geometry import distance
from adiabat.kernels.pairs import Pairs
from adiabat.kernels.segment import segment_sum
from adiabat.potential import Model
from adiabat.typing import Tensor

# c_k, b_k of Ziegler, Biersack and Littmark (1985)
UNIVERSAL = (0.18175, 3.19980, 0.50986, 0.94229, 0.28022, 0.40290, 0.02817, 0.20162)


class NEPZBL(Model):
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
                numbers = row or [*_range(first, second, inner, outer, factor), *UNIVERSAL]
                table[a, b] = torch.tensor(numbers, dtype=torch.float64)
        reach = table[..., 1].max()
        if not ((table[..., 0] >= 0) & (table[..., 0] < table[..., 1])).all():
            raise ValueError("nep_zbl: wanted 0 ≤ inner < outer")
        super().__init__()
        self.cutoff = float(reach)
        self.elements = None if elements is None else known
        self.known = known
        self.register_buffer("table", table, persistent=False)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if not (graph.r.detach().square().sum(-1) < self.cutoff**2).any():
            return {"energies": torch.zeros(graph.n_atoms, dtype=torch.float64, device=graph.device)}
        half = 0.5 * self.phi(distance(graph.r), graph)  # E
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}

    def program(self) -> Pairs:
        power = [float(z) ** 0.23 for z in range(len(NEP_RADII) + 1)]
        return Pairs("nep_zbl", self.known, self.cutoff, (self.COULOMB, self.INVERSE_LENGTH, 0.0), power=power, rows=self.table)

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
