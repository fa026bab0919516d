"""The unrolled parts of edge geometry in C++: spherical harmonics and their slopes from one sparse table.

Solid harmonics climb by coupling with the vector itself, Y_lm = α_l Σ C(1, l−1, l) u_a Y_{l−1,b}, and because they are harmonic
and homogeneous their gradient is the same sum without u: ∂Y_lm/∂u_a = l α_l Σ_b C(1, l−1, l) Y_{l−1,b} (Euler's theorem fixes the l).
"""

from __future__ import annotations

import numpy as np
import torch

from adiabat.irreps import clebsch_gordan
from adiabat.kernels.geometry import spherical_harmonics
from adiabat.kernels.ir import Harmonics

HEADER, STRUCT, FUNCTIONS = "edge.h", "Edges", ("forward", "backward")
TRIAL_SIZE = "2 * HARMONICS + 6"
TRIAL = "Edges a = {2, 1, p, p, p, p, o, o, o};"
AXES = (1, 2, 0)  # rows m of l = 1 are y, z, x


def sizes(spec: Harmonics) -> dict[str, int]:
    return {"HARMONICS": (spec.l_max + 1) ** 2}


def body(spec: Harmonics) -> list[str]:
    values, slopes = unrolled(spec.l_max)
    return [
        "template <class T> static inline void harmonics(const typename T::v *u, typename T::v *y) {",
        "  y[0] = T::one();",
        *values,
        "}",
        "template <class T> static inline void slopes(const typename T::v *y, const V *g, typename T::v *ub) {",
        *slopes,
        "}",
    ]


def unrolled(l_max: int) -> tuple[list[str], list[str]]:
    """Statements: y[row] of l ≥ 1 from those of l − 1, and ub += Σ g ∂y/∂u."""
    table = [term for l in range(1, l_max + 1) for term in climb(l)]
    values: dict[int, list[str]] = {}
    for row, axis, lower, value in table:
        values.setdefault(row, []).append(f"(S){value!r} * (u[{axis}] * y[{lower}])")
    slopes = [f"  ub[{axis}] += (S){int(row**0.5) * value!r} * (y[{lower}] * g[{row}]);" for row, axis, lower, value in table]
    return [f"  y[{row}] = {' + '.join(terms)};" for row, terms in values.items()], slopes


def climb(l: int) -> list[tuple[int, int, int, float]]:
    """(row of l, axis of u, row of l − 1, coefficient); α_l makes it meet `geometry` at one direction."""
    C = clebsch_gordan(1, l - 1, l)
    u = np.array([0.48, 0.6, 0.64])
    Y = spherical_harmonics(torch.tensor(u), l).numpy()
    raw = np.einsum("abc,a,b->c", C, u[list(AXES)], Y[(l - 1) ** 2 : l**2])
    alpha = float(raw @ Y[l**2 :] / (raw @ raw))
    return [
        (l**2 + c, AXES[a], (l - 1) ** 2 + b, alpha * float(C[a, b, c]))
        for c, a, b in np.argwhere(C.transpose(2, 0, 1)).tolist()
    ]
