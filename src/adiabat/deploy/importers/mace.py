"""mace-torch's arrays to our `MACE`: the same function, written in our bases.

Components need no change: e3nn's harmonics are ours with the axes renamed cyclically, Y_e3nn(x, y, z) = Y_here(z, x, y). A model
in its components is therefore ours on a turned structure, and an energy does not turn. Its edges point the other way: the same
argument with the inversion. What differs are constants (couplings, activations), which are folded into neighboring matrices, and
the symmetric contractions: our basis is complete and has no dependent couplings, so theirs are expanded in it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat import elements as periodic_table
from adiabat.deploy.importers import mace_extract, trusted
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError, agreed
from adiabat.irreps import Irrep
from adiabat.kernels import Contraction, Convolution
from adiabat.kernels.couplings import monomials
from adiabat.models import MACE
from adiabat.nn.mlp import SILU_SCALE
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.typing import Tensor

MOST = 1 << 26  # numbers of a layer's radial tables
ROUND_OFF = {False: 1e-10, True: 3e-6}  # relative, of couplings; mace-torch rounds them to the precision a model was made in


PEER, FILES = "mace-torch", ".model, a pickle"
TOLERANCE = 1e-3  # a table of 256 intervals stays far below, a misunderstood setting does not


def recognizes(path: Path) -> bool:
    """A pickle with objects of mace-torch, or any file named .model: one that cannot be looked into is reported as such."""
    return trusted.names(path, "mace") or (path.suffix == ".model" and not trusted.is_pickle(path))


def extract(path: Path, trust: bool, elements: Sequence[str] | None = None) -> Extracted:
    """Settings, arrays and answers, where mace-torch is installed."""
    model, version = trusted.unpickled(path, trust, PEER, "mace.modules")
    if isinstance(model, dict):
        raise ForeignModelError(f"{path}: a checkpoint of weights without its model; import the .model file written beside it")
    found = mace_extract.extract(model, version)
    agreed(path, [periodic_table.symbol(int(z)) for z in found.arrays["numbers"]], elements)
    return found


def convert(extracted: Extracted, intervals: int) -> Potential:
    """A float64 potential of `ReferenceEnergies` and scaled `MACE`; a lone atom's readout and the shift become part of E0."""
    settings, arrays = extracted.settings, extracted.arrays
    order = np.argsort(arrays["numbers"])
    model = _empty(settings, arrays, order, intervals).double()
    with torch.no_grad():
        model.embedding.copy_(torch.from_numpy(arrays["embedding"][order]))
        model.neighbors.fill_(settings["avg_num_neighbors"][0])
        for t, layer in enumerate(model.layers):
            _fill_layer(layer, t, settings, arrays, order)
        _fill_readouts(model, settings, arrays)
        lone = _lone(model)
    E0 = arrays["E0"][order] + float(arrays["shift"]) + float(arrays["scale"]) * lone
    symbols = [periodic_table.symbol(int(z)) for z in arrays["numbers"][order]]
    return Potential(ReferenceEnergies(dict(zip(symbols, E0.tolist()))), Scaled(model, eV=float(arrays["scale"])))


