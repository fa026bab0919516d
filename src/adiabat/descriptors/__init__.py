"""Atoms in, arrays out: what surrounds each atom, as numbers that do not change when the structure is turned or renumbered.

| name | what | model |
|---|---|---|
| `acsf` | symmetry functions G¹…G⁵ of Behler and Parrinello | `BPNN` |
| `aev` | atomic environment vectors of ANI | `ANI` |
| `soap` | power spectrum of the neighbor density, as dscribe and as QUIP have it | `GAP` |

Each takes a structure (or several) and gives a `Described`: values [N, D], a name for each column and, where asked for, analytic
derivatives.
"""

from collections.abc import Callable

from adiabat.descriptors.acsf import acsf
from adiabat.descriptors.aev import aev
from adiabat.descriptors.described import Described
from adiabat.descriptors.soap import soap

DESCRIPTORS: dict[str, Callable[..., Described]] = {"acsf": acsf, "aev": aev, "soap": soap}

__all__ = ["DESCRIPTORS", "Described", "acsf", "aev", "soap"]
