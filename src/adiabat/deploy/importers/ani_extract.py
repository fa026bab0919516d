"""A loaded torchani model as plain settings and arrays, with its answers. Nothing of torchani is imported."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from adiabat.deploy.importers.answers import answers
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError

HARTREE_EV = 27.211386024367243  # torchani's: energies are compared in its own units
FADES = {"CutoffCosine": "cosine", "CutoffSmooth": "smooth"}
ACTIVATIONS = {"TightCELU": "celu", "GELU": "gelu"}


def extract(model: Any, version: str = "") -> Extracted:
    """Settings and arrays of an `ANI` of torchani with its answers on a few clusters. What is not supported is refused by name."""
    model = copy.deepcopy(model).to("cpu", torch.float64).eval()
    members = _members(model)
    aev = model.potentials["nnp"].aev_computer
    radial, angular = aev.radial, aev.angular
    symbols = [str(s) for s in model.symbols]
    networks = [dict(member.atomics.items()) for member in members]
    first = networks[0][symbols[0]]
    kinds = {type(net.activation).__name__ for nets in networks for net in nets.values()}
    _want(len(kinds) == 1 and kinds <= set(ACTIVATIONS), f"activations {', '.join(sorted(kinds))}", "celu or gelu")
    if kinds == {"GELU"}:
        _want(first.activation.approximate == "none", "an approximated gelu", "the exact one")
    settings = {
        "symbols": symbols, "members": len(members), "cutoff": float(radial.cutoff), "angular_cutoff": float(angular.cutoff),
        "fade": FADES[type(radial.cutoff_fn).__name__], "activation": ACTIVATIONS[kinds.pop()], "bias": bool(first.has_biases),
        "layers": {s: len(net.layers) + 1 for s, net in networks[0].items()}, "hartree_eV": HARTREE_EV,
    }  # fmt: skip
    arrays = {
        "numbers": model.atomic_numbers, "self_energies": model.energy_shifter.self_energies * bool(model.energy_shifter._enabled),
        "eta": radial.eta.reshape(()), "radial_shifts": radial.shifts, "angular_eta": angular.eta.reshape(()),
        "zeta": angular.zeta.reshape(()), "angular_shifts": angular.shifts, "sections": angular.sections,
    }  # fmt: skip
    for m, nets in enumerate(networks):
        for symbol, net in nets.items():
            _want(bool(net.has_biases) == settings["bias"], "biases in some networks only", "all or none")
            for t, layer in enumerate([*net.layers, net.final_layer]):
                arrays[f"{m}.{symbol}.{t}.weight"] = layer.weight
                if layer.bias is not None:
                    arrays[f"{m}.{symbol}.{t}.bias"] = layer.bias
    plain = {k: v.detach().numpy() for k, v in arrays.items()}
    plain |= answers(lambda Zs, R: ask(model, Zs, R), plain["numbers"].tolist(), float(radial.cutoff))
    return Extracted(f"torchani {version}".strip(), settings, plain)


def _members(model: Any) -> list[Any]:
    _want(type(model).__name__ == "ANI", f"the model is a {type(model).__name__}", "ANI")
    for name, potential in model.potentials.items():
        _want(
            name == "nnp" or not potential._enabled,
            f"the potential {name} ({type(potential).__name__}) is added",
            "networks alone",
        )
    aev = model.potentials["nnp"].aev_computer
    for term, kind in ((aev.radial, "ANIRadial"), (aev.angular, "ANIAngular")):
        _want(type(term).__name__ == kind, f"the functions are {type(term).__name__}", kind)
        fade = type(term.cutoff_fn).__name__
        _want(fade in FADES, f"the cutoff function is {fade}", " or ".join(FADES))
        if fade == "CutoffSmooth":
            _want(term.cutoff_fn.order == 2, f"a smooth cutoff of order {term.cutoff_fn.order}", "order 2")
    networks = model.potentials["nnp"].neural_networks
    ensemble = type(networks).__name__ == "Ensemble"
    members = [networks.members[m] for m in networks.active_members_idxs] if ensemble else [networks]
    for member in members:
        kind = type(member).__name__
        _want(kind == "ANINetworks", f"the networks are {kind}", "ANINetworks, before to_infer_model()")
        _want(member.out_dim == 1, f"networks with {member.out_dim} outputs", "energies alone")
    return members


def ask(model: Any, numbers: np.ndarray, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (eV/Å) of a cluster by the peer's own model, in double precision."""
    R = torch.tensor(positions, dtype=torch.float64)[None].requires_grad_()
    E = HARTREE_EV * model((torch.as_tensor(numbers)[None], R)).energies.sum()
    (g,) = torch.autograd.grad(E, R)
    return float(E.detach()), -g[0].numpy()


def _want(fine: Any, came: str, wanted: str) -> None:
    if not fine:
        raise ForeignModelError(f"torchani: {came}; this importer supports {wanted}")
