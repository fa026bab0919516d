"""The functions of pacemaker's expansions: radial ones by name, how they end, and how densities become energies."""

from __future__ import annotations

from math import pi, sqrt

import torch

from adiabat.typing import Bool, Tensor


def falling(x: Tensor, end: Tensor, width: Tensor) -> Tensor:
    """1 below end − width, 0 above end, and between them a polynomial of fifth order with flat ends.

    >>> falling(torch.tensor([0.0, 1.5, 3.0]), torch.tensor(2.0), torch.tensor(1.0))
    tensor([1.0000, 0.5000, 0.0000])
    """
    between = (x > end - width) & (x < end)
    y = 1 - 2 * (1 + torch.where(between, x - end, 0.0) / torch.where(width == 0, 1.0, width))
    f = 0.5 + 3.75 * (y / 4 - y**3 / 6 + y**5 / 20)
    return torch.where(between, f, (x < end).to(f.dtype))


def power(rho: Tensor, m: Tensor) -> Tensor:
    """F = ± \\|ρ\\|^m, linear near zero: within some 10⁻⁶ it goes over to ρ 10^(6 − 6m)."""
    sign, slope = torch.where(rho < 0, -1.0, 1.0).to(rho), 1e-6 ** (m - 1)
    a = torch.where(rho.abs() > 1e-10, rho * sign, 1.0)
    cube = (1e6 * a) ** 3
    g = torch.where(cube > 30, 0.0, torch.exp(-cube.clamp(max=30)))
    return torch.where(rho.abs() > 1e-10, sign * ((1 - g) * a**m + slope * g * a), slope * rho)


def shifted_power(rho: Tensor, m: Tensor) -> Tensor:
    """F = ± ((\\|ρ\\| + x e^−\\|ρ\\|)^m − y e^−\\|ρ\\|) with x = m^(−1/(m−1)), y = x^m: F(0) = 0 and a finite slope there; ρ for m = 1."""
    linear: Bool[Tensor, "*any"] = (m - 1).abs() < 1e-10
    m = torch.where(linear, 2.0, m)
    sign = torch.where(rho < 0, -1.0, 1.0).to(rho)
    a, n = rho * sign, 1 / m
    x, y = n ** (n / (1 - n)) * torch.exp(-a), n ** (1 / (1 - n)) * torch.exp(-a)
    return torch.where(linear, rho, sign * ((x + a) ** m - y))


def _chebyshev(x: Tensor, n: int) -> Tensor:
    """T_0 … T_n."""
    T = [torch.ones_like(x), x]
    for _ in range(n - 1):
        T.append(2 * x * T[-1] - T[-2])
    return torch.stack(T[: n + 1], 1)


def _cheb_exp_cos(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    cutoff, wide, decay = bond["rcut"], bond["dcut"], bond["lambda"]
    x = 1 - 2 * (torch.exp(-decay * d / cutoff) - torch.exp(-decay)) / (1 - torch.exp(-decay))
    T = _chebyshev(x, max(n - 1, 1))[:, :n]
    late = torch.where(d > cutoff - wide, 0.5 * (1 + torch.cos(pi * (d - cutoff + wide) / wide)), 1.0)
    fade = 0.5 * (1 + torch.cos(pi * d / cutoff)) * late
    return torch.cat([T[:, :1], 0.5 - 0.5 * T[:, 1:]], 1) * fade[:, None]


def _cheb_pow(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    return 0.5 - 0.5 * _chebyshev(1 - 2 * (1 - d / bond["rcut"]) ** bond["lambda"], n)[:, 1:]


def _cheb_linear(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    return 0.5 - 0.5 * _chebyshev(1 - d / bond["rcut"], n)[:, 1:]


def _bessel(d: Tensor, bond: dict[str, Tensor], n: int) -> Tensor:
    """Sums of two neighboring sin(kπd/r_c)/d with vanishing value and slope at r_c, made orthogonal.

    Kocer, Mason and Erturk, AIP Adv. 10, 015021 (2020).
    """
    cutoff = bond["rcut"]
    g: list[Tensor] = []
    before = 1.0
    for k in range(n):
        size = (-1) ** k * sqrt(2) * pi * (k + 1) * (k + 2) / sqrt((k + 1) ** 2 + (k + 2) ** 2)
        f = size / cutoff**1.5 * (torch.sinc((k + 1) * d / cutoff) + torch.sinc((k + 2) * d / cutoff))
        e = k**2 * (k + 2) ** 2 / (4 * (k + 1) ** 4 + 1)
        now = 1 - e / before
        g.append((f + sqrt(e / before) * g[-1]) / sqrt(now) if k else f)
        before = now
    return torch.stack(g, 1)


BASES = {
    "ChebExpCos": _cheb_exp_cos, "ChebPow": _cheb_pow, "ChebLinear": _cheb_linear, "SBessel": _bessel, "TEST_SBessel": _bessel,
}  # fmt: skip
