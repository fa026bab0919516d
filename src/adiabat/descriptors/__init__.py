"""Atoms in, arrays out: what surrounds each atom, as numbers that do not change when the structure is turned or renumbered.

| name | what | model |
|---|---|---|
| `ace` | invariant products of the neighbor density | `ACE`, `PACE` |
| `acsf` | symmetry functions G¹…G⁵ of Behler and Parrinello | `BPNN` |
| `aev` | atomic environment vectors of ANI | `ANI` |
| `bispectrum` | bispectrum of the neighbor density on the 3-sphere, as LAMMPS has it | `SNAP` |
| `moments` | contracted moment tensors | `MTP` |
| `soap` | power spectrum of the neighbor density, as dscribe and as QUIP have it | `GAP` |

Each takes a structure (or several) and gives a `Described`: values [N, D], a name for each column and, where asked for, analytic
derivatives.
"""

from collections.abc import Callable

from adiabat.descriptors.ace import ace
from adiabat.descriptors.acsf import acsf
from adiabat.descriptors.aev import aev
from adiabat.descriptors.bispectrum import bispectrum
from adiabat.descriptors.described import Described
from adiabat.descriptors.moments import moments
from adiabat.descriptors.soap import soap

DESCRIPTORS: dict[str, Callable[..., Described]] = {
    "ace": ace, "acsf": acsf, "aev": aev, "bispectrum": bispectrum, "moments": moments, "soap": soap,
}  # fmt: skip

__all__ = ["DESCRIPTORS", "Described", "ace", "acsf", "aev", "bispectrum", "moments", "soap"]
