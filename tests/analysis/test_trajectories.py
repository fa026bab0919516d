"""g(r), diffusion and spectra of motions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from adiabat.analysis import (
    diffusion_coefficient,
    distances,
    mean_square_displacement,
    power_spectrum,
    rdf,
    unwrap,
    velocity_autocorrelation,
    without_drift,
)
from adiabat.analysis.motions import motions
from adiabat.units import PER_CM

CELLS = {
    "cube": np.diag([6.0, 6.0, 6.0]),
    "skewed": np.array([[6.0, 0.0, 0.0], [2.5, 5.5, 0.0], [-2.0, 2.2, 6.0]]),
    "thin": np.diag([3.0, 8.0, 10.0]),  # the cutoff spans more than a cell
}


def ideal_gas(rng, cell, symbols, frames):
    return [Atoms(symbols, rng.random((len(symbols), 3)) @ cell, cell=cell, pbc=True) for _ in range(frames)]


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_ideal_gas_has_g_one_even_with_eight_atoms(rng, cell):
    g = rdf(ideal_gas(rng, cell, ["He"] * 8, 600), cutoff=5.0, bins=10)
    pulls = (g.g - 1)[1:] / g.error[1:]
    assert np.abs(pulls).max() < 5 and abs(g.g[4:].mean() - 1) < 0.02


def test_ideal_mixture_has_g_one_between_unlike_atoms(rng):
    frames = ideal_gas(rng, CELLS["skewed"], ["He"] * 3 + ["Ne"] * 5, 600)
    for pair in [("He", "Ne"), ("Ne", "He"), ("Ne", "Ne")]:
        assert abs(rdf(frames, cutoff=5.0, bins=10, elements=pair).g[4:].mean() - 1) < 0.03


def test_coordination_counts_the_shell_of_a_crystal():
    from ase.build import bulk

    g = rdf([bulk("Cu", cubic=True) * (2, 2, 2)], cutoff=4.5, bins=90)
    first_shell = np.searchsorted(g.r, 3.0)
    assert g.coordination[first_shell] == 12
    assert g.coordination[-1] == 12 + 6 + 24


def test_coordination_of_a_crystal_is_right_in_its_smallest_cubic_cell():
    """The six neighbors of the second shell are an atom's own images there: left out of g, they are neighbors all the same."""
    from ase.build import bulk

    assert rdf([bulk("Cu", a=3.6, cubic=True)], cutoff=4.0, bins=80).coordination[-1] == 12 + 6


def test_g_agrees_with_ase_where_ase_has_one():
    """ASE wants a cell of two cutoffs and divides by N where N − 1 others are there."""
    from ase.build import bulk
    from ase.geometry.analysis import Analysis

    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (2, 2, 2)
    atoms.rattle(0.2, seed=5)
    theirs = Analysis(atoms).get_rdf(5.0, 25)[0]
    n = len(atoms)
    assert rdf([atoms], cutoff=5.0, bins=25).g == pytest.approx(theirs * n / (n - 1), rel=1e-9)


def test_the_first_peak_is_the_nearest_shell_also_where_the_second_is_higher():
    """Diamond: 4 neighbors at √3/4 a and 12 at a/√2, so that n/r² is 21 and 24. Thermal, and with 128 noisy pairs of one frame."""
    from ase.build import bulk

    for sigma in (0.0, 0.05, 0.15):
        silicon = bulk("Si", a=5.43, cubic=True) * (2, 2, 2)
        silicon.rattle(sigma, seed=1)
        g = rdf([silicon], cutoff=5.0)
        assert abs(g.first_peak - 2.35) < 0.025 / 2 + sigma  # half a bin, and where the sample's densest place is
        if sigma < 0.1:
            assert g.r[g.g.argmax()] > 3.8


