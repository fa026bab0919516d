"""Least squares for linear families: one pass over the data, one minimum, no learning rate.

Each frame gives rows for its energy, forces and strain gradient, which `triangles` keeps; a triangle for each kind of label and each share
of the frames leaves weights and ridge open until the end. A committee's members share them: frames that the same members learn from are
folded into one, and each member is solved for from those it has seen.

The ridge is a Gaussian prior on coefficients of columns scaled to equal size. Weights that were not asked for, and the ridge with them,
are chosen by frames left out (`weighing`). With given weights the ridge is chosen by held-out loss, or, without held-out frames, by
evidence (MacKay, Neural Computation 4, 415 (1992)). With prior ``ard`` each coefficient then gets a prior of its own (`relevance`). A Gaussian
process states its prior and its noise itself: its rows are divided by the noise, those of the prior added, and nothing is left to choose.
Where a triangle would not fit into memory, or LSQR is asked for, `streamed` finds the same minimum by iterations.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from adiabat.training.relevance import each_relevant
from adiabat.training.rows import in_noise, rows_of
from adiabat.training.solvers import LSQR, LeastSquares, refuse_for_processes
from adiabat.training.spread import not_calibrated, scales
from adiabat.training.streamed import Rows, cut, streamed
from adiabat.training.triangles import Solution, Triangles, posterior_mean, ridge_regression
from adiabat.training.weighing import ENOUGH_HELD, Steps, committee, folds_of, regression, weighed
from adiabat.typing import Tensor
from adiabat.uncertainty import Committee, calibrate

MOST_COLUMNS = 20_000
LEFT_OUT = {"energy": "energy_rmse_meV_per_atom", "forces": "force_rmse_meV_per_A"}  # as `readable` tells them


def linear_model(problem: Problem) -> LinearBasis | None:
    """The model of the problem if it is linear in what it learns."""
    term = problem.learned.terms[0]
    model = term.model if isinstance(term, Scaled) else term
    return model if isinstance(model, LinearBasis) else None


def solve(
    problem: Problem,
    loss: Loss,
    how: LeastSquares | LSQR = LeastSquares(),  # noqa: B008 (frozen)
    *,
    remember_MB: float = 0.0,
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
    rows = partial(rows_of, exact, cutoff=exact.cutoff, eV=eV, shifts=shifts)
    posed = _Posed(problem, exact, eV, rows, coefficients + Z * shifts + 1, Z * shifts, members)
    if exact.noise is not None:
        refuse_for_processes(how, problem.name)
    if isinstance(how, LeastSquares) and posed.columns > MOST_COLUMNS:
        how = _otherwise(how, posed)
    if isinstance(how, LSQR):
        found, loss, held = *_by_lsqr(posed, how, loss, tick, remember_MB, folder), None
    else:
        found, loss, held = _by_qr(posed, how, loss, tick)
    _put(problem, [solution.c[:coefficients].view(-1, exact.size) for solution in found])
    if exact.tells_variance and exact.noise is None:
        _keep_posterior(problem, found[0], eV, held)
    shift = dict(zip(exact.elements, found[0].c[coefficients:].tolist()))
    _shift_references(problem, shift)
    problem.metadata["training"] |= {"loss": loss.weights} if exact.noise is None else {"noise": exact.noise}
    return _told(problem, found, shift, None if folder is None else Path(folder), progress)


@dataclass(frozen=True)
class _Posed:
    """A problem as rows: `rows` of a graph, `columns` with that of the labels, the last `free` of the others being reference energies."""

    problem: Problem
    model: Any
    eV: float
    rows: Callable[[Graph], dict[str, tuple[Tensor, float]]]
    columns: int
    free: int
    members: int


def _otherwise(how: LeastSquares, posed: _Posed) -> LSQR:
    """LSQR, where the triangle is too large; what it cannot do is refused."""
    needs = (
        "a prior for each coefficient" if how.prior == "ard" else "a Gaussian process" if posed.model.noise is not None else ""
    )
    if not needs and not posed.model.tells_variance:
        return LSQR()
    raise ValueError(
        f"{posed.problem.name}: {posed.columns} coefficients for {len(posed.model.elements)} elements would take "
        f"{8e-9 * posed.columns**2:.0f} GB for each kind of label; {needs or 'a variance'} goes up to {MOST_COLUMNS}. Ask for a smaller "
        "basis, or do without it"
    )


def _by_lsqr(
    posed: _Posed, how: LSQR, loss: Loss, tick: Callable[[int, int], None] | None, memory_MB: float, folder: str | Path | None
) -> tuple[list[Solution], Loss]:
    problem, loss = posed.problem, weighed(loss)
    if posed.model.tells_variance:
        raise ValueError(
            f"{problem.name}: variance came, and LSQR finds no covariance of the coefficients; leave variance out (a committee's spread is an "
            "uncertainty, too: fit.members: 4), or ask for fit.optimizer: least_squares"
        )
    place = None if folder is None else Path(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {"keep": how.rows, "memory_MB": memory_MB, "folder": place}
    done, first = 0, len(problem.train)

    def make(graph: Graph) -> dict[str, tuple[Tensor, float]]:
        nonlocal done
        rows, done = posed.rows(graph.to(device="cpu")), done + 1
        if tick is not None and done <= first:
            tick(done, first)
        return rows

    train = Rows(problem.train, make, posed.columns, loss, members=posed.members, **kept)
    judged = len(problem.validation) >= ENOUGH_HELD  # one or two frames would choose by chance
    held = Rows(problem.validation, make, posed.columns, loss, **kept) if judged else None
    cuts = cut(posed.model.blocks, posed.model.size, posed.free, how.block)
    steps = Steps(tick, posed.members * 100)
    found = streamed(train, held, how, loss, cuts, members=posed.members, free=posed.free, step=steps.done)
    steps.end()
    return found, loss


def _by_qr(
    posed: _Posed, how: LeastSquares, loss: Loss, tick: Callable[[int, int], None] | None
) -> tuple[list[Solution], Loss, Triangles]:
    """Coefficients, the loss with its weights, and what is kept of held-out frames."""
    problem, noise, members = posed.problem, posed.model.noise, posed.members
    held = Triangles(posed.columns)
    said = _said(tick, len(problem.validation) * (noise is None) + len(problem.train))
    for graph in said(_on_cpu(problem.validation)) if noise is None else ():
        held.add(posed.rows(graph), float(weight_of(graph).reshape(-1)[0]))
    open_choice = loss.open and noise is None and len(problem.validation) < ENOUGH_HELD
    fold = folds_of(len(problem.train), problem.together) if open_choice else None
    # Frames that the same members learn from share a triangle; of one member, frames of a fold do.
    sharing: dict[Any, Triangles] = {}
    for k, graph in enumerate(said(_on_cpu(problem.train))):
        rows = posed.rows(graph)
        if noise is not None:
            rows = {"all": (in_noise(rows, noise, graph.n_atoms, loss), 1.0)}
        weight = weight_of(graph)[0].expand(members)
        key = tuple((weight > 0).tolist()) if members > 1 or fold is None else fold[k]
        sharing.setdefault(key, Triangles(posed.columns)).add(rows, float(weight.max()))
    parts, everything = list(sharing.values()), range(len(sharing))
    learned = [[k for k, seen in enumerate(sharing) if seen[m]] for m in range(members)] if members > 1 else [everything]
    judges = held if len(problem.validation) >= ENOUGH_HELD else None  # one or two frames would choose by chance
    if noise is not None:
        prior = posed.eV * posed.model.prior()
        return [posterior_mean(Triangles.joined([parts[k] for k in which]).of["all"], prior) for which in learned], loss, held
    if members > 1:
        found, loss = committee(parts, learned, judges, loss, frames_judge=fold is not None, tick=tick)
    elif fold is not None:
        found, loss = regression(parts, [(sorted({*everything} - {k}), [k]) for k in everything], loss, posed.free, tick=tick)
    elif loss.open and judges is not None:
        found, loss = regression([*parts, judges], [([0], [1])], loss, posed.free, tick=tick)
    else:
        loss = weighed(loss)
        found = [ridge_regression(parts[0], judges, loss, posed.free)]
    if how.prior == "ard":
        of_members = [[parts[k] for k in which] for which in learned]
        found = each_relevant(found, of_members, judges if members == 1 else None, loss, posed.free, tick)
    return found, loss, held


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


def _keep_posterior(problem: Problem, solution: Solution, eV: float, held: Triangles | None) -> None:
    """The model gets the roots of its coefficients' covariance, scaled so that the errors of held-out energies are as large as it says."""
    M = solution.covariance_root()
    energies = None if held is None else held.of.get("energy")
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
        "ridge_chosen_by": found[0].chosen_by, **_together([solution.told for solution in found]),
    }  # fmt: skip
    if ridges[0] is None:  # each coefficient has its own
        del metadata["training"]["ridge"]
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


def _together(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is told of each member: once where all say the same, else by member."""
    by_name = {name: [one[name] for one in told] for name in told[0]}
    return {name: values[0] if len(values) == 1 or len(set(values)) == 1 else values for name, values in by_name.items()}
