"""Reference energies found along have nearly no prior: what is chosen, and what it means, is as if they were not there."""

from __future__ import annotations

import math

import pytest
import torch
from ase import Atoms

from adiabat.data.structure import labeled
from adiabat.models import SNAP
from adiabat.training import fit
from adiabat.training.equations import RIDGES, Coordinates, Equations, stacked
from adiabat.training.loss import Loss
from adiabat.training.penalty import NEARLY_NONE, Penalty
from adiabat.training.triangles import Solution, Triangles, ridge_regression
from adiabat.training.weighing import regression, weighed
from training.test_solve import imperfect

K, FREE, PARTS = 8, 2, 4
OFFSETS = torch.tensor([-3.0, 5.0], dtype=torch.float64)  # eV, of two elements
GIVEN = Loss(energy=30.0, forces=1.0, stress=0.1)
Rows = list[dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Energies and forces of four parts. In each, descriptors and labels of energies have nothing in common with the composition, beyond
    its own offset: so the best offsets are known, in whatever parts they are found."""
    rng = torch.Generator().manual_seed(2)
    turn = torch.linalg.qr(torch.randn(K, K, dtype=torch.float64, generator=rng)).Q
    c, parts = torch.randn(K, dtype=torch.float64, generator=rng), []
    for _ in range(PARTS):
        part = {}
        for kind, n in (("energy", 14), ("forces", 30)):
            A = torch.randn(n, K, dtype=torch.float64, generator=rng) * torch.logspace(0, -6, K, dtype=torch.float64) @ turn
            y = A @ c + 1e-4 * torch.randn(n, dtype=torch.float64, generator=rng)
            share = torch.rand(n, 1, dtype=torch.float64, generator=rng)
            counts = torch.cat([share, 1 - share], 1) * (kind == "energy")
            own = torch.cat([A, y[:, None]], 1)
            own -= counts @ torch.linalg.lstsq(counts, own, driver="gelsd").solution
            part[kind] = torch.cat([own[:, :K], counts, own[:, K:] + (counts @ OFFSETS)[:, None]], 1)
        parts.append(part)
    return parts


def folded(rows: Rows) -> list[Triangles]:
    made = [Triangles(part["energy"].shape[1]) for part in rows]
    for triangles, part in zip(made, rows, strict=True):
        triangles.add({kind: (x, float(len(x))) for kind, x in part.items()}, 1.0)
    return made


def by_evidence(parts: list[Triangles], free: int) -> tuple[Solution, Loss]:
    return ridge_regression(Triangles.joined(parts), None, GIVEN, free), GIVEN


def by_held(parts: list[Triangles], free: int) -> tuple[Solution, Loss]:
    return ridge_regression(Triangles.joined(parts[:3]), parts[3], GIVEN, free), GIVEN


def by_folds(parts: list[Triangles], free: int) -> tuple[Solution, Loss]:
    everything = set(range(PARTS))
    (found,), loss = regression(parts, [(sorted(everything - {k}), [k]) for k in everything], Loss(), free)
    return found, loss


way = pytest.mark.parametrize("way", [by_evidence, by_held, by_folds])


def same(one: tuple[Solution, Loss], other: tuple[Solution, Loss]) -> None:
    """The same choice, and the same prior: α to the rounding of its power iterations."""
    assert one[1] == other[1]
    assert one[0].ridge == pytest.approx(other[0].ridge, rel=1e-9)
    assert one[0].alpha == pytest.approx(other[0].alpha, rel=1e-9)


# Rounding times a condition number of 1e6 and less is below 1e-9 of the coefficients.
CLOSE = {"rtol": 1e-7, "atol": 1e-8}


@way
def test_a_ridge_is_the_same_prior_with_reference_energies_found_along_and_with_given_ones(rows, way):
    """By the theorem of Frisch, Waugh and Lovell, as the labels were made."""
    given = [
        {kind: torch.cat([x[:, :K], x[:, -1:] - x[:, K:-1] @ OFFSETS[:, None]], 1) for kind, x in part.items()} for part in rows
    ]
    found, wanted = way(folded(rows), FREE), way(folded(given), 0)
    same(found, wanted)
    assert torch.allclose(found[0].c[:K], wanted[0].c, **CLOSE)
    assert torch.allclose(found[0].c[K:], OFFSETS, **CLOSE)


@way
@pytest.mark.parametrize("unit", [27.211386, 1e-3])
def test_the_unit_of_energy_does_not_matter(rows, way, unit):
    """Other numbers for labels and descriptors; those of reference energies remain counts."""
    other = [{kind: torch.cat([unit * x[:, :K], x[:, K:-1], unit * x[:, -1:]], 1) for kind, x in part.items()} for part in rows]
    found, wanted = way(folded(other), FREE), way(folded(rows), FREE)
    same((found[0], found[1]), (Solution(wanted[0].c, wanted[0].ridge, "", alpha=wanted[0].alpha), wanted[1]))
    assert torch.allclose(found[0].c[:K], wanted[0].c[:K], **CLOSE)
    assert torch.allclose(found[0].c[K:], unit * wanted[0].c[K:], **CLOSE)


@way
def test_a_constant_of_a_reference_energy_does_not_matter(rows, way):
    """The prior takes NEARLY_NONE² = 1e-12 of it. (What is larger has been found before by `fit`, see below.)"""
    constant = torch.tensor([1.0, 0.0], dtype=torch.float64)
    other = [
        {kind: torch.cat([x[:, :-1], x[:, -1:] + x[:, K:-1] @ constant[:, None]], 1) for kind, x in part.items()}
        for part in rows
    ]
    found, wanted = way(folded(other), FREE), way(folded(rows), FREE)
    same(found, wanted)
    assert torch.allclose(found[0].c[:K], wanted[0].c[:K], **CLOSE)
    assert torch.allclose(found[0].c[K:], wanted[0].c[K:] + constant, **CLOSE)


def test_a_constant_and_a_unit_lead_to_the_same_fit():
    """1,000 eV of each H atom, and energies a thousand times as large: the same choice, to the bits of its weights."""
    data = imperfect(24)
    wanted, *others = (
        fit(SNAP(cutoff=3.0, twojmax=2), [changed(atoms, unit, constant) for atoms in data], [], wall=False, seed=0).metadata[
            "training"
        ]
        for unit, constant in ((1.0, 0.0), (1.0, 1000.0), (1000.0, 0.0))
    )
    for other, unit in zip(others, (1.0, 1000.0), strict=True):
        assert other["loss"] == wanted["loss"]
        # A power iteration's percent is the same one; energies of 10,000 eV have errors of 1e-12, of which labels lose some digits.
        assert other["ridge"] == pytest.approx(wanted["ridge"], rel=1e-5)
        for name, error in other["left_out"].items():
            assert error == pytest.approx(unit * wanted["left_out"][name], rel=1e-5)


def changed(atoms: Atoms, unit: float, constant: float) -> Atoms:
    energy = atoms.get_potential_energy() + constant * float((atoms.numbers == 1).sum())
    return labeled(atoms, energy=unit * energy, forces=unit * atoms.get_forces())


@way
def test_elements_that_come_in_one_ratio_share_what_cannot_be_told_apart(rows, way):
    """As in a set of one molecule: columns of counts are multiples of each other, and the prior decides."""
    ratio = torch.tensor([0.25, 0.75], dtype=torch.float64)
    one = [
        {kind: torch.cat([x[:, :K], x[:, K:-1].sum(1, keepdim=True) * ratio, x[:, -1:]], 1) for kind, x in part.items()}
        for part in rows
    ]
    c = way(folded(one), FREE)[0].c[K:]
    # The least (0.25 c₀)² + (0.75 c₁)² of one sum; columns differ by rounding, which times what labels miss, over NEARLY_NONE², leaves 1e-4.
    assert float(0.25 * c[0]) == pytest.approx(float(0.75 * c[1]), rel=1e-3)


def test_an_element_of_frames_left_out_alone_keeps_no_ridge_from_being_judged(rows):
    parts = [{kind: x.clone() for kind, x in part.items()} for part in rows]
    for part in parts[:3]:
        part["energy"][:, K] = 0.0
    triangles = folded(parts)
    frame = Coordinates.of(stacked(triangles, weighed(Loss()))[:, :-1], FREE)
    equations = Equations(triangles, frame)
    for ridge in RIDGES:
        z = equations.candidate([0, 1, 2], GIVEN.weights, ridge * frame.penalty.largest)
        assert z is not None
        c = torch.linalg.solve_triangular(frame.R, z[:, None], upper=True)[:, 0] / frame.penalty.norm
        # Rounding of normal equations with a condition number of 1 / NEARLY_NONE².
        assert abs(float(c[K])) < 1e-2


def test_candidates_are_those_of_the_penalty(rows):
    """Normal equations of good coordinates beside QR, free columns included."""
    triangles = folded(rows)
    table = stacked(triangles, GIVEN)
    frame = Coordinates.of(table[:, :-1], FREE)
    equations = Equations(triangles, frame)
    for ridge in (1e-14, 1e-9):
        alpha = ridge * frame.penalty.largest
        z = equations.candidate(range(PARTS), GIVEN.weights, alpha)
        c = torch.linalg.solve_triangular(frame.R, z[:, None], upper=True)[:, 0] / frame.penalty.norm
        assert torch.allclose(table[:, :-1] @ c, table[:, :-1] @ frame.penalty.solve(table, alpha), rtol=0, atol=1e-11)


def test_what_is_solved_is_the_minimum(rows):
    """Its gradient is zero, to rounding of the terms that cancel in it; D is told by a solution, too."""
    table = stacked(folded(rows), GIVEN)
    A, y = table[:, :-1], table[:, -1]
    penalty = Penalty.of(A, FREE)
    alpha = 1e-10 * penalty.largest
    c = penalty.solve(table, alpha)
    slope = A.T @ (A @ c - y) + alpha * penalty.scale(alpha).square() * c
    assert float((slope / penalty.norm).abs().max()) < 1e-13 * float(y.norm())
    free = slice(K, K + FREE)
    assert torch.allclose(math.sqrt(alpha) * penalty.scale(alpha)[free], NEARLY_NONE * A[:, free].norm(dim=0))
