"""Histograms count bonds and angles as drawn; reweighting gives the exact averages of the other ensemble."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from adiabat.analysis import angles, distances, histogram, overlap, reweight
from adiabat.analysis.distributions import tally
from adiabat.analysis.reweight import compare
from adiabat.units import k_B

EDGES = np.linspace(-4.0, 4.0, 41)


def test_distances_agree_with_ase_across_a_skewed_cell():
    atoms = bulk("Cu") * (2, 2, 2)
    atoms.rattle(0.05, seed=1)
    pairs = np.array([[0, 3], [1, 6], [2, 7]])
    ours = distances([atoms], pairs)[0]
    assert ours == pytest.approx([atoms.get_distance(a, b, mic=True) for a, b in pairs], abs=1e-12)


def test_bonds_between_like_elements_are_counted_once():
    assert len(distances([molecule("C2H6")], ("C", "C"))[0]) == 1
    copper = bulk("Cu", cubic=True)
    assert len(distances([copper], ("Cu", "Cu"), cutoff=3.0)[0]) == 4 * 12 // 2
    assert len(distances([bulk("Cu")], ("Cu", "Cu"), cutoff=3.0)[0]) == 12 // 2  # every bond to an own image


def test_angles_agree_with_ase():
    water = molecule("H2O")
    expected = water.get_angle(1, 0, 2)
    assert angles([water], ("H", "O", "H"))[0] == pytest.approx([expected], abs=1e-9)
    assert angles([water], np.array([[1, 0, 2]]))[0] == pytest.approx([expected], abs=1e-9)
    assert len(angles([molecule("CH4")], ("H", "C", "H"))[0]) == 6
    assert len(angles([molecule("CH3OH")], ("H", "C", "O"))[0]) == 3


def test_straight_angles_keep_their_digits():
    bent = np.radians(1e-5)
    line = Atoms("CO2", [[0, 0, 0], [0, 0, 1.16], [0, 1.16 * np.sin(bent), -1.16 * np.cos(bent)]])
    assert angles([line], ("O", "C", "O"))[0][0] == pytest.approx(180 - 1e-5, abs=1e-9)


def test_stated_bin_errors_are_the_spread_of_repeated_experiments(rng):
    many = [histogram(list(rng.normal(size=(400, 1))), EDGES, rng=rng) for _ in range(60)]
    middle = slice(15, 25)
    spread = np.std([h.density for h in many], axis=0)[middle]
    stated = np.mean([h.error for h in many], axis=0)[middle]
    assert (stated / spread).mean() == pytest.approx(1.0, abs=0.15)


def test_correlated_frames_need_blocks(rng):
    repeated = [x for x in rng.normal(size=(200, 1)) for _ in range(10)]  # ten copies of each frame
    naive = histogram(repeated, EDGES, rng=rng).error[20]
    honest = histogram(repeated, EDGES, rng=rng, block=10).error[20]
    assert honest / naive == pytest.approx(np.sqrt(10), rel=0.25)


def test_two_states_are_reweighted_exactly(rng):
    """States with energies 0 and ε: the model's populations ½, ½ become those of the reference, 1 : exp(−βε)."""
    kT = k_B * 300.0
    gap = kT * np.log(3.0)
    state = np.arange(1000) % 2
    weights = reweight(state * gap, np.zeros(1000), 300.0)
    assert weights.average(state.astype(float)).value == pytest.approx(0.25, abs=1e-12)
    assert weights.effective_samples == pytest.approx(1000 * (0.5 * 1 + 0.5 / 3) ** 2 / (0.5 + 0.5 / 9), rel=1e-12)


def test_a_stiffer_well_is_reached_from_a_softer_one(rng):
    """Model ½x² at kT = 1, reference ½·1.5 x²: ⟨x²⟩ = 2/3; the effective sample size is N √(2k−1)/k."""
    kT, n = k_B * 300.0, 20_000
    x = rng.normal(size=n)
    weights = reweight(0.75 * x**2 * kT - 2000.0, 0.5 * x**2 * kT, 300.0)
    variance = weights.average(x**2)
    assert abs(variance.value - 2 / 3) < 4 * variance.error
    assert weights.effective_samples / n == pytest.approx(np.sqrt(2.0) / 1.5, rel=0.02)
    exact = np.sqrt(0.75 / np.pi) * np.exp(-0.75 * ((EDGES[1:] + EDGES[:-1]) / 2) ** 2)
    both = compare(list(x[:, None]), weights, EDGES, rng=rng)
    assert (np.abs(both.reference.density - exact) < 5 * both.reference.error + 2e-3).all()  # 2e-3: a bin is not a point
    assert both.largest_deviation > 5  # the two ensembles differ, and 20,000 frames see it
    assert 0.85 < both.overlap < 0.95


