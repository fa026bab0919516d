"""Automatic relevance determination, beside the evidence written out as a density of all labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.optimize import minimize

from adiabat.deploy.load import load
from adiabat.graph import Graph
from adiabat.models import SNAP
from adiabat.training import fit
from adiabat.training.loss import Loss
from adiabat.training.relevance import each_relevant, relevances
from adiabat.training.triangles import Triangles, ridge_regression
from laws.potentials import cluster
from training.test_solve import imperfect


def table(n: int, k: int, noise: float, seed: int = 0, worst: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows with their labels behind, four coefficients of which are not zero; columns turned towards each other down to 10^worst."""
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(n, k, dtype=torch.float64, generator=rng)
    if worst:
        turn = torch.linalg.qr(torch.randn(k, k, dtype=torch.float64, generator=rng)).Q
        A = A * torch.logspace(0, worst, k, dtype=torch.float64) @ turn
    c = torch.zeros(k, dtype=torch.float64)
    c[:4] = torch.tensor([1.0, -2.0, 0.5, 3.0])
    return torch.cat([A, (A @ c + noise * torch.randn(n, dtype=torch.float64, generator=rng))[:, None]], 1), c


def log_evidence(rows: np.ndarray, precision: np.ndarray) -> float:
    """max over σ² of log N(y; 0, σ² (1 + A Λ⁻¹ Aᵀ)), less the constant −n/2 (1 + log 2π), from the covariance of all labels."""
    A, y, n = rows[:, :-1], rows[:, -1], len(rows)
    C = np.eye(n) + (A / precision) @ A.T
    return -0.5 * n * math.log(y @ np.linalg.solve(C, y) / n) - 0.5 * np.linalg.slogdet(C)[1]


def folded(rows: torch.Tensor) -> Triangles:
    made = Triangles(rows.shape[1])
    made.add({"forces": (rows, float(len(rows)))}, 1.0)
    return made


