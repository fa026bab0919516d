"""Single precision follows double precision."""

from __future__ import annotations

import copy

import numpy as np
import torch

from adiabat.units import meV
from adiabat.validation.gate.check import Check, Subject, below, larger


def float32(subject: Subject) -> Check:
    """Forces in float32 against float64, on the frames."""
    single = copy.deepcopy(subject.potential).to(torch.float32)
    worst, largest = 0.0, 0.0
    for atoms in subject.structures:
        graph = subject.graph(atoms)
        a, b = subject.potential(graph).forces.numpy(), single(graph).forces.numpy()
        differ = float(np.abs(a - b).max())
        worst, largest = larger(worst, differ), max(largest, float(np.abs(a).max()))
    return below(
        "float32", worst / meV, "meV/Å", max(1.0, 0.1 * largest), "forces in single precision differ by up to",
        "run it in double precision, or look for a difference of large numbers",
    )  # fmt: skip
