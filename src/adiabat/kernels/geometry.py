"""Edge vectors as lengths and spherical harmonics.

One convention for the whole house: **real** harmonics in the standard order m = −l…l (so l = 1 is y, z, x), without the
Condon–Shortley phase, **component-normalized**: Σ_m Y_lm(u)² = 2l + 1 on the unit sphere. The orthonormal ('integral')
harmonics are these divided by √4π. e3nn has the same with its axes renamed: Y_e3nn(x, y, z) = Y_here(z, x, y).
"""

from __future__ import annotations

from math import factorial, sqrt

import torch

from adiabat.typing import Float, Tensor

L_MAX = 8


def distance(r: Float[Tensor, "*E 3"]) -> Float[Tensor, "*E"]:
    """Lengths d = |r|; at r = 0 the length is 0 and so are its derivatives (two orders), never NaN.

    >>> distance(torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]]))
    tensor([5., 0.])
    """
    square = r.square().sum(-1)
    zero = square == 0
    # √x has an infinite slope at 0: one zero-length vector (a padded edge) would make every gradient NaN
    return square.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)


def spherical_harmonics(u: Float[Tensor, "*E 3"], l_max: int) -> Float[Tensor, "*E lm"]:
    """Real spherical harmonics Y_lm of unit vectors, l = 0…l_max, row l² + l + m; |u|^l Y_lm(u/|u|) where |u| ≠ 1.

    Homogeneous polynomials: smooth everywhere, the origin included. With z-polynomials Q_l^m by the recursion of the
    associated Legendre functions and A_m + iB_m = (x + iy)^m:

    | symbol | here |
    |---|---|
    | N_lm = √((2l+1) (2 − δ_m0) (l−m)!/(l+m)!) | `_norm(l, m)` |
    | Y_l±m = N_lm Q_l^m(z, r²) · (A_m, B_m) | the last lines |
    | (l−m) Q_l^m = (2l−1) z Q_{l−1}^m − (l+m−1) r² Q_{l−2}^m | `q[l, m]` |

    Bigi, Fraux, Browning and Ceriotti, J. Chem. Phys. 159, 064802 (2023).

    >>> spherical_harmonics(torch.tensor([0.0, 0.0, 1.0]), 1)
    tensor([1.0000, 0.0000, 1.7321, 0.0000])
    """
    if not 0 <= l_max <= L_MAX:
        raise ValueError(f"spherical_harmonics: l_max must be within 0…{L_MAX}, got {l_max}")
    x, y, z = u.unbind(-1)
    square = u.square().sum(-1)
    a, b = [torch.ones_like(z)], [torch.zeros_like(z)]
    for _ in range(l_max):
        a, b = [*a, x * a[-1] - y * b[-1]], [*b, x * b[-1] + y * a[-1]]
    q: dict[tuple[int, int], Tensor] = {}
    for m in range(l_max + 1):
        q[m, m] = torch.full_like(z, _double_factorial(2 * m - 1))
        for l in range(m + 1, l_max + 1):
            down = (l + m - 1) * square * q[l - 2, m] if l > m + 1 else 0.0
            q[l, m] = ((2 * l - 1) * z * q[l - 1, m] - down) / (l - m)
    columns = []
    for l in range(l_max + 1):
        columns += [_norm(l, m) * q[l, m] * b[m] for m in range(l, 0, -1)]
        columns += [_norm(l, m) * q[l, m] * a[m] for m in range(l + 1)]
    return torch.stack(columns, -1)


def _norm(l: int, m: int) -> float:
    return sqrt((2 * l + 1) * (2 if m else 1) * factorial(l - m) / factorial(l + m))


def _double_factorial(n: int) -> int:
    return n * _double_factorial(n - 2) if n > 1 else 1
