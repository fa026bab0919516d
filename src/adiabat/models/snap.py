"""Spectral neighbor analysis potential: bispectrum components of the neighbor density on the 3-sphere, linear or quadratic.

Thompson, Swiler, Trott, Foiles and Tucker, J. Comput. Phys. 285, 316 (2015); quadratic: Wood and Thompson, J. Chem. Phys. 148, 241721
(2018); the matrices as in Varshalovich, Moskalev and Khersonskii, Quantum Theory of Angular Momentum (1988), section 4.8 (VMK).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from adiabat import elements as periodic_table
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.kernels.rotations import Rotations
from adiabat.nn.bispectrum import bispectrum, slopes, triples
from adiabat.nn.linear_basis import Centers, LinearBasis
from adiabat.potential import Model
from adiabat.typing import Float, Tensor


class SNAP(LinearBasis, Model):
    """E_i = Σ_k β_k B_k(i) (+ Σ_{k≤l} α_kl B_k B_l): coefficients of an atom's element, B less that of a lone atom.

    | symbol | here |
    |---|---|
    | u_j = δ + Σ_k f_c(r_ik) w_k U_j(θ₀, θ, φ), j = 0, ½ … J; θ₀ = `rfac0` π r/R_ik | `nn.bispectrum` |
    | R_ik = `cutoff` (R_i + R_k): radii by element, 0.5 where not given | `_radii` |
    | B_{j₁j₂j} = Σ conj(u_j) (u_{j₁} ⊗ u_{j₂})_j, j₂ ≤ j₁ ≤ j | `components` |

    `twojmax` is 2J: 55 components for 8. `cutoff` in Å is that of two atoms of radius 0.5; `weights` by element, 1 where not given.
    The order of components, and of the products behind them, is LAMMPS's. With `variance` a fit keeps the coefficients' covariance, and
    the model tells each atom's variance, eV², worked out when it is read.
    """

    name = "snap"

    def __init__(
        self,
        cutoff: float = 5.0,
        twojmax: int = 8,
        quadratic: bool = False,
        rfac0: float = 0.99363,
        elements: list[str] | None = None,
        radii: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        variance: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff = float(cutoff) * 2 * max((radii or {"": 0.5}).values())
        if elements is None:
            return
        if not 0 <= twojmax <= 16:
            raise ValueError(f"snap.twojmax: {twojmax} came; wanted a whole number from 0 to 16")
        self.elements = periodic_table.numbers(elements)
        self.twojmax, self.quadratic, self.rfac0 = twojmax, quadratic, float(rfac0)
        names = [symbol(z) for z in self.elements]
        self.reach = [float(cutoff) * float((radii or {}).get(s, 0.5)) for s in names]
        self.cutoff = 2 * max(self.reach)
        self.w = [float((weights or {}).get(s, 1.0)) for s in names]
        self.components = triples(twojmax)
        n = len(self.components)
        self.size = n + quadratic * n * (n + 1) // 2
        self.coefficients = nn.Parameter(torch.randn(len(names), self.size) / (10 * self.size))
        if variance:
            self.keep_posterior(len(names))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        if self.elements is None:
            raise ValueError("snap: its elements are not known yet; give them, or let `fit` take them from the training data")
        (at,) = self.centers(graph)
        return self.told(at, (self.basis(at) * self.coefficients[at.species]).sum(1))

    @torch.no_grad()
    def program(self) -> Rotations | None:
        if self.elements is None:
            return None
        n, c = len(self.components), self.coefficients
        square = None
        if self.quadratic:
            k, l = torch.triu_indices(n, n)
            square = c.new_zeros(len(c), n, n)
            square[:, k, l] = c[:, n:]
            square = square + square.transpose(1, 2)
        reach, w = (torch.tensor(x, dtype=torch.float64) for x in (self.reach, self.w))
        return Rotations(self.elements, self.twojmax, self.rfac0, reach, w, tuple(self.components), c[:, :n], square)

    def basis(self, at: Centers) -> Float[Tensor, "n K"]:
        B = self.bispectrum(at) - self.lone.to(at.r)
        if not self.quadratic:
            return B
        k, l = torch.triu_indices(len(self.components), len(self.components))
        return torch.cat([B, B[:, k] * B[:, l]], 1)

    @property
    def lone(self) -> Float[Tensor, "K"]:
        """B of an atom without neighbors: 2j + 1."""
        return torch.tensor([float(j + 1) for *_, j in self.components], dtype=torch.float64)

    def derivatives(self, at: Centers) -> tuple[Float[Tensor, "n K"], Iterator[tuple[slice, Float[Tensor, "e 3 K"]]]]:
        B, J = slopes(*self._surroundings(at))
        B = B - self.lone.to(B)
        if self.quadratic:
            k, l = torch.triu_indices(len(self.components), len(self.components))
            of_edge = B[at.i][:, None]
            J = torch.cat([J, of_edge[..., k] * J[..., l] + of_edge[..., l] * J[..., k]], 2)
            B = torch.cat([B, B[:, k] * B[:, l]], 1)
        return B, iter([(slice(0, len(at.r)), J)])

    def bispectrum(self, at: Centers) -> Float[Tensor, "n K"]:
        """B_{j₁j₂j}, the lone atom's share within."""
        return bispectrum(*self._surroundings(at))

    def _surroundings(self, at: Centers) -> tuple[Tensor, Tensor, int, Tensor, Tensor, float, list[tuple[int, int, int]]]:
        reach, w = (torch.tensor(x, dtype=at.r.dtype, device=at.r.device) for x in (self.reach, self.w))
        R = reach[at.species[at.i]] + reach[at.neighbors]
        return at.r, at.i, at.n, R, w[at.neighbors], self.rfac0, self.components
