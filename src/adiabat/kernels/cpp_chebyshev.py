"""Neighbor sums of Chebyshev functions in C++: how many, and the harmonics unrolled; `chebyshev.h` is the rest."""

from __future__ import annotations

from adiabat.kernels.cpp_edge import unrolled
from adiabat.kernels.ir import Chebyshev

HEADER, STRUCT, FUNCTIONS = "neighbor_sums.h", "Symmetry", ("forward", "backward")
TRIAL_SIZE = "RADIAL + TURNED + 6"
TRIAL = (
    "std::vector<S> two(2, (S)2), last(6, (S)1); last[3] = 0; "  # two edges within the ranges
    "I first[] = {0, 2}, species[] = {0, 0}; "
    "Symmetry a = {1, 1, 1, 2.0, first, species, last.data(), p, p, two.data(), two.data(), p, o, o};"
)


def sizes(spec: Chebyshev) -> dict[str, int]:
    return {"RADIAL": spec.radial, "ANGULAR": spec.angular, "HARMONICS": (spec.l_max + 1) ** 2}


def body(spec: Chebyshev) -> list[str]:
    """Harmonics, each from those of l − 1, and their slopes, which are the same sums; see `cpp_edge`."""
    values, slopes = unrolled(spec.l_max)
    return [
        "template <class X> static inline void harmonics(const X *u, X *y) {",
        "  y[0] = plain(u[0], 1);",
        *values,
        "}",
        "template <class X> static inline void slopes(const X *y, const X *g, X *ub) {",
        *slopes,
        "}",
    ]
