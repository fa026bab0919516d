"""High-dimensional neural network potentials in the folders of n2p2 and RuNNer: `input.nn`, `scaling.data`, `weights.ZZZ.data`.

A folder has no units of its own: they are given, in words, or taken from the comments "Length unit" and "Energy unit" that n2p2's own
folders begin with. Networks see symmetry functions in a fixed order: by center (atomic number), kind, and then by ORDER.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, radians
from pathlib import Path

import torch

from adiabat.data.labels import factors
from adiabat.deploy.importers.extracted import ForeignModelError, agreed
from adiabat.elements import number
from adiabat.models import BPNN
from adiabat.nn.symmetry_list import SymmetryFunction
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.typing import Float, Tensor

PEER = "n2p2"
FILES = "a folder with input.nn, scaling.data and weights.ZZZ.data (also .xz)"
UNITS = ("energy", "length")

# cutoff_type by n2p2's numbers; whether an inner cutoff is heeded
FADES = ("hard", "cosine", "tanh_bare", "tanh", "exp", "poly1", "poly2", "poly3", "poly4")
WITHOUT_INNER = ("hard", "tanh_bare", "tanh")
BUMPS = {"p1": "poly1", "p2": "poly2", "p3": "poly3", "p4": "poly4", "e": "exp"}
ACTIVATIONS = {
    "l": "linear", "t": "tanh", "s": "logistic", "p": "softplus", "r": "relu", "g": "gaussian", "c": "cosine", "S": "falling",
    "e": "exp", "h": "square",
}  # fmt: skip

# type: kind, how many neighbors are named (none: all of them, weighted), and what the words behind them are
TYPES: dict[int, tuple[str, int, str]] = {
    2: ("radial", 1, "eta shift cutoff"),
    3: ("narrow", 2, "eta lambd zeta cutoff [shift]"),
    9: ("wide", 2, "eta lambd zeta cutoff [shift]"),
    12: ("radial", 0, "eta shift cutoff"),
    13: ("narrow", 0, "eta shift lambd zeta cutoff"),
    20: ("radial", 1, "start cutoff bump"),
    21: ("narrow", 2, "start cutoff left right bump"),
    22: ("wide", 2, "start cutoff left right bump"),
    23: ("radial", 0, "start cutoff bump"),
    24: ("narrow", 0, "start cutoff left right bump"),
    25: ("wide", 0, "start cutoff left right bump"),
}
ORDER = {False: "cutoff eta shift zeta lambd neighbors", True: "bump neighbors cutoff start left right"}  # by compactness

PREDICTING = (
    "number_of_elements", "elements", "atom_energy", "cutoff_type", "symfunction_short", "symfunction", "nnp_type", "nnp_gen",
    "nnp_generation", "nnp_type_gen", "scale_symmetry_functions", "scale_symmetry_functions_sigma", "center_symmetry_functions",
    "scale_min_short", "scale_max_short", "global_hidden_layers_short", "global_nodes_short", "global_activation_short",
    "element_hidden_layers_short", "element_nodes_short", "element_activation_short", "normalize_nodes", "mean_energy", "conv_energy",
    "conv_length", "nn_type_short", "use_short_nn",
)  # fmt: skip
REPEATED = (
    "atom_energy", "symfunction_short", "element_hidden_layers_short", "element_nodes_short", "element_activation_short",
)  # fmt: skip
# What only training, or RuNNer's other modes, heed. A word that is in neither list is refused: it may change the potential.
TRAINING = """
analyze_composition analyze_error analyze_error_charge_step analyze_error_energy_step analyze_error_force_step biasweights_max
biasweights_min calculate_final_force calculate_forces calculate_hessian calculate_stress charge_fraction check_forces
check_input_forces data_clustering debug_mode detect_saturation dynforcegroup_start dynforcegroup_step dynforcegroup_steps
energy_fraction energy_threshold energy_update_scaling epochs find_contradictions fitting_unit fix_weights
fixed_short_energy_error_threshold fixed_short_force_error_threshold force_energy_ratio force_fraction force_grouping_by_structure
force_threshold force_update_scaling force_weight gradient_adam_beta1 gradient_adam_beta2 gradient_adam_epsilon gradient_adam_eta
gradient_eta gradient_type growth_mode initial_hardness initialization_only ion_forces_only jacobian_mode
joint_energy_force_update kalman_damp_charge kalman_damp_force kalman_damp_short kalman_epsilon kalman_eta kalman_etamax
kalman_etatau kalman_lambda_charge kalman_lambda_short kalman_nue_charge kalman_nue_short kalman_q0 kalman_qmin kalman_qtau
kalman_type main_error_metric max_energy max_force md_mode memorize_symfunc_results mix_all_points nguyen_widrow_weights
nguyen_widrow_weights_charge nguyen_widrow_weights_ewald nguyen_widrow_weights_short noise_charge noise_energy noise_force
normalize_data_set optmode_charge optmode_short_energy optmode_short_force parallel_mode points_in_memory precondition_weights
print_all_deshort_weights print_all_electrostatic_weights print_all_short_weights print_convergence_vector print_date_and_time
print_force_components print_mad random_number_type random_order_training random_seed read_kalman_matrices read_unformatted
regularize_fit_param remove_atom_energies repeated_energy_update reset_kalman restrict_weights rmse_threshold
rmse_threshold_charge rmse_threshold_energy rmse_threshold_force rmse_threshold_trials rmse_threshold_trials_charge
rmse_threshold_trials_energy rmse_threshold_trials_force runner_mode save_kalman_matrices selection_mode selection_mode_charge
selection_mode_energy selection_mode_force separate_bias_ini_short separate_kalman_short short_energy_error_threshold
short_energy_fraction short_energy_group short_force_error_threshold short_force_fraction short_force_group
shuffle_weights_short_atomic silent_mode steepest_descent_step_charge steepest_descent_step_energy_short
steepest_descent_step_force_short symfunction_correlation task_batch_size_charge task_batch_size_energy task_batch_size_force
test_fraction update_single_element update_strategy update_worst_charges update_worst_short_energies update_worst_short_forces
updater_type use_atom_energies use_old_scaling use_old_weights_charge use_old_weights_short use_short_forces weight_analysis
weights_max weights_min write_fit_statistics write_neuronstats write_pdb write_pov write_pwscf write_runner_mode
write_symfunctions write_temporary_weights write_traincharges write_trainforces write_trainlog write_trainpoints
write_unformatted write_weights_epoch
""".split()


def recognizes(path: Path) -> bool:
    return path.is_dir() and _there(path, "input.nn") is not None


def load(path: Path, elements: Sequence[str] | None, units: Mapping[str, str] | None = None) -> Potential:
    said, comments = _settings(_found(path, "input.nn"))
    where = path / "input.nn"
    told = said.words("elements")
    try:
        names = sorted(told, key=number)
    except ValueError as error:
        raise ForeignModelError(f"{where}: elements: {error}") from None
    agreed(path, names, None if elements is None else sorted(elements, key=number), said.whole("number_of_elements"))
    try:
        scale = factors(_units(where, units, comments), path)
    except ValueError as error:
        raise error if isinstance(error, ForeignModelError) else ForeignModelError(str(error)) from None
    conv = [said.real(f"conv_{what}") if f"conv_{what}" in said.rows else 1.0 for what in ("energy", "length")]
    mean = said.real("mean_energy") if "mean_energy" in said.rows else 0.0
    if len({f in said.rows for f in ("mean_energy", "conv_energy", "conv_length")}) > 1 or min(conv) <= 0:
        raise ForeignModelError(f"{where}: mean_energy, conv_energy and conv_length come together, and the latter two positive")

    functions = _functions(said, names, scale.length)
    shift, factor = _scaling(said, _found(path, "scaling.data"), [len(functions[s]) for s in names])
    shapes = {s: _shape(said, s) for s in names}
    model = BPNN(
        elements=names, functions={s: [f.plain() for f in functions[s]] for s in names},
        hidden={s: shapes[s][0] for s in names}, activations={s: shapes[s][1] for s in names},
    ).double()  # fmt: skip
    with torch.no_grad():
        model.mean.copy_(shift)
        model.scale.copy_(factor)
        for s, network in zip(names, model.networks, strict=True):
            layers = [(layer.weight, layer.bias) for layer in network.layers]
            _weights(_found(path, f"weights.{number(s):03}.data"), layers, "normalize_nodes" in said.rows)
    eV = scale.energy / conv[0]
    for key in REPEATED:
        if strange := [row[0] for row in said.rows.get(key, ()) if row and row[0] not in names]:
            raise ForeignModelError(f"{where}: {key} {strange[0]}: names an element that 'elements' does not")
    own = {row[0]: float(_number(where, "atom_energy", row[1])) for row in said.rows.get("atom_energy", ()) if len(row) > 1}
    # n2p2's lone atom has the energy of its network at G = 0; here that is a reference energy.
    lone = {s: eV * float(e) for s, e in zip(names, at_zero(model), strict=True)}
    return Potential(
        ReferenceEnergies({s: (mean + own.get(s, 0.0)) * scale.energy + lone[s] for s in names}), Scaled(model, eV=eV)
    )


@torch.no_grad()
def at_zero(model: BPNN) -> list[Tensor]:
    """What each element's network gives where all its functions are zero."""
    inputs = (-model.mean * model.scale).unbind(0)
    return [net(x[None, :size])[0, 0] for x, size, net in zip(inputs, model.descriptor.sizes, model.networks, strict=True)]


