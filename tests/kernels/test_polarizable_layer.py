"""A layer of scalars and vectors as one operation equals the same primitive by primitive: values, first and second derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.kernels import build, dispatch
from adiabat.kernels.polarizable import Dense, PolarizableLayer
from adiabat.kernels.polarizable_layer import polarizable_layers
from adiabat.kernels.polarizable_reference import reference_polarizable_layers
from kernels.topology import CUTOFF, edges_of, random_edges

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

ELEVEN = 11  # of a layer: table, φ (4), U, V, a (4)
# (paths of the message, blocks of the update) of each layer: one amid others, the first, the last, both; and several at once
STACKS = [[(3, 3)], [(2, 3)], [(3, 2)], [(2, 2)], [(2, 3), (3, 3), (3, 2)], [(3, 3), (2, 2), (3, 3)]]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def arguments(N: int, E: int, C: int, stack=((3, 3),), seed: int = 0, dtype=torch.float64) -> tuple[list, tuple]:
    """What is differentiable, and the rest; some edges lie beyond the cutoff, matrices keep the scale of what they multiply."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int):
        return torch.randn(shape, dtype=torch.float64, generator=g).to(dtype)

    def matrix(a: int, b: int):
        return normal(a, b) / a**0.5

    x = [normal(N, C), normal(N, 3, C), 1.2 * normal(E, 3)]
    for paths, parts in stack:
        x += [0.5 * normal(2, 9, paths, C), matrix(C, C), normal(C), matrix(C, paths * C), normal(paths * C)]
        x += [matrix(C, C), matrix(C, C), matrix(2 * C, C), normal(C), 0.5 * matrix(C, parts * C), 0.5 * normal(parts * C)]
    return x, (CUTOFF, 0.1, torch.randint(0, 2, (E,), generator=g), random_edges(N, E, seed))


def run(f, x, rest):
    """Layers of ELEVEN tensors each."""
    s, v, r, *w = x
    each = [w[k : k + ELEVEN] for k in range(0, len(w), ELEVEN)]
    return f(s, v, r, [PolarizableLayer(w[0], Dense(*w[1:5]), w[5], w[6], Dense(*w[7:])) for w in each], *rest)


def flat(f, rest):
    return lambda *x: torch.cat([y.flatten() for y in run(f, x, rest)])


def everything(f, x, rest, weights: bool):
    """Value, gradients for a random cotangent, and second derivatives, those of the weights' own gradients if `weights`."""
    noise = torch.Generator().manual_seed(7)

    def random(y):
        return torch.randn(y.shape, dtype=torch.float64, generator=noise).to(y.dtype)

    x = [y.clone().requires_grad_() for y in x]
    out = flat(f, rest)(*x)
    g = random(out).requires_grad_()
    first = torch.autograd.grad(out, x, g, create_graph=True)
    chosen = first if weights else first[:3]
    second = torch.autograd.grad(sum((a * random(a)).sum() for a in chosen) + out.square().sum(), (*x, g))
    return out, *first, *second


def close(got, want, tolerance):
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        a, b = a.detach(), b.detach()
        assert a.isfinite().all(), k
        assert (a - b).norm() <= tolerance * (b.norm() + 1e-9), (k, float((a - b).norm() / b.norm()))


@pytest.mark.parametrize("stack", STACKS)
@settings(max_examples=3, deadline=None)
@given(N=st.integers(1, 30), E=st.integers(0, 90), C=st.sampled_from([16, 32, 48]), seed=st.integers(0, 99))
def test_layers_are_the_reference(stack, N, E, C, seed):
    x, rest = arguments(N, E, C, stack, seed)
    for weights in (False, True):
        got, want = (everything(f, x, rest, weights) for f in (polarizable_layers, reference_polarizable_layers))
        close(got, want, 1e-12)


@pytest.mark.parametrize("stack", STACKS[:4])
@pytest.mark.parametrize("symmetric", ["both", "vectors", "none"])
def test_edges_there_and_back_share_splines_where_vectors_and_tangents_allow_it(stack, symmetric):
    """As in a structure: every edge has its way back, an atom may be its own neighbor, two atoms may be neighbors more than once."""
    (x, (*rest, _, edges)), g = arguments(7, 60, 48, stack), torch.Generator().manual_seed(1)
    i, j = torch.cat([edges.i, edges.j]), torch.cat([edges.j, edges.i])
    order = i.argsort(stable=True)
    r = torch.cat([x[2], -x[2]])[order]
    x[2] = r if symmetric != "none" else r + 1e-3 * torch.rand(r.shape, dtype=r.dtype, generator=g)
    back = order.argsort()
    kind = torch.randint(0, 2, (60,), generator=g).repeat(2)[order]
    rest = (*rest, kind, edges_of(i[order], j[order], 7))
    tangent = torch.randn(120, 3, dtype=r.dtype, generator=g)
    if symmetric == "both":
        tangent = tangent - tangent[torch.cat([back[60:], back[:60]])[order]]

    def found(f):
        y = [t.clone().requires_grad_() for t in x]
        out = run(f, y, rest)
        first = torch.autograd.grad(sum((a * a).sum() for a in out), y, create_graph=True)
        return *out, *first, *torch.autograd.grad((first[2] * tangent).sum(), y)

    close(found(polarizable_layers), found(reference_polarizable_layers), 1e-12)


