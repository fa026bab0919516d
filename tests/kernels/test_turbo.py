"""The radial functions of soap_turbo, their overlaps, its compressed spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adiabat.kernels.soap import compressed
from adiabat.kernels.turbo import MOST, compression, products, radial, root


@pytest.mark.parametrize("basis", MOST)
def test_radial_functions_are_orthonormal(basis):
    W, S = root(6, 0.1, basis)
    # Condition numbers of 10⁹
    torch.testing.assert_close(W @ S @ W, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-6)


def test_far_from_the_cutoff_they_are_overlaps_with_a_gaussian():
    """By quadrature: ∫ exp(−(r − d)²/2σ²) g_n(r) dr in units of the cutoff, of Gaussians that are over 8 σ before it ends."""
    d, cutoff, sigma = torch.tensor([0.9, 1.6], dtype=torch.float64), 6.0, 0.4
    x, w = np.polynomial.legendre.leggauss(200)
    r = 0.5 * (x + 1)
    a = np.arange(1, 5)
    g = (1 - r[:, None]) ** (a + 2) * np.sqrt(2 * a + 5) @ root(4, sigma / cutoff, "poly3")[0].numpy()
    bell = np.exp(-0.5 * ((r[:, None] - d.numpy() / cutoff) * cutoff / sigma) ** 2)
    wanted = np.sqrt(cutoff) * (0.5 * w[:, None] * bell).T @ g / (sigma / cutoff)
    found = radial(d, 4, cutoff, 5.5, (sigma, 0.0), 0.0, 0, 4.0, "poly3")
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-9)  # e^(−32) and less, times norms of 10⁴


@pytest.mark.parametrize("nu_s", [0, 1, 2])
@pytest.mark.parametrize("nu_r", [0, 1, 2])
def test_compressed_spectra_are_those_of_summed_densities(nu_r, nu_s):
    """Their scalar products are the kernel: in any order, and with or without what depends on l alone."""
    c = torch.randn(4, 2, 3, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns, values = compression(f"{nu_r}_{nu_s}", [3, 3], 0)
    whole = products(c.flatten(1, 2))
    found = whole.new_zeros(4, int(rows.max()) + 1).index_add(1, rows, whole[:, columns] * values)
    wanted = compressed(c, nu_r, nu_s)
    torch.testing.assert_close(found @ found.T, wanted @ wanted.T, rtol=1e-12, atol=1e-12)


def test_the_trivial_compression_keeps_pairs_with_a_first_function():
    rows, columns, _ = compression("trivial", [2, 3], 1)
    a, b = torch.triu_indices(5, 5)
    kept = {(int(a[k // 2]), int(b[k // 2])) for k in columns.tolist()}
    assert kept == {(x, y) for x in range(5) for y in range(x, 5) if {x, y} & {0, 2}} and len(rows) == 2 * len(kept)
