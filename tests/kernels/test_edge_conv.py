"""The convolution against sums written out, and its symmetries."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from adiabat.irreps import Irreps, clebsch_gordan, rotation
from adiabat.kernels import spherical_harmonics
from adiabat.kernels.edge_conv import edge_conv, reference_edge_conv
from adiabat.kernels.ir import Convolution
from adiabat.kernels.spline import spline
from kernels.topology import edges_of, random_arguments, random_edges

CONVOLUTIONS = [
    "0e|0.0.0e",
    "0e+1o|0.0.0e,1.1.0e,0.1.1o,1.0.1o,1.1.1e,1.2.1o",
    "1o+0e+0e|0.2.3o,1.3.3o,2.0.0e",
    "2e|0.4.4e,0.2.1e",
]


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """These are laws of the meaning; that the generated kernels equal it stands in test_generated.py."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


@pytest.mark.parametrize("text", CONVOLUTIONS)
def test_it_is_the_sum_over_neighbors(text):
    conv, edges = Convolution.of(text), random_edges(4, 9)
    arguments = random_arguments(conv, edges, C=3)
    h, Y = (x.numpy() for x in arguments[:2])
    R = spline(*arguments[2:6]).numpy()
    want = [np.zeros((4, out.dim, k, 3)) for out, k in zip(conv.outputs, conv.multiplicity)]
    for e in range(9):
        for p, (path, (o, slot)) in enumerate(zip(conv.paths, conv.slots)):
            x, y = h[edges.j[e], conv.irreps.rows[path.input]], Y[e, path.l**2 : (path.l + 1) ** 2]
            C = clebsch_gordan(conv.irreps[path.input].l, path.l, path.output.l)
            want[o][edges.i[e], :, slot] += R[e, p] * path.output.dim**0.5 * np.einsum("amc,aC,m->cC", C, x, y)
    for got, expected in zip(reference_edge_conv(*arguments), want):
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_messages_turn_and_invert_with_the_structure(rng):
    conv = Convolution.between("0e+1o+1e+2o", 3, "0e+0o+1o+1e+2e+3o")
    edges, Q = random_edges(4, 10), Rotation.random(rng=rng).as_matrix()
    h, _, d, table, *rest = random_arguments(conv, edges, C=2)
    r = torch.randn(10, 3, dtype=torch.float64)
    Y = lambda r: spherical_harmonics(r, conv.l_max)  # noqa: E731

    def turned(x, irrep, sign):
        D = torch.tensor(rotation(irrep.l, Q)) * (irrep.p if sign < 0 else 1)
        return torch.einsum("mn,an...->am...", D, x)

    for sign in (1, -1):
        h2 = torch.cat([turned(h[:, rows], irrep, sign) for irrep, rows in zip(conv.irreps, conv.irreps.rows)], 1)
        before = edge_conv(h, Y(r), d, table, *rest)
        after = edge_conv(h2, Y(sign * r @ torch.tensor(Q).T), d, table, *rest)
        for irrep, x, y in zip(conv.outputs, before, after):
            torch.testing.assert_close(y, turned(x, irrep, sign), rtol=0, atol=1e-11)


def test_scalars_alone_are_a_continuous_filter_convolution():
    conv, edges = Convolution.of("0e|0.0.0e"), random_edges(5, 12)
    h, Y, d, table, cutoff, kind, *rest = random_arguments(conv, edges, C=4)
    (out,) = edge_conv(h, torch.ones_like(Y), d, table, cutoff, kind, *rest)
    W = spline(d, table, cutoff, kind)[:, 0]
    torch.testing.assert_close(out[:, 0, 0], torch.zeros(5, 4, dtype=h.dtype).index_add(0, edges.i, W * h[edges.j, 0]))


def test_no_edges_make_zeros():
    conv, none = Convolution.between("0e+1o", 2, "0e+1o"), torch.zeros(0, dtype=torch.long)
    out = edge_conv(*random_arguments(conv, edges_of(none, none, 3), C=5))
    assert [x.shape for x in out] == [(3, 1, 2, 5), (3, 3, 3, 5)] and not any(x.any() for x in out)


def test_reference_has_two_derivatives():
    conv, edges = Convolution.between("0e+1o", 1, "0e+1o"), random_edges(3, 5)
    h, Y, d, table, *rest = random_arguments(conv, edges, C=1, kinds=1, intervals=3)
    f = lambda *x: torch.cat([y.flatten() for y in reference_edge_conv(*x, *rest)])  # noqa: E731
    inputs = [x.requires_grad_() for x in (h, Y, d, table)]
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


def test_what_does_not_fit_is_named():
    conv, edges = Convolution.between("0e+1o", 1, "0e"), random_edges(3, 5)
    h, Y, d, table, *rest = random_arguments(conv, edges, C=2)
    with pytest.raises(ValueError, match=r"h has 3 rows; 0e\+1o has 4"):
        edge_conv(h[:, :3], Y, d, table, *rest)
    with pytest.raises(ValueError, match="Y has 3 rows"):
        edge_conv(h, Y[:, :3], d, table, *rest)
    with pytest.raises(TypeError, match="one precision"):
        edge_conv(h.float(), Y, d, table, *rest)


def test_paths_that_break_a_symmetry_are_refused():
    with pytest.raises(ValueError, match="parity"):
        Convolution.of("0e|0.1.1e")
    with pytest.raises(ValueError, match="do not couple"):
        Convolution.of("0e|0.1.0o")
    with pytest.raises(ValueError, match="not a convolution"):
        Convolution.of("0e|import os")
    with pytest.raises(ValueError, match="no harmonic couples"):
        Convolution.between("0e", 2, "1e")


def test_all_paths_are_found():
    conv = Convolution.between(Irreps.spherical(1), 3, Irreps.spherical(3))
    assert [(p.input, p.l, p.output.l) for p in conv.paths] == [
        (0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 2, 1), (0, 2, 2), (1, 1, 2), (1, 3, 2), (0, 3, 3), (1, 2, 3),
    ]  # fmt: skip
