"""ANI's environment vectors in C++: how many functions of each kind, so that the compiler unrolls them; `aev.h` is the rest."""

from __future__ import annotations

from adiabat.kernels.ir import Environment

HEADER, STRUCT, FUNCTIONS = "aev.h", "Symmetry", ("forward", "backward")
TRIAL_SIZE = "FUNCTIONS + 6 + SHIFTS + 2 * SECTIONS"
TRIAL = "I first[] = {0, 2}, species[] = {0, 0}; Symmetry a = {1, 1, 1, 4.0, first, species, p, p, p, p, p, p, o, o};"


def sizes(spec: Environment) -> dict[str, int]:
    return {
        "RADIAL": spec.radial,
        "SHIFTS": spec.shifts,
        "SECTIONS": spec.sections,
        "ZETA": spec.zeta,
        "SMOOTH": int(spec.smooth),
        "FUNCTIONS": spec.radial + spec.shifts * spec.sections,
    }


def body(spec: Environment) -> list[str]:
    return []
