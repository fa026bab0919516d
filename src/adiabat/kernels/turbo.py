"""Densities of Gaussians whose radial and angular parts are apart, in polynomials that vanish at the cutoff with two slopes: soap_turbo.

    ρ(r) = Σ_j A(d_j) exp(−(r − d_j)²/2σ_r²) exp(−d_j² (1 − r̂·r̂_j)/σ_t²),     φ_a(r) = √(2a + 5) (1 − r/r_c)^(a+2), a = 1 … n_max

Caro, PRB 100, 024112 (2019). Widths grow with the distance and amplitudes fade as TurboGAP's; lengths are in units of the cutoff r_c. The
density ends at a soft cutoff, from which on a Gaussian filter takes it to zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from adiabat.kernels.soap import BEYOND, scaled_bessel
from adiabat.kernels.spline import knots, spline_table
from adiabat.typing import Float, Int, Tensor

MOST = {"poly3": 10, "poly3gauss": 11}  # radial functions by basis: of more the overlap has no root in double precision
FILTERED = 4.0  # σ below the soft cutoff: what is nearer to the center is not filtered
LEAST = 1e-10  # of what fades: below it TurboGAP's amplitudes are 0


def radial(
    d: Float[Tensor, "e"],
    n_max: int,
    cutoff: float,
    soft: float,
    sigma: tuple[float, float],
    amplitude_scaling: float,
    enhancement: int,
    filter_width: float,
    basis: str,
) -> Float[Tensor, "e n"]:
    """A(d) ∫ exp(−(r − d)²/2σ²) g_n(r) dr of the orthonormal functions g, σ = sigma[0] + sigma[1] d.

    "poly3gauss" has a Gaussian at the center in place of the last polynomial. What is filtered begins at once, where a Gaussian's center
    is 4 σ below the soft cutoff: with it TurboGAP's energies jump there, by what is beyond these.
    """
    x, s = d / cutoff, (sigma[0] + sigma[1] * d) / cutoff
    amplitude = fading(x, amplitude_scaling) * _growing(x, s, enhancement)
    filtered = d > filtered_from(soft, sigma)
    near, far = (overlaps(d, n_max, cutoff, soft, sigma, filter_width, basis, it) for it in (False, True))
    return amplitude[:, None] * torch.where(filtered[:, None], far, near)


def filtered_from(soft: float, sigma: tuple[float, float]) -> float:
    """The distance from which on a Gaussian is filtered, where its end is within 4 σ."""
    return (soft - FILTERED * sigma[0]) / (1 + FILTERED * sigma[1])


def overlaps(
    d: Float[Tensor, "e"], n_max: int, cutoff: float, soft: float, sigma: tuple[float, float], filter_width: float, basis: str, filtered: bool
) -> Float[Tensor, "e n"]:  # fmt: skip
    """∫ exp(−(r − d)²/2σ²) g_n(r) dr to the soft cutoff, `filtered` also beyond: smooth functions of d, also behind the cutoff."""
    x, begin = d / cutoff, soft / cutoff
    width, s = 1 - begin, sigma[0] / cutoff + sigma[1] * d / cutoff
    polynomials = n_max - (basis == "poly3gauss")
    found = _moments(polynomials, x, s, 0.0, begin)
    if filtered:
        both = s.square() + (width / filter_width) ** 2
        shifted = (s.square() * begin + (width / filter_width) ** 2 * x) / both
        narrow = s * width / filter_width / both.sqrt()
        found = found + torch.exp(-0.5 * (begin - x).square() / both)[:, None] * _moments(
            polynomials, shifted, narrow, begin, 1.0
        )
    if basis == "poly3gauss":
        found = torch.cat([found, _central(x, sigma[0] / cutoff, s)[:, None]], 1)
    return math.sqrt(cutoff) * found @ root(n_max, sigma[0] / cutoff, basis)[0].to(d)


def angular(d: Float[Tensor, "e"], l_max: int, cutoff: float, sigma: tuple[float, float]) -> Float[Tensor, "e L"]:
    """(r_c/σ)² exp(−x²) i_l(x²), x = d/σ, of σ = sigma[0] + sigma[1] d: what stands before the harmonics of the neighbor's direction."""
    s = sigma[0] + sigma[1] * d
    return (cutoff / s).square()[:, None] * scaled_bessel((d / s).square(), l_max)


