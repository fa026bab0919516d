"""ANI's atomic environment vectors: radial functions by neighbor species, angular ones by pair of species within a shorter cutoff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import pi
from typing import Any

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.geometry import distance
from adiabat.kernels.ir import MAX_ZETA, Environment
from adiabat.kernels.radial import cosine_cutoff, smooth_cutoff
from adiabat.kernels.segment import segment_sum
from adiabat.kernels.symmetry import Edges
from adiabat.kernels.triplet import pair_channel, radial_symmetry, triplets
from adiabat.typing import Float, Int, Tensor

FADES: dict[str, Callable[[Tensor, float], Tensor]] = {"cosine": cosine_cutoff, "smooth": smooth_cutoff}
SHRINK = 0.95  # of cos θ before θ is taken: as in the code the published networks were trained with


@dataclass(frozen=True)
class AEV:
    """The functions of an environment vector; lengths in Å, η in Å⁻², angles in radians.

    | symbol | here |
    |---|---|
    | R_C of both sums | `cutoff`, `angular_cutoff` |
    | η, R_s of the radial sum | `eta`, `shifts` |
    | η, ζ, R_s, θ_s of the angular sum | `angular_eta`, `zeta`, `angular_shifts`, `sections` |
    | f_C | `fade`: cosine, as published, or smooth |
    """

    cutoff: float
    angular_cutoff: float
    eta: float
    shifts: tuple[float, ...]
    angular_eta: float
    zeta: float
    angular_shifts: tuple[float, ...]
    sections: tuple[float, ...]
    fade: str = "cosine"

    def __post_init__(self) -> None:
        if not 0 < self.angular_cutoff <= self.cutoff:
            raise ValueError(f"aev: an angular cutoff of {self.angular_cutoff} Å came; wanted one within 0…{self.cutoff} Å")
        if self.fade not in FADES:
            raise ValueError(f"aev: fade {self.fade!r} came; wanted {' or '.join(FADES)}")
        if not self.zeta >= 1:
            raise ValueError(f"aev: ζ = {self.zeta} came; wanted at least 1: below, forces diverge where cos(θ − θ_s) = −1")

    @classmethod
    def even(
        cls, cutoff: float, angular_cutoff: float, radial: int | Sequence[float], shells: int | Sequence[float],
        sections: int | Sequence[float], *, start: float, **rest: Any,
    ) -> AEV:  # fmt: skip
        """Numbers of even steps in place of lists: shifts from `start` to before the cutoff, angles in the middle of sections of 0…π.

        >>> AEV.even(4.0, 2.0, 3, 1, 2, start=1.0, eta=16.0, angular_eta=8.0, zeta=32.0).shifts
        (1.0, 2.0, 3.0)
        """
        if isinstance(sections, int):
            sections = [pi * (k + 0.5) / sections for k in range(sections)]
        shifts, angular_shifts = _steps(radial, start, cutoff), _steps(shells, start, angular_cutoff)
        angles = tuple(map(float, sections))
        return cls(float(cutoff), float(angular_cutoff), shifts=shifts, angular_shifts=angular_shifts, sections=angles, **rest)

    def size(self, n_species: int) -> int:
        """D: how many functions an atom has."""
        angular = len(self.angular_shifts) * len(self.sections)
        return n_species * len(self.shifts) + n_species * (n_species + 1) // 2 * angular


def environments(
    r: Float[Tensor, "E 3"], species: Int[Tensor, " E"], edges: Edges, n_species: int, functions: AEV
) -> Float[Tensor, "N D"]:
    """The environment vector of each atom: radial functions for each neighbor species, then angular ones for each `pair_channel`.

    Radial: ¼ Σ_j exp(−η (d_ij − R_s)²) f_C(d_ij), R_s running. Angular: 2 Σ_{j<k} (½ + ½ cos(θ − θ_s))^ζ exp(−η (½(d_ij + d_ik)
    − R_s)²) f_C(d_ij) f_C(d_ik) with cos θ = 0.95 cos θ_jik, θ_s running faster than R_s. `species` are the neighbors' kinds
    (0…n_species − 1). Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017), equations 3 and 4; ¼ and 0.95 are those of the
    code the published networks were trained with.

    >>> from types import SimpleNamespace
    >>> edges = SimpleNamespace(i=torch.tensor([0, 0]), first=torch.tensor([0, 2]))
    >>> r = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]], dtype=torch.float64)
    >>> few = AEV(2.0, 2.0, 1.0, (1.0, 2.0), 1.0, 32.0, (1.0,), (0.0, torch.pi / 2))
    >>> environments(r, torch.tensor([0, 0]), edges, 1, few)
    tensor([[2.5000e-01, 9.1970e-02, 1.1642e-10, 5.0000e-01]], dtype=torch.float64)
    """
    spec = spec_of(functions)
    plain = not (species.requires_grad or torch._C._functorch.is_batchedtensor(species))
    if spec and len(r) and plain and dispatch.fast_for(spec, r, vmapped=True):
        from adiabat.kernels.symmetry_op import symmetry_forward

        parameters = (x.to(r) for x in parameters_of(functions))
        return symmetry_forward(r, edges.first, species, *parameters, n_species, functions.cutoff, str(spec))
    return reference_environments(r, species, edges, n_species, functions)


def reference_environments(r, species, edges, n_species, functions: AEV) -> Tensor:
    """The meaning of `environments`."""
    n, d, f = len(edges.first) - 1, distance(r), functions
    fade, shifts = FADES[f.fade], torch.tensor(f.shifts, dtype=r.dtype, device=r.device)
    eta = torch.full_like(shifts, f.eta)
    radial = 0.25 * radial_symmetry(d, fade(d, f.cutoff), edges.i, species, n, n_species, eta, shifts).flatten(1)
    a, b = near_pairs(d, edges.first, f.angular_cutoff)
    u, near = r / d[:, None], fade(d, f.angular_cutoff)
    cosine = SHRINK * (u[a] * u[b]).sum(-1, keepdim=True)  # T 1
    sections = torch.tensor(f.sections, dtype=torch.float64, device=r.device)
    along, across = sections.cos().to(r.dtype), sections.sin().to(r.dtype)
    half = 0.5 + 0.5 * (cosine * along + (1 - cosine.square()).sqrt() * across)  # T Z
    angles = 2 * half.clamp_min(0) ** f.zeta
    shells = 0.5 * (d[a] + d[b])[:, None] - torch.tensor(f.angular_shifts, dtype=r.dtype, device=r.device)  # T A
    g = torch.exp(-f.angular_eta * shells.square())[:, :, None] * (angles * (near[a] * near[b])[:, None])[:, None]  # T A Z
    channels = n_species * (n_species + 1) // 2
    row = edges.i[a] * channels + pair_channel(species[a], species[b])
    return torch.cat([radial, segment_sum(g.flatten(1), row, n * channels).view(n, -1)], 1)


def near_pairs(d: Float[Tensor, " E"], first: Int[Tensor, " N1"], cutoff: float) -> tuple[Int[Tensor, " T"], Int[Tensor, " T"]]:
    """`triplets` of the edges below a cutoff; of all edges inside vmap, where lists cannot depend on distances.

    >>> near_pairs(torch.tensor([1.0, 3.0, 1.5]), torch.tensor([0, 3]), 2.0)
    (tensor([0]), tensor([2]))
    """
    if torch._C._functorch.is_batchedtensor(d):
        return triplets(first)
    near = d.detach() < cutoff
    kept = torch.nonzero(near)[:, 0]
    count = torch.cat([torch.zeros_like(first[:1]), near.cumsum(0)])
    a, b = triplets(count[first])
    return kept[a], kept[b]


def _steps(given: int | Sequence[float], first: float, end: float) -> tuple[float, ...]:
    if isinstance(given, int):
        return tuple(first + k * (end - first) / given for k in range(given))
    return tuple(map(float, given))


@cache
def spec_of(f: AEV) -> Environment | None:
    """What to generate, or None; a ζ that is no whole number is a logarithm's business."""
    whole = int(f.zeta) if f.zeta == int(f.zeta) and f.zeta <= MAX_ZETA else 0
    return Environment(len(f.shifts), len(f.angular_shifts), len(f.sections), whole, f.fade == "smooth")


@cache
def parameters_of(f: AEV) -> tuple[Tensor, Tensor, Tensor]:
    """What aev.h calls eta, center and width."""
    sections = torch.tensor(f.sections, dtype=torch.float64)
    scalars = torch.tensor([f.eta, f.angular_eta, f.zeta, f.angular_cutoff], dtype=torch.float64)
    return (
        scalars,
        torch.tensor(f.shifts, dtype=torch.float64),
        torch.cat([torch.tensor(f.angular_shifts, dtype=torch.float64), sections.cos(), sections.sin()]),
    )
