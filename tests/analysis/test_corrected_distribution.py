"""The reference's distribution as the model's plus what reweighting changes: right on average, and quieter than reweighting alone."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from adiabat.analysis import corrected, histogram, reweight
from adiabat.units import k_B

EDGES = np.linspace(-3.0, 3.0, 13)
TEMPERATURE_K = 300.0
SHIFT = 0.3  # the model samples N(0, 1), the reference would sample N(SHIFT, 1)


def one_run(rng):
    """A long run's histogram, a few of its frames, and their weights by exact energies of both ensembles."""
    x = rng.normal(size=(6000, 1))
    whole = histogram(list(x), EDGES, rng=rng)
    few = x[::100]
    kT = k_B * TEMPERATURE_K
    weights = reweight(kT * (few[:, 0] - SHIFT) ** 2 / 2, kT * few[:, 0] ** 2 / 2, TEMPERATURE_K)
    return whole, list(few), weights


def exact() -> np.ndarray:
    return np.diff(norm.cdf(EDGES, SHIFT)) / np.diff(EDGES)


def test_the_corrected_density_is_the_references_within_its_error(rng):
    deviations = []
    for _ in range(30):
        whole, few, weights = one_run(rng)
        found = corrected(whole, few, weights, rng=rng)
        inner = slice(3, 9)  # bins with enough of the sixty frames for their bootstrap to mean something
        deviations.append(((found.density - exact()) / found.error)[inner])
    z = np.concatenate(deviations)
    assert abs(z.mean()) < 0.35
    assert 0.7 < np.sqrt((z**2).mean()) < 1.6  # 1 for errors that are told rightly; sixty frames make rough ones


def test_it_is_quieter_than_reweighting_alone(rng):
    plain, better = [], []
    for _ in range(30):
        whole, few, weights = one_run(rng)
        plain.append(histogram(few, EDGES, rng=rng, weights=weights.values).density - exact())
        better.append(corrected(whole, few, weights, rng=rng).density - exact())
    assert np.square(better).mean() < 0.5 * np.square(plain).mean()
