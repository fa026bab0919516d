"""Irreducible representations of rotations and inversion: which they are, how they couple, how they turn.

Features are arrays whose rows follow an `Irreps`: each irrep (l, parity) owns 2l + 1 consecutive rows m = −l…l, in the basis of
the real spherical harmonics of `kernels.geometry` (no Condon–Shortley phase; l = 1 is y, z, x). The channels of a feature are
the array's last axis and the same for all irreps, so an irrep may be listed several times.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from math import factorial, sqrt
from typing import NamedTuple

import numpy as np


class Irrep(NamedTuple):
    """An angular momentum l and a parity p = ±1 ('e' even, 'o' odd under inversion).

    >>> Irrep.of("1o"), str(Irrep(2, 1)), Irrep(2, 1).dim
    (Irrep(l=1, p=-1), '2e', 5)
    """

    l: int
    p: int

    @classmethod
    def of(cls, text: str) -> Irrep:
        match = re.fullmatch(r"(\d+)([eo])", text.strip())
        if not match:
            raise ValueError(f"{text!r} is not an irrep; wanted an angular momentum and a parity, like 0e or 1o")
        return cls(int(match[1]), 1 if match[2] == "e" else -1)

    @property
    def dim(self) -> int:
        return 2 * self.l + 1

    def __str__(self) -> str:
        return f"{self.l}{'e' if self.p == 1 else 'o'}"


class Irreps(tuple[Irrep, ...]):
    """Irreps in the order of their rows.

    >>> irreps = Irreps.of("0e + 1o")
    >>> irreps.dim, irreps.rows, str(Irreps.spherical(2))
    (4, (slice(0, 1, None), slice(1, 4, None)), '0e+1o+2e')
    """

    @classmethod
    def of(cls, irreps: str | Irreps) -> Irreps:
        return irreps if isinstance(irreps, Irreps) else cls(Irrep.of(part) for part in irreps.split("+"))

    @classmethod
    def spherical(cls, l_max: int) -> Irreps:
        """The irreps of the spherical harmonics up to l_max: parity (−1)^l."""
        return cls(Irrep(l, (-1) ** l) for l in range(l_max + 1))

    @property
    def dim(self) -> int:
        return sum(irrep.dim for irrep in self)

    @property
    def rows(self) -> tuple[slice, ...]:
        stops = np.cumsum([irrep.dim for irrep in self]).tolist()
        return tuple(slice(stop - irrep.dim, stop) for irrep, stop in zip(self, stops))

    def __str__(self) -> str:
        return "+".join(map(str, self))


@cache
def clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """Real coupling coefficients C [2l₁+1, 2l₂+1, 2l₃+1]: Σ_{m₁m₂} C x_{m₁} y_{m₂} turns as l₃ when x and y turn as l₁ and l₂.

    Racah's formula with exact integers for the complex coefficients ⟨l₁μ₁ l₂μ₂|l₃μ₃⟩, carried to real harmonics; where
    l₁ + l₂ + l₃ is odd the result is imaginary and its imaginary part is taken. Normalized as a Wigner 3j symbol: ΣC² = 1, so
    C[:, :, m₃] · √(2l₃+1) are orthonormal. Zero outside the triangle |l₁ − l₂| ≤ l₃ ≤ l₁ + l₂. The array is read-only.

    >>> clebsch_gordan(1, 1, 0)[:, :, 0].round(4)
    array([[0.5774, 0.    , 0.    ],
           [0.    , 0.5774, 0.    ],
           [0.    , 0.    , 0.5774]])
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        return np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    complex_ = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1), dtype=complex)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            complex_[l1 + m1, l2 + m2, l3 + m1 + m2] = _racah(l1, m1, l2, m2, l3)
    Q1, Q2, Q3 = (_real_from_complex(l) for l in (l1, l2, l3))
    C = np.einsum("am,bn,cq,mnq->abc", Q1, Q2, Q3.conj(), complex_) / sqrt(2 * l3 + 1)
    C = C.real if (l1 + l2 + l3) % 2 == 0 else C.imag
    C = np.where(abs(C) < 1e-13, 0.0, C)
    if l3 == 0:  # x·y with a plus sign: the one coefficient everybody can say by heart
        C = abs(C)
    C.setflags(write=False)
    return C