@pytest.mark.parametrize("worst", [0.0, -4.0])
def test_the_evidence_is_the_density_of_all_labels_and_never_falls(worst):
    rows, _ = table(60, 12, 0.1, worst=worst)
    found = relevances(rows, len(rows), torch.full((12,), 1e-3, dtype=torch.float64))
    assert len(found.evidence) > 3
    assert all(b >= a for a, b in zip(found.evidence[:-1], found.evidence[1:], strict=True))
    for k, precision in ((0, torch.full((12,), 1e-3, dtype=torch.float64)), (-1, found.precision)):
        # a covariance of condition number 1e5, beside QR
        assert found.evidence[k] == pytest.approx(log_evidence(rows.numpy(), precision.numpy()), abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_it_ends_at_a_maximum_of_the_evidence(seed):
    """Beside it a general minimizer of the same density over the logarithms of all precisions, from the same start."""
    rows, _ = table(40, 6, 0.5, seed=seed)
    found = relevances(rows, len(rows), torch.ones(6, dtype=torch.float64), rise=1e-10)
    searched = minimize(
        lambda x: -log_evidence(rows.numpy(), np.exp(x)), np.zeros(6), bounds=[(-20, 20)] * 6, method="L-BFGS-B", tol=1e-14
    )
    # Slopes by differences end some 1e-6 below the top, which is 1e-3 of a precision beside it; precisions without bound end at e^20.
    assert found.evidence[-1] == pytest.approx(-searched.fun, abs=1e-5)
    assert bool((torch.isinf(found.precision).numpy() == (searched.x > 12)).all())
    kept = torch.isfinite(found.precision).numpy()
    assert np.allclose(np.log(found.precision.numpy()[kept]), searched.x[kept], atol=1e-2)


def test_a_sparse_truth_is_recovered():
    """Of sixty columns four matter. Each other one stays with the probability that a standard normal number exceeds 1 in size, 0.32 (Faul and
    Tipping), and is then as small as the noise makes it; 0.63 of 56 is three deviations more."""
    rows, c = table(200, 60, 0.1)
    triangle = folded(rows)
    loss = Loss(energy=1.0, stress=1.0)
    start = ridge_regression(triangle, None, loss)
    (found,) = each_relevant([start], [[triangle]], None, loss, 0, None)
    assert float((found.c[:4] - c[:4]).abs().max()) < 4 * 0.1 / math.sqrt(200)
    assert int((found.c[4:] == 0).sum()) > 56 - 0.5 * 56
    assert torch.equal(found.c != 0, torch.isfinite(found.scale))
    assert found.told["relevant"] == int((found.c != 0).sum())
    assert float((found.c - c).norm()) < 0.7 * float((start.c - c).norm())


def test_columns_that_say_the_same_are_not_lost_together():
    """Of two equal columns one is enough, and each alone looks as if it could go."""
    rows, _ = table(50, 5, 0.1)
    twice = torch.cat([rows[:, :1], rows], 1)
    found = relevances(twice, 50, torch.full((6,), 1e-2, dtype=torch.float64))
    assert float(found.c[0] + found.c[1]) == pytest.approx(1.0, abs=0.06)


def test_the_covariance_is_that_of_the_coefficients_that_are_left():
    rows, _ = table(60, 12, 0.3)
    triangle = folded(rows)
    loss = Loss(energy=1.0, stress=1.0)
    (found,) = each_relevant([ridge_regression(triangle, None, loss)], [[triangle]], None, loss, 0, None)
    kept = found.c != 0
    assert 4 <= int(kept.sum()) < 12
    M = found.covariance_root()
    A, y = rows[:, :-1][:, kept] / math.sqrt(60), rows[:, -1] / math.sqrt(60)
    precision = found.scale[kept].square()
    H = A.T @ A + torch.diag(precision)
    c = torch.linalg.solve(H, A.T @ y)
    sigma2 = ((A @ c - y).square().sum() + (precision * c.square()).sum()) / 60
    assert torch.allclose((M @ M.T)[kept][:, kept], sigma2 * torch.linalg.inv(H), rtol=1e-8)
    assert not (M @ M.T)[~kept].any()


@pytest.fixture(scope="module")
def data() -> list[Atoms]:
    return imperfect(24)


def test_what_does_not_matter_is_zero_in_the_model_and_its_variance(data, tmp_path):
    model = SNAP(cutoff=3.0, twojmax=3, elements=["H", "O"], variance=True)
    options = {"reference_energies": {"H": -1.0, "O": -2.0}, "wall": False, "loss": {"energy": 30.0, "stress": 0.1}}
    potential = fit(model, data[:14], data[14:], optimizer={"least_squares": {"prior": "ard"}}, **options)
    told = potential.metadata["training"]
    learned = potential.terms[1].model
    dropped = learned.coefficients.detach() == 0
    assert int(dropped.sum()) == told["of"] - told["relevant"] > 0
    assert told["evidence_rose_by"] > 0
    assert "ridge" not in told
    for root, zero in zip(learned.posterior, dropped, strict=True):
        assert not root[:, zero].any()
        assert root[:, ~zero].any()
    for name, error in told["left_out"].items():
        assert error == pytest.approx(potential.metadata["metrics"]["validation"][name], rel=1e-5)
    potential.save(tmp_path / "model.adiabat")
    graph = Graph.of(cluster(seed=4), 3.0)
    assert torch.equal(load(tmp_path / "model.adiabat")(graph).outputs["variance"], potential(graph).outputs["variance"])


def test_each_member_of_a_committee_has_its_own_relevances(data):
    options = {"reference_energies": {"H": -1.0, "O": -2.0}, "wall": False, "loss": {"energy": 30.0, "stress": 0.1}}
    model = SNAP(cutoff=3.0, twojmax=1, elements=["H", "O"])
    together = fit(model, data, data[:10], members=3, leave_out=0.25, optimizer={"least_squares": {"prior": "ard"}}, **options)
    told = together.metadata["training"]
    members = [together.member(m).terms[1].model.coefficients for m in range(3)]
    kept = told["relevant"] if isinstance(told["relevant"], list) else [told["relevant"]] * 3
    assert [int(c.count_nonzero()) for c in members] == kept
    assert not torch.equal(members[0], members[1])
