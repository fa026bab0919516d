"""A loaded schnetpack model as plain settings and arrays: its state dict, its single-atom references, its answers.

Nothing of schnetpack is imported. Units are taken for eV and Å: schnetpack keeps them with the data, not with the model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.deploy.importers.answers import answers
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError, agreed

INPUTS, POSTPROCESSORS = ("PairwiseDistances", "Strain"), ("CastTo64", "CastTo32", "AddOffsets")


def extract(model: Any, version: str, path: Path, elements: Sequence[str] | None) -> Extracted:
    """Settings and arrays of a `NeuralNetworkPotential` with a `PaiNN`. What is not supported is refused by name."""
    model = copy.deepcopy(model).to("cpu", torch.float64).eval()
    _want(
        type(getattr(model, "representation", None)).__name__ == "PaiNN", _kind(model), "a NeuralNetworkPotential with a PaiNN"
    )
    for block in model.input_modules:
        _want(type(block).__name__ in INPUTS, f"an input module {type(block).__name__}", " and ".join(INPUTS))
    energy, *others = model.output_modules
    _want(type(energy).__name__ == "Atomwise" and energy.aggregation_mode == "sum", f"a first output {type(energy).__name__}",
          "a sum of Atomwise energies")  # fmt: skip
    for block in others:
        _want(type(block).__name__ == "Forces", f"an output {type(block).__name__}", "energies and forces")
    references, named = _references(model, energy.output_key)
    symbols = agreed(path, named, elements)
    numbers = periodic_table.numbers(symbols)
    model.output_modules, model.required_derivatives, model.model_outputs = model.output_modules[:1], [], [energy.output_key]
    network = {k: v for k, v in model.state_dict().items() if not k.startswith("postprocessors.")}
    cutoff = float(network["representation.cutoff_fn.cutoff"][0])
    arrays = {f"state.{k}": v.numpy() for k, v in network.items()}
    arrays |= {"numbers": np.array(numbers), "E0": references[list(numbers)]}
    arrays |= answers(lambda Zs, R: _ask(model, energy.output_key, Zs, R, cutoff), numbers, cutoff)
    return Extracted(f"schnetpack {version}".strip(), {"representation": "PaiNN"}, arrays)


def _kind(model: Any) -> str:
    inner = getattr(model, "representation", None)
    return f"a {type(model).__name__}" + (f" with a {type(inner).__name__}" if inner is not None else "")


def _want(fine: Any, came: str, wanted: str) -> None:
    if not fine:
        raise ForeignModelError(f"schnetpack: the model is or has {came}; this importer supports {wanted}")


def _references(model: Any, key: str) -> tuple[np.ndarray, list[str] | None]:
    """Energies of single atoms by atomic number, which the last steps add to the network's; and the elements they name, if any."""
    total, named = np.zeros(120), None
    for step in model.postprocessors if model.do_postprocessing else []:
        _want(type(step).__name__ in POSTPROCESSORS, f"a postprocessor {type(step).__name__}", ", ".join(POSTPROCESSORS))
        if type(step).__name__ == "AddOffsets" and step._property == key:
            _want(step.is_extensive, "an offset of the mean energy", "one of the energy")
            if step.add_mean:
                total += float(step.mean.reshape(-1)[0])
            if step.add_atomrefs:
                each = step.atomref.reshape(-1).numpy()
                total[: len(each)] += each
                named = [periodic_table.symbol(int(z)) for z in np.flatnonzero(each)] or None
    return total, named


def _ask(model: Any, key: str, numbers: np.ndarray, positions: np.ndarray, cutoff: float) -> tuple[float, np.ndarray]:
    R = torch.tensor(positions, dtype=torch.float64, requires_grad=True)
    n = len(numbers)
    d = torch.cdist(R.detach(), R.detach()) + 2 * cutoff * torch.eye(n)
    i, j = torch.nonzero(d < cutoff).T
    out = model(
        {
            "_atomic_numbers": torch.as_tensor(numbers), "_positions": R, "_cell": torch.zeros(1, 3, 3, dtype=R.dtype),
            "_pbc": torch.zeros(3, dtype=torch.bool), "_idx_i": i, "_idx_j": j, "_idx_m": torch.zeros(n, dtype=torch.long),
            "_n_atoms": torch.tensor([n]), "_offsets": torch.zeros(len(i), 3, dtype=R.dtype),
        }
    )  # fmt: skip
    E = out[key].sum()
    (g,) = torch.autograd.grad(E, R)
    return float(E.detach()), -g.numpy()
