"""torchani's models to our `ANI`: the same functions in another order, energies in eV.

torchani counts elements and pairs of elements in the order a model was made with, ours go by atomic number: columns of the first
layer change places. An ensemble becomes a committee, whose mean is torchani's mean. What networks say of a lone atom goes with the
self energies, averaged over the members: members keep their forces, and lose a constant an element, which no spread should count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.deploy.importers import ani_extract, trusted
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError, agreed
from adiabat.models import ANI
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee

PEER, FILES = "torchani", "a pickled ANI model"
TOLERANCE = 1e-6  # no tables: both sides are the same sums; torch rounds the derivative of celu to single precision


def recognizes(path: Path) -> bool:
    """A pickle with objects of torchani, or its state dict, which is refused with the cure."""
    return trusted.names(path, "torchani") or trusted.mentions(path, "aev_computer.radial.shifts")


def extract(path: Path, trust: bool, elements: Sequence[str] | None = None) -> Extracted:
    """Settings, arrays and answers, where torchani is installed."""
    if not trusted.names(path, "torchani"):
        raise ForeignModelError(
            f"{path}: a state dict; it tells neither the cutoffs nor the cutoff and activation functions, and with others it is another "
            "potential. Save the whole model where torchani is installed, torch.save(torchani.models.ANI2x(), 'ani2x.pt'), or import "
            "the NeuroChem folder it came from (.info)"
        )
    model, version = trusted.unpickled(path, trust, PEER, "torchani")
    found = ani_extract.extract(model, version)
    agreed(path, found.settings["symbols"], elements)
    return found


def convert(extracted: Extracted, intervals: int = 0) -> Potential:
    """A float64 potential, or a committee of them, of self energies and scaled `ANI`; there are no splines."""
    settings, arrays = extracted.settings, extracted.arrays
    symbols, hartree = settings["symbols"], settings["hartree_eV"]
    models = [_model(settings, arrays, m) for m in range(settings["members"])]
    with torch.no_grad():
        lone = np.mean([[_alone(network) for network in model.networks] for model in models], axis=0)
    order = np.argsort(arrays["numbers"])
    E0 = {symbols[k]: float(hartree * (arrays["self_energies"][k] + lone[z])) for z, k in enumerate(order)}
    members = [Potential(ReferenceEnergies(E0), Scaled(model, eV=hartree)) for model in models]
    return Committee.of(members) if len(members) > 1 else members[0]


def _alone(network: Any) -> float:
    """What a network says of an atom without neighbors."""
    return float(network(torch.zeros(1, network.layers[0].in_features, dtype=torch.float64))[0])


def _model(settings: dict[str, Any], arrays: dict[str, np.ndarray], m: int) -> ANI:
    symbols, depth = settings["symbols"], settings["layers"]
    model = ANI(
        cutoff=settings["cutoff"], angular_cutoff=settings["angular_cutoff"], elements=symbols,
        radial=arrays["radial_shifts"].tolist(), shells=arrays["angular_shifts"].tolist(), sections=arrays["sections"].tolist(),
        eta=float(arrays["eta"]), angular_eta=float(arrays["angular_eta"]), zeta=float(arrays["zeta"]), fade=settings["fade"],
        hidden={s: [len(arrays[f"0.{s}.{t}.weight"]) for t in range(depth[s] - 1)] for s in symbols},
        activation=settings["activation"], bias=settings["bias"],
    ).double()  # fmt: skip
    columns = _columns(arrays["numbers"], len(arrays["radial_shifts"]), len(arrays["angular_shifts"]) * len(arrays["sections"]))
    state = {}
    try:
        for z, number in enumerate(model.elements or ()):
            symbol = periodic_table.symbol(number)
            for t in range(depth[symbol]):
                W = arrays[f"{m}.{symbol}.{t}.weight"]
                state[f"networks.{z}.layers.{t}.weight"] = torch.from_numpy(W[:, columns] if t == 0 else W)
                if settings["bias"]:
                    state[f"networks.{z}.layers.{t}.bias"] = torch.from_numpy(arrays[f"{m}.{symbol}.{t}.bias"])
        model.load_state_dict(state)
    except (IndexError, KeyError, RuntimeError) as error:
        raise ForeignModelError(f"torchani: layers are missing or do not fit together: {error}") from None
    return model


def _columns(numbers: np.ndarray, radial: int, angular: int) -> np.ndarray:
    """For each of our functions, which of theirs it is; their pairs are (0,0), (0,1), … (1,1), …, ours (0,0), (0,1), (1,1), …."""
    place, Z = np.argsort(numbers), len(numbers)  # of our elements among theirs
    pairs = np.zeros((Z, Z), dtype=int)
    pairs[np.triu_indices(Z)] = np.arange(Z * (Z + 1) // 2)
    pairs = np.maximum(pairs, pairs.T)
    blocks = [np.arange(radial) + radial * s for s in place]
    blocks += [np.arange(angular) + Z * radial + angular * pairs[place[s], place[t]] for t in range(Z) for s in range(t + 1)]
    return np.concatenate(blocks)
