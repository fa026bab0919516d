"""The contraction: complete by character theory, equivariant, equal to couplings written out."""

from math import pi

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from adiabat.irreps import Irrep, Irreps, clebsch_gordan, rotation
from adiabat.kernels.ir import Contraction, horner
from adiabat.kernels.node_poly import merge, node_poly, polynomial, reference_polynomial

CONTRACTIONS = ["0e+1o|0e+1o|3", "0e+1o+2e+3o|0e+1o|3", "1o+1e|0e+0o+2e|3", "0e+1o+2e|0e+1o|4", "0e+0e+1o|1o+2e|2"]


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """These are laws of the meaning; that the generated kernels equal it stands in test_generated.py."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


def how_many(irreps: Irreps, nu: int, out: Irrep) -> int:
    """Multiplicity of `out` in the ν-th symmetric power: an average of characters over O(3), Newton's identities for Sym."""
    theta = (np.arange(400) + 0.5) * pi / 400

    def chi(l, t):
        return sum(np.cos(m * t) for m in range(-l, l + 1))

    total = 0.0
    for inversion in (1, -1):
        power = [sum(i.p ** (k * (inversion < 0)) * chi(i.l, k * theta) for i in irreps) for k in range(1, nu + 1)]
        sym = [np.ones_like(theta)]
        for k in range(1, nu + 1):
            sym.append(sum(power[m - 1] * sym[k - m] for m in range(1, k + 1)) / k)
        total += np.mean(sym[nu] * chi(out.l, theta) * (out.p if inversion < 0 else 1) * (1 - np.cos(theta))) / 2
    return round(total)


@pytest.mark.parametrize("text", CONTRACTIONS)
def test_the_couplings_are_complete_and_independent(text):
    poly = Contraction.of(text)
    for o, out in enumerate(poly.outputs):
        for nu in range(1, poly.correlation + 1):
            assert poly.orders.count((o, nu)) == how_many(poly.irreps, nu, out), (str(out), nu)
    assert np.linalg.matrix_rank(poly.U) == len(poly.orders)


@pytest.mark.parametrize("text", CONTRACTIONS)
def test_outputs_turn_and_invert_with_the_features(text, rng):
    poly, Q = Contraction.of(text), Rotation.random(rng=rng).as_matrix()
    x = torch.randn(3, poly.irreps.dim, 2, dtype=torch.float64)
    weights, species = torch.randn(2, len(poly.orders), 2, dtype=torch.float64), torch.tensor([0, 1, 0])

    def turned(x, irreps, sign):
        D = [torch.tensor(rotation(i.l, Q)) * (i.p if sign < 0 else 1) for i in irreps]
        return torch.cat([torch.einsum("mn,anC->amC", d, x[:, rows]) for d, rows in zip(D, irreps.rows)], 1)

    for sign in (1, -1):
        after = node_poly(turned(x, poly.irreps, sign), species, weights, poly)
        before = node_poly(x, species, weights, poly)
        torch.testing.assert_close(after, turned(before, poly.outputs, sign), rtol=1e-10, atol=1e-10)


def test_three_vectors_couple_as_written_by_hand():
    """(x ⊗ x)_2 ⊗ x → 1 is in the span of the cubic couplings of 1o; so is |x|² x."""
    poly = Contraction.of("1o|1o|3")
    x = torch.randn(40, 3, 1, dtype=torch.float64)
    species, each = torch.zeros(40, dtype=torch.long), torch.eye(len(poly.orders), dtype=torch.float64)
    every = torch.stack([node_poly(x, species, one[None, :, None], poly) for one in each])
    C2, C1 = clebsch_gordan(1, 1, 2), clebsch_gordan(2, 1, 1)
    v = x[:, :, 0].numpy()
    for by_hand in (np.einsum("abc,na,nb,cde,nd->ne", C2, v, v, C1, v), (v**2).sum(1, keepdims=True) * v):
        _, residual, *_ = np.linalg.lstsq(every.flatten(1).T.numpy(), by_hand.ravel(), rcond=None)
        assert residual < 1e-20


def test_a_polynomial_is_the_sum_of_its_terms(rng):
    poly = Contraction.of("0e+1o+2e|0e+1o|3")
    x, coefficients = torch.randn(4, 9, 2, dtype=torch.float64), torch.randn(3, len(poly.terms), 2, dtype=torch.float64)
    species, want = torch.tensor([2, 0, 0, 1]), torch.zeros(4, 4, 2, dtype=torch.float64)
    for n in range(4):
        for t, term in enumerate(poly.terms):
            want[n, term.row] += coefficients[species[n], t] * x[n, list(term.factors)].prod(0)
    torch.testing.assert_close(polynomial(x, species, coefficients, poly), want, rtol=0, atol=1e-12)


def test_horner_evaluates_the_same_polynomial(rng):
    poly = Contraction.of("0e+1o|0e+1o|3")
    x, c = rng.normal(size=4), rng.normal(size=len(poly.terms))

    def value(node):
        return (c[node[None]] if None in node else 0.0) + sum(x[k] * value(child) for k, child in node.items() if k is not None)

    for row, tree in horner(poly.terms).items():
        want = sum(c[t] * np.prod(x[list(term.factors)]) for t, term in enumerate(poly.terms) if term.row == row)
        assert abs(value(tree) - want) < 1e-12


def test_reference_has_two_derivatives():
    poly, species = Contraction.of("0e+1o|0e+1o|3"), torch.tensor([1, 0])
    x = torch.randn(2, 4, 1, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, len(poly.orders), 1, dtype=torch.float64, requires_grad=True)
    f = lambda x, w: reference_polynomial(x, species, merge(w, poly), poly)  # noqa: E731
    assert torch.autograd.gradcheck(f, (x, weights))
    assert torch.autograd.gradgradcheck(f, (x, weights))


def test_what_does_not_fit_is_named():
    poly = Contraction.of("0e+1o|0e|2")
    with pytest.raises(ValueError, match="weights for 2 paths; .* has 3"):
        node_poly(torch.ones(1, 4, 1), torch.tensor([0]), torch.ones(1, 2, 1), poly)
    with pytest.raises(ValueError, match="x has 3 rows"):
        polynomial(torch.ones(1, 3, 1), torch.tensor([0]), torch.ones(1, len(poly.terms), 1), poly)
    with pytest.raises(ValueError, match="correlation"):
        Contraction.of("0e|0e|5")
    with pytest.raises(ValueError, match="not a contraction"):
        Contraction.of("0e|0e|__import__")
