"""Pair potentials frozen into one C call; `pairs.h` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels.cpp_each_pair import EachPair
from adiabat.kernels.each_pair import Common, common, fast_for
from adiabat.kernels.local import Evaluator, hold
from adiabat.typing import Float, Tensor

SPEC = EachPair("pairs")


@dataclass(frozen=True)
class Pairs:
    """E_i = ½ Σ_j φ(d_ij) f_c(d_ij); `form` is lennard_jones (σ, ε), morse (depth, width, minimum), buckingham (A, ρ, C),
    zbl (e²/4πε₀, 0.8854 a₀), nep_zbl (e²/4πε₀, 1/length) or switched_zbl (none).

    `reach` and `power` are the ZBL's, by atomic number: an atom's share of the pair's cutoff in Å, and Z^0.23. Where there are `rows`,
    each of `kinds` elements has ten numbers with each, as pairs.h has them, and where pairs are `cut` f_c is 1. Computed in float64.
    """

    form: str
    elements: tuple[int, ...] | None
    cutoff: float
    numbers: tuple[float, ...]
    reach: Sequence[float] = ()
    power: Sequence[float] = ()
    rows: Float[Tensor, "kinds kinds 10"] | None = None
    cut: bool = False

    def times(self, eV: float) -> Pairs:
        """The same in other units."""
        # numbers that are one, or proportional to it
        energies = {"lennard_jones": (1,), "buckingham": (0, 2)}.get(self.form, (0,))
        numbers = tuple(x * eV if k in energies else x for k, x in enumerate(self.numbers))
        if self.rows is None or self.form == "nep_zbl":
            return replace(self, numbers=numbers)
        rows = self.rows.clone()
        rows[..., [0, 4, 5, 6] if self.form == "switched_zbl" else [*energies, 4]] *= eV
        return replace(self, rows=rows)

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return fast_for(SPEC)

    def evaluator(self) -> Evaluator:
        """What computes it."""
        kept: list[Tensor] = []
        reach, power = (
            hold(kept, torch.as_tensor(x if len(x) else [0.0], dtype=torch.float64), torch.float64)
            for x in (self.reach if self.rows is None else self.rows, self.power)
        )
        known = tuple(range(1, 119)) if self.elements is None else self.elements
        kept.append(numbers := torch.tensor(known, dtype=torch.int64))
        form = ("lennard_jones", "morse", "zbl", "nep_zbl", "buckingham", "switched_zbl").index(self.form)
        rows, p = 0 if self.rows is None else len(self.rows), (ctypes.c_double * 3)(*self.numbers)
        facts = _PairFacts(
            common(kept, known, self.cutoff), form, rows, int(self.cut), p, numbers.data_ptr(), reach, power
        )  # fmt: skip
        return Evaluator(SPEC, torch.float64, facts, kept)


class _PairFacts(ctypes.Structure):
    """`struct Facts` of pairs.h, field by field."""

    _fields_ = [
        ("common", Common), *((name, ctypes.c_int64) for name in ("form", "rows", "step")), ("p", ctypes.c_double * 3),
        *((name, ctypes.c_void_p) for name in ("number", "reach", "power")),
    ]  # fmt: skip
