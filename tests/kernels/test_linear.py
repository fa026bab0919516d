import torch

from adiabat.kernels.linear import linear


def test_paths_and_channels_mix_and_rows_do_not():
    x, W = torch.randn(2, 3, 4, 5), torch.randn(20, 6)
    torch.testing.assert_close(linear(x, W), torch.einsum("nmkc,kcd->nmd", x, W.unflatten(0, (4, 5))))
    torch.testing.assert_close(linear(x[:, :, 0], W[:5]), x[:, :, 0] @ W[:5])
