"""Symmetry functions in C++: how many there are, and which powers, so that the compiler unrolls them; `symmetry.h` is the rest."""

from __future__ import annotations

from adiabat.kernels.ir import Symmetry

HEADER, STRUCT, FUNCTIONS = "symmetry.h", "Symmetry", ("forward", "backward")
TRIAL_SIZE = "FUNCTIONS + 6"
TRIAL = "I first[] = {0, 2}, species[] = {0, 0}; Symmetry a = {1, 1, 1, 4.0, first, species, p, p, p, p, p, p, o, o};"


def sizes(spec: Symmetry) -> dict[str, int]:
    powers = {f"ZETA{k}": zeta for k, zeta in enumerate(spec.zetas)}
    return {
        "RADIAL": spec.radial,
        "WIDTHS": spec.widths,
        "ZETAS": len(spec.zetas),
        "FUNCTIONS": spec.radial + 2 * spec.widths * len(spec.zetas),
        **powers,
    }


def body(spec: Symmetry) -> list[str]:
    """h^ζ and ζ h^(ζ−1) for every ζ."""
    lines = [
        f"  {{ X x = Power<ZETA{k} - 1>::of(h); low[{k}] = (S)ZETA{k} * x; p[{k}] = x * h; }}" for k in range(len(spec.zetas))
    ]
    return ["template <class X> static inline void powers(X h, X *p, X *low) {", *lines, "}"]
