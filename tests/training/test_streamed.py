"""LSQR: the minimum that QR finds, from rows that are gone through again and again."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch

from adiabat.graph import Graph
from adiabat.models import BPNN, GAP, SNAP, ZBL
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.training import fit, solve
from adiabat.training.loss import Loss
from adiabat.training.penalty import Penalty
from adiabat.training.problem import graph_of
from adiabat.training.rows import extent_of, rows_of
from adiabat.training.solvers import LSQR
from adiabat.training.streamed import RIDGES, NotConverged, Rows, cut, streamed
from laws.potentials import cluster
from training.test_solve import LINEAR, frames, imperfect

LOSS = Loss(energy=30.0, forces=1.0, stress=0.1)
SET = {"reference_energies": {"H": -1.0, "O": -2.0}, "wall": False, "loss": {"energy": 30.0, "stress": 0.1}}


@pytest.fixture(scope="module")
def described() -> tuple[list[Graph], dict[int, dict], SNAP]:
    """Graphs of frames, every second one a crystal, with their rows."""
    model = SNAP(cutoff=3.0, twojmax=3, elements=["H", "O"]).double()
    graphs = [graph_of(a, 3.0, Loss(), Potential(ZBL(elements=["H", "O"]))) for a in imperfect(12)]
    return graphs, {id(g): rows_of(model, g, 3.0, 1.0, True) for g in graphs}, model


def rows(graphs: list[Graph], tables: Mapping[int, dict], columns: int, **how) -> Rows:
    return Rows(graphs, lambda graph: tables[id(graph)], columns, LOSS, **how)


def table(graphs: list[Graph], tables: Mapping[int, dict]) -> torch.Tensor:
    kinds: dict[str, list] = {}
    for graph in graphs:
        for kind, part in tables[id(graph)].items():
            kinds.setdefault(kind, []).append(part)
    return torch.cat(
        [torch.cat([x for x, _ in of]) * math.sqrt(LOSS.weights[kind] / sum(n for _, n in of)) for kind, of in kinds.items()]
    )


def by_qr(weighted: torch.Tensor, scale: torch.Tensor, alpha: float) -> torch.Tensor:
    return Penalty(scale, 0, 1.0).solve(weighted, alpha)


def test_extents_are_those_of_the_rows(described):
    graphs, tables, _ = described
    for graph in graphs:
        made = {kind: (len(part), n) for kind, (part, n) in tables[id(graph)].items()}
        assert extent_of(graph) == made


@pytest.mark.parametrize("block", [100, 9], ids=["one block", "four blocks"])
@pytest.mark.parametrize("ridge", [1e-8, 1e-12])
def test_the_minimum_is_that_of_qr(described, block, ridge):
    """The condition number is 1e4 to 1e6 under the ridge; with a tolerance of 1e-12 the iterations leave 1e-8 of the predictions."""
    graphs, tables, model = described
    columns, cuts = 2 * model.size + 3, cut(2, model.size, 2, block)
    assert cuts[-1].stop == columns - 1
    how = LSQR(ridge=ridge, tolerance=1e-12, block=block)
    (found,) = streamed(rows(graphs, tables, columns, memory_MB=100), None, how, LOSS, cuts, free=2)
    weighted = table(graphs, tables)
    close = weighted[:, :-1] @ by_qr(weighted, found.scale, found.alpha)
    assert float((weighted[:, :-1] @ found.c - close).norm() / close.norm()) < 1e-8
    assert found.told["converged"]
    # A ridge is a share of the largest singular value, some percent of which the power steps leave.
    scaled = (weighted[:, :-1] / found.scale)[:, :-2]
    assert found.alpha == pytest.approx(ridge * float(torch.linalg.svdvals(scaled)[0]) ** 2, rel=0.1)


def test_rows_in_memory_on_disk_and_made_anew_lead_to_the_same_bits(described, tmp_path):
    graphs, tables, model = described
    columns, cuts = 2 * model.size + 3, cut(2, model.size, 2, 9)
    found = []
    for keep, memory_MB in (("auto", 100.0), ("auto", 0.0), ("anew", 100.0)):
        source = rows(graphs, tables, columns, keep=keep, memory_MB=memory_MB, folder=tmp_path)
        found.append((source.keep, streamed(source, None, LSQR(ridge=1e-8), LOSS, cuts, free=2)[0].c))
    assert [keep for keep, _ in found] == ["memory", "disk", "anew"]
    assert torch.equal(found[0][1], found[1][1])
    assert torch.equal(found[0][1], found[2][1])
    assert not list(tmp_path.iterdir())  # the file has no name, and nobody has to tidy up


def test_each_member_learns_from_the_frames_it_has_seen(described):
    graphs, tables, model = described
    columns, cuts = 2 * model.size + 3, cut(2, model.size, 2, 9)
    seen = torch.tensor([[1.0, float(k % 2)] for k in range(len(graphs))], dtype=torch.float64)
    shared = [graph.replace(weight=row[None]) for graph, row in zip(graphs, seen, strict=True)]
    known = {id(new): tables[id(old)] for new, old in zip(shared, graphs, strict=True)}
    source = rows(shared, known, columns, memory_MB=100, members=2)
    for m, found in enumerate(streamed(source, None, LSQR(1e-8, 1e-12), LOSS, cuts, members=2, free=2)):
        weighted = table([g for k, g in enumerate(graphs) if seen[k, m]], tables)
        wanted = weighted[:, :-1] @ by_qr(weighted, found.scale, found.alpha)
        assert float((weighted[:, :-1] @ found.c - wanted).norm() / wanted.norm()) < 1e-8


def test_held_out_frames_choose_the_ridge(described):
    graphs, tables, model = described
    columns, cuts = 2 * model.size + 3, cut(2, model.size, 2, 9)
    train, held = graphs[:6], graphs[6:]
    of_held = rows(held, tables, columns, memory_MB=100)
    (found,) = streamed(rows(train, tables, columns, memory_MB=100), of_held, LSQR(), LOSS, cuts, free=2)
    weighted = table(held, tables)
    largest = found.alpha / found.ridge
    losses = {}
    for ridge in RIDGES:
        c = by_qr(table(train, tables), found.scale, ridge * largest)
        losses[ridge] = float((weighted[:, :-1] @ c - weighted[:, -1]).square().sum())
    assert found.ridge == min(losses, key=losses.__getitem__)
    assert found.chosen_by == "held-out loss"
    wanted = float((weighted[:, :-1] @ found.c - weighted[:, -1]).square().sum())
    assert sum(LOSS.weights[kind] * error**2 for kind, error in found.left_out.items()) == pytest.approx(wanted)


def test_too_few_iterations_are_told(described):
    graphs, tables, model = described
    source = rows(graphs, tables, 2 * model.size + 3, memory_MB=100)
    with pytest.warns(NotConverged, match=r"stopped after 2 iterations .* \{lsqr: \{iterations: 20, block: 18\}\}"):
        streamed(source, None, LSQR(1e-12, iterations=2, block=9), LOSS, cut(2, model.size, 2, 9), free=2)


def test_what_does_not_fit_is_solved_by_lsqr(monkeypatch):
    """A bound of twenty in place of twenty thousand."""
    data, graph = imperfect(12), Graph.of(cluster(seed=4), 3.0)
    by_triangles = fit(LINEAR["snap"](), data, [], optimizer="lsqr", **SET)
    monkeypatch.setattr(solve, "MOST_COLUMNS", 10)
    found = fit(LINEAR["snap"](), data, [], **SET)
    told = found.metadata["training"]
    assert (told["optimizer"], told["solver"], told["ridge"], told["converged"]) == ("least squares", "lsqr", 1e-12, True)
    assert torch.equal(found(graph).forces, by_triangles(graph).forces)
    with pytest.raises(ValueError, match=r"SNAP: 17 coefficients for 2 elements .* a prior for each coefficient goes up to 10"):
        fit(LINEAR["snap"](), data, [], optimizer={"least_squares": {"prior": "ard"}}, **SET)
    with pytest.raises(ValueError, match=r"SNAP: .* a variance goes up to 10. Ask for a smaller basis, or do without"):
        fit(SNAP(cutoff=3.0, twojmax=3, elements=["H", "O"], variance=True), data, [], **SET)


def test_a_potential_of_the_family_is_found_again_with_its_reference_energies():
    truth = Potential(ReferenceEnergies({"H": -3.0, "O": -7.0}), LINEAR["ace"]().double())
    torch.manual_seed(3)
    truth.terms[1].product.weights.data.normal_()
    found = fit(LINEAR["ace"](), frames(truth, 16), [], wall=False, optimizer={"lsqr": {"block": 50, "tolerance": 1e-10}})
    graph = Graph.of(cluster(seed=9), 3.0)
    # A ridge of 1e-12 of the largest, where the descriptors are nearly dependent.
    assert torch.allclose(found(graph).energy, truth(graph).energy, atol=1e-3)
    assert torch.allclose(found(graph).forces, truth(graph).forces, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "optimizer", "said"),
    [
        (lambda: BPNN(cutoff=3.0), "lsqr", r"fit.optimizer: lsqr came, and solves for what a model is linear in; bpnn has"),
        (lambda: BPNN(cutoff=3.0), {"least_squares": {"prior": "ard"}}, r"fit.optimizer: least_squares with prior ard came"),
        (
            lambda: GAP(two_body={"cutoff": 3.0, "n_sparse": 4}),
            "lsqr",
            r"fit.optimizer: lsqr came, and .* is a Gaussian process",
        ),
        (LINEAR["snap"], {"lsqr": {"ridges": 1}}, r"fit.optimizer.lsqr: unknown option 'ridges'; did you mean 'ridge'"),
        (LINEAR["snap"], {"least_squares": {"prior": "lasso"}}, r"fit.optimizer.least_squares.prior: got 'lasso'"),
        (LINEAR["snap"], {"lsqr": {"tolerance": 2.0}}, r"lsqr.tolerance: 2.0 came"),
        (lambda: SNAP(cutoff=3.0, twojmax=3, variance=True), "lsqr", r"SNAP: variance came, and LSQR finds no covariance"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(model, optimizer, said):
    with pytest.raises(ValueError, match=said):
        fit(model(), imperfect(4), [], optimizer=optimizer, **SET)