def _empty(settings: dict[str, Any], arrays: dict[str, np.ndarray], order: np.ndarray, intervals: int) -> MACE:
    layers, first = settings["layers"], settings["layers"][0]
    channels = first["features"][0][0]
    hidden = "+".join(str(Irrep(l, p)) for _, l, p in (first["hidden"] if len(layers) > 1 else [[0, 0, 1]]))
    l_max = max(l for _, l, _ in first["conv"])
    k = arrays["frequencies"] * settings["r_max"] / pi
    whole = np.arange(1, len(k) + 1)
    correlations = {c for layer in layers for c in layer["correlation"]}
    spherical = [(l, (-1) ** l) for l in range(l_max + 1)]
    multiplicities = {mul for layer in layers for part in ("features", "conv", "hidden") for mul, _, _ in layer[part]}
    states = [layer["features"] for layer in layers] + [layers[-1]["hidden"]]
    for fine, came, wanted in (
        (len(correlations) == 1, f"correlations {sorted(correlations)}", "one correlation for all layers"),
        (multiplicities == {channels}, f"multiplicities {sorted(multiplicities)}", "the same number of channels for every irrep"),
        (all(p == (-1) ** l for state in states for _, l, p in state), f"hidden irreps {hidden}", "0e+1o+2e+…"),
        (all(s == first["hidden"] for s in states[1:-1]), "different hidden irreps by layer", "the same in all layers"),
        (_kinds(states[-1]) == [(0, 1)], "a last layer with more than scalars", "keep_last_layer_irreps off"),
        (all(_kinds(layer["conv"]) == spherical for layer in layers), "other interaction irreps", "spherical ones"),
        (len(set(settings["avg_num_neighbors"])) == 1, "avg_num_neighbors by layer", "one for all layers"),
    ):  # fmt: skip
        if not fine:
            raise ForeignModelError(f"mace-torch: {came}; this importer supports {wanted}")
    last = arrays[f"readout.{len(settings['readouts']) - 1}.0"]
    return MACE(
        cutoff=settings["r_max"],
        channels=channels,
        hidden=hidden,
        l_max=l_max,
        correlation=correlations.pop(),
        layers=len(layers),
        radial=settings["radial"],
        elements=[periodic_table.symbol(int(z)) for z in arrays["numbers"][order]],
        frequencies=len(k) if np.allclose(k, whole, rtol=1e-14, atol=0) else k.tolist(),
        p=settings["p"],
        readout=[last.shape[1]] if settings["readouts"][-1] == "NonLinearReadoutBlock" else [],
        residual_first=settings["residual_first"],
        intervals=intervals if settings.get("transform") is None else _for_pairs(intervals, len(order), settings),
        transform=settings.get("transform"),
    )


def _for_pairs(intervals: int, Z: int, settings: dict[str, Any]) -> int:
    """Fewer intervals where every pair of elements has a table, so that a layer's tables stay below half a GiB in double precision."""
    widest = max(len(layer["paths"]) for layer in settings["layers"]) * settings["layers"][0]["features"][0][0]
    while intervals > 512 and Z * (Z + 1) // 2 * intervals * widest > MOST:
        intervals //= 2
    return intervals


def _kinds(state: list[list[int]]) -> list[tuple[int, int]]:
    return [(l, p) for _, l, p in state]


def _fill_layer(layer: Any, t: int, settings: dict[str, Any], arrays: dict[str, np.ndarray], order: np.ndarray) -> None:
    conv: Convolution = layer.conv
    spec, C, tolerance = settings["layers"][t], len(arrays[f"{t}.up.0e"]), ROUND_OFF[settings["single"]]
    for weight, irrep in zip(layer.up.weights, conv.irreps, strict=True):
        _put(weight, arrays[f"{t}.up.{irrep}"])
    # paths: theirs by number, for each of ours
    theirs = {(i, l, Irrep(l3, p3)): k for k, (i, l, l3, p3) in enumerate(spec["paths"])}
    paths = [theirs.pop((path.input, path.l, path.output)) for path in conv.paths]
    if theirs:
        raise ForeignModelError(f"mace-torch: layer {t} has paths that ours lacks: {sorted(theirs)}")
    _put_radial(layer.radial.mlp.weights, t, settings, arrays, paths, C)
    rows = _mid_rows(spec)
    for o, (weight, irrep) in enumerate(zip(layer.mix.weights, conv.outputs, strict=True)):
        mix = arrays[f"{t}.mix.{irrep}"]
        blocks = [
            _factor(conv, p, arrays[f"{t}.coupling.{k}"], tolerance) * mix[rows[k] : rows[k] + C]
            for p, k in enumerate(paths)
            if conv.slots[p][0] == o
        ]
        _put(weight, np.concatenate(blocks))
    _put(layer.product.weights, _product_weights(layer.product.contraction, t, arrays, tolerance)[order])
    for weight, irrep in zip(layer.update.weights, layer.product.contraction.outputs, strict=True):
        _put(weight, arrays[f"{t}.update.{irrep}"])
    mixed = conv.outputs if layer.select is not None else [conv.irreps[k] for k in layer.kept if k is not None]
    by_species = (layer.skip if layer.select is None else layer.select).weights
    for weight, irrep in zip(by_species, mixed, strict=True):
        _put(weight, np.stack([arrays[f"{t}.skip.{z}.{irrep}"] for z in order]))


def _put_radial(
    weights: Any, t: int, settings: dict[str, Any], arrays: dict[str, np.ndarray], paths: list[int], C: int
) -> None:
    """Constants of their activations go into the next matrix, where ours are; columns take the order of our paths."""
    factor = float(arrays["prefactor"]) / sqrt(2 / settings["r_max"])
    for k, weight in enumerate(weights):
        W = factor * arrays[f"{t}.radial.{k}"]
        if k == len(weights) - 1:
            W = W.reshape(len(W), len(paths), C)[:, paths].reshape(len(W), -1)
        else:
            factor = float(arrays[f"{t}.radial.{k}.act"]) / SILU_SCALE
        _put(weight, W)


