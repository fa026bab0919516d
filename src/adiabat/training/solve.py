"""Least squares for linear families: one pass over the data, one minimum, no learning rate.

Each frame gives rows for its energy, forces and strain gradient, which are folded into a triangle by blocked QR at once: what is
kept is bounded by the square of the basis, whatever the data. Normal equations would square the condition number, which is 1e9
and more here. A triangle for each kind of label (and for held-out frames) leaves weights and ridge open until the end.

The ridge is a Gaussian prior on coefficients of columns scaled to equal size. Its width is chosen by held-out loss, or, without held-out
frames, by evidence (MacKay, Neural Computation 4, 415 (1992)). A Gaussian process states its prior and its noise itself: its rows are
divided by the noise, those of the prior added, and nothing is left to choose.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adiabat.elements import symbol
from adiabat.graph import Graph, Label, weight_of
from adiabat.kernels.segment import segment_sum
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.training.loss import Loss, Sum, readable, squared_errors
from adiabat.training.problem import Problem
from adiabat.training.spread import not_calibrated, scales
from adiabat.typing import Float, Tensor
from adiabat.uncertainty import Committee

EDGES_AT_ONCE = 500  # of which descriptors are worked out together
MOST_COLUMNS = 20_000
RIDGES = np.logspace(-20, 0, 41)  # of the largest squared singular value of the scaled columns
# Weights where none are asked for, chosen on held-out frames of copper's, lithium's and silicon's training sets. A minimizer that goes
# to the end takes weights at their word: stress of plane-wave calculations has errors of several meV/atom that no potential can follow.
LEAST_SQUARES = {"energy": 30.0, "forces": 1.0, "stress": 0.1}


class Triangle:
    """R of the QR decomposition of all rows added so far, weights included; the last column is what they should give.

    >>> t = Triangle(2)
    >>> t.add(torch.tensor([[1.0, 2.0], [1.0, 4.0], [1.0, 3.0]], dtype=torch.float64), 1.0, components=3)
    >>> c = t.R[0, 1] / t.R[0, 0]
    >>> round(float(c), 6), round(float(t.loss(torch.tensor([c]))), 6)
    (3.0, 0.666667)
    """

    def __init__(self, columns: int) -> None:
        self.columns, self.weight, self.rows = columns, 0.0, 0
        self._R = torch.zeros(0, columns, dtype=torch.float64)
        self._new: list[Tensor] = []
        self._pending = 0

    def add(self, rows: Float[Tensor, "n columns"], weight: float, components: float) -> None:
        """Rows of one frame; the loss is a mean, so `components` says how many numbers they speak for."""
        if weight == 0 or not len(rows):
            return
        self._new.append(rows * math.sqrt(weight))
        self._pending += len(rows)
        self.weight, self.rows = self.weight + weight * components, self.rows + len(rows)
        if self._pending > 2 * self.columns:
            self._fold()

    @property
    def R(self) -> Float[Tensor, "n columns"]:
        if self._pending:
            self._fold()
        return self._R

    def _fold(self) -> None:
        together = torch.cat([self._R, *self._new])
        self._R = torch.linalg.qr(together, mode="r").R if len(together) > self.columns else together
        self._new, self._pending = ([], 0)

    def loss(self, c: Float[Tensor, "k"]) -> Tensor:
        """Mean squared error of coefficients c."""
        R = self.R
        return (R[:, :-1] @ c - R[:, -1]).square().sum() / max(self.weight, 1e-300)


@dataclass
class Triangles:
    """One triangle a kind of label."""

    columns: int
    of: dict[str, Triangle] = field(default_factory=dict)

    def add(self, rows: Mapping[str, tuple[Tensor, float]], weight: float) -> None:
        for kind, (part, components) in rows.items():
            self.of.setdefault(kind, Triangle(self.columns)).add(part, weight, components)

    def stacked(self, loss: Loss) -> Tensor:
        """Rows whose squared error is the loss."""
        parts = [
            t.R * math.sqrt(loss.weights[kind] / t.weight) for kind, t in self.of.items() if loss.weights[kind] and t.weight
        ]
        if not parts:
            raise ValueError("no frame has a label that the loss weighs; nothing can be solved for")
        return torch.cat(parts)

    def loss(self, c: Tensor, loss: Loss) -> float:
        return float(sum(loss.weights[kind] * t.loss(c) for kind, t in self.of.items() if t.weight))

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.of.values())


def in_noise(rows: Mapping[str, tuple[Tensor, float]], noise: Mapping[str, float], atoms: int, loss: Loss) -> Tensor:
    """A frame's rows in units of their noise; energies and strain gradients, per atom here, have √N times as much as a whole."""
    root = {"energy": math.sqrt(atoms), "forces": 1.0, "stress": math.sqrt(atoms)}
    return torch.cat([part * (root[kind] / noise[kind]) for kind, (part, _) in rows.items() if loss.weights[kind]])


