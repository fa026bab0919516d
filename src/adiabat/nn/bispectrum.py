"""The bispectrum of an atom's neighbors on the 3-sphere: what SNAP is linear in.

Thompson, Swiler, Trott, Foiles and Tucker, J. Comput. Phys. 285, 316 (2015); the matrices as in Varshalovich, Moskalev and Khersonskii,
Quantum Theory of Angular Momentum (1988), section 4.8 (VMK).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn

from adiabat.kernels import distance, segment_sum
from adiabat.kernels.rotations import half_integer_coupling
from adiabat.typing import Float, Int, Tensor


def bispectrum(
    r: Float[Tensor, "e 3"],
    i: Int[Tensor, "e"],
    n: int,
    reach: Float[Tensor, "e"],
    weight: Float[Tensor, "e"],
    rfac0: float,
    components: Sequence[tuple[int, int, int]],
) -> Float[Tensor, "n K"]:
    """B_{j₁j₂j} = Σ conj(u_j) (u_{j₁} ⊗ u_{j₂})_j of n atoms, their own share within: 2j + 1 of an atom without neighbors.

    `i` is an edge's center, `reach` its cutoff in Å, `weight` what its neighbor counts for; `components` hold doubled j.

    >>> none = torch.zeros(0, dtype=torch.float64)
    >>> bispectrum(torch.zeros(0, 3).double(), none.long(), 1, none, none, 0.99, triples(2)).round()
    tensor([[1., 2., 3., 3., 3.]], dtype=torch.float64)
    """
    shared = shares(r, reach, weight, rfac0, max(j for *_, j in components))
    u = _matrices(segment_sum(shared, i, n))
    return torch.stack([_component(u, *triple) for triple in components], 1)


def slopes(
    r: Float[Tensor, "e 3"],
    i: Int[Tensor, "e"],
    n: int,
    reach: Float[Tensor, "e"],
    weight: Float[Tensor, "e"],
    rfac0: float,
    components: Sequence[tuple[int, int, int]],
) -> tuple[Float[Tensor, "n K"], Float[Tensor, "e 3 K"]]:
    """`bispectrum`, and its slopes with the edges of each center, which are consecutive: ∂B/∂r = ∂B/∂u ∂u/∂r.

    A component's slopes with u cost little, there being one u a center; those of u with r are taken once for all components.
    """
    r = r.detach().requires_grad_()
    shared = shares(r, reach, weight, rfac0, max(j for *_, j in components))
    # Backward is linear in what it starts from, and its slope with that is the derivative forward
    pull = torch.ones_like(shared).requires_grad_()
    (back,) = torch.autograd.grad(shared, r, pull, create_graph=True)
    du = torch.stack([torch.autograd.grad(back[:, axis].sum(), pull, retain_graph=True)[0] for axis in range(3)], 1)
    flat = segment_sum(shared.detach(), i, n).requires_grad_()
    u = _matrices(flat)
    B, G = [], []
    for triple in components:
        B.append(_component(u, *triple))
        G.append(torch.autograd.grad(B[-1].sum(), flat, retain_graph=True)[0])
    G_all = torch.stack(G, 2)
    found = du.new_empty(len(r), 3, len(components))
    ends = torch.searchsorted(i, torch.arange(n + 1, device=i.device)).tolist()
    for k, (begin, end) in enumerate(itertools.pairwise(ends)):
        torch.matmul(du[begin:end], G_all[k], out=found[begin:end])
    return torch.stack(B, 1).detach(), found


def shares(r: Tensor, reach: Tensor, weight: Tensor, rfac0: float, twojmax: int) -> Float[Tensor, "e M"]:
    """What each edge adds to its center's u_j: f_c w U_j, one after the other for 2j = 0 … twojmax, real parts beside imaginary ones."""
    d = distance(r)
    inside = d < reach
    d, r = torch.where(inside, d, 0.5 * reach), torch.where(inside[:, None], r, 0.5 * reach[:, None] / math.sqrt(3))
    f = torch.where(inside, 0.5 * (1 + torch.cos(math.pi * d / reach)) * weight, 0.0)
    z0 = d / torch.tan(rfac0 * math.pi * d / reach)
    norm = (d.square() + z0.square()).rsqrt()
    x, y, z = (r * norm[:, None]).unbind(1)
    a, b = torch.complex(z0 * norm, -z), torch.complex(y, -x)  # Cayley–Klein parameters of the rotation by 2θ₀ about r
    return torch.view_as_real(torch.cat([U.flatten(1) for U in rotations(a, b, twojmax)], 1) * f[:, None]).flatten(1)


def _matrices(flat: Float[Tensor, "n M"]) -> list[Tensor]:
    """u_j [n, 2j + 1, 2j + 1]; rows m, columns m′ from −j; with the atom's own share δ."""
    found: list[Tensor] = []
    begin = 0
    u = torch.view_as_complex(flat.unflatten(1, (-1, 2)))
    while begin < u.shape[1]:
        size = len(found) + 1
        block = u[:, begin : begin + size * size].unflatten(1, (size, size))
        found.append(block + torch.eye(size, dtype=u.dtype, device=u.device))
        begin += size * size
    return found


def _component(u: Sequence[Tensor], j1: int, j2: int, j: int) -> Float[Tensor, "n"]:
    C = half_integer_coupling(j1, j2, j).to(u[j])
    # (u_{j₁} ⊗ u_{j₂})_j, one index at a time
    half = torch.einsum("nab,acx->nbcx", u[j1], C)
    whole = torch.einsum("nbcx,ncd->nbdx", half, u[j2])
    return torch.einsum("nbdx,bdy,nxy->n", whole, C, u[j].conj()).real


def rotations(a: Tensor, b: Tensor, twojmax: int) -> list[Tensor]:
    """U_j(a, b) [e, 2j + 1, 2j + 1] for 2j = 0 … twojmax, by the recursion VMK 4.8 (14); the last row by the symmetry VMK 4.4 (2)."""
    found = [torch.ones_like(a)[:, None, None]]
    for j in range(1, twojmax + 1):
        k = torch.arange(j, dtype=torch.float64, device=a.device)
        m = k[:, None]
        before = found[-1]
        left = torch.sqrt((j - k) / (j - m)).to(a) * a.conj()[:, None, None] * before
        right = torch.sqrt((k + 1) / (j - m)).to(a) * b.conj()[:, None, None] * before
        rows = nn.functional.pad(left, (0, 1)) - nn.functional.pad(right, (1, 0))
        sign = (-1.0) ** (j - torch.arange(j + 1, device=a.device))
        last = sign * rows[:, :1].conj().flip(2)
        found.append(torch.cat([rows, last], 1))
    return found


def triples(twojmax: int) -> list[tuple[int, int, int]]:
    """(2j₁, 2j₂, 2j) of the distinct components, in LAMMPS's order.

    >>> len(triples(8))
    55
    """
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    ]