@cache
def angular_table(l_max: int, cutoff: float, sigma: tuple[float, float], intervals: int) -> tuple[Float[Tensor, "n3 L"], float]:
    """`angular` as cubic B-splines, and how far these reach."""
    reach = cutoff * intervals / (intervals - BEYOND)
    return spline_table(angular(knots(reach, intervals), l_max, cutoff, sigma)), reach


def central(
    n_max: int, cutoff: float, soft: float, sigma_r: float, sigma_t: float, amplitude_scaling: float, enhancement: int, filter_width: float,
    basis: str,
) -> Float[Tensor, "n"]:  # fmt: skip
    """What the atom's own Gaussian gives to l = 0, as `radial` times `angular` give it to harmonics that are orthonormal."""
    if basis == "poly3":
        at_center = radial(torch.zeros(1, dtype=torch.float64), n_max, cutoff, soft, (sigma_r, 0.0), amplitude_scaling, enhancement,
                           filter_width, basis)[0]  # fmt: skip
        return at_center * (cutoff / sigma_t) ** 2 / math.sqrt(4 * math.pi)
    W, overlap = root(n_max, sigma_r / cutoff, basis)
    s = sigma_r / cutoff
    more = {0: 1.0, 1: math.sqrt(2 / math.pi) * s, 2: s * s}[enhancement]
    # of 4π, which neighbors have as well, one root is left
    scale = math.sqrt(4 * math.pi) * math.pi**0.25 * math.sqrt(sigma_r / 2) * cutoff**3 / sigma_t**2 / sigma_r / (4 * math.pi)
    return more * scale * W @ overlap[:, -1]


def fading(x: Float[Tensor, "e"], scaling: float) -> Float[Tensor, "e"]:
    """By what amplitudes fade to the cutoff, x = 1."""
    if scaling == 0:
        return torch.ones_like(x)
    fade = 1 + 2 * x**3 - 3 * x**2
    return torch.where(fade > LEAST, fade.clamp(min=LEAST) ** scaling, 0.0)


def _growing(x: Float[Tensor, "e"], s: Float[Tensor, "e"], enhancement: int) -> Float[Tensor, "e"]:
    """What else amplitudes are multiplied with."""
    if enhancement == 1:
        return (x + math.sqrt(2 / math.pi) * s) / s
    if enhancement == 2:
        return (x.square() + s.square() + math.sqrt(8 / math.pi) * s * x) / s
    return 1 / s


def _moments(n: int, x: Tensor, s: Tensor, low: float, high: float) -> Float[Tensor, "e n"]:
    """∫ exp(−(r − x)²/2s²) φ_a(r) dr, a = 1 … n, from `low` to `high`, by parts: TurboGAP's recursion, which leaves what stands at r = 1
    out of the integral of 1 − r, too."""
    variance, root2 = s.square(), math.sqrt(2.0) * s
    begin = torch.exp(-0.5 * (low - x).square() / variance)
    end = torch.exp(-0.5 * (high - x).square() / variance) if high < 1 else torch.zeros_like(x)
    before = torch.zeros_like(x)
    here = math.sqrt(math.pi / 2) * s * (torch.erf((high - x) / root2) - torch.erf((low - x) / root2))
    found = []
    for k in range(1, n + 3):
        edges = variance * ((1 - high) ** (k - 1) * end - (1 - low) ** (k - 1) * begin)
        before, here = here, variance * (k - 1) * before + (1 - x) * here + edges
        if k > 2:
            found.append(here * math.sqrt(2 * k + 1))
    return torch.stack(found, -1)


def _central(x: Tensor, own: float, s: Tensor) -> Float[Tensor, "e"]:
    """The overlap of a neighbor's Gaussian with one at the center, of unit length and the width `own`, within 4 (own + s)."""
    both = own**2 + s.square()
    bell = torch.exp(-0.5 * x.square() / both) * math.sqrt(math.pi / 2) * s * own / both.sqrt()
    found = bell * (1 + torch.erf(own / s * x / (2 * both).sqrt())) * math.sqrt(2 / own) / math.pi**0.25
    return torch.where(x < 4 * (own + s), found, 0.0)