def posterior_mean(train: Triangle, prior: Float[Tensor, "k k"]) -> Solution:
    """Coefficients of a sparse Gaussian process: min |A c − y|² + |R c|², R its `prior`; columns beyond those of R have none.

    Foster et al., J. Mach. Learn. Res. 10, 857 (2009), section 3.3: by QR, as the square root of the normal equations.
    """
    k, free = len(prior), train.columns - 1 - len(prior)
    known = torch.nn.functional.pad(prior, (0, free + 1))
    nearly = torch.nn.functional.pad(1e-9 * torch.eye(free, dtype=torch.float64), (k, 1))  # an element without any energy
    R = torch.linalg.qr(torch.cat([train.R, known, nearly]), mode="r").R
    c = torch.linalg.solve_triangular(R[:-1, :-1] if len(R) > k + free else R[:, :-1], R[: k + free, -1:], upper=True)
    return Solution(c[:, 0], 0.0, "the model's prior")


@dataclass(frozen=True)
class Solution:
    """Coefficients, the ridge they were found with (of the largest squared singular value), and by what it was chosen."""

    c: Float[Tensor, "k"]
    ridge: float
    chosen_by: str


def ridge_regression(train: Triangles, held: Triangles | None, loss: Loss, free: int = 0) -> Solution:
    """The coefficients of least loss under a Gaussian prior, whose width is chosen; the last `free` columns have nearly none."""
    A = train.stacked(loss)
    A, y = A[:, :-1], A[:, -1]
    scale = A.square().sum(0).sqrt()
    scale = torch.where(
        scale > max(1e-12 * float(scale.max()), 1e-300), scale, torch.inf
    )  # a column without data gets no coefficient
    if free:
        scale[-free:] *= 1e-3
    if not bool(torch.isfinite(scale).any()):
        raise ValueError("every descriptor is zero in every frame: no atom has a neighbor within the model's cutoff; raise it")
    U, S, Vh = torch.linalg.svd(A / scale, full_matrices=False)
    q = U.T @ y
    rest = max(float(y @ y - q @ q), 0.0)
    n = train.rows

    def at(ridge: float) -> Tensor:
        return (Vh.T @ (S / (S.square() + ridge * S[0] ** 2) * q)) / scale

    def evidence(ridge: float) -> float:
        """log p(labels | ridge), the noise at its most probable value."""
        alpha = ridge * float(S[0]) ** 2
        misfit = float((alpha / (S.square() + alpha) * q.square()).sum()) + rest
        return -0.5 * (n * math.log(max(misfit, 1e-300) / n) + float(torch.log1p(S.square() / alpha).sum()))

    if held is not None:
        worth: Callable[[float], float] = lambda ridge: -held.loss(at(ridge), loss)  # noqa: E731
    else:
        worth = evidence
    best = max(RIDGES, key=worth)
    return Solution(at(float(best)), float(best), "evidence" if held is None else "held-out loss")


