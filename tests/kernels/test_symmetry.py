"""Compiled symmetry functions equal the reference: values, first and second derivatives, for any species, edges and thread count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.kernels import build, dispatch, symmetry_op
from adiabat.kernels.symmetry import reference_symmetry_functions, symmetry_functions
from kernels.test_generated import close, everything
from kernels.topology import CUTOFF, random_edges

pytestmark = pytest.mark.compiled


def sample(N=12, E=120, n_species=2, radial=5, widths=2, zetas=(1.0, 2.0, 7.0), dtype=torch.float64, seed=0):
    """r, and what follows it: random edges, some beyond the cutoff, some atoms without any."""
    edges, g = random_edges(N, E, seed), torch.Generator().manual_seed(seed)
    r = torch.randn(E, 3, dtype=torch.float64, generator=g)
    r = r / r.norm(dim=1, keepdim=True) * (0.4 + 1.1 * CUTOFF * torch.rand(E, 1, dtype=torch.float64, generator=g))
    species = torch.randint(0, n_species, (E,), generator=g)
    random = lambda n, scale: (scale * torch.rand(n, dtype=torch.float64, generator=g)).to(dtype)  # noqa: E731
    return r.to(dtype), (
        species,
        edges,
        n_species,
        CUTOFF,
        random(radial, 4),
        random(radial, CUTOFF),
        random(widths, 0.4),
        zetas,
    )


@settings(max_examples=25, deadline=None)
@given(
    N=st.integers(1, 30), E=st.integers(0, 300), n_species=st.integers(1, 6),
    sets=st.sampled_from([(5, 2, (1.0, 2.0, 7.0)), (0, 1, (16.0,)), (3, 0, (1.0,))]), seed=st.integers(0, 99),
)  # fmt: skip
def test_symmetry_functions_are_the_reference(N, E, n_species, sets, seed):
    r, rest = sample(N, E, n_species, *sets, seed=seed)
    close(everything(symmetry_functions, [r], rest), everything(reference_symmetry_functions, [r], rest), 1e-12)


@pytest.mark.parametrize("N, E", [(1, 90), (2, 300), (40, 600)])
def test_crowded_atoms_are_the_reference(N, E):
    r, rest = sample(N, E, 2)
    close(everything(symmetry_functions, [r], rest), everything(reference_symmetry_functions, [r], rest), 1e-12)


def test_single_precision_follows_double():
    r, rest = sample(20, 300, dtype=torch.float32)
    double = [x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in rest]
    got = everything(symmetry_functions, [r], rest)
    close(got, everything(reference_symmetry_functions, [r.double()], double), 1e-6)


def test_gradcheck_and_gradgradcheck():
    r, rest = sample(3, 12, 2)
    r.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: symmetry_functions(r, *rest), r)
    assert torch.autograd.gradgradcheck(lambda r: symmetry_functions(r, *rest), r)


@pytest.mark.parametrize("level", ["x86-64-v3", "portable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_gives_the_same(level, dtype, monkeypatch):
    if not build.LEVELS[level].needs <= build._processor():
        pytest.skip(f"this processor is below {level}")
    r, rest = sample(dtype=dtype)
    monkeypatch.setenv("ADIABAT_LEVEL", level)
    dispatch.library.cache_clear()
    got = everything(symmetry_functions, [r], rest)
    dispatch.library.cache_clear()
    close(got, everything(reference_symmetry_functions, [r], rest), 1e-12 if dtype == torch.float64 else 4e-6)


def test_the_same_bits_for_any_number_of_threads():
    r, rest = sample(200, 4000, 3, dtype=torch.float32)

    def run(threads):
        torch.set_num_threads(threads)
        return everything(symmetry_functions, [r], rest)

    one, many = run(1), [run(2), run(3), run(7)]
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in many for a, b in zip(one, other, strict=True))


def test_edges_beyond_the_cutoff_are_exactly_nothing():
    r, rest = sample()
    far = r.norm(dim=1) >= CUTOFF
    G, g, *_ = everything(symmetry_functions, [r], rest)
    assert far.any() and not g[far].any() and g[~far].any()
    longer = torch.where(far[:, None], 5 * r, r)
    assert torch.equal(symmetry_functions(longer, *rest), G)
    assert not symmetry_functions(5 * CUTOFF * r, *rest).any()


def test_a_member_of_vmap_is_one_by_one():
    """One set of positions for all members, and one for each."""
    r, rest = sample(4, 20)
    many = r + 1e-2 * torch.randn(3, *r.shape, dtype=torch.float64)
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def slopes(f, x):
        x = x.clone().requires_grad_()
        G = f(x)
        return G, *torch.autograd.grad(G.square().sum(), x)

    f = lambda s, r: s * symmetry_functions(r, *rest)  # noqa: E731
    G, g = slopes(lambda r: torch.func.vmap(f, (0, None))(scale, r), r)
    want = slopes(lambda r: torch.stack([f(s, r) for s in scale]), r)
    torch.testing.assert_close((G, g), want, rtol=1e-12, atol=1e-14)
    G, g = slopes(lambda r: torch.func.vmap(f)(scale, r), many)
    want = slopes(lambda r: torch.stack([f(s, x) for s, x in zip(scale, r, strict=True)]), many)
    torch.testing.assert_close((G, g), want, rtol=1e-12, atol=1e-14)


def test_many_cotangents_at_once():
    r, rest = sample(3, 9)
    r.requires_grad_()
    G = symmetry_functions(r, *rest)
    rows = torch.eye(G.numel(), dtype=G.dtype).unflatten(1, G.shape)
    together = torch.autograd.grad(G, r, rows, is_grads_batched=True, retain_graph=True)[0]
    one_by_one = torch.stack([torch.autograd.grad(G, r, row, retain_graph=True)[0] for row in rows])
    torch.testing.assert_close(together, one_by_one, rtol=1e-12, atol=1e-14)


def test_torch_knows_the_operations():
    """Shapes without data, schemas, autograd: what torch.compile and torch.export rely on."""
    r, (species, edges, n, cutoff, *parameters, zetas) = sample(3, 9, zetas=(1.0, 2.0))
    G = symmetry_functions(r, species, edges, n, cutoff, *parameters, zetas)
    rest = (edges.first, species, *parameters, n, cutoff, "5;2;1.2")
    wants = [x.clone().requires_grad_() for x in (r, G)]
    torch.library.opcheck(symmetry_op.symmetry_forward, (wants[0], *rest))
    torch.library.opcheck(symmetry_op.symmetry_backward, (*wants, *rest))
    torch.library.opcheck(symmetry_op.symmetry_double_backward, (r, G, r, *rest))


def test_a_broken_exponent_is_left_to_the_reference():
    r, rest = sample(3, 12, zetas=(1.5,))
    assert torch.equal(symmetry_functions(r, *rest), reference_symmetry_functions(r, *rest))


def test_what_would_crash_is_an_error_before_the_kernel():
    r, (species, *rest) = sample()
    nan, zero = r.clone(), r.clone()
    nan[3, 1], zero[5] = float("nan"), 0.0
    with pytest.raises(ValueError, match="not a number"):
        symmetry_functions(nan, species, *rest)
    with pytest.raises(ValueError, match="at one place"):
        symmetry_functions(zero, species, *rest)
    with pytest.raises(ValueError, match="species of a neighbor is out of range"):
        symmetry_functions(r, species - 1, *rest)
    with pytest.raises(ValueError, match="do not span"):
        symmetry_functions(r[1:], species[1:], *rest)


def test_a_third_derivative_is_refused():
    r, rest = sample(3, 12)
    r.requires_grad_()
    g = symmetry_functions(r, *rest).sum()
    for _ in range(2):
        (g,) = torch.autograd.grad(g.square().sum(), r, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(g.sum(), r)