@dataclass(frozen=True)
class _Said:
    """The keywords of an input.nn with the words behind them, one row a line."""

    where: Path
    rows: dict[str, list[list[str]]]

    def words(self, key: str) -> list[str]:
        if key not in self.rows:
            raise ForeignModelError(f"{self.where}: {key} is missing; the file is cut short or of another kind")
        return self.rows[key][-1]

    def real(self, key: str) -> float:
        words = self.words(key)
        if not words:
            raise ForeignModelError(f"{self.where}: {key} has no value")
        return _number(self.where, key, words[0])

    def whole(self, key: str) -> int:
        return int(self.real(key))


def _settings(path: Path) -> tuple[_Said, list[str]]:
    rows: dict[str, list[list[str]]] = {}
    comments = []
    for line in _text(path).splitlines():
        content, _, comment = line.partition("#")
        comments.append(comment.strip("# "))
        if words := content.partition("!")[0].split():
            key, *rest = words
            if key not in PREDICTING and key not in TRAINING:
                raise ForeignModelError(f"{path}: {key!r} is not supported; if only training heeds it, put # before it")
            rows.setdefault("symfunction_short" if key == "symfunction" else key, []).append(rest)
    for key in PREDICTING:
        if len({tuple(words) for words in rows.get(key, ())}) > 1 and key not in REPEATED:
            raise ForeignModelError(f"{path}: {key} stands there {len(rows[key])} times, with different values")
    said = _Said(path, rows)
    for key, fine in (
        ("nnp_type", ("2G-HDNNP", "2G", "2")), ("nnp_gen", ("2G-HDNNP", "2")), ("nnp_generation", ("2G-HDNNP", "2")),
        ("nnp_type_gen", ("2G-HDNNP", "2")), ("nn_type_short", ("1",)),
    ):  # fmt: skip
        if key in rows and said.words(key)[:1] != [] and said.words(key)[0] not in fine:
            raise ForeignModelError(
                f"{path}: {key} {said.words(key)[0]} is not supported; known is {fine[0]}: no charges, no pairs"
            )
    return said, comments


