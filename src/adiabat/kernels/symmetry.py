"""All symmetry functions of all atoms: radial ones by neighbor species, angular ones by pair of species, in one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, runtime_checkable

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.geometry import distance
from adiabat.kernels.ir import MAX_ZETA, Symmetry
from adiabat.kernels.radial import cosine_cutoff
from adiabat.kernels.triplet import angular_symmetry, radial_symmetry, triplets
from adiabat.typing import Float, Int, Tensor


@runtime_checkable
class Edges(Protocol):
    """A topology: edges sorted by their center."""

    @property
    def i(self) -> Tensor: ...
    @property
    def first(self) -> Tensor: ...


def symmetry_functions(
    r: Float[Tensor, "E 3"],
    species: Int[Tensor, " E"],
    edges: Edges,
    n_species: int,
    cutoff: float,
    eta: Float[Tensor, " K"],
    R_s: Float[Tensor, " K"],
    angular_eta: Float[Tensor, " A"],
    zetas: Sequence[float],
    pairs: Callable[[], tuple[Tensor, Tensor]] | None = None,
) -> Float[Tensor, "N D"]:
    """G² for each neighbor species and (η, R_s), then G⁴ for each `pair_channel` and angular η × ζ × λ ∈ {−1, +1}.

    The sums of `radial_symmetry` and `angular_symmetry` with the cosine cutoff, the sets of a species or pair of species side by
    side, λ running fastest. `species` are the neighbors' kinds (0…n_species − 1). `pairs` gives `triplets(edges.first)` to the
    reference, where someone keeps them; compiled code lists none.

    >>> from types import SimpleNamespace
    >>> edges = SimpleNamespace(i=torch.tensor([0, 0]), first=torch.tensor([0, 2]))
    >>> one, s = torch.ones(1, dtype=torch.float64), torch.tensor([0, 0])
    >>> r = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]], dtype=torch.float64)
    >>> symmetry_functions(r, s, edges, 1, 2.0, one, one, 0 * one, [1.0])
    tensor([[1.0000, 0.0493, 0.0493]], dtype=torch.float64)
    """
    spec = spec_of(len(eta), len(angular_eta), tuple(zetas))
    eta, R_s, angular_eta = eta.to(r.dtype), R_s.to(r.dtype), angular_eta.to(r.dtype)
    plain = not any(x.requires_grad or torch._C._functorch.is_batchedtensor(x) for x in (species, eta, R_s, angular_eta))
    if spec and len(r) and plain and dispatch.fast_for(spec, r, vmapped=True):
        from adiabat.kernels.symmetry_op import symmetry_forward

        return symmetry_forward(r, edges.first, species, eta, R_s, angular_eta, n_species, cutoff, str(spec))
    return reference_symmetry_functions(r, species, edges, n_species, cutoff, eta, R_s, angular_eta, zetas, pairs)


def reference_symmetry_functions(r, species, edges, n_species, cutoff, eta, R_s, angular_eta, zetas, pairs=None) -> Tensor:
    """The meaning of `symmetry_functions`."""
    n, d = len(edges.first) - 1, distance(r)
    fade = cosine_cutoff(d, cutoff)
    radial = radial_symmetry(d, fade, edges.i, species, n, n_species, eta, R_s).flatten(1)
    if not len(angular_eta) * len(zetas):
        return radial
    width, zeta, lambd = torch.cartesian_prod(angular_eta, eta.new_tensor(zetas), eta.new_tensor([-1.0, 1.0])).unbind(1)
    angular = angular_symmetry(
        r, d, fade, pairs() if pairs else triplets(edges.first), edges.i, species, n, n_species, width, zeta, lambd,
        fade_far=lambda far: cosine_cutoff(far, cutoff),
    )  # fmt: skip
    return torch.cat([radial, angular.flatten(1)], 1)


@cache
def spec_of(radial: int, widths: int, zetas: tuple[float, ...]) -> Symmetry | None:
    """What to generate, or None: powers are multiplied out, so ζ must be a whole number."""
    if any(zeta != int(zeta) or not 1 <= zeta <= MAX_ZETA for zeta in zetas):
        return None
    return Symmetry(radial, widths, tuple(int(zeta) for zeta in zetas))
