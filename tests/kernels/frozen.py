"""What every compiled potential has to keep: the reference's numbers, and the same bits for any number of threads."""

import torch

from adiabat.graph import Graph
from adiabat.potential import Potential

OUTPUTS = ("energy", "forces", "atomic_energies", "strain_gradient")


def difference(it: Potential, g: Graph, monkeypatch) -> float:
    """Of the frozen potential from the reference: the worst of all outputs, each relative to its largest number."""
    frozen = it.frozen()
    found = frozen(g)
    assert len(frozen.evaluators) == len(it.terms)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = it(g)
    pairs = [(getattr(found, name), getattr(wanted, name)) for name in OUTPUTS]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)


def assert_same_bits(it: Potential, g: Graph, many: tuple[int, ...] = (2, 3)) -> None:
    """One thread's and those of `many`; the graph has to be of several chunks, or one thread does it all."""
    frozen, threads = it.frozen(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = frozen(g)
        for n in many:
            torch.set_num_threads(n)
            found = frozen(g)
            for name in OUTPUTS:
                assert torch.equal(getattr(alone, name), getattr(found, name)), (n, name)
    finally:
        torch.set_num_threads(threads)