@cache
def wigner_3j(l1: int, l2: int, l3: int) -> np.ndarray:
    """(l₁ l₂ l₃; m₁ m₂ m₃) of real harmonics [2l₁+1, 2l₂+1, 2l₃+1], l₁ + l₂ + l₃ even, with the sign of Wigner's: (−1)^{½Σl} at m = 0.

    >>> float(wigner_3j(1, 1, 2)[1, 1, 2].round(4))
    0.3651
    """
    C = clebsch_gordan(l1, l2, l3)
    return C * (np.sign(C[l1, l2, l3]) * (-1) ** ((l1 + l2 + l3) // 2))


@cache
def complex_3j(l1: int, l2: int, l3: int, m1: int, m2: int) -> float:
    """Wigner's (l₁ l₂ l₃; m₁ m₂ −m₁−m₂), of complex harmonics with Condon–Shortley phases; zero outside the triangle.

    >>> round(complex_3j(1, 1, 2, 1, -1), 4), round(complex_3j(1, 1, 2, 0, 0), 4)
    (0.1826, 0.3651)
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2 or abs(m1 + m2) > l3:
        return 0.0
    return (-1.0) ** (l1 - l2 + m1 + m2) * _racah(l1, m1, l2, m2, l3) / sqrt(2 * l3 + 1)


def _racah(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """⟨l₁m₁ l₂m₂|l₃ m₁+m₂⟩ by Racah's formula (Edmonds, Angular Momentum in Quantum Mechanics), Condon–Shortley phases."""
    f, m3 = factorial, m1 + m2
    square = Fraction((2 * l3 + 1) * f(l3 + l1 - l2) * f(l3 - l1 + l2) * f(l1 + l2 - l3), f(l1 + l2 + l3 + 1))
    square *= f(l3 + m3) * f(l3 - m3) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
    total = Fraction(0)
    for k in range(l1 + l2 - l3 + 1):
        rest = (l1 + l2 - l3 - k, l1 - m1 - k, l2 + m2 - k, l3 - l2 + m1 + k, l3 - l1 - m2 + k)
        if min(rest) >= 0:
            total += Fraction((-1) ** k, f(k) * f(rest[0]) * f(rest[1]) * f(rest[2]) * f(rest[3]) * f(rest[4]))
    return float(total) * sqrt(square)


def _real_from_complex(l: int) -> np.ndarray:
    """Q [real m, complex μ]: Y_real = Q Y_complex, from Y_l±m = √2 (−1)^m (Re, Im) Y_l^m."""
    Q = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    Q[l, l] = 1
    for m in range(1, l + 1):
        Q[l + m, l + m], Q[l + m, l - m] = (-1) ** m / sqrt(2), 1 / sqrt(2)
        Q[l - m, l + m], Q[l - m, l - m] = -1j * (-1) ** m / sqrt(2), 1j / sqrt(2)
    return Q


def rotation(l: int, R: np.ndarray) -> np.ndarray:
    """How the rows of l turn: D [2l+1, 2l+1] with Y_l(R u) = D Y_l(u) for a proper rotation R [3, 3].

    By recursion: l is what couples out of 1 ⊗ (l − 1).

    >>> bool(np.allclose(rotation(3, np.eye(3)), np.eye(7)))
    True
    """
    if l == 0:
        return np.ones((1, 1))
    D1 = np.asarray(R)[np.ix_([1, 2, 0], [1, 2, 0])]
    if l == 1:
        return D1
    C = clebsch_gordan(1, l - 1, l)
    return (2 * l + 1) * np.einsum("abm,ac,bd,cdn->mn", C, D1, rotation(l - 1, R), C)
