"""Free lists of symmetry functions in C++: only the names of the fades are written here; `listed.h` is the rest."""

from __future__ import annotations

from adiabat.kernels.ir import Listed

FADES = ("hard", "cosine", "tanh_bare", "tanh", "exp", "poly1", "poly2", "poly3", "poly4", "power")
_NAMES = {"tanh": "TANH_ONE"}  # TANH is an activation


def sizes(spec: Listed) -> dict[str, int]:
    return {_NAMES.get(name, name.upper()): k for k, name in enumerate(FADES)}


def body(spec: Listed) -> list[str]:
    return []
