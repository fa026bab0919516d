import pytest
import torch
from scipy.interpolate import BSpline

from adiabat.kernels.spline import knots, spline, spline_table

CUTOFF, N = 4.0, 8


@pytest.fixture
def table():
    return spline_table(torch.randn(N + 1, 3, dtype=torch.float64))


def at(d, table):
    d = torch.as_tensor(d, dtype=torch.float64)
    return spline(d, table[None], CUTOFF, torch.zeros(len(d), dtype=torch.long))


def test_it_goes_through_the_values_and_is_scipys_spline():
    values = torch.randn(N + 1, 3, dtype=torch.float64)
    values[-1] = 0  # a model's functions have faded out at the cutoff
    table, d = spline_table(values), torch.linspace(0, CUTOFF - 1e-9, 100, dtype=torch.float64)
    torch.testing.assert_close(at(knots(CUTOFF, N), table), values, rtol=0, atol=1e-13)
    h = CUTOFF / N
    oracle = BSpline(torch.arange(-3, N + 4).numpy() * h, table.numpy(), 3)
    torch.testing.assert_close(at(d, table), torch.tensor(oracle(d.numpy())), rtol=0, atol=1e-12)
    assert abs(oracle(CUTOFF, 1)).max() < 1e-12 and abs(oracle([0.1, 0.3], 3)).max() < 1e-9


def test_beyond_the_cutoff_it_is_zero(table):
    assert not at([CUTOFF, CUTOFF + 1e-9, 7.0, 1e9], table).any()


def test_a_smooth_function_is_followed_with_the_fourth_power_of_the_spacing():
    def error(n):
        x = torch.linspace(0.3, 3.9, 500, dtype=torch.float64)
        f = lambda d: torch.exp(-((d - 1) ** 2)) * (1 - d / CUTOFF) ** 3  # noqa: E731
        return (spline(x, spline_table(f(knots(CUTOFF, n)))[None], CUTOFF, x.long() * 0) - f(x)).abs().max()

    assert error(64) < 1e-5 and error(64) / error(128) > 12


def test_two_derivatives_in_distance_and_table(table):
    d = torch.tensor([0.2, 1.7, 3.3, 3.99, 4.5], dtype=torch.float64, requires_grad=True)
    kind, tables = torch.tensor([0, 1, 0, 1, 0]), torch.stack([table, -2 * table]).requires_grad_()
    f = lambda d, table: spline(d, table, CUTOFF, kind)  # noqa: E731
    assert torch.autograd.gradcheck(f, (d, tables))
    assert torch.autograd.gradgradcheck(f, (d, tables))
