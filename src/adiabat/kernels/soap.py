"""Smooth overlap of atomic positions: what Gaussians on an atom's neighbors look like in radial functions and harmonics.

    ρ(r) = Σ_j exp(−|r − r_j|²/2σ²) f_c(d_j) = Σ_nlm c_nlm g_n(r) Y_lm(r̂),     p_{nn'l} ∝ Σ_m c_nlm c_n'lm

Bartók, Kondor and Csányi, PRB 87, 184115 (2013). Three radial bases: the primitive Gaussians and the polynomials of dscribe
(Himanen et al., Comput. Phys. Commun. 247, 106949 (2020)), and QUIP's Gaussians on evenly spaced spheres.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from adiabat.kernels.edge_geometry import edge_geometry
from adiabat.kernels.geometry import distance, spherical_harmonics
from adiabat.kernels.ir import MAX_L
from adiabat.kernels.spline import knots, spline_table
from adiabat.typing import Float, Int, Tensor

QUADRATURE = 96  # points of Gauss and Legendre: Bessel functions of arguments up to 1000 to rounding
PADDING = 0.001  # dscribe: Gaussians beyond the cutoff count while they are larger than this there
BEYOND = 40  # intervals of a table behind the cutoff: (2 − √3)^40 = 1e-23 of its end is left
BASIS_ERROR = 10.0  # QUIP: its radial functions reach to where a Gaussian at the cutoff is 10^−10


def scaled_bessel(x: Float[Tensor, "*E"], l_max: int) -> Float[Tensor, "*E L"]:
    """e^(−x) i_l(x), l = 0 … l_max, of modified spherical Bessel functions, x ≥ 0: ½ ∫ P_l(t) e^(x(t−1)) dt over −1 … 1.

    The error is of rounding relative to i_0, whatever l: the upward recursion would lose small ones, and has no value at 0.

    >>> scaled_bessel(torch.tensor([1.0, 2.0], dtype=torch.float64), 1)
    tensor([[0.4323, 0.1353],
            [0.2454, 0.1319]], dtype=torch.float64)
    """
    t, P = (it.to(x) for it in _legendre(l_max))
    return torch.exp(x[..., None] * (t - 1)) @ P


@cache
def _legendre(l_max: int) -> tuple[Tensor, Tensor]:
    """Nodes t and ½ w P_l(t)."""
    t, w = np.polynomial.legendre.leggauss(QUADRATURE)
    return torch.from_numpy(t), torch.from_numpy(0.5 * w[:, None] * np.polynomial.legendre.legvander(t, l_max))


def spheres(d: Float[Tensor, "*E"], n_max: int, l_max: int, cutoff: float, atom_sigma: float) -> Float[Tensor, "*E L n"]:
    """QUIP's radial coefficients of a Gaussian at distance d: Gaussians on n_max spheres r_a, orthonormalized.

    With α = 1/2σ²: Σ_a exp(−α(d² + r_a²)) i_l(2α d r_a) T_an, T = C⁻¹ L, C_ab = exp(−α(r_a − r_b)²), L Lᵀ the overlap of the
    Gaussians with the weight r²; r_a = a R/n_max from 0, R = r_c + σ √(2 · 10 ln 10).
    """
    alpha, T, r = _spheres(n_max, cutoff, atom_sigma)
    r = r.to(d)
    bessel = scaled_bessel(2 * alpha * d[..., None] * r, l_max)  # E a L
    return torch.einsum("...al,...a,an->...ln", bessel, torch.exp(-alpha * (d[..., None] - r).square()), T.to(d))


@cache
def _spheres(n_max: int, cutoff: float, sigma: float) -> tuple[float, Tensor, Tensor]:
    from scipy.special import erf

    alpha = 0.5 / sigma**2
    r = np.arange(n_max) * (cutoff + sigma * math.sqrt(2 * BASIS_ERROR * math.log(10))) / n_max
    a, b = r[:, None], r
    s, d = a + b, a - b
    # ∫ r² exp(−α(r − a)²) exp(−α(r − b)²) dr over r ≥ 0
    overlap = np.exp(-alpha * (a**2 + b**2)) * math.sqrt(2) * alpha**1.5 * s
    overlap += alpha * np.exp(-alpha * d**2 / 2) * math.sqrt(math.pi) * (1 + alpha * s**2) * (1 + erf(math.sqrt(alpha / 2) * s))
    overlap /= math.sqrt(128 * alpha**5)
    T = np.linalg.solve(np.exp(-alpha * d**2), np.linalg.cholesky(overlap))
    return alpha, torch.from_numpy(T), torch.from_numpy(r)


def gaussian_orbitals(
    d: Float[Tensor, "*E"], n_max: int, l_max: int, cutoff: float, atom_sigma: float
) -> Float[Tensor, "*E L n"]:
    """dscribe's "gto": r^l exp(−α_nl r²), of which the n-th has fallen to 10⁻³ at the n-th of evenly spaced distances, 1 Å … r_c,
    orthonormalized after Löwdin."""
    from scipy.special import gamma

    eta, found = 0.5 / atom_sigma**2, []
    for l in range(l_max + 1):
        at = np.linspace(1, cutoff, n_max)
        alpha = -np.log(1e-3 / at**l) / at**2
        beta = _lowdin(0.5 * gamma(l + 1.5) * (alpha[:, None] + alpha) ** (-l - 1.5))
        both = torch.from_numpy(alpha).to(d) + eta
        # ∫ r^l exp(−α r²) Y_lm exp(−η|r − d|²) dr³, without Y_lm
        whole = (
            d[..., None] ** l
            * (math.pi / both) ** 1.5
            * (eta / both) ** l
            * torch.exp((eta**2 / both - eta) * d[..., None] ** 2)
        )
        found.append(whole @ torch.from_numpy(beta).to(d))
    return torch.stack(found, -2)


def polynomials(d: Float[Tensor, "*E"], n_max: int, l_max: int, cutoff: float, atom_sigma: float) -> Float[Tensor, "*E L n"]:
    """dscribe's "polynomial": (r_c − r)^(n+2), n = 1 … n_max, orthonormalized after Löwdin; integrals over 0 … r_c by 100 points."""
    eta, power = 0.5 / atom_sigma**2, np.arange(1, n_max + 1)
    s = power[:, None] + power
    beta = _lowdin(2.0 * cutoff ** (7.0 + s) / ((5 + s) * (6 + s) * (7 + s)))
    x, w = np.polynomial.legendre.leggauss(100)
    r = 0.5 * cutoff * (x + 1)
    g = (cutoff - r)[:, None] ** (power + 2) @ beta * (0.5 * cutoff * w * r**2)[:, None]
    q = torch.from_numpy(r).to(d)
    bessel = scaled_bessel(2 * eta * d[..., None] * q, l_max)  # E q L
    return (
        4
        * math.pi
        * torch.einsum("...ql,...q,qn->...ln", bessel, torch.exp(-eta * (d[..., None] - q).square()), torch.from_numpy(g).to(d))
    )


