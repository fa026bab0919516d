"""Scaling a spread: what comes back from errors whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from adiabat.uncertainty import calibrate, coverage, pooled, rank_correlation, trust

N = 40_000


def made(rng, scale: float, n: int = N):
    spread = rng.lognormal(0.0, 0.7, n)
    return rng.normal(0.0, scale * spread), spread


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_the_scale_of_normal_errors_is_found(rng, scale):
    found = calibrate(*made(rng, scale))
    # The scale of n squares of unit normals is right to 1/√(2n) = 0.35 %; four of those.
    assert found.scale == pytest.approx(scale, rel=4 / np.sqrt(2 * N))
    assert found.n == N


def test_scaled_intervals_hold_what_they_promise(rng):
    error, spread = made(rng, 3.0)
    found = calibrate(error, spread)
    for share, held in found.coverage.items():
        # The standard error of a share is at most ½/√n; four of those.
        assert held == pytest.approx(float(share), abs=2 / np.sqrt(N))
    assert coverage(error, found.scale * spread) == found.coverage


def test_coverage_is_that_of_the_normal_distribution(rng):
    # Spreads half as large as they should be: an interval for p holds erf of half its width.
    told = coverage(rng.normal(size=N), np.full(N, 0.5), shares=(0.5, 0.95))
    for share, held in told.items():
        z = norm.ppf(0.5 + float(share) / 2) / 2
        assert held == pytest.approx(2 * norm.cdf(z) - 1, abs=2 / np.sqrt(N))


def test_the_unit_does_not_matter(rng):
    error, spread = made(rng, 2.0, 100)
    a, b = calibrate(error, spread), calibrate(1e3 * error, 1e3 * spread)
    assert b.scale == pytest.approx(a.scale, rel=1e-13) and b.coverage == a.coverage


def test_a_spread_twice_as_large_needs_half_the_scale(rng):
    error, spread = made(rng, 2.0, 100)
    assert calibrate(error, 2 * spread).scale == pytest.approx(calibrate(error, spread).scale / 2, rel=1e-13)


def test_rank_correlation_tells_a_spread_that_ranks_from_one_that_does_not(rng):
    error, spread = made(rng, 1.0)
    assert calibrate(error, spread).correlation > 0.3
    assert abs(calibrate(error, rng.permutation(spread)).correlation) < 4 / np.sqrt(N)
    assert calibrate(np.abs(spread), spread).correlation == pytest.approx(1.0)


def test_a_spread_of_zero_says_nothing_and_is_left_out(rng):
    error, spread = made(rng, 2.0, 100)
    plain = calibrate(error, spread)
    padded = calibrate(np.append(error, 5.0), np.append(spread, 0.0))
    assert (padded.n, padded.scale) == (plain.n, plain.scale)


def test_what_symmetry_forbids_says_nothing_though_it_is_rounded(rng):
    """Atoms of a perfect crystal: the members' forces differ by 1e-15, the label's by what its engine converges to."""
    error, spread = made(rng, 2.0)
    errors, spreads = np.append(error, rng.normal(0, 1e-6, 5000)), np.append(spread, rng.uniform(0, 1e-14, 5000))
    assert calibrate(errors, spreads).scale == calibrate(error, spread).scale
    assert pooled(1.0, 10, errors, spreads) == pooled(1.0, 10, error, spread)
    wild = np.append(spreads, np.full(100, 1e9))  # a few frames where the members know nothing take nothing from the others
    assert calibrate(np.append(errors, np.ones(100)), wild).n == N + 100


def test_members_that_agree_exactly_are_an_error():
    with pytest.raises(ValueError, match="every spread is zero: the members of the committee agree exactly"):
        calibrate(np.ones(5), np.zeros(5))


def test_one_error_alone_has_no_rank():
    found = calibrate(np.array([2.0]), np.array([1.0]))
    assert found.scale == 2.0 and found.n == 1 and np.isnan(found.correlation)


@pytest.mark.parametrize("factor", [1 / 1.8, 1 / 1.4, 1.0, 1.4, 1.8])
def test_a_spread_is_trusted_within_a_factor_of_one_and_a_half(rng, factor):
    # The shares at 1.4 and 1.8 are 0.525, 0.838 and 0.421, 0.928 from the normal distribution; 4 σ of N samples are 0.02.
    spread = rng.uniform(1, 5, N)
    judged = trust(rng.normal(0, spread), factor * spread)
    assert judged.trusted == (1 / 1.5 < factor < 1.5), judged
    if not judged.trusted:
        assert ("too small" in judged.advice) == (factor < 1)


def test_errors_that_are_right_in_the_middle_and_wrong_in_the_tail_are_not_trusted(rng):
    # One error in four is ten times what it is said to be: within one spread all looks well, within two it does not.
    error = rng.normal(size=N) * np.where(rng.random(N) < 0.25, 10, 1)
    assert not trust(error, np.ones(N)).trusted


def test_rank_correlation_of_a_constant_spread_is_not_told(rng):
    assert rank_correlation(rng.normal(size=50), np.ones(50)) is None


def test_every_judgment_wants_one_spread_an_error():
    """Broadcasting would judge three errors by one spread."""
    for judge in (calibrate, coverage, trust, rank_correlation, lambda e, s: pooled(1.0, 2, e, s)):
        with pytest.raises(ValueError, match="wanted one spread an error"):
            judge(np.ones(3), np.ones(1))


def test_an_error_that_is_no_number_calibrates_nothing():
    with pytest.raises(ValueError, match="1 of 3 errors are not finite"):
        calibrate(np.array([1.0, np.nan, 2.0]), np.ones(3))


def test_components_of_forces_are_ranked_as_they_come(rng):
    spread = rng.uniform(0.1, 2.0, (200, 3))
    assert rank_correlation(rng.normal(size=(200, 3)) * spread, spread) > 0.3


def test_no_error_is_within_no_spread():
    assert coverage(np.array([0.0, 1.0]), np.zeros(2), shares=(0.5,)) == {"0.5": 0.5}
