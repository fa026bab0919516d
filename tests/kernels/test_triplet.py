"""The symmetry functions against sums written as Behler wrote them, atom by atom."""

from itertools import combinations, pairwise
from math import cos, exp, pi

import numpy as np
import pytest
import torch

from adiabat.kernels import angular_symmetry, cosine_cutoff, distance, pair_channel, radial_symmetry, triplets

CUTOFF = 3.0


def cluster(n=7, seed=0):
    """All pairs below the cutoff of a random cluster: positions, species, edges sorted by center."""
    rng = np.random.default_rng(seed)
    R, species = torch.tensor(rng.uniform(0, 3.2, (n, 3))), torch.tensor(rng.integers(0, 2, n))
    near = (torch.cdist(R, R) < CUTOFF) & ~torch.eye(n, dtype=torch.bool)
    i, j = near.nonzero().T
    first = torch.cat([torch.zeros(1, dtype=torch.long), near.sum(1).cumsum(0)])
    return R, species, i, j, first


def fc(d):
    return 0.5 * (1 + cos(pi * d / CUTOFF)) if d < CUTOFF else 0.0


K2 = {"eta": [0.5, 4.0, 1.0], "R_s": [0.0, 1.0, 2.0]}
K4 = {"eta": [0.01, 0.1, 0.3, 0.02], "zeta": [1.0, 2.0, 4.5, 1.0], "lambd": [1.0, -1.0, 1.0, -1.0]}


def tensors(parameters):
    return {k: torch.tensor(v, dtype=torch.float64) for k, v in parameters.items()}


def ours(R, species, i, j, first, far):
    r = R[j] - R[i]
    d = distance(r)
    fade, n = cosine_cutoff(d, CUTOFF), len(R)
    G2 = radial_symmetry(d, fade, i, species[j], n, 2, **tensors(K2))
    fade_far = (lambda d: cosine_cutoff(d, CUTOFF)) if far else None
    return G2, angular_symmetry(r, d, fade, triplets(first), i, species[j], n, 2, **tensors(K4), fade_far=fade_far)


@pytest.mark.parametrize("far", [True, False])
def test_symmetry_functions_are_behlers_sums(far):
    R, species, i, j, first = cluster()
    G2, G4 = np.zeros((len(R), 2, 3)), np.zeros((len(R), 3, 4))
    for c in range(len(R)):
        near = [k for k in range(len(R)) if k != c and torch.dist(R[k], R[c]) < CUTOFF]
        for k in near:
            d = float(torch.dist(R[k], R[c]))
            G2[c, species[k]] += [exp(-eta * (d - s) ** 2) * fc(d) for eta, s in zip(*K2.values(), strict=True)]
        for k, m in combinations(near, 2):
            a, b, f = (float(torch.dist(R[p], R[q])) for p, q in ((c, k), (c, m), (k, m)))
            cosine = (a * a + b * b - f * f) / (2 * a * b)
            channel = [[0, 1], [1, 2]][species[k]][species[m]]
            for q, (eta, zeta, lam) in enumerate(zip(*K4.values(), strict=True)):
                g = 2 ** (1 - zeta) * (1 + lam * cosine) ** zeta * fc(a) * fc(b)
                g *= exp(-eta * (a * a + b * b + f * f)) * fc(f) if far else exp(-eta * (a * a + b * b))
                G4[c, channel, q] += g
    got = ours(R, species, i, j, first, far)
    torch.testing.assert_close(got[0], torch.tensor(G2), rtol=0, atol=1e-12)
    torch.testing.assert_close(got[1], torch.tensor(G4), rtol=0, atol=1e-12)


def test_two_derivatives():
    R, *rest = cluster(4)
    weights = [torch.randn(4, 2, 3, dtype=torch.float64), torch.randn(4, 3, 4, dtype=torch.float64)]

    def f(R):
        return sum((w * G).sum() for w, G in zip(weights, ours(R, *rest, True), strict=True))

    R.requires_grad_()
    assert torch.autograd.gradcheck(f, R)
    assert torch.autograd.gradgradcheck(f, R)


def test_a_straight_molecule_has_finite_derivatives():
    R = torch.tensor([[0.0, 0, 0], [1.1, 0, 0], [-1.1, 0, 0]], dtype=torch.float64, requires_grad=True)
    i, j = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    _, G4 = ours(R, torch.tensor([0, 1, 1]), i, j, torch.tensor([0, 2, 4, 6]), True)
    (g,) = torch.autograd.grad(G4.sum(), R, create_graph=True)
    assert torch.autograd.grad(g[:, 1].square().sum() + g.sum(), R)[0].isfinite().all()


def test_a_committee_by_vmap_is_one_by_one():
    R, *rest = cluster()
    many = R + 1e-3 * torch.randn(3, *R.shape, dtype=torch.float64)
    together = torch.func.vmap(lambda R: ours(R, *rest, True))(many)
    for k, G in enumerate(together):
        torch.testing.assert_close(G, torch.stack([ours(R, *rest, True)[k] for R in many]), rtol=1e-13, atol=1e-15)


def test_triplets_list_each_pair_once():
    for first in ([0], [0, 0], [0, 1], [0, 3, 3, 5, 9]):
        a, b = triplets(torch.tensor(first))
        want = [(x, y) for s, e in pairwise(first) for x in range(s, e) for y in range(x + 1, e)]
        assert list(zip(a.tolist(), b.tolist(), strict=True)) == want


def test_pairs_of_species_have_a_channel_each():
    channels = {(s, t): int(pair_channel(torch.tensor(s), torch.tensor(t))) for s in range(5) for t in range(5)}
    assert sorted(set(channels.values())) == list(range(15))
    assert all(channels[s, t] == channels[t, s] for s, t in channels)


def test_atoms_without_neighbors_have_zeros():
    empty = torch.zeros(0, dtype=torch.long)
    G2, G4 = ours(torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0, 1]), empty, empty, torch.tensor([0, 0, 0]), True)
    assert G2.shape == (2, 2, 3) and G4.shape == (2, 3, 4) and not G2.any() and not G4.any()