def _lowdin(S: np.ndarray) -> np.ndarray:
    """S^(−½), symmetric."""
    from scipy.linalg import sqrtm

    return np.real(sqrtm(np.linalg.inv(S)))


@cache
def spheres_table(
    n_max: int, l_max: int, cutoff: float, atom_sigma: float, intervals: int
) -> tuple[Float[Tensor, "n3 L n"], float]:
    """`spheres` as cubic B-splines, and how far these reach: beyond the cutoff, where the functions go on and a table's end is felt.

    They have no cutoff in them, whose curvature jumps: the error is of fourth order, that of slopes of third.
    """
    reach = cutoff * intervals / (intervals - BEYOND)
    values = torch.cat([spheres(part, n_max, l_max, cutoff, atom_sigma) for part in knots(reach, intervals).split(1024)])
    return spline_table(values), reach


def shoulder(d: Float[Tensor, "*E"], cutoff: float, width: float) -> Float[Tensor, "*E"]:
    """1, then from r_c − width on ½ (1 + cos π(d − r_c + width)/width), 0 beyond r_c: QUIP's cutoff function.

    >>> shoulder(torch.tensor([1.0, 3.75, 4.5]), 4.0, 0.5)
    tensor([1.0000, 0.5000, 0.0000])
    """
    x = ((d - cutoff + width) / width).clamp(0, 1)
    return torch.where(d < cutoff, 0.5 * (1 + torch.cos(math.pi * x)), 0.0)