def test_the_same_ensemble_shows_no_deviation(rng):
    x = rng.normal(size=2000)
    noise = 0.05 * k_B * 300.0 * rng.normal(size=2000)
    both = compare(list(x[:, None]), reweight(noise, np.zeros(2000), 300.0), EDGES, rng=rng)
    assert both.largest_deviation < 5 and both.overlap > 0.98 and both.effective_samples > 1990


def test_a_far_model_is_called_untrustworthy(rng):
    weights = reweight(0.5 * rng.normal(size=500), np.zeros(500), 300.0)  # 19 kT of spread
    assert weights.overlap < 0.05 and "too far off" in weights.advice


def test_energies_that_do_not_match_frames_are_refused():
    two, one = np.zeros(2), np.zeros(1)
    untyped = inspect.unwrap(reweight)  # as users call it: shapes are checked against types in tests alone
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1,\)"):  # broadcasting would answer
        untyped(two, one, 300.0)
    with pytest.raises(ValueError, match="at least one"):
        reweight(one[:0], one[:0], 300.0)
    for temperature in (0.0, -300.0, np.nan):
        with pytest.raises(ValueError, match="temperature_K"):
            reweight(two, two, temperature)
    with pytest.raises(ValueError, match="one number a frame"):
        reweight(two, two, 300.0).average(np.zeros(3))


def test_counts_are_those_of_numpy_and_outside_is_the_rest(rng):
    samples = [np.r_[rng.normal(size=n), EDGES[0], EDGES[-1], EDGES[7], -9.0, 9.0, np.inf] for n in (5, 0, 700)]
    counts = tally(samples, EDGES, None)
    assert np.array_equal(counts[:, :-1], [np.histogram(x, EDGES)[0] for x in samples])
    assert np.array_equal(counts.sum(1), [len(x) for x in samples])


def test_samples_outside_all_bins_are_not_forgotten(rng):
    """A model whose bonds broke must not look like one whose bonds held."""
    edges = np.array([0.0, 1.0, 2.0])
    held, broke = (histogram([np.array(x)], edges, rng=rng) for x in ([0.5, 0.5], [0.5, 99.0]))
    assert broke.density.tolist() == [0.5, 0.0] and broke.mean == 0.5
    assert overlap(held, broke) == 0.5
    with pytest.raises(ValueError, match="frame 1 is NaN"):
        histogram([np.array([0.5]), np.array([0.5, np.nan])], edges, rng=rng)


def test_angles_of_a_large_crystal_need_no_square_of_its_bonds():
    """Twelve bonds an atom make 66 pairs."""
    import tracemalloc

    copper = bulk("Cu", cubic=True) * (6, 6, 6)
    tracemalloc.start()
    found = angles([copper], ("Cu", "Cu", "Cu"), cutoff=3.0)[0]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    bonds = len(copper) * 12
    assert len(found) == len(copper) * 66
    assert most < bonds**2 / 2  # bytes; a truth value for every pair of bonds would take twice that
    shares = [np.isclose(found, a, atol=1e-6).sum() / len(copper) for a in (60, 90, 120, 180)]
    assert shares == [24, 12, 24, 6]  # of a cuboctahedron's vertices, seen from its center


def test_no_pairs_have_no_distances():
    assert len(distances([molecule("H2O")], np.zeros((0, 2), int))[0]) == 0


def test_differing_bins_are_refused(rng):
    a, b = (histogram([np.zeros(1)], edges, rng=rng) for edges in (EDGES, EDGES[1:]))
    with pytest.raises(ValueError, match="same edges"):
        overlap(a, b)


def test_the_control_variate_finds_the_reference_where_few_weighted_frames_cannot(rng):
    """Model N(0, 1), reference N(0.3, 1): exact weights on 50 frames beside a long run; against the exact reference density."""
    from adiabat.analysis.reweight import corrected, reweight
    from adiabat.units import k_B

    long, few = rng.normal(size=(40_000, 1)), rng.normal(size=(50, 1))
    edges = np.linspace(-2, 2, 9)
    whole = histogram(list(long), edges, rng=rng)
    weights = reweight(k_B * 300.0 * (0.5 * (few[:, 0] - 0.3) ** 2 - 0.5 * few[:, 0] ** 2), np.zeros(50), 300.0)
    found = corrected(whole, list(few), weights, rng=rng)
    centers = whole.centers
    exact = np.exp(-((centers - 0.3) ** 2) / 2)
    exact /= (exact * np.diff(edges)).sum()
    plain = histogram(list(few), edges, rng=rng, weights=weights.values)
    # The weights vary by a third here, so some noise stays; it must be smaller than without the long run.
    assert np.sqrt(np.mean((found.density - exact) ** 2)) < 0.8 * np.sqrt(np.mean((plain.density - exact) ** 2))
    assert np.all(np.abs(found.density - exact) < 4 * found.error + 0.02)
