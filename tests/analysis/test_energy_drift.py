"""A slope is found, its error is its error, and the verdict follows both."""

from __future__ import annotations

import numpy as np
import pytest

from adiabat.analysis import energy_drift

TIMES = np.arange(0.0, 10_000.0, 5.0)  # 10 ps


def energies(rng, slope_meV_per_atom_ns, replicas, noise_meV=0.1, atoms=3):
    noise = noise_meV * rng.normal(size=(len(TIMES), replicas))
    return -2000.0 + atoms * 1e-3 * (noise + slope_meV_per_atom_ns * 1e-6 * TIMES[:, None])


@pytest.mark.parametrize("replicas", [1, 3, 16])
def test_a_known_slope_is_found_within_its_error(rng, replicas):
    drift = energy_drift(energies(rng, 5.0, replicas), TIMES, 3)
    assert abs(drift.value - 5.0) < 4 * drift.error
    assert drift.bound == abs(drift.value) + 2 * drift.error
    assert drift.fluctuation == pytest.approx(0.1, rel=0.05)
    assert len(drift.slopes) == replicas


@pytest.mark.parametrize("replicas", [1, 16])
def test_stated_error_is_the_spread_of_repeated_runs(rng, replicas):
    drifts = [energy_drift(energies(rng, 0.0, replicas), TIMES, 3) for _ in range(100)]
    spread = np.std([d.value for d in drifts])
    assert np.mean([d.error for d in drifts]) == pytest.approx(spread, rel=0.25)  # 100 runs know a spread to 7 %; ±3.5σ


def test_one_replica_with_slow_noise_admits_a_larger_error(rng):
    slow = np.cumsum(rng.normal(size=len(TIMES)))
    slow = slow - np.convolve(slow, np.ones(101) / 101, mode="same")
    x = -5.0 + 1e-5 * slow
    assert energy_drift(x, TIMES, 3).error > 2 * energy_drift(rng.permutation(x), TIMES, 3).error


def test_what_wanders_in_a_heat_bath_states_the_spread_of_repeated_runs_too(rng):
    walks = -5.0 + 1e-3 * np.cumsum(rng.normal(size=(len(TIMES), 100)), axis=0)
    drifts = [energy_drift(walk, TIMES, 3, bath=True) for walk in walks.T]
    spread = np.std([d.value for d in drifts])
    assert np.mean([d.error for d in drifts]) == pytest.approx(spread, rel=0.25)  # 100 runs know a spread to 7 %; ±3.5σ
    assert np.mean([energy_drift(walk, TIMES, 3).error for walk in walks.T]) < 0.5 * spread  # what residuals tell of a walk
    assert all(d.verdict != "pass" for d in drifts) and "nve" in next(d for d in drifts if d.verdict == "undetermined").advice
    rising = walks[:, 0] + 1e-2 * TIMES  # 3 keV/atom/ns
    assert energy_drift(rising, TIMES, 3, bath=True).verdict == "fail"


def test_verdicts(rng):
    quiet = energy_drift(energies(rng, 0.1, 16, noise_meV=0.01), TIMES, 3)
    assert quiet.verdict == "pass"
    loud = energy_drift(energies(rng, 0.1, 16, noise_meV=5.0), TIMES, 3)
    assert loud.verdict == "undetermined" and "replicas" in loud.advice
    leaking = energy_drift(energies(rng, 50.0, 16), TIMES, 3, timestep_fs=0.5)
    assert leaking.verdict == "fail" and "0.25 fs" in leaking.advice


def test_atoms_may_differ_between_replicas(rng):
    one = energies(rng, 5.0, 2)
    both = energy_drift(one * np.array([1.0, 2.0]), TIMES, np.array([3.0, 6.0]))
    assert both.value == pytest.approx(energy_drift(one, TIMES, 3).value)


def test_lengths_that_differ_are_refused():
    with pytest.raises((ValueError, TypeError), match=r"one time a row|times_fs"):  # or the shape check, where it is on
        energy_drift(np.zeros((20, 2)), TIMES, 3)
    with pytest.raises(ValueError, match="at least 10"):
        energy_drift(np.zeros((5, 2)), TIMES[:5], 3)


def test_an_exploded_run_fails_with_the_reason():
    energies = np.zeros(20)
    energies[15:] = np.nan
    found = energy_drift(energies, np.arange(20.0), 3)
    assert found.verdict == "fail" and "from sample 15 of 20 on: the run exploded" in found.advice
    assert found.to_json()["bound"] is None and found.to_json()["value"] is None
    with pytest.raises(ValueError, match="do not rise"):
        energy_drift(np.zeros(20), np.zeros(20), 3)
