"""Coordinates in which all directions count alike, and the least squares in them."""

import torch

from adiabat.nn.sketched import coordinates


def nearly_dependent(n: int, K: int, digits: float) -> torch.Tensor:
    """Columns of very different sizes, some of them almost sums of others."""
    rng = torch.Generator().manual_seed(0)
    mixed = torch.linalg.qr(torch.randn(K, K, dtype=torch.float64, generator=rng)).Q
    A = torch.randn(n, K, dtype=torch.float64, generator=rng) * torch.logspace(0, -digits, K, dtype=torch.float64)
    return A @ mixed * torch.logspace(3, -3, K, dtype=torch.float64)


def test_all_directions_count_alike():
    A = nearly_dependent(200, 30, 4.0)
    W, inverse, _ = coordinates(A, A @ torch.ones(30, dtype=torch.float64))
    seen = torch.linalg.svdvals(A @ W)
    # a condition number of 1e4 after scaling squares to 1e8 of 1e16; the least ridge is 1e-16
    assert seen.max() < 1 + 1e-6
    assert seen.min() > 0.99
    assert (inverse @ W - torch.eye(30)).abs().max() < 1e-6


def test_random_sums_of_rows_give_coordinates_for_all():
    """Avron, Maymounkov and Toledo: of n = 4 K sums, singular values lie within 1/(1 ± √¼), with a margin for a sample of one."""
    A = nearly_dependent(6000, 30, 4.0)
    rng = torch.Generator().manual_seed(1)
    signs = (torch.randint(2, (120, 6000), generator=rng).double() * 2 - 1) / 120**0.5
    W, _, _ = coordinates(signs @ A, signs @ A.sum(1))
    seen = torch.linalg.svdvals(A @ W)
    assert seen.max() / seen.min() < 1.3 * (1 + 0.5) / (1 - 0.5)


def test_noise_is_not_followed():
    """Cross-validation finds a ridge: coefficients of what little is seen stay small, and other rows are told better than without."""
    A, more = nearly_dependent(40, 30, 8.0), nearly_dependent(400, 30, 8.0)[40:]
    rng = torch.Generator().manual_seed(2)
    true = torch.zeros(30, dtype=torch.float64)
    true[0] = 1e-3
    noise = 0.3 * torch.randn(40, dtype=torch.float64, generator=rng)
    W, _, z = coordinates(A, A @ true + noise)
    plain = torch.linalg.lstsq(A, (A @ true + noise)[:, None], driver="gelsd").solution[:, 0]
    assert (more @ (W @ z - true)).square().sum() < (more @ (plain - true)).square().sum()


def test_what_nothing_excites_stays_silent():
    A = nearly_dependent(50, 5, 1.0)
    A[:, 2] = 0.0
    W, _, z = coordinates(A, A.sum(1))
    assert torch.equal(W[2], torch.zeros(5, dtype=torch.float64))
    assert ((A @ (W @ z)) - A.sum(1)).abs().max() < 1e-6 * A.abs().max()
