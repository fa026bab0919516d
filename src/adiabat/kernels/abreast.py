"""Local terms frozen into one C call with atoms abreast: what is summed over neighbors stands in a lane for each atom.

`rotations` (the bispectrum of SNAP), `moments` (MTP) and `expansion` (ACE of listed products) are the families; each has a header of its
name, and the file of its name beside this one fills in the numbers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_abreast import Abreast
from adiabat.kernels.local import hold, kind_table
from adiabat.typing import Float, Tensor


def fast_for(spec: Abreast, dtype: torch.dtype) -> bool:
    """Whether it runs compiled here in this precision; compiles at the first asking."""
    return dispatch.fast_for(spec, torch.empty(0, dtype=dtype))


class Common(ctypes.Structure):
    """`struct Common` of near.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("elements", "kinds")] + [
        (name, ctypes.c_void_p) for name in ("kind", "reach")
    ]


def common(kept: list, elements: Sequence[int], reach: Float[Tensor, "Z Z"]) -> Common:
    """The elements and, Å, up to where a center of the first sees neighbors of the second."""
    kind, size = kind_table(kept, {number: z for z, number in enumerate(elements)})
    return Common(size, len(elements), kind, hold(kept, reach, torch.float64))
