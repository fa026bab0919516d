"""Neighbor sums: compiled equals plain, with both derivatives; the plain ones are what they say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from adiabat.kernels import build
from adiabat.kernels.chebyshev import NeighborBasis, functions, neighbor_sums, reference_neighbor_sums

try:
    build.compiler()
    compiled = pytest.mark.usefixtures("asked")
except build.NoKernels as why:
    compiled = pytest.mark.skip(reason=str(why))

# elements, radial, angular, l_max; the first as in the laws: compiled once for both
SHAPES = [(2, 5, 4, 3), *(pytest.param(s, marks=pytest.mark.slow) for s in ((1, 9, 9, 4), (3, 3, 5, 0), (2, 2, 2, 8)))]


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def neighborhoods(Z, radial, angular, l_max, dtype=torch.float64):
    """Atoms with none to 37 neighbors, within either range, between them and beyond; ranges that differ by element."""
    torch.manual_seed(0)
    basis = NeighborBasis(
        radial, angular, l_max, tuple(3.5 + 0.3 * k for k in range(Z)), tuple(2.6 + 0.2 * k for k in range(Z))
    )
    degrees = torch.tensor([0, 5, 37, 1, 16, 17, 9])
    i = torch.repeat_interleave(torch.arange(len(degrees)), degrees)
    r = torch.randn(len(i), 3, dtype=torch.float64) * 1.6
    r = (r + 0.5 * r / r.norm(dim=1, keepdim=True)).to(dtype)  # none nearer than 0.5 Å
    pairs = torch.randint(Z, degrees.shape)[i] * Z + torch.randint(Z, i.shape)
    return r, pairs, SimpleNamespace(i=i, first=torch.cat([degrees.new_zeros(1), degrees.cumsum(0)])), basis


def near(found, wanted, tolerance):
    assert float((found - wanted).abs().max()) <= tolerance * float(wanted.abs().max())


@compiled
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_compiled_sums_equal_the_reference_with_two_derivatives(shape):
    r, pairs, edges, basis = neighborhoods(*shape)
    r.requires_grad_()
    of_sums, of_r = None, torch.randn_like(r)
    seen = []
    for op in (neighbor_sums, reference_neighbor_sums):
        sums = op(r, pairs, edges, basis)
        of_sums = torch.randn_like(sums).requires_grad_() if of_sums is None else of_sums
        (slope,) = torch.autograd.grad((sums * of_sums).sum(), r, create_graph=True)
        seen.append((sums, slope, *torch.autograd.grad((slope * of_r).sum(), (r, of_sums))))
    for found, wanted in zip(*seen, strict=True):
        near(found, wanted, 1e-13)  # sums in another order


@compiled
def test_compiled_sums_in_single_precision_follow_the_reference():
    r, pairs, edges, basis = neighborhoods(2, 5, 4, 3)
    found = neighbor_sums(r.float(), pairs, edges, basis)
    near(found.double(), reference_neighbor_sums(r, pairs, edges, basis), 2e-6)  # T_k doubles the rounding of x with each k


@compiled
def test_members_of_a_committee_are_worked_out_side_by_side():
    r, pairs, edges, basis = neighborhoods(2, 5, 4, 3)
    members = torch.stack([r, 1.1 * r, 0.9 * r])
    found = torch.vmap(lambda r: neighbor_sums(r, pairs, edges, basis))(members)
    for one, r in zip(found, members, strict=True):
        near(one, reference_neighbor_sums(r, pairs, edges, basis), 1e-13)


@compiled
def test_damaged_lists_are_refused():
    r, pairs, edges, basis = neighborhoods(2, 5, 4, 3)
    with pytest.raises(ValueError, match="neighbor_sums: the species of a neighbor is out of range"):
        neighbor_sums(r, pairs + 4, edges, basis)
    with pytest.raises(ValueError, match="neighbor_sums: two atoms are at one place"):
        neighbor_sums(0 * r, pairs, edges, basis)


def test_functions_fade_out_and_are_chebyshev_polynomials():
    d = torch.linspace(0.1, 4.5, 50, dtype=torch.float64)
    f = functions(d, torch.full_like(d, 4.0), 6)
    fade = torch.where(d < 4, 0.5 + 0.5 * torch.cos(torch.pi * d / 4), 0.0)
    angle = torch.acos((2 * (d / 4 - 1) ** 2 - 1).clamp(-1, 1))
    for k in range(6):
        assert torch.allclose(f[:, k], 0.5 * (torch.cos(k * angle) + 1) * fade, atol=1e-14)


def test_ranges_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"an angular cutoff of 5.0 Å came; wanted one within 0…4.0 Å"):
        NeighborBasis(3, 3, 2, (4.0,), (5.0,))
    with pytest.raises(ValueError, match="l_max 9 came; wanted"):
        NeighborBasis(3, 3, 9, (4.0,), (3.0,))
