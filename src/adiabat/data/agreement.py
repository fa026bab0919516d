"""Whether two results of one calculation agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adiabat.data.row import floats
from adiabat.data.structure import LABELS

# Two runs of one converged calculation differ by less.
ENERGY_TOLERANCE = 1e-4  # eV/atom
FORCE_TOLERANCE = 5e-3  # eV/Å
STRESS_TOLERANCE = 1e-3  # eV/Å³


class Disagreement(NamedTuple):
    """A label of which there are two, how far they are apart, and how far they may be."""

    what: str
    by: float
    limit: float


def disagreement(known: Sequence[bytes | float | None], row: Mapping[str, Any]) -> Disagreement | None:
    """The first label, in the order of `LABELS`, that is known with other numbers than the row's; None where all agree.

    >>> disagreement([-31.7, None, None], {"energy": -31.69, "forces": None, "stress": None, "natoms": 2}).what
    'energy'
    """
    limits = (ENERGY_TOLERANCE * row["natoms"], FORCE_TOLERANCE, STRESS_TOLERANCE)
    for what, before, limit in zip(LABELS, known, limits, strict=True):
        if before is None or row[what] is None:
            continue
        difference = float(np.abs(floats(row[what]) - floats(before)).max(initial=0.0))
        if difference > limit:
            return Disagreement(what, difference, limit)
    return None
