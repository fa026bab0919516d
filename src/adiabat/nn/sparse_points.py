"""Which of many environments stand for all: the sparse points of kernel methods."""

from __future__ import annotations

import torch

from adiabat.typing import Float, Int, Tensor

MOST = 50_000  # environments looked at; of more, so many are drawn
METHODS = ("cur", "leverage", "farthest", "random")


def chosen(x: Float[Tensor, "N D"], n: int, method: str, generator: torch.Generator) -> Int[Tensor, "m"]:
    """Rows of x, at most n, distinct, in ascending order.

    | method | rows |
    |---|---|
    | `cur` | of the largest leverage, counted without the directions of those before; where these span all rows, a new round begins |
    | `leverage` | drawn with their leverage |
    | `farthest` | each the farthest from those before it, from the first row on |
    | `random` | all with the same probability |

    A row's leverage is its squared length in coordinates in which the rows' singular values are 1: Mahoney and Drineas, PNAS 106, 697
    (2009), for CUR decompositions; its largest pivots: Drmač and Gugercin, SIAM J. Sci. Comput. 38, A631 (2016). Of rows of rank k,
    k by `cur` span all. `cur` and `farthest` look at no `generator` unless there are more than 50 000 rows.

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
    if method == "cur":
        return _cur(x, n)
    weight = torch.ones(len(x), dtype=torch.float64)
    if method == "leverage":
        weight = _even(x).square().sum(1)
    # Efraimidis and Spirakis 2006: the n largest of u^(1/w) are a weighted sample without replacement
    keys = torch.rand(len(x), generator=generator, dtype=torch.float64).log() / weight.clamp_min(1e-300)
    return keys.topk(n).indices.sort().values


def _even(x: Float[Tensor, "N D"]) -> Float[Tensor, "N r"]:
    """The rows in coordinates in which their singular values are 1."""
    R = torch.linalg.qr(x, mode="r").R
    _, S, Vh = torch.linalg.svd(R, full_matrices=False)
    kept = 1e-7 * S[0] < S  # what is smaller is rounding of the descriptors
    return x @ (Vh[kept] / S[kept, None]).T


def _cur(x: Float[Tensor, "N D"], n: int) -> Int[Tensor, "n"]:
    left, rounds = torch.arange(len(x)), []
    while n > 0:
        rows = _pivots(even, min(n, even.shape[1])) if (even := _even(x[left])).shape[1] else torch.arange(n)  # zeros alone
        rounds.append(left[rows])
        n -= len(rows)
        others = torch.ones(len(left), dtype=torch.bool)
        others[rows] = False
        left = left[others]
    return torch.cat(rounds).sort().values


def _pivots(x: Float[Tensor, "N r"], n: int) -> Int[Tensor, "n"]:
    """The longest row, the longest of what is left of the others without its direction, and so on."""
    square, rows, Q = x.square().sum(1), [], x.new_zeros(n, x.shape[1])
    for k in range(n):
        rows.append(int(square.argmax()))
        q = x[rows[-1]]
        for _ in range(2):  # once more, for what rounding left
            q = q - Q[:k].T @ (Q[:k] @ q)
        Q[k] = q / q.norm()
        square = square - (x @ Q[k]).square()
        square[rows] = -torch.inf
    return torch.tensor(rows)


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
