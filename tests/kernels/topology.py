"""Small random topologies, with atoms that have no neighbors and atoms nobody has."""

from types import SimpleNamespace

import torch

CUTOFF = 3.0


def random_edges(N: int, E: int, seed: int = 0) -> SimpleNamespace:
    g = torch.Generator().manual_seed(seed)
    i = torch.randint(0, N, (E,), generator=g).sort().values
    j = torch.randint(0, N, (E,), generator=g)
    return edges_of(i, j, N)


def edges_of(i, j, N) -> SimpleNamespace:
    first = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(i, minlength=N).cumsum(0)])
    return SimpleNamespace(i=i, j=j, first=first)


def random_arguments(conv, edges, C: int, *, kinds: int = 2, intervals: int = 6, dtype=torch.float64, seed: int = 0):
    """h, Y, d, table, cutoff, kind, edges, conv: what edge_conv takes; some distances lie beyond the cutoff."""
    g = torch.Generator().manual_seed(seed)
    E, N = len(edges.j), len(edges.first) - 1

    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=g).to(dtype)

    d = (torch.rand(E, dtype=torch.float64, generator=g) * 1.1 * CUTOFF).to(dtype)
    kind = torch.randint(0, kinds, (E,), generator=g)
    table = normal(kinds, intervals + 3, len(conv.paths), C)
    return normal(N, conv.irreps.dim, C), normal(E, (conv.l_max + 1) ** 2), d, table, CUTOFF, kind, edges, conv