@cache
def root(n_max: int, own: float, basis: str) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """S^(−½) and S, the overlap of the primitive functions; of widths `own` at the center, in units of the cutoff."""
    a = np.arange(1, n_max + 1)
    S = np.sqrt(np.outer(2 * a + 5, 2 * a + 5)) / (5 + a[:, None] + a)
    if basis == "poly3gauss":
        at, s = torch.zeros(1, dtype=torch.float64), torch.tensor([own], dtype=torch.float64)
        S[-1, :-1] = S[:-1, -1] = _moments(n_max - 1, at, s, 0.0, 1.0)[0].numpy() * math.sqrt(2 / own) / math.pi**0.25
        S[-1, -1] = 1.0
    value, vectors = np.linalg.eigh(S)
    return torch.from_numpy((vectors / np.sqrt(value)) @ vectors.T), torch.from_numpy(S)


def products(c: Float[Tensor, "N c lm"]) -> Float[Tensor, "N D"]:
    """Σ_m c_alm c_blm for each a ≤ b and l, l running fastest; times √2 where a ≠ b.

    >>> products(torch.tensor([[[1.0], [2.0]]]))
    tensor([[1.0000, 2.8284, 4.0000]])
    """
    a, b = torch.triu_indices(c.shape[1], c.shape[1], device=c.device)
    found = [
        (part @ part.transpose(1, 2))[:, a, b] for l in range(math.isqrt(c.shape[2])) for part in [c[..., l * l : (l + 1) ** 2]]
    ]
    twice = torch.where(a == b, 1.0, c.new_tensor(2.0).sqrt())
    return (torch.stack(found, -1) * twice[:, None]).flatten(1)


def compression(mode: str, n_max: Sequence[int], l_max: int) -> tuple[Int[Tensor, "P"], Int[Tensor, "P"], Float[Tensor, "P"]]:
    """Rows, columns and values of the matrix that compresses `products`: "trivial" keeps pairs with the first radial function of an
    element, "r_s" is that of ν_R = r and ν_S = s (Darby, Kermode and Csányi, npj Comput. Mater. 8, 166 (2022))."""
    C, L = sum(n_max), l_max + 1
    a, b = torch.triu_indices(C, C)
    if mode == "trivial":
        first = torch.zeros(C, dtype=torch.bool)
        first[np.cumsum([0, *n_max[:-1]])] = True
        kept = torch.nonzero(first[a] | first[b])[:, 0]
        columns = (kept[:, None] * L + torch.arange(L)).flatten()
        return torch.arange(len(columns)), columns, torch.ones(len(columns), dtype=torch.float64)
    nu_r, nu_s = (int(x) for x in mode.split("_"))
    if len({*n_max}) > 1:
        raise ValueError(f"soap_turbo: compression {mode!r} with n_max {[*n_max]} came; wanted as many of each element")
    N, species = n_max[0], torch.arange(C) // n_max[0]

    def place(x: Tensor, of_two: int) -> Tensor:
        """Where a channel goes in the first or second density."""
        found = species[x] if nu_s >= of_two else torch.zeros_like(x)
        return found * N + x % N if nu_r >= of_two else found

    def size(of_two: int) -> int:
        return (len(n_max) if nu_s >= of_two else 1) * (N if nu_r >= of_two else 1)

    if 1 in (nu_r, nu_s):
        one, other = place(a, 1) * size(2) + place(b, 2), place(b, 1) * size(2) + place(a, 2)
        rows = torch.cat([one, other[a != b]])
        columns = torch.cat([torch.arange(len(a)), torch.nonzero(a != b)[:, 0]])
        each = torch.where(a == b, 1.0, torch.full((len(a),), math.sqrt(0.5), dtype=torch.float64))
        values = torch.cat([each, each[a != b]])
    else:
        x, y = place(a, 1), place(b, 1)
        x, y = torch.minimum(x, y), torch.maximum(x, y)
        rows, columns = x * size(1) - x * (x - 1) // 2 + y - x, torch.arange(len(a))
        values = torch.where((a != b) & (x == y), math.sqrt(2.0), torch.ones(len(a), dtype=torch.float64))
    l = torch.arange(L)
    return (rows[:, None] * L + l).flatten(), (columns[:, None] * L + l).flatten(), values.repeat_interleave(L)
