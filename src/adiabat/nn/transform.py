"""Distances of a pair of elements put on a common scale before they enter a radial basis, as mace-torch has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from adiabat.config import build
from adiabat.typing import Float, Tensor

# distances [n] and sums of covalent radii [kinds] to what the basis takes [n, kinds]
Transform = Callable[[Tensor, Tensor], Tensor]


class Agnesi:
    """x(d) = 1 / (1 + a s^q / (1 + s^{q−p})) with s = d/r_0: from 1 at the atom to 0 far away, steepest around a bond's length.

    r_0 is half the sum of the covalent radii. Witt et al., J. Chem. Phys. 159, 164101 (2023); the numbers are mace-torch's.

    >>> Agnesi()(torch.tensor([0.0, 1.0]), torch.tensor([2.0]))
    tensor([[1.0000],
            [0.6492]])
    """

    def __init__(self, q: float = 0.9183, p: float = 4.5791, a: float = 1.0805) -> None:
        self.q, self.p, self.a = q, p, a

    def __call__(self, d: Float[Tensor, " n"], radii: Float[Tensor, " kinds"]) -> Float[Tensor, "n kinds"]:
        s = d[:, None] / (0.5 * radii)
        return 1 / (1 + self.a * s**self.q / (1 + s ** (self.q - self.p)))


class Soft:
    """x(d) = p_0 + ½ (d − p_0) (1 + tanh(α (d − m)/(p_1 − p_0))): the distance itself beyond a bond's length, flat inside.

    p_0 = ¾ r_0, p_1 = 4/3 r_0, m their mean, r_0 the sum of the covalent radii. From mace-torch, as its number α.

    >>> Soft()(torch.tensor([1.0, 4.0]), torch.tensor([1.4]))
    tensor([[1.0494],
            [4.0000]])
    """

    def __init__(self, alpha: float = 4.0) -> None:
        self.alpha = alpha

    def __call__(self, d: Float[Tensor, " n"], radii: Float[Tensor, " kinds"]) -> Float[Tensor, "n kinds"]:
        low, high, d = 0.75 * radii, 4 / 3 * radii, d[:, None]
        return low + 0.5 * (d - low) * (1 + torch.tanh(self.alpha / (high - low) * (d - 0.5 * (low + high))))


TRANSFORMS: dict[str, Callable[..., Transform]] = {"agnesi": Agnesi, "soft": Soft}


def transform(spec: str | Mapping[str, Any], *, where: str) -> Transform:
    """The transform that a configuration names: ``agnesi``, or with its numbers ``{agnesi: {q: 0.9, p: 4.5, a: 1.1}}``."""
    return build(spec, TRANSFORMS, where=where)
