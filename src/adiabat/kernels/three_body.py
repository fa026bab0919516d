"""Sparse Gaussian processes on the distances among three atoms, packed for `three_body.h`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from adiabat.kernels import dispatch
from adiabat.kernels.cpp_process import TRIPLES
from adiabat.kernels.local import Evaluator, hold, kind_table
from adiabat.typing import Float, Tensor

DTYPE = torch.float64


@dataclass(frozen=True)
class TripleProcess:
    """E_i = eV Σ_jk f_c(d_ij) f_c(d_ik) Σ_s a_s exp(−Σ_x (q_x − s_x)²/2θ_x²), q = (d_ij + d_ik, (d_ij − d_ik)², d_jk), over the neighbors
    j ≠ k of atoms of the element `center` that make this pair of elements, each pair in both orders."""

    center: int
    pair: tuple[int, int]
    cutoff: float
    width: float
    theta: tuple[float, ...]
    points: Float[Tensor, "M 3"]
    a: Float[Tensor, " M"]


class _Facts(ctypes.Structure):
    """`struct Facts` of three_body.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in ("elements", "processes")] + [
        (name, ctypes.c_void_p) for name in "kind who how points".split()
    ]


def triples(elements: Sequence[int], processes: Sequence[TripleProcess], eV: float, panels: bool = False) -> Evaluator:
    """What computes them, compiled; `elements` are atomic numbers, in which the processes count. `panels`: sparse points are padded to
    whole panels, which variances take."""
    kept: list = []
    library = dispatch.library(str(TRIPLES), DTYPE)
    whole = library.panel() if panels else library.lanes()
    who, how, points, begin = [], [], [], 0
    for it in processes:
        scale = torch.tensor([math.sqrt(0.5) / x for x in it.theta], dtype=DTYPE)
        rows = torch.nn.functional.pad(torch.cat([(it.points * scale).T, it.a[None] * eV]), (0, -len(it.a) % whole))
        who.append([it.center, *it.pair, rows.shape[1], begin])
        how.append([it.cutoff, it.width, *scale.tolist()])
        points.append(rows.flatten())
        begin += rows.numel()
    kind, length = kind_table(kept, {z: k for k, z in enumerate(elements)})
    table = torch.tensor(who, dtype=torch.int64)
    kept.append(table)
    numbers = hold(kept, torch.tensor(how, dtype=DTYPE), DTYPE), hold(kept, torch.cat(points), DTYPE)
    return Evaluator(TRIPLES, DTYPE, _Facts(length, len(who), kind, table.data_ptr(), *numbers), kept)  # type: ignore[arg-type]
