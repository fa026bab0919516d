"""ANI's environment vectors, plain and compiled, against sums written out atom by atom."""

from dataclasses import replace
from itertools import combinations
from math import acos, cos, exp, pi, sin

import numpy as np
import pytest
import torch

from adiabat.kernels import build, environments
from adiabat.kernels.aev import AEV, near_pairs
from adiabat.kernels.triplet import triplets
from kernels.topology import CUTOFF, edges_of, random_edges

try:
    build.compiler()
    compiles = True
except build.NoKernels:
    compiles = False


@pytest.fixture(params=["reference", pytest.param("cpp", marks=pytest.mark.skipif(not compiles, reason="no compiler"))])
def backend(request, monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", request.param)


LONG, SHORT = CUTOFF, 2.2


def functions(radial=4, shifts=3, sections=2, zeta=14.1, fade="cosine") -> AEV:
    return AEV(
        cutoff=LONG, angular_cutoff=SHORT, eta=3.9, shifts=tuple(np.linspace(0.5, 2.6, radial)), angular_eta=2.5, zeta=zeta,
        angular_shifts=tuple(np.linspace(0.6, 1.9, shifts)), sections=tuple(np.linspace(0.4, 2.7, sections)), fade=fade,
    )  # fmt: skip


def written_out(R, species, f, n_species):
    """Smith, Isayev and Roitberg 2017, equations 3 and 4, loop by loop, with the angle itself; ¼, 0.95 and 2^(1−ζ) as in the code."""

    def fade(d, r_c):
        if d >= r_c:
            return 0.0
        return 0.5 * cos(pi * d / r_c) + 0.5 if f.fade == "cosine" else exp(1 - 1 / (1 - (d / r_c) ** 2))

    pairs = [(s, t) for t in range(n_species) for s in range(t + 1)]
    rows = []
    for i in range(len(R)):
        others = [(species[k], R[k] - R[i]) for k in range(len(R)) if k != i]
        row = [
            sum(0.25 * exp(-f.eta * (np.linalg.norm(x) - shift) ** 2) * fade(np.linalg.norm(x), f.cutoff) for z, x in others if z == s)
            for s in range(n_species)
            for shift in f.shifts
        ]  # fmt: skip
        for pair in pairs:
            near = [
                (x, y) for (s, x), (t, y) in combinations(others, 2)
                if tuple(sorted((s, t))) == pair and max(np.linalg.norm(x), np.linalg.norm(y)) < f.angular_cutoff
            ]  # fmt: skip
            for shift in f.angular_shifts:
                for section in f.sections:
                    total = 0.0
                    for x, y in near:
                        a, b = np.linalg.norm(x), np.linalg.norm(y)
                        angle = acos(0.95 * float(x @ y) / (a * b)) - section
                        total += (2 ** (1 - f.zeta) * (1 + cos(angle)) ** f.zeta * exp(-f.angular_eta * ((a + b) / 2 - shift) ** 2)
                                  * fade(a, f.angular_cutoff) * fade(b, f.angular_cutoff))  # fmt: skip
                    row.append(total)
        rows.append(row)
    return torch.tensor(np.array(rows, dtype=float))


def cluster(n=7, n_species=2, seed=0):
    rng = np.random.default_rng(seed)
    R, species = rng.uniform(0, 2.6, (n, 3)), rng.integers(0, n_species, n)
    d = np.linalg.norm(R[:, None] - R, axis=-1)
    i, j = (torch.from_numpy(x) for x in np.nonzero((d < LONG) & ~np.eye(n, dtype=bool)))
    return R, species, edges_of(i, j, n)


KINDS = pytest.mark.parametrize(("fade", "zeta"), [("cosine", 14.1), ("smooth", 32.0)])  # ζ whole and broken are two programs


@KINDS
def test_environments_are_the_papers_sums(fade, zeta, backend):
    R, species, edges = cluster()
    r = torch.from_numpy(R)[edges.j] - torch.from_numpy(R)[edges.i]
    f = functions(zeta=zeta, fade=fade)
    got = environments(r, torch.from_numpy(species)[edges.j], edges, 2, f)
    assert got.shape == (7, f.size(2))
    torch.testing.assert_close(got, written_out(R, species, f, 2), rtol=0, atol=1e-12)


@KINDS
def test_two_derivatives(fade, zeta, backend):
    R, species, edges = cluster(4)
    r = (torch.from_numpy(R)[edges.j] - torch.from_numpy(R)[edges.i]).requires_grad_()
    call = lambda r: environments(r, torch.from_numpy(species)[edges.j], edges, 2, functions(fade=fade, zeta=zeta))  # noqa: E731
    assert torch.autograd.gradcheck(call, r)
    assert torch.autograd.gradgradcheck(call, r)


def test_a_straight_molecule_has_finite_derivatives(backend):
    """Angles of 0 and π, where arccos alone has none: 0.95 keeps away from them."""
    r = torch.tensor([[1.1, 0, 0], [-1.1, 0, 0], [1.9, 0, 0]], dtype=torch.float64, requires_grad=True)
    edges = edges_of(torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3]), 4)
    G = environments(r, torch.tensor([0, 1, 0]), edges, 2, functions())
    (g,) = torch.autograd.grad(G.square().sum(), r, create_graph=True)
    assert g.isfinite().all() and torch.autograd.grad(g.square().sum(), r)[0].isfinite().all()


def test_an_angle_that_a_section_forbids_is_nothing(backend):
    """θ − θ_s = π: a power of zero, whose derivative is zero, too."""
    theta = acos(-0.95)
    r = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]], dtype=torch.float64, requires_grad=True)
    f = replace(functions(), sections=(theta - pi, 0.0))
    G = environments(r, torch.tensor([0, 0]), edges_of(torch.tensor([0, 0]), torch.tensor([1, 2]), 3), 1, f)
    (g,) = torch.autograd.grad(G[0, 4], r)
    assert abs(float(G[0, 4].detach())) < 1e-30 and g.isfinite().all() and sin(theta) > 0


def test_pairs_beyond_the_shorter_cutoff_are_not_listed():
    edges = random_edges(6, 60, 1)
    d = torch.rand(60, dtype=torch.float64) * 3
    a, b = near_pairs(d, edges.first, 1.7)
    every = set(zip(*(x.tolist() for x in triplets(edges.first)), strict=True))
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == {(x, y) for x, y in every if d[x] < 1.7 and d[y] < 1.7}


@pytest.mark.parametrize("wrong", [{"angular_cutoff": 4.0}, {"zeta": 0.5}, {"fade": "sharp"}])
def test_functions_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="aev: .*came; wanted"):
        AEV(**{**vars(functions()), **wrong})
