"""Potentials of the Atomistic Machine-learning Package (Amp): Gaussian descriptors and one network an element, in an `.amp` text.

The text is Python: two dictionaries written as calls of `dict`, with each other's text within. Here it is parsed, never run: literals
and `dict`, `OrderedDict` of them are all it may hold. Khorshidi and Peterson, Comput. Phys. Commun. 207, 310 (2016).

| Amp | here |
|---|---|
| G2: Σ e^{−η (d − offset)²/R_c²} f_c | η/R_c² |
| G4, G5: 2^{1−ζ} Σ (1 + γ cos θ)^ζ e^{−η (d² + d² (+ d²))/R_c²} f_c f_c (f_c) | narrow, wide; λ = γ |
| `fprange`: every function from −1 to 1; as it is where it never changed | mean and scale |
| slope × network + intercept | a last layer of one number, and the reference energies |
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import number
from adiabat.models import BPNN
from adiabat.nn.symmetry_list import SymmetryFunction
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.typing import Tensor

PEER = "Amp"
FILES = "an .amp text of Gaussian descriptors and neural networks"

ACTIVATIONS = {"tanh": "tanh", "sigmoid": "logistic", "linear": "linear"}
KINDS = {"G2": "radial", "G4": "narrow", "G5": "wide"}
# What a file may say; a word beside them that says something may change what it is.
SAID = {
    "the file": "descriptor model",
    "descriptor": "importname mode version cutoff Gs elements fortran",
    "model": "importname mode version weights scalings hiddenlayers activation fprange fortran checkpoints lossfunction regressor randomseed",
    "G2": "type element eta offset",
    "G4": "type elements eta gamma zeta",
    "G5": "type elements eta gamma zeta",
    "cutoff": "name kwargs",
    "Cosine": "Rc",
    "Polynomial": "Rc gamma",
    "scalings": "slope intercept",
}
DESCRIPTOR, MODEL = ".descriptor.gaussian.Gaussian", ".model.neuralnetwork.NeuralNetwork"


def recognizes(path: Path) -> bool:
    if path.suffix != ".amp" or not path.is_file():
        return False
    return path.read_bytes()[:200].lstrip().startswith((b"dict(", b"{", b"OrderedDict("))


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    whole = _read(path, path.read_text(errors="replace"))
    _known(path, "the file", whole)
    said, model = (_read(path, _get(path, whole, part)) for part in ("descriptor", "model"))
    for what, part, known in (("descriptor", said, DESCRIPTOR), ("model", model, MODEL)):
        if part.get("importname", known) != known:
            raise ForeignModelError(f"{path}: {what} {part['importname']!r} is not supported; known is {known}")
        _known(path, what, part)
    if model.get("mode", "atom-centered") != "atom-centered":
        raise ForeignModelError(f"{path}: mode {model['mode']!r} is not supported; known is 'atom-centered'")
    activation = _get(path, model, "activation")
    if activation not in ACTIVATIONS:
        raise ForeignModelError(f"{path}: activation {activation!r} is not supported; known are {', '.join(ACTIVATIONS)}")
    Gs = _get(path, said, "Gs")
    if not isinstance(Gs, Mapping) or not Gs:
        raise ForeignModelError(f"{path}: Gs of each element came as {type(Gs).__name__}; wanted a dictionary by element")
    known = agreed(path, list(Gs), elements)
    try:
        names = sorted(known, key=number)
    except ValueError as error:
        raise ForeignModelError(f"{path}: Gs: {error}") from None
    for part in ("hiddenlayers", "weights", "scalings", "fprange"):
        if strange := sorted({*map(str, _mapping(path, model, part))} - {*names}):
            raise ForeignModelError(f"{path}: {part} of {strange[0]}; elements are {', '.join(names)}")
    cutoff = _cutoff(path, _get(path, said, "cutoff"))
    functions = {s: [_function(path, s, G, cutoff, names).plain() for G in Gs[s]] for s in names}
    widths = {s: [*(int(n) for n in _sequence(_get(path, model, "hiddenlayers", s))), 1] for s in names}
    names_of = {s: [ACTIVATIONS[activation]] * len(widths[s]) + ["linear"] for s in names}
    made = BPNN(elements=names, functions=functions, hidden=widths, activations=names_of).double()
    energies = {}
    with torch.no_grad():
        for z, (s, network) in enumerate(zip(names, made.networks, strict=True)):
            ranges = _matrix(path, f"fprange {s}", _get(path, model, "fprange", s), (len(functions[s]), 2))
            spread = ranges[:, 1] - ranges[:, 0]
            moves = spread > 1e-8  # Amp's threshold
            made.scale[z, : len(spread)] = torch.where(moves, 2 / torch.where(moves, spread, 1.0), 1.0)
            made.mean[z, : len(spread)] = torch.where(moves, ranges.mean(1), 0.0)
            weights = _get(path, model, "weights", s)
            if len(weights) != len(widths[s]):
                raise ForeignModelError(
                    f"{path}: weights of {s} have {len(weights)} layers; hiddenlayers make {len(widths[s])}"
                )
            for t, layer in enumerate(network.layers[:-1]):
                shape = (layer.in_features + 1, layer.out_features)
                W = _matrix(path, f"weights {s} {t + 1}", _get(path, weights, t + 1), shape)
                layer.weight.copy_(W[:-1].T)
                layer.bias.copy_(W[-1])
            slope, intercept = (float(_get(path, model, "scalings", s, what)) for what in ("slope", "intercept"))
            _known(path, "scalings", _get(path, model, "scalings", s))
            network.layers[-1].weight.fill_(slope)
            network.layers[-1].bias.zero_()
            # Amp's lone atom has the energy of its network at G = 0; here that is a reference energy.
            nothing = (-made.mean[z] * made.scale[z])[None, : len(spread)]
            energies[s] = intercept + float(network(nothing)[0, 0])
    return Potential(ReferenceEnergies(energies), made)


def _cutoff(path: Path, told: Any) -> dict[str, Any]:
    if isinstance(told, int | float):  # of the oldest files
        return {"cutoff": float(told), "fade": "cosine"}
    kind, kwargs = _get(path, told, "name"), _get(path, told, "kwargs")
    _known(path, "cutoff", told)
    if kind in ("Cosine", "Polynomial"):
        _known(path, kind, kwargs)
    if kind == "Cosine":
        return {"cutoff": float(_get(path, kwargs, "Rc")), "fade": "cosine"}
    if kind == "Polynomial":
        return {"cutoff": float(_get(path, kwargs, "Rc")), "fade": "power", "gamma": float(kwargs.get("gamma", 4))}
    raise ForeignModelError(f"{path}: cutoff {kind!r} is not supported; known are Cosine, Polynomial")


def _function(path: Path, center: str, G: Mapping[str, Any], cutoff: dict[str, Any], names: Sequence[str]) -> SymmetryFunction:
    kind = _get(path, G, "type")
    if kind not in KINDS:
        raise ForeignModelError(f"{path}: type {kind!r} of {center} is not supported; known are {', '.join(KINDS)}")
    _known(path, kind, G)
    eta = float(_get(path, G, "eta")) / cutoff["cutoff"] ** 2
    neighbors = _sequence(_get(path, G, "element" if kind == "G2" else "elements"))
    if not set(neighbors) <= set(names):
        raise ForeignModelError(
            f"{path}: a {kind} of {center} names {', '.join(map(str, neighbors))}; elements are {', '.join(names)}"
        )
    try:
        if kind == "G2":
            shift = float(G.get("offset", 0.0))
            return SymmetryFunction("radial", tuple(neighbors), eta=eta, shift=shift, **cutoff)
        pair = tuple(sorted(neighbors, key=number))
        zeta, lambd = (float(_get(path, G, what)) for what in ("zeta", "gamma"))
        return SymmetryFunction(KINDS[kind], pair, eta=eta, zeta=zeta, lambd=lambd, **cutoff)
    except ValueError as error:
        raise ForeignModelError(f"{path}: a {kind} of {center}: {error}") from None


def _known(path: Path, what: str, told: Mapping[str, Any]) -> None:
    unknown = [word for word, value in told.items() if word not in SAID[what].split() and value is not None]
    if unknown:
        raise ForeignModelError(f"{path}: {what} says {unknown[0]!r}, which is not supported")


def _get(path: Path, told: Any, *keys: Any) -> Any:
    for key in keys:
        if not isinstance(told, Mapping) or key not in told:
            raise ForeignModelError(f"{path}: {' '.join(map(str, keys))} is missing; the file is cut short or of another kind")
        told = told[key]
    return told


def _mapping(path: Path, told: Any, key: str) -> Mapping[Any, Any]:
    if not isinstance(found := _get(path, told, key), Mapping):
        raise ForeignModelError(f"{path}: {key} came as {type(found).__name__}; wanted a dictionary by element")
    return found


def _sequence(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def _matrix(path: Path, what: str, rows: Any, shape: tuple[int, int]) -> Tensor:
    try:
        found = torch.tensor(rows, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ForeignModelError(f"{path}: {what} is no matrix of numbers ({error})") from None
    if tuple(found.shape) != shape or not bool(found.isfinite().all()):
        raise ForeignModelError(f"{path}: {what} is {tuple(found.shape)}; wanted {shape}, finite")
    return found


def _read(path: Path, text: Any) -> dict[str, Any]:
    """A dictionary from its text; nothing in it is run."""
    try:
        found = _value(ast.parse(str(text).strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ForeignModelError(f"{path}: no text of Amp, or a damaged one ({str(error)[:100]})") from None
    if not isinstance(found, dict):
        raise ForeignModelError(f"{path}: a {type(found).__name__} came; wanted a dictionary")
    return found


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id="dict" | "OrderedDict"), args=[], keywords=pairs) if all(pair.arg for pair in pairs):
            return {pair.arg: _value(pair.value) for pair in pairs}
        case ast.Call(func=ast.Name(id="dict" | "OrderedDict"), args=[items], keywords=[]):
            return dict(_value(items))
        case ast.Dict(keys=keys, values=values) if all(keys):
            return {_value(k): _value(v) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as x)):
            return -x
        case ast.Constant(value=None | bool() | int() | float() | str() as x) if not isinstance(x, float) or isfinite(x):
            return x
    raise ValueError(f"line {node.lineno} holds {ast.unparse(node)[:60]!r}, which is no plain value")
