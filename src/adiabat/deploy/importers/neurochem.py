"""ANI models as NeuroChem keeps them, and as ANI-1x, ANI-1ccx and ANI-2x were published: an `.info` file and what it names.

| line of the .info | what |
|---|---|
| 1 | `.params`: cutoffs, η, ζ, shifts, angles, elements |
| 2 | `.dat`: self energies in hartree |
| 3 | prefix of the members' folders: prefix0/networks/ANN-H.nnf, … with `.wparam` and `.bparam` beside them |
| 4 | how many members |

Paths count from the folder of the `.info`. An `.nnf` is a compressed text of layers; weights and biases are float32, row by row.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adiabat import elements as periodic_table
from adiabat.deploy.importers import ani
from adiabat.deploy.importers.ani_extract import HARTREE_EV
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError, agreed
from adiabat.potential import Potential

PEER, FILES = "NeuroChem", ".info of an ANI model, with the files it names beside it"
CELU, LINEAR = 9, 6  # activations by NeuroChem's numbers; the last layer is linear
NUMBERS = {"EtaR": "eta", "EtaA": "angular_eta", "Zeta": "zeta"}
LISTS = {"ShfR": "radial_shifts", "ShfA": "angular_shifts", "ShfZ": "sections"}
PARAMETERS = {"TM", "Rcr", "Rca", "Atyp", *NUMBERS, *LISTS}
# of a layer, what a network's answer does not depend on; batch normalization and layers of other types have to be off
TRAINING = {"dropout", "dropset", "maskupdate", "maxnorm", "norm", "normupdate", "l2norm", "l2valu"}
LAYER, OFF = {"nodes", "blocksize", "activation", "weights", "biases"}, {"type", "btchnorm"}


def recognizes(path: Path) -> bool:
    """An .info file whose first line names a .params file."""
    if path.suffix != ".info" or not path.is_file():
        return False
    return path.read_bytes()[:4096].partition(b"\n")[0].strip().endswith(b".params")


def load(path: Path, elements: Sequence[str] | None = None) -> Potential:
    """A float64 potential, or a committee of them, by `ani.convert`."""
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if len(lines) != 4 or not lines[3].isdigit():
        raise ForeignModelError(f"{path}: wanted four lines, .params, .dat, prefix and a number of members; {len(lines)} came")
    settings, arrays = _parameters(path.parent / lines[0])
    symbols = agreed(path, settings["symbols"], elements)
    arrays["self_energies"] = _self_energies(path.parent / lines[1], symbols)
    settings |= {"members": int(lines[3]), "layers": {}}
    for m in range(settings["members"]):
        for symbol in symbols:
            layers = _network((path.parent / f"{lines[2]}{m}") / "networks" / f"ANN-{symbol}.nnf")
            settings["layers"][symbol] = len(layers)
            for t, (weight, bias) in enumerate(layers):
                arrays |= {f"{m}.{symbol}.{t}.weight": weight, f"{m}.{symbol}.{t}.bias": bias}
    try:
        return ani.convert(Extracted(PEER, settings, arrays))
    except ForeignModelError as error:
        raise ForeignModelError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    if not path.is_file():
        raise ForeignModelError(f"{path}: the .info file names it, and it is not there")
    return path.read_text()


def _parameters(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    found = _once(path, re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", _text(path), re.MULTILINE))
    if found.get("TM", "1") != "1":
        raise ForeignModelError(f"{path}: TM = {found['TM']} is not supported; known is 1")
    missing = [name for name in ("Rcr", "Rca", "Atyp", *NUMBERS, *LISTS) if name not in found]
    if missing:
        raise ForeignModelError(f"{path}: {', '.join(missing)} not found")
    if unknown := sorted({*found} - PARAMETERS):
        raise ForeignModelError(f"{path}: {unknown[0]!r} is not supported")
    try:
        values = {
            name: np.array([float(x) for x in found[name].strip("[]").split(",")]) for name in (*NUMBERS, *LISTS, "Rcr", "Rca")
        }
    except ValueError as error:
        raise ForeignModelError(f"{path}: {error}") from None
    many = [name for name in NUMBERS if len(values[name]) != 1]
    if many:
        raise ForeignModelError(f"{path}: {many[0]} has {len(values[many[0]])} values; this importer supports one")
    symbols = [x.strip() for x in found["Atyp"].strip("[]").split(",")]
    arrays = {ours: values[theirs][0] for theirs, ours in NUMBERS.items()} | {
        ours: values[theirs] for theirs, ours in LISTS.items()
    }
    arrays["numbers"] = np.array([periodic_table.number(symbol) for symbol in symbols])
    settings = {
        "symbols": symbols, "cutoff": float(values["Rcr"][0]), "angular_cutoff": float(values["Rca"][0]), "fade": "cosine",
        "activation": "celu", "bias": True, "hartree_eV": HARTREE_EV,
    }  # fmt: skip
    return settings, arrays


def _self_energies(path: Path, symbols: Sequence[str]) -> np.ndarray:
    found = _once(path, re.findall(r"^\s*(\w+)\s*,\s*\d+\s*=\s*(\S+)", _text(path), re.MULTILINE))
    missing = [symbol for symbol in symbols if symbol not in found]
    if missing:
        raise ForeignModelError(f"{path}: no self energy of {', '.join(missing)}")
    if strange := sorted({*found} - {*symbols}):
        raise ForeignModelError(f"{path}: a self energy of {strange[0]}; elements are {', '.join(symbols)}")
    try:
        return np.array([float(found[symbol]) for symbol in symbols])
    except ValueError as error:
        raise ForeignModelError(f"{path}: {error}") from None


def _once(path: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ForeignModelError(f"{path}: {next(name for name in names if names.count(name) > 1)} stands there twice")
    return found


def _network(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights [out, in] and biases [out] of each layer, float64."""
    if not path.is_file():
        raise ForeignModelError(f"{path}: no such file; the .info file counts on it")
    try:
        text = bz2.decompress(path.read_bytes().partition(b"=")[2][1:]).decode("ascii", "replace")
    except (OSError, ValueError, EOFError) as error:
        raise ForeignModelError(f"{path}: damaged or cut short ({error})") from None
    layers, blocks = [], re.split(r"\blayer\b", text)[1:]
    for k, block in enumerate(blocks):
        said = _once(path, re.findall(r"\b([a-z]\w*)\s*=\s*([^;\s]+)\s*;", block))
        if unknown := sorted({*said} - TRAINING - LAYER - OFF):
            raise ForeignModelError(f"{path}: layer {k}: {unknown[0]!r} is not supported")
        if on := [name for name in sorted(OFF) if said.get(name, "0") != "0"]:
            raise ForeignModelError(f"{path}: layer {k} has {on[0]} {said[on[0]]}; this importer supports 0")
        number = {name: re.search(rf"\b{name}\s*=\s*(\d+)\s*;", block) for name in ("nodes", "blocksize", "activation")}
        file = {name: re.search(rf"\b{name}\s*=\s*FILE:\s*([^\s/\[]+)\[(\d+)\]", block) for name in ("weights", "biases")}
        absent = [name for name, match in {**number, **file}.items() if match is None]
        if absent:
            raise ForeignModelError(f"{path}: layer {k} says nothing of {absent[0]}")
        nodes, size, activation = (int(match[1]) for match in number.values() if match is not None)
        wanted = LINEAR if k == len(blocks) - 1 else CELU
        if activation != wanted:
            raise ForeignModelError(f"{path}: layer {k} has activation {activation}; this importer supports {wanted} there")
        weight, bias = (_floats(path.parent / match[1], path) for match in file.values() if match is not None)
        if weight.size != nodes * size or bias.size != nodes:
            raise ForeignModelError(
                f"{path}: layer {k} is {size} → {nodes}, its files hold {weight.size} weights and {bias.size} biases"
            )
        layers.append((weight.reshape(nodes, size), bias))
    if not layers:
        raise ForeignModelError(f"{path}: no layer in it")
    return layers


def _floats(path: Path, named_in: Path) -> np.ndarray:
    if not path.is_file() or path.stat().st_size % 4:
        raise ForeignModelError(f"{path}: {'cut short' if path.is_file() else f'missing; {named_in.name} names it'}")
    return np.fromfile(path, dtype="<f4").astype(np.float64)
