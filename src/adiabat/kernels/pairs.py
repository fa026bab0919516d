"""Pair potentials frozen into one C call; `pairs.h` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import LocalTerm
from adiabat.kernels.local import Evaluator, hold, kind_table
from adiabat.typing import Float, Tensor


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
        return dispatch.fast_for(LocalTerm(), torch.empty(0, dtype=torch.float64))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        kept: list[Tensor] = []
        reach, power = (
            hold(kept, torch.as_tensor(x if len(x) else [0.0], dtype=torch.float64), torch.float64)
            for x in (self.reach if self.rows is None else self.rows, self.power)
        )
        known = range(1, 119) if self.elements is None else self.elements
        kind, elements = kind_table(kept, {number: k for k, number in enumerate(known)})
        form = ("lennard_jones", "morse", "zbl", "nep_zbl", "buckingham", "switched_zbl").index(self.form)
        kinds, p = 0 if self.rows is None else len(self.rows), (ctypes.c_double * 3)(*self.numbers)
        facts = _PairFacts(form, elements, kinds, int(self.cut), self.cutoff, p, kind, reach, power)
        return Evaluator(LocalTerm(), torch.float64, facts, kept)


class _PairFacts(ctypes.Structure):
    """`struct Facts` of pairs.h, field by field."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("form", "elements", "kinds", "step")), ("cutoff", ctypes.c_double), ("p", ctypes.c_double * 3),
        *((name, ctypes.c_void_p) for name in ("kind", "reach", "power")),
    ]  # fmt: skip
