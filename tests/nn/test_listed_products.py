"""Products of a density's components: no rotation changes them, and none is a sum of others."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from adiabat.nn.listed_products import invariant_products


def values(points: np.ndarray, weights: np.ndarray, l_max: int, most: int) -> np.ndarray:
    """Each product at one atom with these neighbors, their weights for its radial functions; scipy's harmonics."""
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    Y = np.stack([sph_harm_y(l, m, theta, phi) for l in range(l_max + 1) for m in range(-l, l + 1)], 1)
    A = (weights.T @ Y).reshape(-1)
    products, components, numbers = (x.numpy() for x in invariant_products(1, 1, weights.shape[1], l_max, most))
    found = []
    for (_, first, factors), end in zip(products, [*products[1:, 1], len(components)], strict=True):
        if factors > 1:
            found.append((numbers[first:end] * A[components[first:end, :factors]].prod(1)).sum())
    return np.array(found)


@pytest.mark.parametrize(("n_max", "l_max", "most"), [(2, 3, 3), (1, 3, 4), (2, 1, 4)])
def test_they_are_real_and_do_not_turn(n_max, l_max, most):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    points, weights = points / np.linalg.norm(points, axis=1)[:, None], rng.normal(size=(9, n_max))
    before = values(points, weights, l_max, most)
    for turned in (Rotation.random(random_state=1).apply(points), -points):
        assert np.abs(values(turned, weights, l_max, most) - before).max() < 1e-10  # of products up to some hundreds
    assert np.abs(before.imag).max() < 1e-10


@pytest.mark.parametrize(("n_max", "l_max", "most"), [(2, 2, 3), (1, 3, 4)])
def test_none_is_a_sum_of_others_of_its_length(n_max, l_max, most):
    """As functions: at as many random surroundings as there are of them their matrix has full rank."""
    _, _, numbers = invariant_products(1, 1, n_max, l_max, most)
    assert numbers.dtype == torch.float64
    rng = np.random.default_rng(1)

    def surroundings() -> np.ndarray:
        points = rng.normal(size=(12, 3))
        return values(points / np.linalg.norm(points, axis=1)[:, None], rng.normal(size=(12, n_max)), l_max, most).real

    size = len(surroundings())
    matrix = np.array([surroundings() for _ in range(2 * size)])
    matrix /= np.linalg.norm(matrix, axis=0)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert singular[-1] > 1e-8 * singular[0]  # rounding of 1e-16 in functions that look alike


def test_longer_ones_are_refused():
    with pytest.raises(ValueError, match=r"pace.factors: 5 came; wanted 2 to 4"):
        invariant_products(1, 3, 2, 2, 5)
