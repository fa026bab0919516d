"""Correlated data: what a mean is worth, on a process whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from adiabat.analysis import autocorrelation_time, block_averages, mean


def ar1(rng, a, steps, replicas=1):
    """x_t = a x_{t−1} + √(1−a²) ξ: C(t) = aᵗ, so τ = ½ (1 + a)/(1 − a)."""
    from scipy.signal import lfilter

    noise = rng.normal(size=(steps + 1000, replicas)) * np.sqrt(1 - a * a)
    return lfilter([1.0], [1.0, -a], noise, axis=0)[1000:]


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, 0.98])
def test_autocorrelation_time_of_an_autoregression(rng, a):
    exact = 0.5 * (1 + a) / (1 - a)
    tau = autocorrelation_time(ar1(rng, a, 100_000))
    assert abs(tau.value - exact) < 4 * tau.error + 0.01 * exact  # the window cuts a tail of e⁻⁵


def test_replicas_sharpen_the_autocorrelation_time(rng):
    x = ar1(rng, 0.9, 5000, replicas=16)
    assert autocorrelation_time(x).error < autocorrelation_time(x[:, :1]).error / 3
    assert autocorrelation_time(x).value == pytest.approx(9.5, rel=0.1)


def test_error_of_a_mean_covers_the_truth_two_times_out_of_three(rng):
    """200 means of the same process: their spread over their stated errors is one (χ² of 199: 1 ± 0.1 twofold)."""
    means = [mean(x) for x in ar1(rng, 0.9, 2000, replicas=200).T]
    pulls = np.array([m.value / m.error for m in means])
    assert 0.85 < pulls.std() < 1.2


def test_blocks_level_off_at_the_error_of_the_mean(rng):
    x = ar1(rng, 0.9, 2**16)[:, 0]
    blocks = block_averages(x)
    assert blocks.error[0] < 0.4 * blocks.plateau  # as if independent: √(2τ) = 4.4 too small
    assert blocks.plateau == pytest.approx(mean(x).error, rel=0.25)


@pytest.mark.parametrize("length", [100, 400, 1600])
def test_a_series_shorter_than_its_memory_has_no_plateau(rng, length):
    """Errors still double with four times the block: the first of them would be several times too small."""
    assert np.isnan(block_averages(np.arange(float(length))).plateau)
    slow = [block_averages(x).plateau for x in ar1(rng, 0.999, length, replicas=50).T]  # τ = 1000
    assert np.isnan(slow).mean() > 0.9


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="at least one sample"):
        mean(np.array([]))


def test_a_constant_has_no_error_and_one_sample_has_no_known_one():
    assert mean(np.full(100, 3.0)).error == 0
    assert np.isnan(mean(np.array([3.0])).error)
