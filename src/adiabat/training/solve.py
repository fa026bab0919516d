"""Least squares for linear families: one pass over the data, one minimum, no learning rate.

Each frame gives rows for its energy, forces and strain gradient, which `triangles` keeps; a triangle for each kind of label and each share
of the frames leaves weights and ridge open until the end. A committee's members share them: frames that the same members learn from are
folded into one, and each member is solved for from those it has seen.

The ridge is a Gaussian prior on coefficients of columns scaled to equal size. Weights that were not asked for, and the ridge with them,
are chosen by frames left out (`weighing`). With given weights the ridge is chosen by held-out loss, or, without held-out frames, by
evidence (MacKay, Neural Computation 4, 415 (1992)). A Gaussian process states its prior and its noise itself: its rows are
divided by the noise, those of the prior added, and nothing is left to choose.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adiabat.elements import symbol
from adiabat.graph import Graph, Label, weight_of
from adiabat.kernels.segment import segment_sum
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.training.loss import Loss, Sum, readable, squared_errors
from adiabat.training.problem import Problem
from adiabat.training.spread import not_calibrated, scales
from adiabat.training.triangles import Solution, Triangle, Triangles, ridge_regression
from adiabat.training.weighing import ENOUGH_HELD, committee, folds_of, regression, weighed
from adiabat.typing import Float, Tensor
from adiabat.uncertainty import Committee, calibrate

MOST_COLUMNS = 20_000
LEFT_OUT = {"energy": "energy_rmse_meV_per_atom", "forces": "force_rmse_meV_per_A"}  # as `readable` tells them


def in_noise(rows: Mapping[str, tuple[Tensor, float]], noise: Mapping[str, float], atoms: int, loss: Loss) -> Tensor:
    """A frame's rows in units of their noise; energies and strain gradients, per atom here, have √N times as much as a whole."""
    root = {"energy": math.sqrt(atoms), "forces": 1.0, "stress": math.sqrt(atoms)}
    parts = [part * (root[kind] / noise[kind]) for kind, (part, _) in rows.items() if loss.weights[kind]]
    if "shear" in noise and "stress" in rows and loss.weights["stress"]:
        x, y = torch.triu_indices(3, 3)  # off the diagonal they stand there twice: √2
        parts[-1][x != y] *= math.sqrt(0.5) * noise["stress"] / noise["shear"]
    return torch.cat(parts)


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
    tick: Callable[[int, int], None] | None = None,
) -> Potential:
    """The potential of least loss. Reference energies found by least squares are found again together with the coefficients.

    >>> import numpy as np
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
    if model.tells_variance and members > 1:
        raise ValueError(
            f"{problem.name}: variance and a committee of {members} came; a committee's spread is its uncertainty. Leave one of them out"
        )
    # In float64, from the tables as they will be deployed: those of single precision are rounded already.
    exact: Any = copy.deepcopy(model)
    exact.cpu().double().eval()
    shifts = problem.reference.method == "least squares" and members == 1
    Z, coefficients = len(exact.elements), exact.blocks * exact.size
    columns = coefficients + Z * shifts + 1
    if columns > MOST_COLUMNS:
        raise ValueError(
            f"{problem.name}: {columns} coefficients for {Z} elements would take {8e-9 * columns**2:.0f} GB for each kind of label; "
            f"least squares goes up to {MOST_COLUMNS}. Ask for a smaller basis, or for an optimizer: fit.optimizer: adamw"
        )
    held = Triangles(columns)
    said = _said(tick, len(problem.validation) * (exact.noise is None) + len(problem.train))
    for graph in said(_on_cpu(problem.validation)) if exact.noise is None else ():
        held.add(rows_of(exact, graph, exact.cutoff, eV, shifts), float(weight_of(graph).reshape(-1)[0]))
    open_choice = loss.open and exact.noise is None and len(problem.validation) < ENOUGH_HELD
    fold = folds_of(len(problem.train), problem.together) if open_choice else None
    # Frames that the same members learn from share a triangle; of one member, frames of a fold do.
    sharing: dict[Any, Triangles] = {}
    for k, graph in enumerate(said(_on_cpu(problem.train))):
        rows = rows_of(exact, graph, exact.cutoff, eV, shifts)
        if exact.noise is not None:
            rows = {"all": (in_noise(rows, exact.noise, graph.n_atoms, loss), 1.0)}
        weight = weight_of(graph)[0].expand(members)
        key = tuple((weight > 0).tolist()) if members > 1 or fold is None else fold[k]
        sharing.setdefault(key, Triangles(columns)).add(rows, float(weight.max()))
    parts, everything = list(sharing.values()), range(len(sharing))
    learned = [[k for k, seen in enumerate(sharing) if seen[m]] for m in range(members)] if members > 1 else [everything]
    judges = held if len(problem.validation) >= ENOUGH_HELD else None  # one or two frames would choose by chance
    if exact.noise is not None:
        prior = eV * exact.prior()
        found = [posterior_mean(Triangles.joined([parts[k] for k in which]).of["all"], prior) for which in learned]
    elif members > 1:
        found, loss = committee(parts, learned, judges, loss, frames_judge=fold is not None, tick=tick)
    elif fold is not None:
        found, loss = regression(parts, [(sorted({*everything} - {k}), [k]) for k in everything], loss, Z * shifts, tick=tick)
    elif loss.open and judges is not None:
        found, loss = regression([*parts, judges], [([0], [1])], loss, Z * shifts, tick=tick)
    else:
        loss = weighed(loss)
        found = [ridge_regression(parts[0], judges, loss, Z * shifts)]
    _put(problem, [solution.c[:coefficients].view(-1, exact.size) for solution in found])
    if exact.tells_variance and exact.noise is None:
        _keep_posterior(problem, found[0], sum(part.rows for part in parts), eV, held)
    shift = dict(zip(exact.elements, found[0].c[coefficients:].tolist()))
    _shift_references(problem, shift)
    problem.metadata["training"] |= {"loss": loss.weights} if exact.noise is None else {"noise": exact.noise}
    return _told(problem, found, shift, None if folder is None else Path(folder), progress)


def _said(tick: Callable[[int, int], None] | None, n: int) -> Callable[[Iterable[Graph]], Iterator[Graph]]:
    """Graphs as they come, of all sides together; each is told when it is done."""
    done = 0

    def of(graphs: Iterable[Graph]) -> Iterator[Graph]:
        nonlocal done
        for graph in graphs:
            yield graph
            done += 1
            if tick is not None:
                tick(done, n)

    return of


def _on_cpu(graphs: Iterable[Graph]) -> Iterator[Graph]:
    """Rows are made, and solved for, where descriptors have their derivatives; what was found goes back to the potential's device."""
    return (graph.to(device="cpu") for graph in graphs)


