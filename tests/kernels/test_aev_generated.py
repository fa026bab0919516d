"""Compiled environment vectors equal the reference: values, first and second derivatives, for any species, edges and thread count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.kernels import environments
from adiabat.kernels.aev import reference_environments
from kernels.test_aev import functions
from kernels.test_generated import close, everything
from kernels.topology import CUTOFF, random_edges

pytestmark = pytest.mark.compiled


def sample(N=12, E=120, n_species=2, f=None, dtype=torch.float64, seed=0):
    """Random edges, some beyond either cutoff, some atoms without any."""
    edges, g = random_edges(N, E, seed), torch.Generator().manual_seed(seed)
    r = torch.randn(E, 3, dtype=torch.float64, generator=g)
    r = r / r.norm(dim=1, keepdim=True) * (0.4 + 1.1 * CUTOFF * torch.rand(E, 1, dtype=torch.float64, generator=g))
    return r.to(dtype), (torch.randint(0, n_species, (E,), generator=g), edges, n_species, f or functions())


@settings(max_examples=15, deadline=None)
@given(
    N=st.integers(1, 30), E=st.integers(0, 300), n_species=st.integers(1, 6),
    f=st.sampled_from([functions(), functions(fade="smooth", zeta=32.0)]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_compiled_environments_are_the_reference(N, E, n_species, f, seed):
    r, rest = sample(N, E, n_species, f, seed=seed)
    close(everything(environments, [r], rest), everything(reference_environments, [r], rest), 1e-12)


def test_crowded_atoms_are_the_reference():
    """More pairs than are worked on at once."""
    r, rest = sample(1, 150)
    close(everything(environments, [r], rest), everything(reference_environments, [r], rest), 1e-12)


def test_single_precision_follows_double():
    r, rest = sample(20, 300, dtype=torch.float32)
    close(everything(environments, [r], rest), everything(reference_environments, [r.double()], rest), 1e-6)


def test_the_same_bits_for_any_number_of_threads():
    r, rest = sample(200, 4000, 3, dtype=torch.float32)

    def run(threads):
        torch.set_num_threads(threads)
        return everything(environments, [r], rest)

    one, many = run(1), [run(2), run(3)]
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in many for a, b in zip(one, other, strict=True))


def test_a_member_of_vmap_is_one_by_one():
    r, rest = sample(4, 20)
    many = r + 1e-2 * torch.randn(3, *r.shape, dtype=torch.float64)
    together = torch.func.vmap(lambda r: environments(r, *rest))(many)
    want = torch.stack([environments(r, *rest) for r in many])
    torch.testing.assert_close(together, want, rtol=1e-12, atol=1e-14)


def test_what_would_crash_is_an_error_before_the_kernel():
    r, (species, *rest) = sample()
    nan, zero = r.clone(), r.clone()
    nan[3, 1], zero[5] = float("nan"), 0.0
    for bad, kinds, said in ((nan, species, "not a number"), (zero, species, "at one place"), (r, species - 1, "out of range")):
        with pytest.raises(ValueError, match=f"environments: .*{said}"):
            environments(bad, kinds, *rest)