def _mid_rows(spec: dict[str, Any]) -> list[int]:
    """For each path, where its channels begin among the inputs of the mixing matrix of its irrep."""
    C = spec["features"][0][0]
    rows = {}
    seen: dict[tuple[int, int], int] = {}
    for k in sorted(range(len(spec["mid"])), key=lambda k: spec["mid"][k]):
        irrep = tuple(spec["paths"][k][2:])
        rows[k] = seen.get(irrep, 0)
        seen[irrep] = rows[k] + C
    return [rows[k] for k in range(len(rows))]


def _factor(conv: Convolution, p: int, theirs: np.ndarray, tolerance: float) -> float:
    """By Schur's lemma a path's coupling is ours times a number."""
    path = conv.paths[p]
    ours, row = np.zeros_like(theirs), conv.irreps.rows[path.input].start
    for term in conv.coefficients:
        if term.path == p:
            ours[term.a - row, term.m - path.l**2, term.c] = term.value
    factor = float((ours * theirs).sum() / (ours * ours).sum())
    if abs(theirs - factor * ours).max() > tolerance * abs(theirs).max():
        raise ForeignModelError(f"mace-torch: the coupling of path {path} is not a Clebsch–Gordan coupling of this basis")
    return factor


def _product_weights(poly: Contraction, t: int, arrays: dict[str, np.ndarray], tolerance: float) -> np.ndarray:
    """Their couplings in our basis, X with U_theirs = X U_ours, and so our weights Xᵀ w [Z, paths, C]."""
    found: list[np.ndarray] = []
    for o, rows in enumerate(poly.outputs.rows):
        for nu in range(1, poly.correlation + 1):
            paths = [p for p, order in enumerate(poly.orders) if order == (o, nu)]
            theirs, w = arrays[f"{t}.U.{o}.{nu}"], arrays[f"{t}.product.{o}.{nu}"]
            place = {monomial: k for k, monomial in enumerate(monomials(poly.irreps.dim, nu))}
            ours = np.zeros((len(paths), *theirs.shape[1:]))
            for q, term in enumerate(poly.terms):
                if rows.start <= term.row < rows.stop and len(term.factors) == nu:
                    ours[:, term.row - rows.start, place[term.factors]] = poly.U[paths, q]
            A, B = ours.reshape(len(paths), -1), theirs.reshape(len(theirs), -1)
            X = np.linalg.lstsq(A.T, B.T, rcond=None)[0] if paths else np.zeros((0, len(B)))  # paths, k
            if abs(X.T @ A - B).max(initial=0) > tolerance * max(1.0, abs(B).max(initial=0)):
                raise ForeignModelError(
                    f"mace-torch: product {t} of order {nu} has couplings outside the symmetric equivariant ones"
                )
            found.append(np.einsum("pk,zkc->zpc", X, w))
    return np.concatenate(found, 1)


def _fill_readouts(model: MACE, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """With use_last_readout_only they have one, and the readouts of the other layers are zero."""
    missing = len(model.readouts) - len(settings["readouts"])
    for t, readout in enumerate(model.readouts):
        for weight in readout.weights:
            weight.zero_()
        if t >= missing:
            first, *second = readout.weights
            _put(first, arrays[f"readout.{t - missing}.0"][: len(first)])
            for weight in second:
                _put(weight, arrays[f"readout.{t - missing}.1"] * float(arrays[f"readout.{t - missing}.act"]) / SILU_SCALE)


def _lone(model: MACE) -> np.ndarray:
    """What the readouts say of an atom without neighbors [Z]: only the skips carry it."""
    h, energy = model.embedding.detach(), torch.zeros(len(model.embedding), dtype=torch.float64)
    for layer, readout in zip(model.layers, model.readouts, strict=True):
        skip = layer.skip.weights[0] if layer.select is None else torch.zeros_like(layer.select.weights[0])
        h = torch.einsum("zc,zcd->zd", h, skip)
        energy = energy + readout(h)[:, 0]
    return energy.numpy()


def _put(weight: Tensor, values: np.ndarray) -> None:
    if weight.shape != values.shape:
        raise ForeignModelError(f"mace-torch: an array of shape {values.shape} where {tuple(weight.shape)} was wanted")
    weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))