def test_a_stray_pair_and_the_noise_of_a_gas_are_no_peak(rng):
    gas = ideal_gas(rng, np.diag([10.0, 10.0, 10.0]), ["He"] * 60, 5)
    assert np.isnan(rdf(gas, cutoff=5.0).first_peak)
    from ase.build import bulk

    silicon = bulk("Si", a=5.43, cubic=True) * (2, 2, 2)
    hot = [silicon.copy() for _ in range(3)]
    for k, atoms in enumerate(hot):
        atoms.rattle(0.08, seed=k)
    hot[0].positions[0] = hot[0].positions[1] + [0.4, 0.0, 0.0]  # one pair of a tiny shell: g is high there
    g = rdf(hot, cutoff=5.0)
    assert g.g[g.r < 0.5].max() > 1 and abs(g.first_peak - 2.35) < 0.06


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_g_and_bonds_of_our_list_equal_those_of_ases(rng, cell):
    """Bit by bit where no distance is a bin's bound: the same vectors are summed."""
    from ase.neighborlist import neighbor_list

    atoms = ideal_gas(rng, cell, ["He"] * 4 + ["Ne"] * 5, 1)[0]
    i, j, d = neighbor_list("ijd", atoms, 5.0)
    g = rdf([atoms], cutoff=5.0, bins=25, elements=("He", "Ne"))
    wanted = (atoms.numbers[i] == 2) & (atoms.numbers[j] == 10)
    counts = np.histogram(d[wanted], np.linspace(0, 5, 26))[0]
    assert np.array_equal(g.pairs, counts) and np.array_equal(g.coordination, np.cumsum(counts) / 4)
    assert np.sort(distances([atoms], ("He", "Ne"), cutoff=5.0)[0]) == pytest.approx(np.sort(d[wanted]), abs=1e-12)
    atoms.positions[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        distances([atoms], ("He", "Ne"))


def test_g_of_what_has_none_is_refused():
    with pytest.raises(ValueError, match="no density"):
        rdf([Atoms("H2", [[0, 0, 0], [0, 0, 1]])], cutoff=3.0)
    with pytest.raises(ValueError, match="no frame came"):
        rdf([], cutoff=3.0)
    box = Atoms("He2", [[0, 0, 0], [0, 0, 1]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ValueError, match="wanted positive"):
        rdf([box], cutoff=0.0)
    box.positions[1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        rdf([box], cutoff=3.0)


def test_displacement_by_fourier_equals_the_plain_sum(rng):
    r = np.cumsum(rng.normal(size=(50, 4, 3)), 0) + 100.0
    plain = [((r[t:] - r[: 50 - t]) ** 2).sum(-1).mean() for t in range(50)]
    assert mean_square_displacement(r) == pytest.approx(plain, abs=1e-9)


def test_a_random_walk_diffuses_as_it_must(rng):
    """Steps of variance σ² an axis: D = σ²/2Δt."""
    pulls = []
    for _ in range(20):
        walk = np.cumsum(rng.normal(scale=0.2, size=(3000, 10, 3)), 0)
        D = diffusion_coefficient(walk, interval_fs=2.0)
        pulls.append((D.value - 0.01) / D.error)
    assert abs(np.mean(pulls)) < 1.5 and np.std(pulls) < 3  # five blocks: Student's t of 4 has σ = √2


def test_unwrapping_undoes_the_folding_of_a_skewed_cell(rng):
    cell = CELLS["skewed"]
    path = np.cumsum(rng.normal(scale=0.3, size=(200, 5, 3)), 0)
    frames = [Atoms("He5", x, cell=cell, pbc=True) for x in path]
    for atoms in frames[1:]:
        atoms.wrap()
    assert unwrap(frames) == pytest.approx(path, abs=1e-9)


def test_a_wall_direction_is_not_unwrapped():
    frames = [Atoms("He", [[0, 0, z]], cell=[3, 3, 3], pbc=[True, True, False]) for z in (0.0, 2.9)]
    assert unwrap(frames)[1, 0, 2] == pytest.approx(2.9)


def test_a_drift_of_the_box_is_taken_out_and_the_wandering_stays(rng):
    walk = np.cumsum(rng.normal(scale=0.1, size=(1000, 50, 3)), 0)
    drifting = walk + np.arange(1000)[:, None, None] * np.array([0.05, 0.0, 0.0])
    masses = rng.uniform(1, 50, 50)
    assert without_drift(drifting, masses) == pytest.approx(without_drift(walk, masses), abs=1e-9)
    D = diffusion_coefficient(without_drift(drifting), 1.0)
    assert abs(D.value - 0.005 * 49 / 50) < 5 * D.error  # Student's t of 4
    assert diffusion_coefficient(drifting, 1.0).value > 5 * D.value  # what a drift does


def test_wandering_in_a_plane_counts_two_dimensions(rng):
    D = diffusion_coefficient(np.cumsum(rng.normal(scale=0.1, size=(4000, 50, 2)), 0), 1.0)
    assert abs(D.value - 0.005) < 5 * D.error  # Student's t of 4


def test_what_is_no_trajectory_is_not_unwrapped():
    box = {"cell": [3, 3, 3], "pbc": True}
    with pytest.raises(ValueError, match="no frame"):
        unwrap([])
    with pytest.raises(ValueError, match="frame 1 has other atoms"):
        unwrap([Atoms("HO", np.eye(3)[:2], **box), Atoms("OH", np.eye(3)[:2], **box)])
    with pytest.raises(ValueError, match="lacks a cell vector"):
        unwrap([Atoms("H", pbc=True)] * 2)


def test_what_is_no_motion_is_refused_in_words():
    exploded = np.concatenate([np.ones((40, 2, 3)), np.full((1, 2, 3), np.nan)])
    for analysis in (
        mean_square_displacement, without_drift, velocity_autocorrelation,
        lambda x: power_spectrum(x, 1.0), lambda x: diffusion_coefficient(x, 1.0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="of atom 0 in frame 40 are not finite"):
            analysis(exploded)
        with pytest.raises(ValueError, match="wanted .frames, atoms, axes"):
            analysis(exploded[:0])
    with pytest.raises(ValueError, match="5 frames of velocities came; wanted at least 6"):
        motions(np.ones((5, 1, 3)), "velocities", least=6)


def test_too_little_for_a_spectrum_is_said():
    with pytest.raises(ValueError, match="all velocities are zero"):
        velocity_autocorrelation(np.zeros((50, 1, 3)))
    with pytest.raises(ValueError, match="windows of 1 frames"):
        power_spectrum(np.ones((8, 1, 3)), 1.0)
    with pytest.raises(ValueError, match="interval_fs = 0"):
        diffusion_coefficient(np.ones((100, 1, 3)), 0)


def test_two_oscillators_give_two_lines_weighted_by_their_energy():
    t = np.arange(16_384) * 0.5
    nu = np.array([1000.0, 3500.0]) / PER_CM
    masses = np.array([4.0, 1.0])
    v = np.zeros((len(t), 2, 3))
    v[:, :, 0] = np.cos(2 * np.pi * nu * t[:, None] + [0.3, 1.1]) / np.sqrt(masses)  # equal m v²: equipartition
    spectrum = power_spectrum(v, 0.5, masses)
    low = spectrum.wavenumbers_per_cm < 2000
    weight = np.trapezoid(spectrum.density[low], spectrum.wavenumbers_per_cm[low])
    assert weight == pytest.approx(0.5, abs=0.01)
    assert spectrum.wavenumbers_per_cm[low][spectrum.density[low].argmax()] == pytest.approx(
        1000, abs=spectrum.resolution_per_cm
    )
    c = velocity_autocorrelation(v, masses)
    lag = np.arange(200)
    assert c[:200] == pytest.approx((np.cos(2 * np.pi * np.outer(lag * 0.5, nu))).mean(1), abs=2e-3)
