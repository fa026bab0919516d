"""Samples have the temperature they claim."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from adiabat.analysis import harmonic_frequencies
from adiabat.dynamics import Hotter, State, relax
from adiabat.graph import Graph
from adiabat.samplers import SAMPLERS, md, normal_modes
from adiabat.units import k_B
from wells import springy, triangle

POTENTIAL = springy()


def at_rest() -> Atoms:
    return relax(State.of(triangle(), POTENTIAL), POTENTIAL, fmax=1e-6).state.to_atoms()[0]


def predict(frames):
    graph = Graph.of(frames, POTENTIAL.cutoff)
    return POTENTIAL(graph)


def forces_of(frames):
    return list(predict(frames).forces.numpy().reshape(len(frames), -1, 3))


def test_each_mode_carries_half_kT(rng):
    """Cold enough to be harmonic: ⟨E − E₀⟩ = 3 · ½ kT for three modes, χ² of 3 a sample."""
    rest = at_rest()
    modes = harmonic_frequencies(rest, forces_of, 1e-3)
    frames = normal_modes(rest, modes, 2000, temperature_K=20.0, rng=rng)
    energy = (predict(frames).energy - predict([rest]).energy).numpy() / (1.5 * k_B * 20.0)
    assert abs(energy.mean() - 1) < 4 * np.sqrt(2 / (3 * 2000)) + 0.01  # and 1 % of anharmonicity
    assert {a.info["config_type"] for a in frames} == {"normal_modes"}


def test_soft_and_imaginary_modes_are_held_back(rng):
    flat = harmonic_frequencies(Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]), lambda frames: [np.zeros((2, 3)) for _ in frames])
    frames = normal_modes(Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]), flat, 50, temperature_K=300.0, rng=rng)
    assert np.std([a.get_distance(0, 1) for a in frames]) < 1.0


def test_modes_of_another_structure_are_refused(rng):
    modes = harmonic_frequencies(at_rest(), forces_of)
    with pytest.raises(ValueError, match="give its own modes"):
        normal_modes(Atoms("H2", [[0, 0, 0], [0, 0, 1]]), modes, 1, temperature_K=300.0, rng=rng)
    turned, heavy = at_rest(), at_rest()
    turned.rotate(90, "x")
    heavy.set_masses(2 * heavy.get_masses())
    for other in (turned, heavy):
        with pytest.raises(ValueError, match="other masses or positions"):
            normal_modes(other, modes, 1, temperature_K=300.0, rng=rng)
    for temperature in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="temperature_K"):
            normal_modes(at_rest(), modes, 1, temperature_K=temperature, rng=rng)


def test_a_shifted_structure_has_the_same_modes(rng):
    shifted = at_rest()
    shifted.positions += 3.0
    assert len(normal_modes(shifted, harmonic_frequencies(at_rest(), forces_of), 2, temperature_K=30.0, rng=rng)) == 2


def test_dynamics_gives_frames_at_intervals_with_their_story(rng):
    start = [at_rest(), at_rest()]
    start[1].info["charge"] = 0
    frames = list(md(start, POTENTIAL, 6, rng=rng, temperature_K=300.0, interval_fs=20.0, warmup_fs=40.0))
    assert [a.info["time_fs"] for a in frames] == [60.0, 60.0, 80.0, 80.0, 100.0, 100.0]
    assert [a.info["replica"] for a in frames] == [0, 1] * 3
    assert all(a.info["config_type"] == "md" and a.calc is None and "charge" in a.info for a in frames[1::2])
    assert not np.allclose(frames[0].positions, frames[2].positions)


def test_a_schedule_heats_slowly(rng):
    ramp = lambda time_fs: 10.0 + time_fs  # noqa: E731
    frames = list(md([at_rest()] * 50, POTENTIAL, 500, rng=rng, temperature_K=ramp, interval_fs=30.0, friction_per_fs=0.1))
    assert frames[0].info["temperature_K"] == pytest.approx(240.0) and frames[-1].info["temperature_K"] > 500
    spread = [np.var([a.get_distance(1, 2) for a in frames[k : k + 50]]) for k in (0, 450)]
    assert spread[1] > 1.3 * spread[0]


def test_a_halted_run_gives_its_last_frame_once(rng):
    frames = list(
        md(at_rest(), POTENTIAL, 100, rng=rng, temperature_K=2000.0, warmup_fs=0.0, interval_fs=5.0, stop_if=[Hotter(1500.0)])
    )
    assert 1 <= len(frames) < 100
    assert len({a.info["time_fs"] for a in frames}) == len(frames)


def test_the_same_seed_gives_the_same_samples():
    options = {"temperature_K": 300.0, "interval_fs": 5.0}
    a, b = (list(md(at_rest(), POTENTIAL, 3, rng=np.random.default_rng(3), **options)) for _ in range(2))
    assert a == b and set(SAMPLERS) == {"md", "normal_modes"}
