import numpy as np
import pytest
import torch
from scipy.integrate import lebedev_rule
from scipy.spatial.transform import Rotation

from adiabat.irreps import Irrep, Irreps, clebsch_gordan, rotation
from adiabat.kernels.geometry import spherical_harmonics

TRIANGLES = [(a, b, c) for a in range(5) for b in range(5) for c in range(abs(a - b), min(a + b, 6) + 1)]


def harmonics(u, l):
    return spherical_harmonics(torch.as_tensor(u), l)[:, l * l :].numpy()


@pytest.mark.parametrize("l", range(7))
def test_rotation_is_how_harmonics_turn(l, rng):
    R, u = Rotation.random(rng=rng).as_matrix(), rng.normal(size=(9, 3))
    np.testing.assert_allclose(harmonics(u @ R.T, l), harmonics(u, l) @ rotation(l, R).T, atol=1e-11 * 4**l)


def test_coupling_turns_with_its_factors(rng):
    R = Rotation.random(rng=rng).as_matrix()
    for l1, l2, l3 in TRIANGLES:
        C, D1, D2, D3 = clebsch_gordan(l1, l2, l3), *(rotation(l, R) for l in (l1, l2, l3))
        np.testing.assert_allclose(np.einsum("ma,nb,mnq->abq", D1, D2, C), np.einsum("abc,qc->abq", C, D3), atol=1e-13)


def test_coupling_is_orthonormal():
    for l1, l2, l3 in TRIANGLES:
        C = clebsch_gordan(l1, l2, l3).reshape(-1, 2 * l3 + 1)
        np.testing.assert_allclose(C.T @ C, np.eye(2 * l3 + 1) / (2 * l3 + 1), atol=1e-14)


def test_even_couplings_are_gaunt_integrals():
    """Integrals of three harmonics over a Lebedev grid: an oracle that knows nothing of Racah."""
    points, weights = lebedev_rule(21)
    u, w = np.ascontiguousarray(points.T), weights / weights.sum()
    for l1, l2, l3 in TRIANGLES:
        if (l1 + l2 + l3) % 2 == 0:
            gaunt = np.einsum("g,ga,gb,gc->abc", w, harmonics(u, l1), harmonics(u, l2), harmonics(u, l3))
            C = clebsch_gordan(l1, l2, l3)
            np.testing.assert_allclose(gaunt, C * np.sum(gaunt * C), atol=1e-12)


def test_the_vector_product_is_a_coupling(rng):
    a, b = rng.normal(size=(2, 3))
    order = [1, 2, 0]
    coupled = np.einsum("abc,a,b->c", clebsch_gordan(1, 1, 1), a[order], b[order])
    np.testing.assert_allclose(abs(coupled * 6**0.5), abs(np.cross(a, b)[order]), atol=1e-14)


def test_outside_the_triangle_nothing_couples():
    assert not clebsch_gordan(1, 1, 3).any() and clebsch_gordan(1, 1, 3).shape == (3, 3, 7)


def test_irreps_name_their_rows():
    irreps = Irreps.of("0e+0e+1o+2e")
    assert irreps.dim == 10 and irreps.rows[2] == slice(2, 5) and Irreps.of(str(irreps)) == irreps
    assert Irreps.spherical(2) == Irreps.of("0e+1o+2e") and Irrep.of("1o").dim == 3
    with pytest.raises(ValueError, match="'1x' is not an irrep"):
        Irreps.of("0e+1x")
