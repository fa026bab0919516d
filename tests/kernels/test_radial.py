import numpy as np
import pytest
import torch

from adiabat.kernels import bessel, cosine_cutoff, gaussians, polynomial_cutoff, tanh3_cutoff

CUTOFFS = [cosine_cutoff, tanh3_cutoff, polynomial_cutoff, lambda d, c: polynomial_cutoff(d, c, p=3)]


def derivatives(f, d, order):
    """f, f′, … by autograd at the points d."""
    d = torch.as_tensor(d, dtype=torch.float64).requires_grad_()
    rows = [f(d)]
    for _ in range(order):
        rows.append(torch.autograd.grad(rows[-1].sum(), d, create_graph=True)[0])
    return [row.detach() for row in rows]


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_value_and_slope_vanish_at_the_cutoff(cutoff):
    below = derivatives(lambda d: cutoff(d, 5.0), [5.0 - 1e-7], 1)
    assert below[0].abs() < 1e-12 and below[1].abs() < 1e-6
    beyond = derivatives(lambda d: cutoff(d, 5.0), [5.0, 5.1, 7.0, 1e6], 1)
    assert all((row == 0).all() for row in beyond)


@pytest.mark.parametrize("cutoff", CUTOFFS[1:])
def test_curvature_vanishes_too_except_for_the_cosine(cutoff):
    assert derivatives(lambda d: cutoff(d, 5.0), [5.0 - 1e-6], 2)[2].abs() < 1e-4


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_cutoffs_fall_and_their_slopes_are_finite_differences(cutoff):
    d = torch.linspace(0.01, 4.99, 200, dtype=torch.float64)
    f, slope = derivatives(lambda d: cutoff(d, 5.0), d, 1)
    assert (f.diff() < 0).all() and (f <= 1).all()
    h = 1e-5
    torch.testing.assert_close(slope, (cutoff(d + h, 5.0) - cutoff(d - h, 5.0)) / (2 * h), rtol=0, atol=1e-9)


def test_bessel_functions_are_orthonormal_and_finite_at_zero():
    x, w = np.polynomial.legendre.leggauss(60)
    d, w = torch.tensor(2.5 * (x + 1)), torch.tensor(2.5 * w)
    b = bessel(d, 5.0, 8)
    torch.testing.assert_close(b.T @ (b * (w * d**2)[:, None]), torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-12)
    near, at = bessel(torch.tensor([1e-9, 0.0], dtype=torch.float64), 5.0, 8)
    torch.testing.assert_close(near, at)


def test_gaussians_peak_at_their_centers():
    d = torch.linspace(0, 5, 6, dtype=torch.float64)
    g = gaussians(d, 5.0, 6)
    torch.testing.assert_close(g.diagonal(), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(g, torch.exp(-0.5 * (d[:, None] - d) ** 2))
    with pytest.raises(ValueError, match="at least 2"):
        gaussians(d, 5.0, 1)