@pytest.mark.parametrize("stack", STACKS[:4])
def test_single_precision_follows_double(stack):
    """Five matrix products a layer, and as many back: rounding adds up to some 1e-6 of the derivatives."""
    x, rest = arguments(20, 200, 48, stack, dtype=torch.float32)
    got = everything(polarizable_layers, x, rest, weights=False)
    close(got, everything(reference_polarizable_layers, [y.double() for y in x], rest, weights=False), 2e-6)


def test_gradcheck_and_gradgradcheck():
    x, rest = arguments(2, 3, 16)
    first = [y.requires_grad_(k in (0, 1, 2)) for k, y in enumerate(x)]
    assert torch.autograd.gradcheck(flat(polarizable_layers, rest), first, fast_mode=True)
    assert torch.autograd.gradgradcheck(flat(polarizable_layers, rest), first, fast_mode=True)
    x, rest = arguments(2, 3, 16, [(2, 3), (3, 2)])
    every = [y.requires_grad_() for y in x]
    assert torch.autograd.gradcheck(flat(polarizable_layers, rest), every, fast_mode=True)
    assert torch.autograd.gradgradcheck(flat(polarizable_layers, rest), every, fast_mode=True)


def test_a_force_loss_through_two_layers_has_the_gradient_of_finite_differences():
    """∂θ (w · ∂E/∂r) = d/dε ∂E/∂θ (r + εw): an oracle that needs first derivatives only."""
    (s, v, r, *theta), rest = arguments(6, 20, 16, [(2, 3), (3, 2)])
    w, theta = torch.randn(20, 3, dtype=torch.float64), [y.requires_grad_() for y in theta]

    def energy(r):
        return run(polarizable_layers, [s, torch.zeros_like(v), r, *theta], rest)[0].tanh().sum()

    r.requires_grad_()
    (slope,) = torch.autograd.grad(energy(r), r, create_graph=True)
    got = torch.autograd.grad((w * slope).sum(), theta)
    eps = 1e-6  # the differences' own error falls with its square
    up, down = (torch.autograd.grad(energy(r.detach() + k * eps * w), theta) for k in (1, -1))
    for a, b, d in zip(got, up, down, strict=True):
        wanted = (b - d) / (2 * eps)
        assert (a - wanted).norm() < 1e-5 * wanted.norm()


def test_an_edge_of_no_length_pushes_nobody():
    """It has no direction: messages of scalars pass, derivatives by the edge are zero in two orders, as in the reference."""
    x, rest = arguments(4, 10, 16)
    x[2][[0, 7]] = 0
    got, want = (everything(f, x, rest, weights=False) for f in (polarizable_layers, reference_polarizable_layers))
    close(got, want, 1e-12)
    assert (got[3][[0, 7]] == 0).all()


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    """Of what is ours: matrix products are torch's, which keeps to one thread here."""
    x, rest = arguments(60, 700, 48, dtype=torch.float32)
    many = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        many.append(everything(polarizable_layers, x, rest, weights=False))
    assert all(torch.equal(a, b) for other in many[1:] for a, b in zip(many[0], other, strict=True))


def test_a_third_derivative_is_refused():
    x, rest = arguments(3, 6, 16)
    r = x[2].requires_grad_()
    (g,) = torch.autograd.grad(flat(polarizable_layers, rest)(*x).square().sum(), r, create_graph=True)
    (g,) = torch.autograd.grad(g.square().sum(), r, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(g.sum(), r)


def test_what_would_crash_is_an_error_before_the_kernel():
    x, (cutoff, epsilon, kind, edges) = arguments(4, 9, 16)
    wrong = edges_of(edges.i, edges.j.clone(), 4)
    wrong.j[2] = 77
    with pytest.raises(ValueError, match="neighbor is out of range"):
        run(polarizable_layers, x, (cutoff, epsilon, kind, wrong))
    with pytest.raises(ValueError, match="kind of edge is out of range"):
        run(polarizable_layers, x, (cutoff, epsilon, kind + 5, edges))
    with pytest.raises(ValueError, match="not sorted by their center"):
        run(polarizable_layers, x, (cutoff, epsilon, kind, edges_of(edges.i.flip(0), edges.j, 4)))
    with pytest.raises(TypeError, match="one precision for all"):
        run(polarizable_layers, [x[0].float(), *x[1:]], (cutoff, epsilon, kind, edges))
    x[2][3, 1] = float("nan")
    with pytest.raises(ValueError, match="not a number"):
        run(polarizable_layers, x, (cutoff, epsilon, kind, edges))


def test_other_widths_and_other_ways_run_the_reference(monkeypatch):
    x, rest = arguments(4, 9, 10)
    close(run(polarizable_layers, x, rest), run(reference_polarizable_layers, x, rest), 0)
    x, rest = arguments(4, 9, 16)
    fast = run(polarizable_layers, x, rest)
    dispatch.library.cache_clear()
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    close(run(polarizable_layers, x, rest), fast, 1e-12)
