"""Drift and rotation taken out of velocities in one compiled call: for small molecules a tensor operation costs more than this."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.ir import RigidMotion
from adiabat.typing import Bool, Float, Tensor


class _Rigid(ctypes.Structure):
    """`struct Rigid` of rigid.h, field by field."""

    _fields_ = [
        ("structures", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("first", "mass", "momentum", "rotation")),
    ]


class WithoutRigidMotion:
    """v less v_com + ω × (r − r_com) with L = I ω, where asked: of structures of so many atoms each, which follow one another."""

    def __init__(
        self, sizes: Sequence[int], masses: Float[Tensor, "N"], momentum: Bool[Tensor, "S"], rotation: Bool[Tensor, "S"]
    ) -> None:
        self.arguments = tuple(sizes), masses, momentum, rotation
        first = torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)
        self.kept = [first, masses.to(torch.float64).contiguous(), momentum.to(torch.uint8), rotation.to(torch.uint8)]
        self.struct = _Rigid(len(sizes), *(x.data_ptr() for x in self.kept))
        self.shape = masses.shape[0], 3
        library = dispatch.library(str(RigidMotion()), torch.float64)
        library.without.argtypes = [ctypes.c_void_p] * 4
        self.without = library.without

    def __reduce__(self) -> tuple:
        return WithoutRigidMotion, self.arguments  # a copy has addresses of its own

    @staticmethod
    def fast(x: Tensor) -> bool:
        """Whether it can be had for tensors like this one."""
        return x.dtype == torch.float64 and dispatch.fast_for(RigidMotion(), x)

    def __call__(self, positions: Float[Tensor, "N 3"], velocities: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        r, v = positions.detach().contiguous(), velocities.detach().contiguous()
        if r.shape != self.shape or v.shape != self.shape or r.dtype != torch.float64 or v.dtype != torch.float64:
            raise ValueError(
                f"positions {tuple(r.shape)} and velocities {tuple(v.shape)} came; wanted {self.shape} of float64, twice"
            )
        out = torch.empty_like(v)
        self.without(ctypes.addressof(self.struct), r.data_ptr(), v.data_ptr(), out.data_ptr())
        return out