def _put(problem: Problem, coefficients: Sequence[Tensor]) -> None:
    committee = isinstance(problem.learned, Committee)
    members = [problem.learned.member(m) for m in range(problem.learned.size)] if committee else [problem.learned]
    for member, c in zip(members, coefficients, strict=True):
        term: Any = member.terms[0]
        (term.model if isinstance(term, Scaled) else term).put(c)
    if committee:
        problem.learned = Committee.of(members)


def _keep_posterior(problem: Problem, solution: Solution, n: int, eV: float, held: Triangles) -> None:
    """The model gets the roots of its coefficients' covariance, scaled so that the errors of held-out energies are as large as it says."""
    M = solution.covariance_root(n)
    energies = held.of.get("energy")
    if energies is not None and 2 <= energies.rows == len(energies.R):  # rows of frames, not folded yet
        error = energies.R[:, :-1] @ solution.c - energies.R[:, -1]
        told = calibrate(error.numpy(), (energies.R[:, :-1] @ M).square().sum(1).sqrt().numpy())
        M = told.scale * M
        problem.metadata["calibration"] = {
            "variance": {"scale": told.scale, "n": told.n, "coverage": told.coverage,
                         "rank_correlation": None if math.isnan(told.correlation) else told.correlation},
        }  # fmt: skip
    model: Any = linear_model(problem)
    roots = [eV * torch.linalg.qr(block.T, mode="r").R for block in M[: len(model.posterior) * model.size].split(model.size)]
    model.posterior.copy_(torch.stack(roots))


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
    # Where rows are compiled, their library is there: nothing is compiled for these errors alone.
    process = (
        (model := linear_model(problem)) is not None and model.noise is not None and not isinstance(problem.learned, Committee)
    )
    predict = problem.learned.frozen() if process else problem.learned.predictions
    errors: dict[str, Any] = {}
    held: list[Graph] = []
    for side, graphs in (("train", problem.train), ("validation", problem.validation)):
        sums: dict[str, Sum] = {}
        for graph in graphs:
            if shift:
                label = graph.labels["energy"]
                value = label.value - segment_sum(table.to(graph.device)[graph.numbers], graph.structure, graph.n_structures)
                graph = graph.replace(labels={**graph.labels, "energy": Label(value, label.mask)})
            if side == "validation":
                held.append(graph)
            for name, part in squared_errors(predict(graph), graph).items():
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
    if found[0].left_out:
        metadata["training"]["left_out"] = {
            told: 1e3 * found[0].left_out[kind] for kind, told in LEFT_OUT.items() if kind in found[0].left_out
        }
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
