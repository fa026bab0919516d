"""What training makes small, and the errors people read, from the same sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from adiabat.graph import Graph, weight_of
from adiabat.prediction import Prediction
from adiabat.typing import Tensor

# What an energy an atom (eV) weighs against a force (eV/Å), unless told: in the loss of the whole set; in a batch's, at the full
# learning rate and at none. Measured by benchmarks/loss.py.
OF_ALL, LONG_STEPS, SHORT_STEPS = 100.0, 1.0, 10.0


@dataclass(frozen=True)
class Loss:
    """L = w_E ⟨((E − E*)/N)²⟩ + w_F ⟨(F − F*)²⟩ + w_σ ⟨(V(σ − σ*)/N)²⟩; means over what is labeled.

    Energies and strain gradients in eV an atom, forces in eV/Å by component. A frame counts by its weight, and `kinds` multiplies
    the weight of every frame of that ``config_type``. A batch's means divide by its number of labels times the mean weight in the
    whole set: by its own weights a batch of light frames would count as much as any other. With a committee each member has its own loss.

    Where `energy` or `stress` is not given it follows the optimizer. Least squares chooses it by frames left out (`weighing`). An
    optimizer that lowers the loss of the whole set takes 100: 1 meV an atom counts as much as 10 meV/Å. One that steps by batches
    begins with 1 and ends with 10 as its rate falls: a batch has few energies, and what it asks for differs from what the next one
    asks for; while steps are long, more weight would only make them noisy.

    >>> Loss().weights, Loss(stress=0.0).by_batches(rate=0.0).weights
    ({'energy': 100.0, 'forces': 1.0, 'stress': 100.0}, {'energy': 10.0, 'forces': 1.0, 'stress': 0.0})
    """

    energy: float | None = None
    forces: float = 1.0
    stress: float | None = None
    kinds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("energy", "forces", "stress"):
            if not self.weights[name] >= 0:
                raise ValueError(f"loss.{name}: {getattr(self, name)} came; wanted a weight ≥ 0")
        if not sum(self.weights.values()) > 0:
            raise ValueError("loss: every weight is 0; nothing would be learned")

    def weight_of(self, info: Mapping[str, Any]) -> float:
        """How much a frame counts that says this of itself."""
        weight = float(info.get("weight", 1.0)) * self.kinds.get(str(info.get("config_type", "")), 1.0)
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight {weight} came; wanted a number ≥ 0 in info['weight'] and in loss.kinds")
        return weight

    @property
    def weights(self) -> dict[str, float]:
        energy, stress = (OF_ALL if w is None else w for w in (self.energy, self.stress))
        return {"energy": energy, "forces": self.forces, "stress": stress}

    @property
    def open(self) -> bool:
        """Whether some weight is left to whoever minimizes it."""
        return self.energy is None or self.stress is None

    def by_batches(self, rate: float) -> Loss:
        """This loss for an optimizer that sees a batch at a time, at this factor of its learning rate."""
        usual = LONG_STEPS**rate * SHORT_STEPS ** (1 - rate)
        energy, stress = (usual if w is None else w for w in (self.energy, self.stress))
        return replace(self, energy=energy, stress=stress)

    def __call__(self, sums: Mapping[str, Sum]) -> Tensor:
        """The loss [*members] of squared-error sums."""
        parts = [w * sums[name].mean_square for name, w in self.weights.items() if w and name in sums]
        if not parts:
            raise ValueError(
                f"no frame has a label that the loss weighs ({', '.join(k for k, w in self.weights.items() if w)})"
            )
        return torch.stack(parts).sum(0)

    def weighs(self, sums: Mapping[str, Sum]) -> bool:
        """Whether any of these sums makes a difference to the loss."""
        return any(w and name in sums for name, w in self.weights.items())


@dataclass(frozen=True)
class Sum:
    """Weighted sums over the labeled components of a batch, so that batches add up exactly."""

    square: Tensor  # [*members]
    absolute: Tensor  # [*members]
    count: Tensor  # what means divide by: the sum of weights, or of a batch the number of labels times their usual weight
    weight: Tensor  # the sum of weights

    @property
    def mean_square(self) -> Tensor:
        """Zero where nothing was counted: a batch of frames that a committee's member leaves out teaches it nothing."""
        return self.square / torch.where(self.count > 0, self.count, 1.0)

    @property
    def mean_absolute(self) -> Tensor:
        return self.absolute / torch.where(self.count > 0, self.count, 1.0)

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.square + other.square, self.absolute + other.absolute, self.count + other.count, self.weight + other.weight
        )

    def detach(self) -> Sum:
        return Sum(self.square.detach(), self.absolute.detach(), self.count, self.weight)


