"""PaiNN from schnetpack 2 (Schütt et al., J. Chem. Theory Comput. 15, 448 (2019); J. Chem. Phys. 158, 144801 (2023)).

schnetpack keeps its models as pickles, which run code when they are read; `schnetpack_extract` asks a loaded one for its numbers.
Where they are at hand already (`numpy.savez("painn.npz", **{k: v.numpy() for k, v in model.state_dict().items()})` in its own
environment), `painn(read("painn.npz"), elements)` needs no trust.

Widths, layers, basis and cutoff follow from the numbers. The elements are those with a single-atom reference, else for you to say,
for schnetpack has a row for each of a hundred.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from adiabat.data.labels import factors
from adiabat.deploy.importers import schnetpack_extract, trusted
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError
from adiabat.elements import symbol
from adiabat.graph import Graph
from adiabat.models import PaiNN
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.told import warn
from adiabat.typing import Tensor

EPSILON = 1e-8  # schnetpack's, which its files do not hold
PEER, FILES = "schnetpack", "a pickled NeuralNetworkPotential, such as best_model"
TOLERANCE = 1e-3  # a table of 256 intervals stays far below, a misunderstood setting does not


def recognizes(path: Path) -> bool:
    """A pickle with objects of schnetpack."""
    return trusted.names(path, "schnetpack")


def extract(path: Path, trust: bool, elements: Sequence[str] | None = None) -> Extracted:
    """Settings, arrays and answers, where schnetpack is installed."""
    model, version = trusted.unpickled(path, trust, PEER, "schnetpack")
    return schnetpack_extract.extract(model, version, path, elements)


def in_units(extracted: Extracted, units: Mapping[str, str] | None) -> Extracted:
    """With the factor to eV of `units` ({"energy": "kcal/mol"}): schnetpack keeps its units with the data, not with the model."""
    if units is None:
        warn(
            f"{extracted.source}'s models do not tell their units; this one is taken for eV and Å. One trained in others has to say so: "
            "--energy-unit kcal/mol, or units={'energy': 'kcal/mol'}",
        )
        return extracted
    try:
        scale = factors(dict(units), extracted.source)
    except ValueError as error:
        raise ForeignModelError(str(error)) from None
    if scale.length != 1:
        raise ForeignModelError(f"{extracted.source}: a length unit {units['length']} is not supported; known is angstrom")
    arrays = dict(extracted.arrays)
    for name in ("check.energy", "check.forces"):
        arrays[name] = scale.energy * arrays[name]
    return Extracted(extracted.source, extracted.settings | {"energy_eV": scale.energy}, arrays)


def convert(extracted: Extracted, intervals: int) -> Potential:
    """`painn` of an extracted model, its single-atom energies added to the lone atoms'."""
    arrays = extracted.arrays
    symbols = [symbol(int(z)) for z in arrays["numbers"]]
    numbers = {k.removeprefix("state."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("state.")}
    try:
        potential = painn(numbers, symbols, intervals=intervals)
    except ValueError as error:
        raise ForeignModelError(f"{extracted.source}: {error}") from None
    model, references = potential.terms
    eV = extracted.settings.get("energy_eV", 1.0)
    E0 = {s: eV * (references.table[z] + float(e)) for s, z, e in zip(symbols, arrays["numbers"], arrays["E0"], strict=True)}
    return Potential(model if eV == 1 else Scaled(model, eV=eV), ReferenceEnergies(E0))


def read(path: str | Path) -> dict[str, Tensor]:
    """The numbers of an .npz file by their names; no pickles within."""
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def painn(numbers: Mapping[str, Any], elements: Sequence[str], intervals: int = 256) -> Potential:
    """The potential of a schnetpack PaiNN with an energy readout, from its state dict; energies in the units it was trained in.

    Radial filters become splines of `intervals` pieces (the error falls as intervals⁻⁴). A lone atom's energy, which schnetpack
    leaves in the network, becomes a reference energy. The dtype is that of the numbers.

    | schnetpack | here |
    |---|---|
    | `filter_net` | `messages.t.filter`, its bias the last function; Y_1 = √3 r̂ |
    | `mu_channel_mix`: V, W | `updates.t`: V, U |
    | `intraatomic_context_net`: Δq, Δμ, q·μ | `updates.t.a`: a_ss, a_vv, a_sv |

    Raises ValueError for numbers that are not those of a PaiNN, or that it does not know (embeddings of charge or spin, trained
    scales and offsets of energies).
    """
    state = {name: torch.as_tensor(value) for name, value in numbers.items()}
    kind, net = _shape(state)
    model = PaiNN(**kind, elements=list(elements), epsilon=EPSILON, intervals=intervals)
    F, layers = kind["channels"], kind["layers"]
    W, bias = state.pop("filter_net.weight").unflatten(0, (-1, F)), state.pop("filter_net.bias").unflatten(0, (-1, F))
    if kind["basis"] == "bessel":
        W = W / math.sqrt(2 / model.cutoff)  # schnetpack's are sin(kπd/r_c)/d
    functions = torch.cat([W, bias[..., None]], -1).unflatten(0, (-1, 3)).clone()  # layers or 1, paths, F, radial + 1
    functions[:, 1] /= math.sqrt(3)
    ours: dict[str, Tensor] = {"embedding": state.pop("embedding.weight")[torch.tensor(model.elements)]}
    for t in range(layers):
        paths = 2 if t == 0 else 3  # v = 0 in the first layer
        ours[f"messages.{t}.filter.mlp.weights.0"] = functions[t % len(functions), :paths].flatten(0, 1).T
        V, U = state.pop(f"mixing.{t}.mu_channel_mix.weight").split(F)
        ours |= {f"updates.{t}.U": U.T, f"updates.{t}.V": V.T}
        order = [0, 2] if t == layers - 1 else [0, 2, 1]
        for part in ("weight", "bias"):
            for layer, place in ((0, 0), (1, 2)):
                phi = state.pop(f"interactions.{t}.interatomic_context_net.{layer}.{part}")
                a = state.pop(f"mixing.{t}.intraatomic_context_net.{layer}.{part}")
                if layer:
                    phi, a = phi[: paths * F], torch.cat([a.unflatten(0, (3, F))[k] for k in order])
                ours |= {f"messages.{t}.phi.{place}.{part}": phi, f"updates.{t}.a.{place}.{part}": a}
    ours |= {"readout.0.weight": net["0.weight"], "readout.0.bias": net["0.bias"], "readout.2.weight": net["1.weight"]}
    if state:
        raise ValueError(f"schnetpack's {sorted(state)[0]!r} has no counterpart in painn; this file cannot be imported exactly")
    model = model.double()
    model.load_state_dict({name: value.contiguous() for name, value in ours.items()})
    with torch.no_grad():
        _, energies = model.eval().outright(Graph.of(Atoms(elements[0]), model.cutoff))
    bias = float(net["1.bias"])
    lone = {symbol(z): float(e) + bias for z, e in zip(model.elements or (), energies[1:], strict=True)}
    return Potential(model.to(W.dtype), ReferenceEnergies(lone))


def _shape(state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Constructor arguments, and the readout's numbers; what is read is taken out of `state`, the rest loses its prefix."""
    net: dict[str, Tensor] = {}
    for name in list(state):
        value = state.pop(name)
        if found := re.fullmatch(r"output_modules\.0\.outnet\.([01]\.(weight|bias))", name):
            net[found[1]] = value
        else:
            state[name.removeprefix("representation.")] = value
    for name in (
        "embedding.weight",
        "filter_net.weight",
        "filter_net.bias",
        "cutoff_fn.cutoff",
        "mixing.0.mu_channel_mix.weight",
    ):
        if name not in state:
            raise ValueError(f"these are not the numbers of a schnetpack PaiNN: {name!r} is not among them")
    if set(net) != {"0.weight", "0.bias", "1.weight", "1.bias"}:
        raise ValueError(f"a readout of two layers is wanted, output_modules.0.outnet has {sorted(net)}")
    cutoff = float(state.pop("cutoff_fn.cutoff")[0])
    gaussian = "radial_basis.offsets" in state
    functions = state.pop("radial_basis.offsets" if gaussian else "radial_basis.freqs")
    radial = len(functions)
    steps = torch.arange(radial) * cutoff / (radial - 1) if gaussian else torch.arange(1, radial + 1) * math.pi / cutoff
    widths = state.pop("radial_basis.widths", None)
    if not torch.allclose(functions.double(), steps.double(), rtol=1e-5) or (
        widths is not None and not torch.allclose(widths.double(), torch.tensor(cutoff / (radial - 1)).double(), rtol=1e-5)
    ):
        raise ValueError(
            "radial functions other than schnetpack's GaussianRBF or BesselRBF from 0 to the cutoff are not known here"
        )
    channels = state["embedding.weight"].shape[1]
    layers = sum(name.endswith("mu_channel_mix.weight") for name in state)
    kind = {"cutoff": cutoff, "channels": channels, "layers": layers, "radial": radial}
    return {**kind, "basis": "gaussians" if gaussian else "bessel"}, net
