"""A program's tensors as compiled evaluators want them: channels padded, matrices by panels, held for as long as they are read."""

from __future__ import annotations

import ctypes

import torch

from adiabat.typing import Tensor


class Matrix(ctypes.Structure):
    """`struct Matrix` of walk.h."""

    _fields_ = [("w", ctypes.c_void_p), ("K", ctypes.c_int64), ("N", ctypes.c_int64)]


class Packing:
    """For one library; what is handed out are addresses of copies in `kept`, channels padded with zeros to multiples of `block`."""

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype, block: int) -> None:
        self.lanes, self.panel, self.dtype, self.block = library.lanes(), library.panel(), dtype, block
        self.kept: list = []

    def wide(self, x: Tensor, *axes: int) -> Tensor:
        """Zeros up to whole blocks of channels."""
        for axis in axes:
            x = torch.nn.functional.pad(x.movedim(axis, -1), (0, -x.shape[axis] % self.block)).movedim(-1, axis)
        return x

    def padded(self, weight: Tensor, rows: int = 1, columns: int = 1) -> Tensor:
        """A matrix of `rows` × `columns` blocks, each padded."""
        weight = weight.unflatten(0, (rows, -1)).unflatten(-1, (columns, -1))
        return self.wide(weight, 1, 3).flatten(2, 3).flatten(0, 1)

    def both(self, weight: Tensor, rows: int = 1, columns: int = 1) -> tuple[Matrix, Matrix]:
        """Such a matrix and its transpose."""
        weight = self.padded(weight, rows, columns)
        return self.matrix(weight), self.matrix(weight.T)

    def matrix(self, weight: Tensor) -> Matrix:
        K, N = weight.shape
        blocks = N // self.lanes
        nv = next(n for n in (4, 2, 1) if n <= self.panel and blocks % n == 0)
        return Matrix(self.hold(weight.reshape(K, -1, nv * self.lanes).movedim(1, 0)), K, N)

    def hold(self, x: Tensor) -> int:
        """The address of a copy that lives as long as `kept`."""
        array = x.detach().to(self.dtype).contiguous().clone().numpy()
        self.kept.append(array)
        return array.ctypes.data