def usual_weights(graphs: Iterable[Graph]) -> dict[str, float]:
    """The mean weight of the labels of each kind, over those that count at all: what `squared_errors` takes for a batch."""
    total: dict[str, float] = {}
    number: dict[str, float] = {}
    for graph in graphs:
        weight = weight_of(graph)
        for name in graph.labeled:
            mask = graph.labels[name].mask
            each = weight[graph.structure] if name == "forces" else weight
            total[name] = total.get(name, 0.0) + float((each * mask).sum())
            number[name] = number.get(name, 0.0) + float(((each > 0) & mask).sum())
    return {name: total[name] / number[name] for name in total if number[name] > 0}


def squared_errors(prediction: Prediction, graph: Graph, usual: Mapping[str, float] | None = None) -> dict[str, Sum]:
    """Sums of squared and absolute errors by property: energy (eV/atom), forces (eV/Å), stress (strain gradient, eV/atom).

    With `usual`, the mean weights in the whole set, each label that counts is counted with that weight instead of its own, so that a
    batch's mean keeps its frames' weights against those of other batches.
    """
    weight = weight_of(graph).movedim(0, -1)  # [S], or [members, S] where each member has its own
    natoms = graph.once("natoms", lambda: torch.bincount(graph.structure, minlength=graph.n_structures).to(torch.float64))
    found, usual = {}, usual or {}
    energy, forces, stress = (graph.labels[k] for k in ("energy", "forces", "stress"))
    if "energy" in graph.labeled:
        error = (prediction.energy - energy.value) / natoms
        found["energy"] = _sum(error, weight * energy.mask, 0, usual.get("energy"))
    if "forces" in graph.labeled:
        error = prediction.forces - forces.value
        found["forces"] = _sum(error, weight[..., graph.structure] * forces.mask, 1, usual.get("forces"))
    if "stress" in graph.labeled:
        mask = stress.mask & ~graph.volume.isnan()
        volume = torch.where(mask, graph.volume, 0.0)  # a frame without a label brings neither number nor NaN
        error = (
            torch.where(mask[:, None, None], prediction.strain_gradient, 0.0) - volume[:, None, None] * stress.value
        ) / natoms[:, None, None]
        found["stress"] = _sum(error, weight * mask, 2, usual.get("stress"))
    return found


def readable(sums: Mapping[str, Sum]) -> dict[str, float]:
    """Errors as people read them; of a committee the mean over its members."""
    names = {
        "energy": ("energy", "meV_per_atom"),
        "forces": ("force", "meV_per_A"),
        "stress": ("strain_gradient", "meV_per_atom"),
    }
    found = {}
    for name, total in sums.items():
        word, unit = names[name]
        found[f"{word}_rmse_{unit}"] = 1e3 * float(total.mean_square.sqrt().mean())
        found[f"{word}_mae_{unit}"] = 1e3 * float(total.mean_absolute.mean())
    return found


def _sum(error: Tensor, weight: Tensor, trailing: int, usual: float | None) -> Sum:
    """Sum over rows and the `trailing` axes of components behind them; `weight` holds one number a row, as which `usual` is counted."""
    axes = tuple(range(-trailing, 0))
    components = math.prod(error.shape[a] for a in axes)
    square, absolute = error.square(), error.detach().abs()
    if axes:
        square, absolute = square.sum(axes), absolute.sum(axes)
    counted = weight if usual is None else (weight > 0).to(weight.dtype) * usual
    return Sum(
        (weight * square).sum(-1), (weight * absolute).sum(-1), counted.sum(-1) * components, weight.sum(-1) * components
    )
