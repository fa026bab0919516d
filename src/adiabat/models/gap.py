"""Gaussian approximation potentials: sparse Gaussian processes on distances and on the power spectrum of the neighbor density.

Bartók, Payne, Kondor and Csányi, PRL 104, 136403 (2010); SOAP: Bartók, Kondor and Csányi, PRB 87, 184115 (2013); sums of kernels and
their fit: Deringer et al., Chem. Rev. 121, 10073 (2021), section 2. Descriptors, cutoffs and kernels are QUIP's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.config import checked
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.kernels.gaussian_process import Processes
from adiabat.kernels.local import Edges
from adiabat.nn.linear_basis import EDGES_AT_ONCE, Centers, Columns, Edged, LinearBasis
from adiabat.nn.soap_kernel import Soap
from adiabat.nn.sparse_kernel import SparseKernel, ThreeBody, TwoBody
from adiabat.nn.sparse_points import METHODS
from adiabat.nn.turbo_kernel import SoapTurbo
from adiabat.potential import Model
from adiabat.typing import Float, Tensor

JITTER = 1e-10  # eV², on K_MM's diagonal, so that it has a Cholesky factor: as much as gap_fit adds


class GAP(LinearBasis, Model):
    """E_i = Σ_j Σ_s α_s k₂(d_ij, d_s) + Σ_jk Σ_s α_s k₃(d_ijk, d_s) + Σ_s α_s k(p_i, p_s), each sum less a lone atom's.

    | symbol | here |
    |---|---|
    | k₂ = δ² exp(−(d − d_s)²/2θ²) f_c(d) f_c(d_s) | `TwoBody`, one a pair of elements |
    | k₃, the same of three distances | `ThreeBody`, one an element of the center and a pair |
    | k = δ² (p·p_s)^ζ | `Soap` or `SoapTurbo`, one an element of the center |
    | s: sparse points, chosen from the training data | buffers `points` of the kernels |
    | α, minimizing Σ ((E − Ê)/σ)² + … + αᵀ K_MM α | `coefficients`; σ: `noise`; K_MM: `prior` |

    `soap`, `two_body`, `three_body` and `soap_turbo` are options of these kernels, or lists of options, each with its `center` and
    `pair` of elements; [] leaves them out. `noise`: σ of energies and strain gradients, eV/atom (times √N for a structure), and of
    forces, eV/Å; `shear`, that of off-diagonal components of the strain gradient, is √½ of `stress` unless it is said: then a structure
    may be turned. `sparse`: how environments are chosen, a method of `nn.sparse_points`; distances are chosen evenly. With `variance`
    the model tells each atom's predictive variance, eV², as QUIP defines it.

    It computes in double precision whatever is asked for: coefficients are as large as 10⁵ eV and cancel.
    """

    name = "gap"
    shared = True
    in_double = True

    def __init__(
        self,
        soap: Mapping[str, Any] | Sequence[Mapping[str, Any]] = {},
        two_body: Mapping[str, Any] | Sequence[Mapping[str, Any]] = {},
        noise: Mapping[str, float] = {"energy": 0.002, "forces": 0.1, "stress": 0.02},
        sparse: str = "leverage",
        elements: list[str] | None = None,
        variance: bool = False,
        seed: int = 0,
        three_body: Mapping[str, Any] | Sequence[Mapping[str, Any]] = [],
        soap_turbo: Mapping[str, Any] | Sequence[Mapping[str, Any]] = [],
    ) -> None:
        super().__init__()
        if elements is not None:
            self.elements = periodic_table.numbers(elements)
        names = [symbol(z) for z in self.elements or (1,)]
        pairs = [{"pair": [a, b]} for k, a in enumerate(names) for b in names[k:]]
        centers = [{"center": a} for a in names]
        kernels: list[SparseKernel] = []
        for kind, options, each in (
            (TwoBody, two_body, pairs),
            (ThreeBody, three_body, [{**center, **pair} for center in centers for pair in pairs]),
            (Soap, soap, centers),
            (SoapTurbo, soap_turbo, centers),
        ):
            listed = [{**one, **options} for one in each] if isinstance(options, Mapping) else options
            for given in listed:
                kernels.append(kind(names, **checked(kind, given, where=f"gap.{kind.option}", given={"elements": names})))
        if not kernels:
            raise ValueError("gap: neither soap, two_body, three_body nor soap_turbo is left; a GAP needs one kernel at least")
        if sparse not in METHODS:
            raise ValueError(f"gap.sparse: {sparse!r} came; wanted {', '.join(METHODS)}")
        kinds = {"energy", "forces", "stress"}
        if not kinds <= {*noise} <= {*kinds, "shear"} or min(noise.values()) <= 0:
            raise ValueError(f"gap.noise: {dict(noise)} came; wanted energy, forces, stress and perhaps shear, all above 0")
        self.cutoff = max(kernel.cutoff for kernel in kernels)
        self.noise, self.sparse, self.seed = {k: float(v) for k, v in noise.items()}, sparse, seed
        if elements is None:
            return
        self.kernels = nn.ModuleList(kernels)
        self.size = sum(kernel.n_sparse for kernel in kernels)
        self.coefficients = nn.Parameter(torch.randn(1, self.size, dtype=torch.float64) / (10 * self.size))
        if variance:
            self.outputs = ("energies", "variance")  # type: ignore[misc]

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("gap: its elements are not known yet; give them, or let `fit` take them from the training data")
        (at,) = self.centers(graph.replace(r=graph.r.to(torch.float64)))
        found = {"energies": self.basis(at) @ self.coefficients[0]}
        if "variance" in self.outputs:
            found["variance"] = self.variance(at)
        return found

    def variance(self, at: Centers) -> Float[Tensor, "n"]:
        at = replace(at, r=at.r.to(torch.float64))
        return torch.stack([kernel.variance(at) for kernel in self._kernels]).sum(0)

    @torch.no_grad()
    def beside(self, graph: Edged) -> dict[str, Tensor]:
        assert self.elements is not None
        here = "variance" in self.outputs and graph.r.device.type == "cpu" and len(graph.numbers) > 0
        doubts = [kernel.doubts(self.elements) if here else None for kernel in self._kernels]
        compiled = [it for it in doubts if it is not None]
        if len(compiled) < len(doubts):
            return super().beside(graph)
        edges, found = Edges(graph, 1 + int(graph.structure.max())), torch.zeros(len(graph.numbers), dtype=torch.float64)
        for doubt in compiled:
            doubt.add(edges, graph.r, found, torch.get_num_threads())
        return {"variance": found}

    @property
    def _kernels(self) -> list[SparseKernel]:
        return list(self.kernels)

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        return torch.cat([kernel(at) for kernel in self._kernels], 1)

    @torch.no_grad()
    def program(self) -> Processes | None:
        if self.elements is None:
            return None
        each = self.coefficients.detach()[0].split([kernel.n_sparse for kernel in self._kernels])
        made = [kernel.process(alpha) for kernel, alpha in zip(self._kernels, each)]
        listed = [it for it in made if it is not None]
        return Processes.of(self.elements, listed) if len(listed) == len(made) else None

    def uncompiled(self) -> str:
        return "compiled are kernels with ζ from 1 on"

    def alone(self) -> Float[Tensor, "Z K"]:
        """What is taken from the kernels: those of an atom of each element without neighbors."""
        return torch.stack(
            [torch.cat([kernel.alone_as(z) for kernel in self._kernels]) for z in range(len(self.elements or ()))]
        )

    @torch.no_grad()
    def prepare(self, graphs: Sequence[Graph]) -> None:
        for k, kernel in enumerate(self._kernels):
            found = [x for graph in graphs for at in self.centers(graph, 20_000) if len(x := kernel.seen(at))]
            if found:
                generator = torch.Generator().manual_seed(1_000_003 * self.seed + k)
                kernel.choose(torch.cat(found).to(torch.float64), self.sparse, generator)

    @torch.no_grad()
    def prior(self) -> Float[Tensor, "K K"]:
        """A factor R of K_MM = Rᵀ R, which is block diagonal: the rows that make a fit of coefficients a Gaussian process."""
        jitter = [max(JITTER, 1e-13 * kernel.delta**2) for kernel in self._kernels]  # not below what rounding leaves of K_MM
        return torch.block_diag(
            *(torch.linalg.cholesky(kernel.covariance(more)).T for kernel, more in zip(self._kernels, jitter, strict=True))
        )

    @torch.no_grad()
    def columns(self, near: Edged) -> Columns:
        assert self.elements is not None
        edges, found = Edges(near, 1), []
        for kernel in self._kernels:
            quick = kernel.compiled(self.elements)
            parts = self.centers(near, EDGES_AT_ONCE)
            found.append(kernel.by_passes(parts, near) if quick is None else quick(edges, near.r))
        energy, forces, strain = (torch.cat(x, -1) for x in zip(*found, strict=True))
        return Columns(energy[None], forces[:, None], strain[None])
