"""Local terms frozen into one C call that takes each pair of atoms once: `embedding` (EAM) and `pairs`.

Each has a header of its name, and the file of its name beside this one fills in the numbers. All of them compute in double precision.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_each_pair import EachPair
from adiabat.kernels.local import kind_table


def fast_for(spec: EachPair) -> bool:
    """Whether it runs compiled here; compiles at the first asking."""
    return dispatch.fast_for(spec, torch.empty(0, dtype=torch.float64))


class Common(ctypes.Structure):
    """`struct Common` of each_pair.h, field by field."""

    _fields_ = [
        ("elements", ctypes.c_int64), ("kinds", ctypes.c_int64), ("kind", ctypes.c_void_p), ("most", ctypes.c_double)
    ]  # fmt: skip


def common(kept: list, elements: Sequence[int], most: float) -> Common:
    """The elements and, Å, beyond which no pair of them is seen."""
    kind, size = kind_table(kept, {number: z for z, number in enumerate(elements)})
    return Common(size, len(elements), kind, most)