def _units(where: Path, given: Mapping[str, str] | None, comments: Sequence[str]) -> dict[str, str]:
    """Units in words: given, or what the comments say."""
    told = {}
    for comment in comments:
        if found := re.match(r"(Length|Energy) unit\s*:\s*(\S+)", comment):
            told[found[1].lower()] = {"Ha": "hartree", "eV": "eV"}.get(found[2], found[2].lower())
    units = {**told, **(given or {})}
    for what in UNITS:
        if what not in units:
            raise ForeignModelError(
                f"{where}: says no unit of {what}; give both: units={{'energy': 'hartree', 'length': 'bohr'}}, "
                "or --energy-unit hartree --length-unit bohr"
            )
    return units


def _functions(said: _Said, names: Sequence[str], length: float) -> dict[str, list[SymmetryFunction]]:
    """Those of each element, in the order its network sees them; lengths in Å."""
    fade, inner = _fade(said)
    found: dict[str, list[tuple[tuple, SymmetryFunction]]] = {s: [] for s in names}
    for row in said.rows.get("symfunction_short", ()):
        line = f"{said.where}: symfunction_short {' '.join(row)}"
        if len(row) < 2 or not row[1].isdigit() or int(row[1]) not in TYPES:
            raise ForeignModelError(f"{line}: this type is not supported; known are {', '.join(map(str, TYPES))}")
        kind, named, what = TYPES[int(row[1])]
        neighbors, words, fields = row[2 : 2 + named], row[2 + named :], what.replace("[", "").replace("]", "").split()
        if not {row[0], *neighbors} <= set(names) or len(neighbors) < named:
            raise ForeignModelError(f"{line}: names an element that 'elements' does not")
        if not len(fields) - what.count("[") <= len(words) <= len(fields):
            raise ForeignModelError(f"{line}: {len(words)} parameters; wanted {what}")
        v = {name: word if name == "bump" else _number(line, name, word) for name, word in zip(fields, words)}
        neighbors = sorted(neighbors, key=number)
        key = {"shift": 0.0, **v, "neighbors": [number(s) for s in neighbors]}
        order = (int(row[1]), *(key[name] for name in ORDER["bump" in v].split() if name in key))
        try:
            if "bump" in v:
                bump = str(v.pop("bump"))
                if bump.removesuffix("a") not in BUMPS or bump == "ea":
                    raise ForeignModelError(f"{line}: {bump!r} is not supported; known are {', '.join(BUMPS)}, p1a to p4a")
                angles = (radians(v.pop("left")), radians(v.pop("right"))) if "left" in v else None  # type: ignore[arg-type]
                numbers = {name: value * length for name, value in v.items()}  # type: ignore[operator]
                more = {"fade": BUMPS[bump.removesuffix("a")], "asymmetric": bump.endswith("a"), "angles": angles}
            else:
                unit = {"eta": length**-2, "shift": length, "cutoff": length}
                numbers = {name: value * unit.get(name, 1.0) for name, value in v.items()}  # type: ignore[operator]
                more = {"fade": fade, "inner": inner}
            found[row[0]].append((order, SymmetryFunction(kind, tuple(neighbors), **numbers, **more)))  # type: ignore[arg-type]
        except ValueError as error:
            raise error if isinstance(error, ForeignModelError) else ForeignModelError(f"{line}: {error}") from None
    empty = [s for s in names if not found[s]]
    if empty:
        raise ForeignModelError(f"{said.where}: no symfunction_short of {empty[0]}; the file is cut short")
    return {s: [f for _, f in sorted(found[s], key=lambda pair: pair[0])] for s in names}


