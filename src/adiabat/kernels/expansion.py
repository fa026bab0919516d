"""Atomic cluster expansions of listed products frozen into one C call; `expansion.h` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import factorial, sqrt

import numpy as np
import torch

from adiabat.kernels.abreast import Common, common, fast_for
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.factoring import factored
from adiabat.kernels.local import Evaluator, hold
from adiabat.typing import Float, Int, Tensor

SPEC = Abreast("expansion")
MOST_RADIAL, MOST_L, MOST_DENSITIES = 32, 12, 8  # as in expansion.h: what a program may hold
BASES = ("ChebExpCos", "ChebPow", "ChebLinear", "SBessel")  # in the order of its `Basis`
SHIFTED = "FinnisSinclairShiftedScaled"


@dataclass(frozen=True)
class Expansion:
    """E_i = f(ρ_core) Σ_p w_p F(ρ_p, m_p) + ρ_core with the tables of `models.pace`, and c̃ times c in `couplings`; times `scale`.

    Radial functions are worked out as they are defined, not looked up, so that it is the same function. Products are those of complex
    sums A, each pair that several share taken once (`factoring`).
    """

    elements: tuple[int, ...]
    bases: tuple[tuple[str, ...], ...]
    embeddings: tuple[str, ...]
    inner: str
    products: Int[Tensor, "P 3"]
    components: Int[Tensor, "M most"]
    couplings: Float[Tensor, "M D"]
    radial: Float[Tensor, "Z Z n l k"]
    bonds: Float[Tensor, "Z Z 7"]  # columns: BONDS of `models.pace`
    embedding: Float[Tensor, "Z D 2"]
    core: Float[Tensor, "Z 2"]
    scale: float = 1.0

    @property
    def cutoff(self) -> float:
        """Å; the largest of the pairs'."""
        return float(self.bonds[..., 0].max())

    def times(self, eV: float) -> Expansion:
        """The same in other units."""
        return replace(self, scale=self.scale * eV)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return fast_for(SPEC, self.couplings.dtype)

    def evaluator(self) -> Evaluator:
        """What computes it."""
        dtype, Z, D = self.couplings.dtype, len(self.elements), self.couplings.shape[1]
        *_, L, K = self.radial.shape
        kept: list = []
        lists = _Lists(self)
        for z in range(Z):
            lists.add(z)
        rcut, wide, decay, height, steep, inner, width = self.bonds.double().unbind(2)
        of_bonds = zip(
            *(x.flatten().tolist() for x in (rcut, wide, decay, height.abs(), steep.abs(), inner, width)),
            [BASES.index(basis.removeprefix("TEST_")) for row in self.bases for basis in row],
            strict=True,
        )
        bonds = (_Bond * (Z * Z))(*(_Bond(*bond) for bond in of_bonds))
        kept.append(bonds)
        shifted = torch.tensor([name == SHIFTED for name in self.embeddings])
        facts = _ExpansionFacts(
            common(kept, self.elements, rcut), K, L - 1, D, self.inner == "distance", lists.numbers, self.scale,
            ctypes.addressof(bonds), hold(kept, torch.from_numpy(lists.used), torch.int64), _rows(kept, _Of, lists.of),
            _rows(kept, _Leaf, lists.leaves), hold(kept, torch.tensor(lists.mix, dtype=torch.float64), dtype),
            hold(kept, torch.from_numpy(np.concatenate(lists.products)), torch.int64),
            *(hold(kept, torch.from_numpy(np.concatenate(x)), kind) for x, kind in ((lists.single, torch.int64), (lists.single_c, dtype))),
            hold(kept, torch.from_numpy(np.concatenate(lists.rows)), torch.int64),
            *(hold(kept, torch.from_numpy(np.concatenate(x)), kind) for x, kind in ((lists.y, torch.int64), (lists.c, dtype))),
            hold(kept, self.embedding, torch.float64), hold(kept, shifted, torch.int64), hold(kept, self.core, torch.float64),
        )  # fmt: skip
        return Evaluator(SPEC, dtype, facts, kept)


