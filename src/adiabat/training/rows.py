"""The rows of least squares: what a structure's labels are for each coefficient of a linear family."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from adiabat.graph import Graph
from adiabat.nn.linear_basis import LinearBasis
from adiabat.training.loss import Loss
from adiabat.typing import Tensor


def rows_of(model: LinearBasis, graph: Graph, cutoff: float, eV: float, shifts: bool) -> dict[str, tuple[Tensor, float]]:
    """The rows of one structure by kind of label, each with how many components they speak for.

    Energies and strain gradients are per atom, as in the loss; the strain gradient, symmetric, has six rows, off-diagonal ones
    counted twice. Columns are sets of coefficients × descriptors, then, with `shifts`, one an element for its reference energy; the last one
    is the label.
    """
    near, Z, N = graph.within(cutoff), len(model.elements or ()), graph.n_atoms
    labeled = graph.labeled
    energy, forces, strain = model.columns(near)
    species = torch.searchsorted(torch.tensor(model.elements), near.numbers)

    def row(x: Tensor, label: Tensor, shift: Tensor | None = None) -> Tensor:
        """x [n, blocks K] with its columns of shifts and of labels."""
        shift = torch.zeros(len(x), Z, dtype=torch.float64) if shift is None else shift
        return torch.cat([eV * x, *([shift] if shifts else []), label.reshape(-1, 1)], 1)

    rows = {}
    if "energy" in labeled:
        counts = torch.bincount(species, minlength=Z)[None].to(torch.float64)
        rows["energy"] = row(energy.view(1, -1) / N, graph.labels["energy"].value / N, counts / N), 1.0
    if "forces" in labeled:
        known = graph.labels["forces"].mask
        by_atom = forces.transpose(1, 2)[known].reshape(-1, model.blocks * model.size)
        rows["forces"] = row(by_atom, graph.labels["forces"].value[known]), 3.0 * float(known.sum())
    if "stress" in labeled and not bool(graph.volume.isnan()[0]):
        x, y = torch.triu_indices(3, 3)
        twice = torch.where(x == y, 1.0, math.sqrt(2)).to(torch.float64)[:, None]
        symmetric = 0.5 * (strain + strain.transpose(1, 2))[:, x, y].transpose(0, 1).reshape(6, -1) / N
        label = (graph.volume[0] * graph.labels["stress"].value[0])[x, y] / N
        rows["stress"] = row(symmetric, label) * twice, 9.0
    return rows


def extent_of(graph: Graph) -> dict[str, tuple[int, float]]:
    """How many rows `rows_of` makes of each kind of label, and how many components they speak for."""
    labeled, found = graph.labeled, {}
    if "energy" in labeled:
        found["energy"] = 1, 1.0
    if "forces" in labeled:
        components = 3 * int(graph.labels["forces"].mask.sum())
        found["forces"] = components, float(components)
    if "stress" in labeled and not bool(graph.volume.isnan()[0]):
        found["stress"] = 6, 9.0
    return found


def in_noise(rows: Mapping[str, tuple[Tensor, float]], noise: Mapping[str, float], atoms: int, loss: Loss) -> Tensor:
    """A frame's rows in units of their noise; energies and strain gradients, per atom here, have √N times as much as a whole."""
    root = {"energy": math.sqrt(atoms), "forces": 1.0, "stress": math.sqrt(atoms)}
    parts = [part * (root[kind] / noise[kind]) for kind, (part, _) in rows.items() if loss.weights[kind]]
    if "shear" in noise and "stress" in rows and loss.weights["stress"]:
        x, y = torch.triu_indices(3, 3)  # off the diagonal they stand there twice: √2
        parts[-1][x != y] *= math.sqrt(0.5) * noise["stress"] / noise["shear"]
    return torch.cat(parts)
