"""DeePMD-kit's models in the form all its backends share: `.yaml`, a text, and `.dp`, HDF5 (needs h5py). Both are data without code.

A frozen graph of TensorFlow or PyTorch is a program; DeePMD-kit itself writes it in that form. Its energies of atoms without neighbors
become reference energies.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase import Atoms

from adiabat import elements as periodic_table
from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.deploy.importers.plain_yaml import PlainLoader
from adiabat.graph import Graph
from adiabat.models import DeepPot
from adiabat.models.deeppot import TwoBody
from adiabat.nn.resnet import ACTIVATIONS, ResNet
from adiabat.potential import Potential, ReferenceEnergies

PEER = "deepmd-kit"
FILES = ".yaml and .dp, which `dp convert-backend` makes of its .pb and .pth"

TEXTS, HDF5, PROGRAMS = (".yaml", ".yml"), (".dp", ".hlo"), (".pb", ".pth", ".pt")
INTERVALS, MOST = 8192, 1 << 26  # of the splines; numbers of all tables
KINDS = {"se_e2_a": "se_e2_a", "se_a": "se_e2_a", "se_r": "se_e2_r", "se_e2_r": "se_e2_r", "se_e3": "se_e3", "se_t": "se_e3"}
# what a section may say; what it says beside it has to be nothing: null, false, zero or empty
SAID = {
    "file": "backend software version tf_version pt_version time model model_def_script min_nbor_dist @variables",
    "model": "@class @version @variables type type_map descriptor fitting rcond preset_out_bias data_stat_protect",
    "descriptor": "@class @version @variables type type_map rcut rcut_smth sel neuron axis_neuron resnet_dt set_davg_zero trainable "
    "activation_function precision embeddings env_mat type_one_side list",
    "env_mat": "rcut rcut_smth",
    "fitting": "@class @version @variables type type_map var_name ntypes dim_descrpt dim_out neuron resnet_dt activation_function "
    "precision nets rcond trainable",
    "networks": "@class @version ndim network_type networks ntypes",
    "network": "@class @version activation_function bias bias_out in_dim out_dim layers neuron precision resnet_dt",
    "layer": "@class @version @variables bias use_timestep activation_function resnet precision trainable",
}
VARIABLES = {
    "model": "out_bias out_std",
    "descriptor": "davg dstd",
    "fitting": "bias_atom_e",
    "layer": "w b idt",
    "file": "min_nbor_dist",
}
EMPTY = (
    "case_embd",
    "fparam_avg",
    "fparam_inv_std",
    "aparam_avg",
    "aparam_inv_std",
)  # of parameters that are refused by their number
VERSIONS = {"model": 2, "descriptor": 3, "fitting": 4, "layer": 2}


def recognizes(path: Path) -> bool:
    """By its name and its first bytes."""
    if not path.is_file() or path.suffix not in TEXTS + HDF5 + PROGRAMS:
        return False
    with open(path, "rb") as file:
        head = file.read(1 << 14)
    if path.suffix in TEXTS:
        return b"@class" in head or b"deepmd-kit" in head
    if path.suffix in HDF5 or path.suffix == ".pb":
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("deepmd" in name for name in archive.namelist()) or any(
            b"atomic_model" in archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")
        )


def load(path: Path, elements: Sequence[str] | None) -> Potential:
    """A float64 potential of `ReferenceEnergies` and `DeepPot`."""
    if path.suffix in PROGRAMS:
        before = "" if path.suffix != ".pt" else " (a checkpoint is frozen first: dp --pt freeze)"
        raise ForeignModelError(
            f"{path}: a program, not data; where deepmd-kit is installed, write it as data and import that: "
            f"dp convert-backend {path.name} {path.with_suffix('.yaml').name}{before}; "
            "a .dp is written and read faster than a .yaml, and wants h5py here"
        )
    file = Section._known(_dp(path) if path.suffix in HDF5 else _yaml(path), "file")
    if "model" not in file.data:
        raise ForeignModelError(f"{path}: it has no 'model'; the file is cut short, or no model of deepmd-kit")
    model = file.section("model", "model")
    if model.get("type") != "standard":
        raise ForeignModelError(
            f"{path}: model.type {model.get('type')!r} is not supported; known is 'standard', one potential alone"
        )
    names = model.get("type_map")
    agreed(path, names, elements)
    try:
        order = [names.index(periodic_table.symbol(z)) for z in periodic_table.numbers(names)]
    except (TypeError, ValueError) as error:
        raise ForeignModelError(f"{path}: model.type_map {names}: {error}") from None
    fitting = model.section("fitting", "fitting")
    if fitting.get("type") != "ener" or fitting.get("var_name") != "energy":
        raise ForeignModelError(f"{path}: model.fitting.type {fitting.get('type')!r} is not supported; known is 'ener'")
    whole = model.section("descriptor", "descriptor")
    parts = whole.sections("list", "descriptor") if whole.get("type") == "hybrid" else [whole]
    potential = _model([_settings(part, names) for part in parts], fitting, names)
    for part, at in zip(potential.parts, parts, strict=True):
        _statistics(part.environment, at, order)
        _embeddings(part, at, order)
    lone = _fittings(potential, fitting, order)
    energies = _each(model, "out_bias", len(names)) + _each(fitting, "bias_atom_e", len(names))
    with torch.no_grad():
        raw = potential.outright(Graph.of(Atoms(names[0]), potential.cutoff))[1][-len(names) :].numpy()
    E0 = {names[n]: float(energies[n] + lone[n] + raw[z]) for z, n in enumerate(order)}
    return Potential(ReferenceEnergies(E0), potential)


def _each(at: Section, name: str, count: int) -> np.ndarray:
    found = at.array("@variables", name)
    if found.size != count:
        raise at.wrong(f".@variables.{name} holds {found.size} numbers for {count} elements; the file is cut short or damaged")
    return found.reshape(count)


class Section:
    """A mapping of the file that knows where it stands."""

    def __init__(self, path: Path, where: str, data: Any, arrays: Callable[[Any], Any]) -> None:
        if not isinstance(data, dict):
            raise ForeignModelError(f"{path}: {where or 'the file'} is no mapping; it is cut short or damaged")
        self.path, self.where, self.data, self.arrays = path, where, data, arrays

    def wrong(self, what: str) -> ForeignModelError:
        return ForeignModelError(f"{self.path}: {self.where}{what}")

    def get(self, key: str) -> Any:
        if key not in self.data:
            raise self.wrong(f".{key} is missing; the file is cut short or damaged")
        return self.data[key]

    def section(self, key: str, kind: str) -> Section:
        return self._known(Section(self.path, f"{self.where}.{key}".lstrip("."), self.get(key), self.arrays), kind)

    def sections(self, key: str, kind: str) -> list[Section]:
        if not isinstance(found := self.get(key), list):
            raise self.wrong(f".{key} is no list")
        return [
            self._known(Section(self.path, f"{self.where}.{key}[{n}]", {} if it is None else it, self.arrays), kind)
            for n, it in enumerate(found)
        ]

    @staticmethod
    def _known(it: Section, kind: str) -> Section:
        if kind in SAID:
            for key, value in it.data.items():
                if key not in SAID[kind].split() and not _nothing(value):
                    raise it.wrong(f".{key} = {str(value)[:60]} is not supported")
        variables = it.data.get("@variables")
        for key in variables if isinstance(variables, dict) else ():
            if kind in VARIABLES and key not in (*VARIABLES[kind].split(), *EMPTY):
                raise it.wrong(f".@variables.{key} is not supported")
        version = it.data.get("@version", 1)
        if kind in VERSIONS and not (isinstance(version, int) and version <= VERSIONS[kind]):
            raise it.wrong(f".@version {version} came; this Adiabat reads versions up to {VERSIONS[kind]}")
        return it

    def array(self, *keys: str) -> np.ndarray:
        at: Any = self.data
        where = ".".join((self.where, *keys))
        for key in keys:
            at = at.get(key) if isinstance(at, dict) else None
        try:
            found = np.asarray(self.arrays(at), dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            raise ForeignModelError(
                f"{self.path}: {where} is missing or no array of numbers; the file is cut short or damaged"
            ) from None
        if not np.isfinite(found).all():
            raise ForeignModelError(f"{self.path}: {where} holds numbers that are none")
        return found


def _nothing(value: Any) -> bool:
    return not value or (isinstance(value, list) and all(it is None for it in value))


def _yaml(path: Path) -> Section:
    try:
        with open(path, "rb") as file:
            data = yaml.load(file, PlainLoader)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise ForeignModelError(f"{path}: cut short or damaged ({str(error).splitlines()[0]})") from None
    return Section(path, "", data, lambda it: np.asarray(it["value"], dtype=it["dtype"]))


def _dp(path: Path) -> Section:
    try:
        import h5py
    except ImportError:
        raise ForeignModelError(
            f"{path}: HDF5 needs h5py: pip install h5py; or dp convert-backend {path.name} {path.with_suffix('.yaml').name}"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            data = json.loads(file.attrs["json"])
            held = {f"/{name}".replace("//", "/"): np.asarray(it) for name, it in file.items()}
    except (OSError, KeyError, ValueError) as error:
        raise ForeignModelError(f"{path}: no model of deepmd-kit, cut short or damaged ({error})") from None
    return Section(path, "", data, lambda it: held[it])


def _settings(at: Section, names: Sequence[str]) -> dict[str, Any]:
    """A descriptor's settings as `DeepPot` takes them."""
    kind = at.get("type")
    if kind not in KINDS:
        raise at.wrong(
            f".type {kind!r} is not supported; known are {', '.join(sorted(set(KINDS.values())))} and hybrids of them"
        )
    at.section("env_mat", "env_mat")
    sel, activation = at.get("sel"), at.get("activation_function")
    if len(sel) != len(names) or activation not in ACTIVATIONS:
        raise at.wrong(f": sel {sel} for {len(names)} elements, activation_function {activation!r}: not supported")
    two = KINDS[kind] != "se_e3"
    settings = {
        "descriptor": KINDS[kind], "cutoff": at.get("rcut"), "smooth_from": at.get("rcut_smth"), "neurons": at.get("neuron"),
        "embedding_dt": at.get("resnet_dt"), "activation": activation, "sel": dict(zip(names, sel)),
    }  # fmt: skip
    if two:
        settings["type_one_side"] = at.get("type_one_side")
    if KINDS[kind] == "se_e2_a":
        settings["axis_neurons"] = at.get("axis_neuron")
    numbers = 2 * two * len(names) ** 2 * settings["neurons"][-1]
    return {**settings, "intervals": max(min(INTERVALS, MOST // max(numbers, 1)), 512)}


def _model(parts: list[dict[str, Any]], fitting: Section, names: Sequence[str]) -> DeepPot:
    activation = fitting.get("activation_function")
    if activation not in ACTIVATIONS:
        raise fitting.wrong(f".activation_function {activation!r} is not supported; known are {', '.join(ACTIVATIONS)}")
    settings = parts[0] if len(parts) == 1 else {"descriptor": parts}
    common: Mapping[str, Any] = {"fitting": fitting.get("neuron"), "fitting_dt": fitting.get("resnet_dt")}
    try:
        return DeepPot(elements=list(names), **settings, **common, fitting_activation=activation).double()
    except (TypeError, ValueError) as error:
        raise fitting.wrong(f" and the descriptor make no model: {error}") from None


def _statistics(environment: torch.nn.Module, at: Section, order: list[int]) -> None:
    mean, spread = at.array("@variables", "davg"), at.array("@variables", "dstd")
    alike = all(np.ptp(it, axis=1).max() <= 1e-6 * np.abs(it).max() for it in (mean, spread))
    if mean.ndim != 3 or mean.shape != spread.shape or not alike or np.abs(mean[..., 1:]).any() or not (spread > 0).all():
        raise at.wrong(".@variables.davg and dstd are not those of one radial and one angular column an element: not supported")
    angular = spread[:, 0, 1:] if spread.shape[2] == 4 else np.ones((len(order), 1))
    if np.ptp(angular, axis=1).max() > 1e-6 * angular.max():
        raise at.wrong(
            ".@variables.dstd differs between x, y and z: not supported, a turned structure would have another energy"
        )
    environment.mean.copy_(torch.from_numpy(mean[order, 0, 0]))
    environment.spread.copy_(torch.from_numpy(np.stack([spread[:, 0, 0], angular[:, 0]], 1)[order]))


def _embeddings(part: torch.nn.Module, at: Section, order: list[int]) -> None:
    networks, Z = at.section("embeddings", "networks").sections("networks", "network"), len(order)
    ours: torch.nn.ModuleList
    if not isinstance(part, TwoBody):
        ours = part.networks
        theirs = [a + Z * b for a, b in (sorted((order[s], order[t])) for t in range(Z) for s in range(t + 1))]
    elif len(part.table.networks) == Z:
        ours, theirs = part.table.networks, order
    else:
        ours, theirs = part.table.networks, [order[c] + Z * order[n] for c in range(Z) for n in range(Z)]
    for mine, k in zip(ours, theirs, strict=True):
        if k >= len(networks) or not networks[k].data:
            raise at.wrong(f".embeddings.networks[{k}] is missing; the file is cut short or damaged")
        _network(mine, networks[k])


def _fittings(model: DeepPot, at: Section, order: list[int]) -> np.ndarray:
    """Weights; what comes back are the last layers' biases, for every element of the file."""
    networks = at.section("nets", "networks").sections("networks", "network")
    if len(networks) != len(order):
        raise at.wrong(f".nets holds {len(networks)} networks for {len(order)} elements; the file is cut short or damaged")
    bias = np.zeros(len(order))
    for mine, n in zip(model.fittings, order, strict=True):
        _network(mine, networks[n])
        last = networks[n].sections("layers", "layer")[-1]
        bias[n] = float(last.array("@variables", "b")[0]) if last.get("bias") else 0.0
    return bias


def _network(mine: torch.nn.Module, at: Section) -> None:
    assert isinstance(mine, ResNet)
    layers = at.sections("layers", "layer")
    wanted = len(mine.layers) + (mine.last is not None)
    if len(layers) != wanted:
        raise at.wrong(f" has {len(layers)} layers; wanted {wanted}")
    for layer, it in zip(mine.layers, layers):
        if it.get("activation_function") != layer.activation or (layer.copies and not it.get("resnet")):
            raise it.wrong(
                f": activation {it.get('activation_function')!r}, resnet {it.get('resnet')}: not those of its network"
            )
        _copy(layer.weight, it, "w")
        _copy(layer.bias, it, "b")
        if layer.step is not None:
            _copy(layer.step, it, "idt")
        elif it.data.get("@variables", {}).get("idt") is not None:
            raise it.wrong(".@variables.idt is there, which its network does not say")
    if mine.last is not None:
        if layers[-1].get("activation_function") not in ("none", "linear", None):
            raise layers[-1].wrong(
                f".activation_function {layers[-1].get('activation_function')!r} is not supported in a last layer"
            )
        _copy(mine.last, layers[-1], "w")


@torch.no_grad()
def _copy(to: torch.Tensor, at: Section, name: str) -> None:
    found = torch.from_numpy(at.array("@variables", name))
    if found.numel() != to.numel() or (found.ndim == 2 and to.ndim == 2 and found.shape != to.shape):
        raise at.wrong(f".@variables.{name} has the shape {tuple(found.shape)}; wanted {tuple(to.shape)}")
    to.copy_(found.reshape(to.shape))
