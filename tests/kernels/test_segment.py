import torch
from hypothesis import given
from hypothesis import strategies as st

from adiabat.kernels import segment_sum


@given(st.integers(0, 30), st.integers(1, 6), st.integers(0, 5))
def test_rows_that_share_an_index_add(E, n, F):
    g = torch.Generator().manual_seed(E * 100 + n * 10 + F)
    x = torch.randn(E, F, 2, dtype=torch.float64, generator=g)
    index = torch.randint(0, n, (E,), generator=g)
    want = [sum((x[e] for e in range(E) if index[e] == k), torch.zeros(F, 2, dtype=torch.float64)) for k in range(n)]
    torch.testing.assert_close(segment_sum(x, index, n), torch.stack(want), rtol=0, atol=1e-13)


def test_two_derivatives():
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 0, 2, 1, 2])
    assert torch.autograd.gradcheck(lambda x: segment_sum(x, index, 3), x)
    assert torch.autograd.gradgradcheck(lambda x: segment_sum(x, index, 3).square(), x)


def test_a_committee_by_vmap_is_one_by_one():
    x, index = torch.randn(4, 7, 3), torch.tensor([0, 1, 1, 3, 0, 0, 3])
    together = torch.func.vmap(lambda x: segment_sum(x, index, 5))(x)
    torch.testing.assert_close(together, torch.stack([segment_sum(y, index, 5) for y in x]), rtol=0, atol=0)