def _fade(said: _Said) -> tuple[str, float]:
    words = said.words("cutoff_type")
    kind = int(_number(said.where, "cutoff_type", words[0] if words else ""))
    if not 0 <= kind < len(FADES):
        raise ForeignModelError(f"{said.where}: cutoff_type {kind} is not supported; known are 0 to {len(FADES) - 1}")
    inner = _number(said.where, "cutoff_type", words[1]) if len(words) > 1 else 0.0
    return FADES[kind], 0.0 if FADES[kind] in WITHOUT_INNER else inner


def _scaling(said: _Said, path: Path, sizes: Sequence[int]) -> tuple[Float[Tensor, "Z D"], Float[Tensor, "Z D"]]:
    """Shift and factor of every function: what a network sees is (G − shift) × factor."""
    rows = [line.split() for line in _text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    rows = [row for row in rows if len(row) > 2]  # RuNNer's last line holds two energies
    if len(rows) != sum(sizes):
        raise ForeignModelError(
            f"{path}: {len(rows)} lines for {sum(sizes)} symmetry functions; it is cut short or of another input.nn"
        )
    scaled, centered, sigma = (
        f"{what}_symmetry_functions{more}" in said.rows for what, more in (("scale", ""), ("center", ""), ("scale", "_sigma"))
    )
    sigma = sigma and not (scaled or centered)
    low, high = (
        said.real(f"scale_{x}_short") if f"scale_{x}_short" in said.rows else d for x, d in (("min", 0.0), ("max", 1.0))
    )
    shift, factor = (
        torch.zeros(len(sizes), max(sizes), dtype=torch.float64),
        torch.ones(len(sizes), max(sizes), dtype=torch.float64),
    )
    for row, (z, k) in zip(rows, ((z, k) for z, size in enumerate(sizes) for k in range(size)), strict=True):
        if row[:2] != [str(z + 1), str(k + 1)] or len(row) < 5 + sigma:
            raise ForeignModelError(
                f"{path}: line '{' '.join(row)[:60]}' came; wanted that of element {z + 1}, function {k + 1}"
            )
        least, most, mean = (_number(path, "scaling", word) for word in row[2:5])
        spread = _number(path, "sigma", row[5]) if sigma else most - least
        if scaled or sigma:
            if not spread > 0:
                raise ForeignModelError(
                    f"{path}: function {k + 1} of element {z + 1} is constant and cannot be scaled; remove it"
                )
            factor[z, k] = (high - low) / spread
        offset = low if scaled or sigma else 0.0
        shift[z, k] = (mean if centered or sigma else least if scaled else 0.0) - offset / factor[z, k]
    return shift, factor


def _shape(said: _Said, element: str) -> tuple[list[int], list[str]]:
    """Widths of the hidden layers and names of the activations, the output's last."""

    def words(what: str) -> list[str]:
        for row in said.rows.get(f"element_{what}_short", ()):
            if row[:1] == [element]:
                return row[1:]
        return said.words(f"global_{what}_short")

    depth = int(_number(said.where, "hidden_layers_short", *words("hidden_layers")[:1]))
    widths = [int(_number(said.where, "nodes_short", word)) for word in words("nodes")[:depth]]
    letters = words("activation")[: depth + 1]
    wrong = [letter for letter in letters if letter not in ACTIVATIONS]
    if wrong or len(letters) != depth + 1 or len(widths) != depth:
        raise ForeignModelError(
            f"{said.where}: nodes {widths} and activations {' '.join(letters)} of {element}; wanted {depth} and {depth + 1}, "
            f"activations of {' '.join(ACTIVATIONS)}"
        )
    return widths, [ACTIVATIONS[letter] for letter in letters]


def _weights(path: Path, layers: Sequence[tuple[Tensor, Tensor]], normalized: bool) -> None:
    """One number a line: for each layer the weights from its first neuron, its second, …, then the biases."""
    lines = [line.split() for line in _text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    values = torch.tensor([_number(path, "weights", line[0]) for line in lines], dtype=torch.float64)
    wanted = sum(weight.numel() + bias.numel() for weight, bias in layers)
    if len(values) != wanted:
        raise ForeignModelError(
            f"{path}: {len(values)} numbers; the network of input.nn has {wanted}; the file is cut short or another's"
        )
    at = 0
    for weight, bias in layers:
        n, k = weight.shape
        each = k if normalized else 1
        weight.copy_(values[at : at + n * k].reshape(k, n).T / each)
        bias.copy_(values[at + n * k : at + n * k + n] / each)
        at += n * k + n


def _there(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.xz") if path.is_file()), None)


def _found(folder: Path, name: str) -> Path:
    if (path := _there(folder, name)) is None:
        raise ForeignModelError(
            f"{folder}: {name} is not in it; a potential is input.nn, scaling.data and weights.ZZZ.data of every element"
        )
    return path


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8")
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise ForeignModelError(f"{path}: no text, or a damaged one ({error})") from None


def _number(where: object, what: str, word: str = "") -> float:
    try:
        value = float(word)
    except ValueError:
        value = inf
    if not isfinite(value):
        raise ForeignModelError(f"{where}: {what}: {word!r} is no number")
    return value
