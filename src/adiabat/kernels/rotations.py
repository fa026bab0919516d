"""SNAP frozen into one C call; `rotations.h` computes it."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass, replace
from functools import cache
from math import factorial, sqrt

import torch

from adiabat.kernels.abreast import Common, common, fast_for
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.local import Evaluator, hold
from adiabat.typing import Float, Tensor

SPEC = Abreast("rotations")


@dataclass(frozen=True)
class Rotations:
    """E_i = Σ_k β_k B_k + ½ Σ_kl α_kl B_k B_l, coefficients of an atom's element, B less a lone atom's; see `models.snap`.

    `components` are the (2j₁, 2j₂, 2j) of B; `reach` (Å) and `weights` by element; `square` is symmetric, None for a linear potential.
    """

    elements: tuple[int, ...]
    twojmax: int
    rfac0: float
    reach: Float[Tensor, " Z"]
    weights: Float[Tensor, " Z"]
    components: tuple[tuple[int, int, int], ...]
    linear: Float[Tensor, "Z K"]
    square: Float[Tensor, "Z K K"] | None = None

    def times(self, eV: float) -> Rotations:
        """The same in other units."""
        return replace(self, linear=self.linear * eV, square=None if self.square is None else self.square * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return fast_for(SPEC, self.linear.dtype)

    def evaluator(self) -> Evaluator:
        """What computes it."""
        J, dtype = self.twojmax, self.linear.dtype
        kept: list = []
        place = {tuple(sorted(c)): k for k, c in enumerate(self.components)}
        pairs: list[_Pair] = []
        component: list[int] = []
        times: list[float] = []
        for p in range(J + 1):
            for q in range(p + 1):
                largest = min(J, p + q) - (p + q - min(J, p + q)) % 2
                ts = range(largest, p - q - 1, -2)
                c = torch.stack([half_integer_coupling(p, q, t).sum(2) for t in ts], -1)  # of one m1, m2 there is one m
                pairs.append(_Pair(p, q, largest, len(ts), len(component), hold(kept, c, dtype)))
                for t in ts:
                    triple = sorted((p, q, t))
                    component.append(place[tuple(triple)])
                    times.append(triple.count(t) * (triple[2] + 1) / (t + 1))
        block = (_Pair * len(pairs))(*pairs)
        kept.append(block)
        K, Z = len(self.components), len(self.elements)
        lone = torch.tensor([float(c[2] + 1) for c in self.components])
        square = torch.zeros(Z, 0) if self.square is None else self.square
        facts = _RotationFacts(
            common(kept, self.elements, self.reach[:, None] + self.reach), J, len(component), K, len(pairs), self.square is not None,
            self.rfac0 / 2, hold(kept, self.weights, torch.float64), hold(kept, roots(J), dtype), ctypes.addressof(block),
            hold(kept, torch.tensor(component), torch.int64), hold(kept, torch.tensor(times, dtype=torch.float64), dtype),
            hold(kept, self.linear, dtype), hold(kept, square, dtype), hold(kept, lone, dtype),
        )  # fmt: skip
        return Evaluator(SPEC, dtype, facts, kept)


@cache
def roots(J: int) -> Float[Tensor, "n 2"]:
    """√((j−k)/(j−m)) and √(k/(j−m)) for the numbers of all half matrices: rows m ≤ j/2, and the next below an odd j < J."""
    found = []
    for j in range(J + 1):
        for m in range(j // 2 + 1 + (j % 2 and j < J)):
            for k in range(j + 1):
                found.append((sqrt((j - k) / (j - m)), sqrt(k / (j - m))) if j > m else (0.0, 0.0))
    return torch.tensor(found, dtype=torch.float64)


@cache
def half_integer_coupling(j1: int, j2: int, j: int) -> Float[Tensor, "m1 m2 m"]:
    """Clebsch–Gordan coefficients ⟨j₁m₁ j₂m₂|jm⟩ of doubled j, half-integer ones too; VMK 8.2.1 (3).

    >>> half_integer_coupling(1, 1, 0)[:, :, 0]
    tensor([[ 0.0000, -0.7071],
            [ 0.7071,  0.0000]], dtype=torch.float64)
    """
    C = torch.zeros(j1 + 1, j2 + 1, j + 1, dtype=torch.float64)
    half = [(j1 + j2 - j) // 2, (j1 - j2 + j) // 2, (j2 - j1 + j) // 2]
    delta = math.prod(map(factorial, half)) / factorial((j1 + j2 + j) // 2 + 1)
    for a in range(j1 + 1):
        for b in range(j2 + 1):
            m = (2 * a - j1) + (2 * b - j2)
            if abs(m) > j:
                continue
            c = (m + j) // 2
            terms = 0.0
            for z in range(max(0, -(j - j2 + 2 * a - j1) // 2, -(j - j1 - (2 * b - j2)) // 2), min(half[0], j1 - a, b) + 1):
                parts = (z, half[0] - z, j1 - a - z, b - z, (j - j2 + 2 * a - j1) // 2 + z, (j - j1 - 2 * b + j2) // 2 + z)
                if min(parts) >= 0:
                    terms += (-1) ** z / math.prod(map(factorial, parts))
            norm = math.prod(map(factorial, (a, j1 - a, b, j2 - b, c, j - c))) * (j + 1)
            C[a, b, c] = terms * math.sqrt(delta * norm)
    return C


class _Pair(ctypes.Structure):
    """`struct Pair` of rotations.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("p", "q", "largest", "count", "first")] + [("c", ctypes.c_void_p)]


class _RotationFacts(ctypes.Structure):
    """`struct Facts` of rotations.h, field by field."""

    _fields_ = (
        [("common", Common)]
        + [(name, ctypes.c_int64) for name in ("J", "triples", "components", "pairs", "quadratic")]
        + [("angle", ctypes.c_double)]
        + [(name, ctypes.c_void_p) for name in ("weight", "roots", "pair", "component", "times", "linear", "square", "lone")]
    )
