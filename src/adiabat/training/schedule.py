"""How the learning rate changes, as a factor of the epoch; and what is averaged over the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from adiabat.typing import Tensor


@dataclass(frozen=True)
class Constant:
    """The same rate throughout.

    >>> Constant()(5, 100)
    1.0
    """

    def __call__(self, epoch: int, epochs: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """Down to `final` along half a cosine after `warmup` epochs of rising: Loshchilov and Hutter, ICLR 2017 (arXiv:1608.03983).

    >>> Cosine(final=0.0)(50, 100)
    0.5
    """

    final: float = 0.01
    warmup: int = 0

    def __call__(self, epoch: int, epochs: int) -> float:
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        way = (epoch - self.warmup) / max(1, epochs - self.warmup)
        return round(self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, way))), 12)


SCHEDULES: dict[str, Any] = {"constant": Constant, "cosine": Cosine}


@dataclass
class NoAverage:
    """What is trained is what is used."""

    def update(self, parameters: Sequence[nn.Parameter]) -> None:
        pass

    def values(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        return [p.detach() for p in parameters]

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        pass


@dataclass
class ExponentialAverage:
    """θ̄ ← d θ̄ + (1 − d) θ after every epoch, with Polyak and Juditsky's idea (SIAM J. Control Optim. 30, 838 (1992))."""

    decay: float = 0.99
    _mean: list[Tensor] = field(default_factory=list, repr=False)

    @torch.no_grad()
    def update(self, parameters: Sequence[nn.Parameter]) -> None:
        if not self._mean:
            self._mean = [p.detach().clone() for p in parameters]
        for mean, p in zip(self._mean, parameters, strict=True):
            mean.lerp_(p, 1 - self.decay)

    def values(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        return self._mean or [p.detach() for p in parameters]

    def state(self) -> dict[str, Tensor]:
        return {f"{k:05d}": mean.clone() for k, mean in enumerate(self._mean)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._mean = [state[k].clone() for k in sorted(state)]


AVERAGES: dict[str, Any] = {"none": NoAverage, "exponential": ExponentialAverage}
