"""Generated kernels equal their references: values, first and second derivatives, for any shape, level and thread count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.kernels import build, dispatch, spherical_harmonics
from adiabat.kernels.edge_conv import edge_conv, reference_edge_conv
from adiabat.kernels.edge_geometry import edge_geometry, reference_edge_geometry
from adiabat.kernels.ir import Contraction, Convolution
from adiabat.kernels.node_poly import merge, polynomial, reference_polynomial
from kernels.topology import edges_of, random_arguments, random_edges

CONVOLUTIONS = [
    str(Convolution.between("0e+1o", 2, "0e+1o+2e")),
    "0e+1o+0e+1e|0.0.0e,2.3.3o,1.1.1e,3.2.1e,1.2.3o",  # an input used twice, one path missing here and there, both parities
    "4e+2e|0.4.4e,0.1.3o,1.4.2e",  # wider than the registers
]
CONTRACTIONS = ["0e+1o+2e|0e+1o|3", "0e+1o|0e|4", "1e+1o|0o+2e|3", "4e|0e+4e|2"]

pytestmark = pytest.mark.compiled


def everything(f, inputs, rest):
    """Value, gradients for a random cotangent, and the second derivatives of those for random cotangents."""
    noise = torch.Generator().manual_seed(7)
    random = lambda y: torch.randn(y.shape, dtype=torch.float64, generator=noise).to(y.dtype)  # noqa: E731
    x = [y.clone().requires_grad_() for y in inputs]
    out = f(*x, *rest)
    out = torch.cat([y.flatten() for y in out]) if isinstance(out, list) else out
    g = random(out).requires_grad_()
    first = torch.autograd.grad(out, x, g, create_graph=True)
    second = torch.autograd.grad(sum((a * random(a)).sum() for a in first), (*x, g))
    return out, *first, *second


def close(got, want, tolerance):
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.isfinite().all(), k
        assert (a - b).norm() <= tolerance * (b.norm() + 1e-300), (k, float((a - b).norm() / b.norm()))


shapes = {
    "N": st.integers(1, 40),
    "E": st.integers(0, 120),
    "C": st.integers(1, 130),
    "kinds": st.integers(1, 3),
    "seed": st.integers(0, 99),
}


@pytest.mark.parametrize("text", CONVOLUTIONS)
@settings(max_examples=8, deadline=None)
@given(**shapes)
def test_convolution_is_the_reference(text, N, E, C, kinds, seed):
    conv = Convolution.of(text)
    *inputs, cutoff, kind, edges, _ = random_arguments(
        conv, random_edges(N, E, seed), C, kinds=kinds, intervals=3 + seed % 5, seed=seed
    )
    rest = (cutoff, kind, edges, conv)
    close(everything(edge_conv, inputs, rest), everything(reference_edge_conv, inputs, rest), 1e-12)


@pytest.mark.parametrize("text", CONTRACTIONS)
@settings(max_examples=8, deadline=None)
@given(**{k: shapes[k] for k in ("N", "C", "seed")})
def test_contraction_is_the_reference(text, N, C, seed):
    poly, g = Contraction.of(text), torch.Generator().manual_seed(seed)
    x = torch.randn(N, poly.irreps.dim, C, dtype=torch.float64, generator=g)
    weights = torch.randn(3, len(poly.orders), C, dtype=torch.float64, generator=g)
    species = torch.randint(0, 3, (N,), generator=g)
    fast = lambda x, w: polynomial(x, species, merge(w, poly), poly)  # noqa: E731
    plain = lambda x, w: reference_polynomial(x, species, merge(w, poly), poly)  # noqa: E731
    close(everything(fast, (x, weights), ()), everything(plain, (x, weights), ()), 1e-12)


@pytest.mark.parametrize("l_max", [0, 3, 6])
def test_geometry_is_the_reference(l_max):
    r = torch.randn(37, 3, dtype=torch.float64)
    flat = lambda f: lambda r: torch.cat([x.flatten() for x in f(r, l_max)])  # noqa: E731
    close(everything(flat(edge_geometry), [r], ()), everything(flat(reference_edge_geometry), [r], ()), 1e-12)
    if l_max == 3:
        assert torch.autograd.gradcheck(flat(edge_geometry), r[:3].requires_grad_())
        assert torch.autograd.gradgradcheck(flat(edge_geometry), r[:3].requires_grad_())


def test_a_vector_of_no_length_has_no_direction():
    r = torch.tensor([[0.0, 0, 0], [1, 2, 2]], dtype=torch.float64)
    flat = lambda f: lambda r: torch.cat([x.flatten() for x in f(r, 2)])  # noqa: E731
    for got, want in zip(*(everything(flat(f), [r], ()) for f in (edge_geometry, reference_edge_geometry))):
        torch.testing.assert_close(got, want)


def test_single_precision_follows_double():
    conv, poly = Convolution.of(CONVOLUTIONS[0]), Contraction.of(CONTRACTIONS[0])
    edges = random_edges(20, 300)
    single = random_arguments(conv, edges, C=48, dtype=torch.float32)
    inputs, rest = single[:4], single[4:]
    close(everything(edge_conv, inputs, rest), everything(reference_edge_conv, [x.double() for x in inputs], rest), 1e-6)
    x, c, species = torch.randn(20, 9, 48), torch.randn(2, len(poly.terms), 48), torch.randint(0, 2, (20,))
    fast = lambda x, c: polynomial(x, species, c, poly)  # noqa: E731
    plain = lambda x, c: reference_polynomial(x, species, c, poly)  # noqa: E731
    close(everything(fast, (x, c), ()), everything(plain, (x.double(), c.double()), ()), 1e-6)


def test_gradcheck_and_gradgradcheck():
    conv, edges = Convolution.of(CONVOLUTIONS[0]), random_edges(3, 5)
    *inputs, cutoff, kind, edges, _ = random_arguments(conv, edges, C=2, kinds=1, intervals=3)
    f = lambda *x: edge_conv(*x, cutoff, kind, edges, conv)[1]  # noqa: E731
    assert torch.autograd.gradcheck(f, [x.requires_grad_() for x in inputs])
    assert torch.autograd.gradgradcheck(f, [x.requires_grad_() for x in inputs])
    poly, species = Contraction.of(CONTRACTIONS[2]), torch.tensor([1, 0])
    x = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, len(poly.terms), 2, dtype=torch.float64, requires_grad=True)
    f = lambda x, c: polynomial(x, species, c, poly)  # noqa: E731
    assert torch.autograd.gradcheck(f, (x, c))
    assert torch.autograd.gradgradcheck(f, (x, c))


def test_a_force_loss_has_the_gradient_of_finite_differences():
    """∂θ (w · ∂E/∂r) = d/dε ∂E/∂θ (r + εw): an oracle that needs first derivatives only."""
    conv, poly = Convolution.of(CONVOLUTIONS[0]), Contraction.of(CONTRACTIONS[0])
    edges, C, species = random_edges(6, 20), 4, torch.tensor([0, 1, 0, 1, 1, 0])
    h, _, _, table, cutoff, kind, *_ = random_arguments(conv, edges, C)
    r, w = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 3, dtype=torch.float64)
    c = 0.1 * torch.randn(2, len(poly.terms), C, dtype=torch.float64)
    parameters = [x.requires_grad_() for x in (h, table, c)]

    def energy(r):
        d = r.norm(dim=1)
        A = edge_conv(h, spherical_harmonics(r / d[:, None], 2), d, table, cutoff, kind, edges, conv)
        return polynomial(torch.cat([x.sum(2) for x in A], 1), species, c, poly)[:, 0].tanh().sum()

    x = r.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(x), x, create_graph=True)
    got = torch.autograd.grad((w * slope).sum(), parameters)
    eps = 1e-5
    up, down = (torch.autograd.grad(energy(r + s * eps * w), parameters) for s in (1, -1))
    for a, b, d in zip(got, up, down):
        assert (a - (b - d) / (2 * eps)).norm() < 1e-7 * a.norm()


@pytest.mark.parametrize("level", ["x86-64-v3", "portable"])
def test_every_level_gives_the_same(level, monkeypatch):
    if not build.LEVELS[level].needs <= build._processor():
        pytest.skip(f"this processor is below {level}")
    monkeypatch.setenv("ADIABAT_LEVEL", level)
    dispatch.library.cache_clear()
    conv = Convolution.of(CONVOLUTIONS[0])
    *inputs, cutoff, kind, edges, _ = random_arguments(conv, random_edges(9, 40), C=19)
    rest = (cutoff, kind, edges, conv)
    assert dispatch.library(str(conv), torch.float64).lanes() == build.LEVELS[level].bytes // 8
    close(everything(edge_conv, inputs, rest), everything(reference_edge_conv, inputs, rest), 1e-12)
    dispatch.library.cache_clear()


def test_the_same_bits_for_any_number_of_threads():
    conv, poly = Convolution.of(CONVOLUTIONS[0]), Contraction.of(CONTRACTIONS[0])
    *inputs, cutoff, kind, edges, _ = random_arguments(conv, random_edges(300, 3000), C=64, dtype=torch.float32)
    x, c, species = torch.randn(300, 9, 64), torch.randn(3, len(poly.terms), 64), torch.randint(0, 3, (300,))

    def run(threads):
        torch.set_num_threads(threads)
        both = everything(edge_conv, inputs, (cutoff, kind, edges, conv))
        return *both, *everything(lambda x, c: polynomial(x, species, c, poly), (x, c), ())

    one, many = run(1), [run(2), run(3), run(7)]
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in many for a, b in zip(one, other, strict=True))


def test_a_third_derivative_is_refused():
    conv = Convolution.of(CONVOLUTIONS[0])
    *inputs, cutoff, kind, edges, _ = random_arguments(conv, random_edges(3, 6), C=1)
    h, Y, d, table = (x.requires_grad_() for x in inputs)
    (g,) = torch.autograd.grad(edge_conv(h, Y, d, table, cutoff, kind, edges, conv)[0].square().sum(), d, create_graph=True)
    (g,) = torch.autograd.grad(g.square().sum(), d, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(g.sum(), d)


def test_what_would_crash_is_an_error_before_the_kernel():
    conv, edges = Convolution.of(CONVOLUTIONS[0]), random_edges(4, 9)
    h, Y, d, table, cutoff, kind, *_ = random_arguments(conv, edges, C=2)
    wrong = edges_of(edges.i, edges.j, 4)
    wrong.j = edges.j.clone()
    wrong.j[2] = 77
    nan = d.clone()
    nan[3] = float("nan")
    with pytest.raises(ValueError, match="neighbor is out of range"):
        edge_conv(h, Y, d, table, cutoff, kind, wrong, conv)
    with pytest.raises(ValueError, match="kind of edge is out of range"):
        edge_conv(h, Y, d, table, cutoff, kind + 5, edges, conv)
    with pytest.raises(ValueError, match="not a number"):
        edge_conv(h, Y, nan, table, cutoff, kind, edges, conv)
    wrong = edges_of(edges.i.flip(0), edges.j, 4)
    with pytest.raises(ValueError, match="not sorted by their center"):
        edge_conv(h, Y, d, table, cutoff, kind, wrong, conv)
    poly = Contraction.of(CONTRACTIONS[1])
    with pytest.raises(ValueError, match="a species is out of range; there are coefficients for 1"):
        polynomial(torch.ones(1, 4, 1), torch.tensor([3]), torch.ones(1, len(poly.terms), 1), poly)


@pytest.mark.parametrize("N", [0, 1, 5])
def test_atoms_without_neighbors_get_zeros_and_no_gradient(N):
    conv, poly = Convolution.of(CONVOLUTIONS[0]), Contraction.of(CONTRACTIONS[0])
    none = torch.zeros(0, dtype=torch.int64)
    edges = edges_of(none, none, N)
    h = torch.randn(N, conv.irreps.dim, 3, dtype=torch.float64, requires_grad=True)
    table = torch.randn(1, 8, len(conv.paths), 3, dtype=torch.float64, requires_grad=True)
    d, Y = edge_geometry(torch.zeros(0, 3, dtype=torch.float64), conv.l_max)
    out = edge_conv(h, Y, d, table, 2.0, none, edges, conv)
    assert all(len(x) == N and not x.any() for x in out)
    for gradient in torch.autograd.grad(sum(x.sum() for x in out), (h, table)):
        assert not gradient.any()
    c = torch.randn(1, len(poly.terms), 3, dtype=torch.float64)
    assert (
        len(polynomial(torch.randn(N, poly.irreps.dim, 3, dtype=torch.float64), torch.zeros(N, dtype=torch.int64), c, poly))
        == N
    )


def test_what_an_index_may_not_be():
    conv, edges = Convolution.of(CONVOLUTIONS[0]), random_edges(4, 9)
    h, Y, d, table, cutoff, kind, *_ = random_arguments(conv, edges, C=2)
    for at in (-1, 4):
        wrong = edges_of(edges.i, edges.j.clone().index_fill_(0, torch.tensor([2]), at), 4)
        with pytest.raises(ValueError, match="neighbor is out of range"):
            edge_conv(h, Y, d, table, cutoff, kind, wrong, conv)
    with pytest.raises(ValueError, match="kind of edge is out of range"):
        edge_conv(h, Y, d, table, cutoff, kind - 5, edges, conv)
    with pytest.raises(ValueError, match="negative"):
        edge_conv(h, Y, -d - 1, table, cutoff, kind, edges, conv)
    poly = Contraction.of(CONTRACTIONS[1])
    with pytest.raises(ValueError, match="a species is out of range"):
        polynomial(torch.ones(1, 4, 1), torch.tensor([-1]), torch.ones(1, len(poly.terms), 1), poly)


def test_inside_vmap_the_reference_runs():
    conv, edges = Convolution.of(CONVOLUTIONS[0]), random_edges(4, 9)
    h, *rest = random_arguments(conv, edges, C=2)
    many = torch.stack([h, 2 * h])
    out = torch.func.vmap(lambda h: edge_conv(h, *rest)[0])(many)
    torch.testing.assert_close(out[1], edge_conv(2 * h, *rest)[0])


def test_a_table_changed_in_place_is_seen():
    """Rearranged tables are kept while a model is evaluated; the optimizer's next step must not be missed."""
    conv = Convolution.of(CONVOLUTIONS[0])
    h, Y, d, table, *rest = random_arguments(conv, random_edges(5, 20), C=16)
    before = edge_conv(h, Y, d, table, *rest)[0]
    table.mul_(2)
    torch.testing.assert_close(edge_conv(h, Y, d, table, *rest)[0], 2 * before)
