"""Which of many environments stand for all: the sparse points of kernel methods."""

from __future__ import annotations

import torch

from adiabat.typing import Float, Int, Tensor

MOST = 50_000  # environments looked at; of more, so many are drawn
METHODS = ("leverage", "farthest", "random")


def chosen(x: Float[Tensor, "N D"], n: int, method: str, generator: torch.Generator) -> Int[Tensor, "m"]:
    """Rows of x, at most n, distinct, in ascending order.

    | method | rows |
    |---|---|
    | `leverage` | drawn with their statistical leverage, the columns' space first (CUR: Mahoney and Drineas, PNAS 106, 697 (2009)) |
    | `farthest` | each the farthest from those before it |
    | `random` | all with the same probability |

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.9, 0.1]], dtype=torch.float64)
    >>> chosen(x, 2, "farthest", torch.Generator().manual_seed(0)).tolist()
    [0, 2]
    """
    if len(x) > MOST:
        some = torch.randperm(len(x), generator=generator)[:MOST].sort().values
        return some[chosen(x[some], n, method, generator)]
    if len(x) <= n:
        return torch.arange(len(x))
    if method == "farthest":
        return _farthest(x, n)
    weight = torch.ones(len(x), dtype=torch.float64)
    if method == "leverage":
        R = torch.linalg.qr(x, mode="r").R
        _, S, Vh = torch.linalg.svd(R, full_matrices=False)
        kept = 1e-7 * S[0] < S  # what is smaller is rounding of the descriptors
        weight = (x @ (Vh[kept] / S[kept, None]).T).square().sum(1)
    # Efraimidis and Spirakis 2006: the n largest of u^(1/w) are a weighted sample without replacement
    keys = torch.rand(len(x), generator=generator, dtype=torch.float64).log() / weight.clamp_min(1e-300)
    return keys.topk(n).indices.sort().values


def _farthest(x: Float[Tensor, "N D"], n: int) -> Int[Tensor, "n"]:
    square = x.square().sum(1)
    rows, least = [0], torch.full((len(x),), torch.inf, dtype=x.dtype)
    for _ in range(n - 1):
        k = rows[-1]
        least = torch.minimum(least, square + square[k] - 2 * (x @ x[k]))
        rows.append(int(least.argmax()))
    return torch.tensor(sorted(set(rows)))


def spread_out(first: float, end: float, n: int) -> Float[Tensor, "n"]:
    """n distances from `first` on, evenly spaced before `end`.

    >>> spread_out(1.0, 3.0, 4)
    tensor([1.0000, 1.5000, 2.0000, 2.5000], dtype=torch.float64)
    """
    return torch.linspace(first, end, n + 1, dtype=torch.float64)[:-1]