class _Lists:
    """The tables of expansion.h, element by element."""

    def __init__(self, told: Expansion) -> None:
        self.told = told
        Z, _, self.n_max, self.L, self.K = told.radial.shape
        self.D = told.couplings.shape[1]
        first = np.append(told.products[:, 1].numpy(), len(told.components))
        owner = np.repeat(np.arange(len(told.products)), np.diff(first))
        self.element, self.factors = (told.products[:, column].numpy()[owner] for column in (0, 2))
        self.components, self.couplings = told.components.numpy(), told.couplings.double().numpy()
        self.radial = told.radial.detach().double().numpy()
        self.used = np.zeros((Z, Z, self.L), np.int64)
        self.numbers = 0  # the most of an element
        self.of: list[tuple[int, ...]] = []
        self.leaves: list[tuple[int, ...]] = []
        self.mix: list[float] = []
        self.products, self.rows = [np.zeros((0, 2), np.int64)], [np.zeros((0, 4), np.int64)]
        self.single, self.y = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        self.single_c, self.c = [np.zeros((0, self.D))], [np.zeros((0, self.D))]

    def add(self, z: int) -> None:
        """What a center of this element computes."""
        leaf = len(self.leaves)
        single, row, product = (sum(map(len, x)) for x in (self.single, self.rows, self.products))
        mine = self.element == z
        places, c = self.components[mine & (self.factors == 1), :1], self.couplings[mine & (self.factors == 1)]
        if len(places):
            self._singles(z, places[:, 0], c)
        longer = [n for n in np.unique(self.factors[mine]).tolist() if n > 1]
        terms = {n: (self.components[at, :n], self.couplings[at]) for n in longer for at in [mine & (self.factors == n)]}
        signed = np.unique(np.concatenate([codes.ravel() for codes, _ in terms.values()])) if terms else np.zeros(0, np.int64)
        mu_n, lm = signed // self.L**2, signed % self.L**2
        l = np.sqrt(lm + 0.5).astype(np.int64)
        m = lm - l * l - l
        unsigned, which = np.unique(np.stack([mu_n, l, abs(m)], 1), axis=0, return_inverse=True)
        for each in unsigned.tolist():
            self._leaf(z, *each)
        leaves = len(unsigned)
        # Y_l^m = (−1)^m N Q_l^m (x + iy)^m for m ≥ 0, Y_l^−m its conjugate without the sign; the signs go to the couplings.
        code = 2 * which.reshape(-1) + (m < 0)
        sign = np.where((m > 0) & (m % 2 == 1), -1.0, 1.0)
        at = {n: np.searchsorted(signed, codes) for n, (codes, _) in terms.items()}
        found = factored(
            unsigned[:, 2] == 0, {n: (code[at[n]], c * sign[at[n]].prod(1)[:, None]) for n, (_, c) in terms.items()}, self.D
        )
        self.products.append(np.stack([found.products[:, 0] // 2, found.products[:, 1]], 1))
        self.numbers = max(self.numbers, leaves + len(found.products))
        n_rows = self._rows(found.last, found.coefficients)
        singles = sum(map(len, self.single)) - single
        self.of.append((leaf, leaves, product, len(found.products), single, singles, row, n_rows))

    def _singles(self, z: int, places: np.ndarray, c: np.ndarray) -> None:
        unique, which = np.unique(places, return_inverse=True)
        total = np.zeros((len(unique), self.D))
        np.add.at(total, which.reshape(-1), c)
        mu, k = unique // self.K, unique % self.K
        np.maximum.at(self.used[z, :, 0], mu, k + 1)
        self.single.append(self._place(mu, 0, 0) + k)
        self.single_c.append(total)

    def _leaf(self, z: int, mu_n: int, l: int, m: int) -> None:
        mu, n = divmod(mu_n, self.n_max)
        c = self.radial[z, mu, n, l]
        (some,) = np.nonzero(c)
        first, last = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
        self.used[z, mu, l] = max(self.used[z, mu, l], last)
        self.leaves.append((int(self._place(mu, l, m)) + first, len(self.mix), last - first, m == 0))
        norm = sqrt((2 * l + 1) * factorial(l - m) / factorial(l + m))
        self.mix += (norm * c[first:last]).tolist()

    def _place(self, mu, l: int, m: int):
        """Of the first radial function's sum: neighbors' elements, then m, then l ≥ m."""
        harmonics = self.L * (self.L + 1) // 2
        return 2 * self.K * (mu * harmonics + m * self.L - m * (m - 1) // 2 + l - m)

    def _rows(self, last: np.ndarray, c: np.ndarray) -> int:
        """Terms by their first number, and those without a conjugate first."""
        x, y, conjugate = last[:, 0] // 2, last[:, 1] // 2, last[:, 1] % 2
        often = np.bincount(np.concatenate([x, y]), minlength=1)
        swap = often[y] > often[x] if len(last) else np.zeros(0, bool)
        x, y = np.where(swap, y, x), np.where(swap, x, y)
        order = np.lexsort((y, conjugate, x))
        x, y, conjugate, c = x[order], y[order], conjugate[order], c[order]
        base = sum(map(len, self.y))
        starts = np.flatnonzero(np.diff(x, prepend=-1))
        ends = np.append(starts[1:], len(x))
        plain = ends - np.add.reduceat(conjugate, starts) if len(x) else ends[:0]
        self.rows.append(np.stack([x[starts], base + starts, base + plain, base + ends[: len(starts)]], 1))
        self.y.append(y)
        self.c.append(c)
        return len(starts)


def _rows(kept: list, kind: type, rows: Sequence[tuple]) -> int:
    """The address of structs made of these rows."""
    made = (kind * max(1, len(rows)))(*(kind(*row) for row in rows))  # type: ignore[operator]
    kept.append(made)
    return ctypes.addressof(made)


class _Bond(ctypes.Structure):
    """`struct Bond` of expansion.h, field by field."""

    _fields_ = [(name, ctypes.c_double) for name in "cutoff wide decay height steep inner inner_width".split()] + [
        ("basis", ctypes.c_int64)
    ]


class _Leaf(ctypes.Structure):
    """`struct Leaf` of expansion.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("begin", "at", "count", "real")]


class _Of(ctypes.Structure):
    """`struct Of` of expansion.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in "leaf leaves product products single singles row rows".split()]


class _ExpansionFacts(ctypes.Structure):
    """`struct Facts` of expansion.h, field by field."""

    _fields_ = (
        [("common", Common)]
        + [(name, ctypes.c_int64) for name in "radial l_max densities inner numbers".split()]
        + [("scale", ctypes.c_double)]
        + [
            (name, ctypes.c_void_p)
            for name in "bond used of leaf mix product single single_c row y c embedding shifted core".split()
        ]
    )