def rows_of(model: LinearBasis, graph: Graph, cutoff: float, eV: float, shifts: bool) -> dict[str, tuple[Tensor, float]]:
    """The rows of one structure by kind of label, each with how many components they speak for.

    Energies and strain gradients are per atom, as in the loss; the strain gradient, symmetric, has six rows, off-diagonal ones
    counted twice. Columns are sets of coefficients × descriptors, then, with `shifts`, one an element for its reference energy; the last one
    is the label.
    """
    near, Z, K, N = graph.within(cutoff), len(model.elements or ()), model.size, graph.n_atoms
    blocks = blocks_of(model)
    labeled = graph.labeled
    energy = torch.zeros(blocks, K, dtype=torch.float64)
    forces = torch.zeros(N * blocks, 3, K, dtype=torch.float64)
    strain = torch.zeros(blocks, 3, 3, K, dtype=torch.float64)
    species = torch.zeros(N, dtype=torch.int64)
    for at in model.centers(near, EDGES_AT_ONCE):
        B, pieces = model.derivatives(at)
        of_center = torch.zeros_like(at.species) if model.shared else at.species
        energy.index_add_(0, of_center, B)
        species[at.atoms] = at.species
        ends = near.j[at.edges] * blocks + of_center[at.i]
        for edges, J in pieces:
            forces.index_add_(0, ends[edges], J, alpha=-1)
            i = at.i[edges]
            for k in torch.unique_consecutive(i).tolist():
                mine = i == k if int(i[0]) != int(i[-1]) else slice(None)
                # One product sums the pushes on the center and the strain gradient r ⊗ g.
                one_r = torch.cat([at.r.new_ones(len(at.r[edges][mine]), 1), at.r[edges][mine]], 1)
                summed = (one_r.T @ J[mine].flatten(1)).view(4, 3, K)
                block = int(of_center[k])
                forces[(k + at.atoms.start) * blocks + block] += summed[0]
                strain[block] += summed[1:]

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
        by_atom = forces.view(N, blocks, 3, K).transpose(1, 2)[known].reshape(-1, blocks * K)
        rows["forces"] = row(by_atom, graph.labels["forces"].value[known]), 3.0 * float(known.sum())
    if "stress" in labeled and not bool(graph.volume.isnan()[0]):
        x, y = torch.triu_indices(3, 3)
        twice = torch.where(x == y, 1.0, math.sqrt(2)).to(torch.float64)[:, None]
        symmetric = 0.5 * (strain + strain.transpose(1, 2))[:, x, y].transpose(0, 1).reshape(6, -1) / N
        label = (graph.volume[0] * graph.labels["stress"].value[0])[x, y] / N
        rows["stress"] = row(symmetric, label) * twice, 9.0
    return rows


def blocks_of(model: LinearBasis) -> int:
    """How many sets of coefficients there are."""
    return 1 if model.shared else len(model.elements or ())


def linear_model(problem: Problem) -> LinearBasis | None:
    """The model of the problem if it is linear in what it learns."""
    term = problem.learned.terms[0]
    model = term.model if isinstance(term, Scaled) else term
    return model if isinstance(model, LinearBasis) else None


