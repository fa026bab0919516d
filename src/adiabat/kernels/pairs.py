"""Pair potentials frozen into one C call; `pairs.h` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import LocalTerm
from adiabat.kernels.local import Evaluator, hold, kind_table
from adiabat.typing import Tensor


@dataclass(frozen=True)
class Pairs:
    """E_i = ½ Σ_j φ(d_ij) f_c(d_ij); `form` is lennard_jones (σ, ε), morse (depth, width, minimum), buckingham (A, ρ, C),
    zbl (e²/4πε₀, 0.8854 a₀) or nep_zbl (e²/4πε₀, 1/length, how many elements).

    `reach` and `power` are the ZBL's, by atomic number: an atom's share of the pair's cutoff in Å, and Z^0.23; of nep_zbl `reach` are
    ten numbers a pair of elements, as pairs.h has them. Computed in float64.
    """

    form: str
    elements: tuple[int, ...] | None
    cutoff: float
    numbers: tuple[float, ...]
    reach: Sequence[float] = ()
    power: Sequence[float] = ()

    def times(self, eV: float) -> Pairs:
        """The same in other units."""
        energies = {"lennard_jones": (1,), "buckingham": (0, 2)}.get(
            self.form, (0,)
        )  # numbers that are one, or proportional to it
        return replace(self, numbers=tuple(x * eV if k in energies else x for k, x in enumerate(self.numbers)))

    @property
    def fast(self) -> bool:
        """Whether this runs compiled here; compiles at the first asking."""
        return dispatch.fast_for(LocalTerm(), torch.empty(0, dtype=torch.float64))

    def evaluator(self) -> Evaluator:
        """What computes it."""
        kept: list[Tensor] = []
        reach, power = (
            hold(kept, torch.tensor(list(x) or [0.0], dtype=torch.float64), torch.float64) for x in (self.reach, self.power)
        )
        known = range(1, 119) if self.elements is None else self.elements
        kind, elements = kind_table(kept, {number: k for k, number in enumerate(known)})
        form = ("lennard_jones", "morse", "zbl", "nep_zbl", "buckingham").index(self.form)
        p = (ctypes.c_double * 3)(*self.numbers)
        return Evaluator(LocalTerm(), torch.float64, _PairFacts(form, elements, self.cutoff, p, kind, reach, power), kept)


class _PairFacts(ctypes.Structure):
    """`struct Facts` of pairs.h, field by field."""

    _fields_ = [
        ("form", ctypes.c_int64), ("elements", ctypes.c_int64), ("cutoff", ctypes.c_double), ("p", ctypes.c_double * 3),
        *((name, ctypes.c_void_p) for name in ("kind", "reach", "power")),
    ]  # fmt: skip
