import pytest
import torch

from adiabat.kernels import Contraction, bessel, knots, polynomial_cutoff, spline
from adiabat.nn import MLP, Linear, Product, RadialTable, SpeciesLinear


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """Nothing is compiled for these."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


def faded(d):
    return bessel(d, 5.0, 8) * polynomial_cutoff(d, 5.0)[:, None]


def test_a_radial_table_is_its_network_between_the_knots():
    table = RadialTable(5.0, faded, 2, 3, [64, 64, 64]).double()
    d = torch.linspace(0.5, 4.99, 300, dtype=torch.float64)
    dense = RadialTable(5.0, faded, 2, 3, [64, 64, 64], intervals=4096).double()
    dense.load_state_dict(table.state_dict())
    error = (spline(d, table(), 5.0, d.long() * 0) - spline(d, dense(), 5.0, d.long() * 0)).abs().max()
    assert error < 1e-5 * dense().abs().max()
    torch.testing.assert_close(
        spline(knots(5.0, 256)[:-1], table(), 5.0, torch.zeros(256, dtype=torch.long)),
        table.mlp(table.values).view(257, 2, 3)[:-1],
    )


def test_a_radial_table_learns_and_is_kept_while_evaluating():
    table = RadialTable(5.0, faded, 1, 2, [4])
    table().sum().backward()
    assert all(p.grad.any() for p in table.parameters())
    table.eval()
    kept = table()
    assert table() is kept and not kept.requires_grad
    with torch.no_grad():
        table.mlp.weights[0].add_(1)
    assert table() is not kept


def test_a_network_maps_zero_to_zero_and_keeps_the_variance():
    mlp, x = MLP([64, 256, 256, 64]), torch.randn(500, 64)
    assert not mlp(torch.zeros(1, 64)).any()
    assert 0.5 < mlp(x).var() < 2


def test_species_have_their_own_matrices():
    layer, x = SpeciesLinear(3, 2, 4, 5), [torch.randn(6, 1, 4), torch.randn(6, 3, 4)]
    species = torch.tensor([2, 0, 0, 1, 2, 0])
    groups = [torch.nonzero(species == z)[:, 0] for z in range(3)]
    for out, y, weight in zip(layer(x, groups), x, layer.weights):
        torch.testing.assert_close(out, torch.einsum("nmc,ncd->nmd", y, weight[species]))
    alone = SpeciesLinear(1, 2, 4, 5)
    torch.testing.assert_close(alone(x, [torch.arange(6)])[1], x[1] @ alone.weights[1, 0])


def test_irreps_have_their_own_matrices():
    layer, x = Linear([8, 12], 5), [torch.randn(6, 1, 2, 4), torch.randn(6, 3, 3, 4)]
    assert [tuple(y.shape) for y in layer(x)] == [(6, 1, 5), (6, 3, 5)]


def test_a_product_gives_one_block_an_irrep():
    product = Product(Contraction.of("0e+1o+2e|0e+1o|3"), species=2, channels=3)
    out = product(torch.randn(4, 9, 3), torch.tensor([0, 1, 1, 0]))
    assert [tuple(x.shape) for x in out] == [(4, 1, 3), (4, 3, 3)]