def density(
    R: Float[Tensor, "E L n"], Y: Float[Tensor, "E lm"], i: Int[Tensor, "E"], kind: Int[Tensor, "E"], atoms: int, kinds: int
) -> Float[Tensor, "N c lm"]:
    """c_{(z,n),lm} = Σ_j R_nl(d_ij) Y_lm(r̂_ij) over the neighbors of each kind z, harmonics orthonormal (here: Y/√4π)."""
    L = R.shape[-2]
    l = torch.arange(L, device=R.device).repeat_interleave(2 * torch.arange(L, device=R.device) + 1)
    each = R[:, l].transpose(1, 2) * (Y / math.sqrt(4 * math.pi))[:, None]  # E n lm
    found = each.new_zeros(atoms * kinds, *each.shape[1:]).index_add(0, i * kinds + kind, each)
    return found.unflatten(0, (atoms, kinds)).flatten(1, 2)


def power_spectrum(c: Float[Tensor, "N c lm"]) -> Float[Tensor, "N D"]:
    """Σ_m c_alm c_blm / √(2l+1) for each a ≥ b and l, l running fastest; times √2 where a ≠ b: the whole matrix's length is kept.

    >>> power_spectrum(torch.tensor([[[1.0], [2.0]]]))
    tensor([[1.0000, 2.8284, 4.0000]])
    """
    a, b = torch.tril_indices(c.shape[1], c.shape[1], device=c.device)
    found, L = [], math.isqrt(c.shape[2])
    for l in range(L):
        part = c[..., l * l : (l + 1) ** 2]
        found.append((part @ part.transpose(1, 2))[:, a, b] / math.sqrt(2 * l + 1))
    twice = torch.where(a == b, 1.0, c.new_tensor(2.0).sqrt())
    return (torch.stack(found, -1) * twice[:, None]).flatten(1)


def compressed(c: Float[Tensor, "N z n lm"], nu_r: int, nu_s: int) -> Float[Tensor, "N D"]:
    """The power spectrum of densities of which ν of two keep their radial functions (ν_R) or species (ν_S); the others are summed over these.

    Darby, Kermode and Csányi, npj Comput. Mater. 8, 166 (2022): (2, 2) is the whole spectrum. Where one of two alone keeps something, all
    their products stand there, the first one's channels running slower.

    >>> c = torch.tensor([[[[1.0], [2.0]], [[0.0], [4.0]]]])  # two species of two radial functions
    >>> [len(compressed(c, r, s)[0]) for r, s in [(2, 2), (1, 2), (2, 1), (1, 1), (0, 2), (0, 0)]]
    [10, 8, 8, 4, 3, 1]
    """

    def kept(of_two: int) -> Tensor:
        summed = [axis for axis, nu in ((1, nu_s), (2, nu_r)) if nu < of_two]
        return (c.sum(summed, keepdim=True) if summed else c).flatten(1, 2)

    if 1 not in (nu_r, nu_s):
        return power_spectrum(kept(1))
    one, other = kept(1), kept(2)
    parts = [
        (a @ b.transpose(1, 2)).flatten(1) / math.sqrt(2 * l + 1)
        for l in range(math.isqrt(c.shape[3]))
        for a, b in [(one[..., l * l : (l + 1) ** 2], other[..., l * l : (l + 1) ** 2])]
    ]
    return torch.stack(parts, -1).flatten(1)


def directions(r: Float[Tensor, "e 3"], l_max: int) -> tuple[Float[Tensor, "e"], Float[Tensor, "e lm"]]:
    """`edge_geometry`, also of harmonics that are not compiled."""
    if l_max <= MAX_L:
        return edge_geometry(r, l_max)
    d = distance(r)
    return d, spherical_harmonics(r / torch.where(d == 0, 1.0, d)[..., None], l_max)
