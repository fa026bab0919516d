import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from adiabat.kernels import distance, spherical_harmonics
from adiabat.kernels.geometry import L_MAX


def directions(n, seed=0):
    r = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return r / distance(r)[:, None]


def scipy_real_harmonics(u, l_max):
    """Component-normalized real harmonics out of scipy's complex ones."""
    theta, phi = np.arccos(u[:, 2]), np.arctan2(u[:, 1], u[:, 0])
    columns = []
    for l in range(l_max + 1):
        for m in range(-l, l + 1):
            y = sph_harm_y(l, abs(m), theta, phi) * np.sqrt(4 * np.pi)
            columns.append(y.real if m == 0 else np.sqrt(2) * (-1) ** m * (y.imag if m < 0 else y.real))
    return np.stack(columns, -1)


def test_harmonics_are_scipys():
    u = directions(40)
    want = torch.tensor(scipy_real_harmonics(u.numpy(), L_MAX))
    torch.testing.assert_close(spherical_harmonics(u, L_MAX), want, rtol=0, atol=2e-13)


def test_component_normalization():
    Y = spherical_harmonics(directions(10), L_MAX)
    for l in range(L_MAX + 1):
        power = Y[:, l**2 : (l + 1) ** 2].square().sum(-1)
        torch.testing.assert_close(power, torch.full_like(power, 2 * l + 1), rtol=1e-13, atol=0)


def test_first_harmonics_are_y_z_x():
    r = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(spherical_harmonics(r, 1)[:, 1:], 3**0.5 * r[:, [1, 2, 0]])


def test_off_the_sphere_they_are_homogeneous():
    u, scale = directions(5), 1.7
    Y, scaled = spherical_harmonics(u, L_MAX), spherical_harmonics(scale * u, L_MAX)
    for l in range(L_MAX + 1):
        rows = slice(l**2, (l + 1) ** 2)
        torch.testing.assert_close(scaled[:, rows], scale**l * Y[:, rows], rtol=1e-12, atol=1e-12)


def test_inversion_gives_the_parity():
    u = directions(5)
    sign = torch.cat([torch.full((2 * l + 1,), (-1.0) ** l, dtype=torch.float64) for l in range(L_MAX + 1)])
    torch.testing.assert_close(spherical_harmonics(-u, L_MAX), sign * spherical_harmonics(u, L_MAX), rtol=0, atol=0)


def test_two_derivatives():
    r = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    for f in (distance, lambda r: spherical_harmonics(r / distance(r)[:, None], 3)):
        assert torch.autograd.gradcheck(f, r)
        assert torch.autograd.gradgradcheck(f, r)


def test_a_vector_of_no_length_poisons_nothing():
    r = torch.tensor([[0.0, 0, 0], [1, 2, 2]], requires_grad=True)
    (g,) = torch.autograd.grad(distance(r).sum(), r, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), r)
    assert g[0].eq(0).all() and h.isfinite().all()
    assert spherical_harmonics(torch.zeros(1, 3), 6).isfinite().all()


def test_an_l_beyond_the_tables_is_named():
    with pytest.raises(ValueError, match="0…8, got 9"):
        spherical_harmonics(torch.ones(3), 9)