def solve(
    problem: Problem,
    loss: Loss,
    *,
    folder: str | Path | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Potential:
    """The potential of least loss. Reference energies found by least squares are found again together with the coefficients.

    >>> from adiabat import fit
    >>> from adiabat.labelers import labeler
    >>> from adiabat.models.ace import ACE
    >>> from ase.build import bulk
    >>> engine, rng = labeler("ase", calculator="emt"), np.random.default_rng(0)
    >>> frames = [bulk("Cu", cubic=True) for _ in range(12)]
    >>> for atoms in frames:
    ...     atoms.rattle(0.1, rng=rng)
    >>> potential = fit(ACE(cutoff=4.0, channels=4, correlation=2), [engine(atoms) for atoms in frames])
    >>> potential.metadata["training"]["optimizer"]
    'least squares'
    """
    model = linear_model(problem)
    assert model is not None
    members = problem.learned.size if isinstance(problem.learned, Committee) else 1
    eV = problem.learned.terms[0].eV if isinstance(problem.learned.terms[0], Scaled) else 1.0
    # In float64, from the tables as they will be deployed: those of single precision are rounded already.
    exact: Any = copy.deepcopy(model)
    exact.double().eval()
    shifts = problem.reference.method == "least squares" and members == 1
    Z, coefficients = len(exact.elements), blocks_of(exact) * exact.size
    columns = coefficients + Z * shifts + 1
    if columns > MOST_COLUMNS:
        raise ValueError(
            f"{problem.name}: {columns} coefficients for {Z} elements would take {8e-9 * columns**2:.0f} GB for each kind of label; "
            f"least squares goes up to {MOST_COLUMNS}. Ask for a smaller basis, or for an optimizer: fit.optimizer: adamw"
        )
    sides = {"train": [Triangles(columns) for _ in range(members)], "validation": [Triangles(columns)]}
    process = exact.noise is not None
    for side, triangles in sides.items():
        for graph in problem.train if side == "train" else () if process else problem.validation:
            rows = rows_of(exact, graph, exact.cutoff, eV, shifts)
            if process:
                rows = {"all": (in_noise(rows, exact.noise, graph.n_atoms, loss), 1.0)}
            weights = weight_of(graph)[0].expand(members) if side == "train" else weight_of(graph)[0].reshape(-1)[:1]
            for member, weight in zip(triangles, weights.tolist(), strict=True):
                member.add(rows, weight)
    if process:
        found = [posterior_mean(member.of["all"], eV * exact.prior()) for member in sides["train"]]
    else:
        held = sides["validation"][0] if len(problem.validation) else None
        found = [ridge_regression(member, held, loss, free=Z * shifts) for member in sides["train"]]
    _put(problem, [solution.c[:coefficients].view(-1, exact.size) for solution in found])
    shift = dict(zip(exact.elements, found[0].c[coefficients:].tolist()))
    _shift_references(problem, shift)
    problem.metadata["training"] |= {"noise": exact.noise} if process else {"loss": loss.weights}
    return _told(problem, found, shift, None if folder is None else Path(folder), progress)


def _put(problem: Problem, coefficients: Sequence[Tensor]) -> None:
    committee = isinstance(problem.learned, Committee)
    members = [problem.learned.member(m) for m in range(problem.learned.size)] if committee else [problem.learned]
    for member, c in zip(members, coefficients, strict=True):
        term: Any = member.terms[0]
        (term.model if isinstance(term, Scaled) else term).put(c)
    if committee:
        problem.learned = Committee.of(members)


def _shift_references(problem: Problem, shift: Mapping[int, float]) -> None:
    if shift:
        energies = {z: e + shift.get(z, 0.0) for z, e in problem.reference.energies.items()}
        problem.given[0] = ReferenceEnergies({symbol(z): e for z, e in energies.items()})


def _told(problem: Problem, found: Sequence[Solution], shift: Mapping[int, float], folder: Any, progress: Any) -> Potential:
    """The whole potential with its errors, told as a training tells them."""
    table = torch.zeros(max(shift, default=0) + 1, dtype=torch.float64)
    for z, e in shift.items():
        table[z] = e
    problem.learned.eval()
    errors: dict[str, Any] = {}
    held: list[Graph] = []
    for side, graphs in (("train", problem.train), ("validation", problem.validation)):
        sums: dict[str, Sum] = {}
        for graph in graphs:
            if shift:
                label = graph.labels["energy"]
                value = label.value - segment_sum(table[graph.numbers], graph.structure, graph.n_structures)
                graph = graph.replace(labels={**graph.labels, "energy": Label(value, label.mask)})
            if side == "validation":
                held.append(graph)
            for name, part in squared_errors(problem.learned.predictions(graph), graph).items():
                sums[name] = sums[name] + part.detach() if name in sums else part.detach()
        if sums:
            errors[side] = readable(sums)
    metadata = problem.metadata
    metadata["metrics"] = errors
    ridges = [solution.ridge for solution in found]
    metadata["training"] |= {
        "epochs": 1, "optimizer": "least squares", "kept": "last", "ridge": ridges[0] if len(ridges) == 1 else ridges,
        "ridge_chosen_by": found[0].chosen_by,
    }  # fmt: skip
    if isinstance(problem.learned, Committee):
        if held:
            metadata["calibration"] = scales(problem.learned, held)
        else:
            not_calibrated()
    record = {"epoch": 1, "epochs": 1, **errors}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    if progress is not None:
        progress(record)
    return problem.finish()
