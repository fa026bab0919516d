"""Which structures a campaign's report shows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from adiabat.campaign.pictures import COORDINATES, first_replica, thinned, worst
from adiabat.report.forms import Structures
from adiabat.report.forms.structures import MOST
from adiabat.report.record import plain


@pytest.mark.parametrize("atoms", [molecule("H2O"), bulk("Si", cubic=True) * (3, 3, 3), Atoms("H7000"), Atoms("H1")])
def test_three_views_fit_on_a_page(atoms):
    views = [{"name": str(k), "frames": frames} for k in range(3) if (frames := thinned([atoms] * 2000))]
    shown = Structures.model_validate(plain({"views": views}))
    assert sum(3 * len(f.positions_A) for v in shown.views for f in v.frames) <= 3 * COORDINATES <= MOST
    assert bool(views) == (3 * len(atoms) <= COORDINATES)


def test_thinning_keeps_both_ends_and_equal_steps():
    frames = [Atoms("H", [[0, 0, z]]) for z in range(491)]
    z = [frame["positions_A"][0, 2] for frame in thinned(frames)]
    assert (z[0], z[-1]) == (0, 490)
    assert set(np.diff(z)) == {10}


def test_the_worst_frames_come_first():
    frames = [molecule("H2O"), molecule("OH"), molecule("H2O")]
    wrong = np.concatenate([np.full(9, 0.1), np.full(6, 0.3), np.full(9, 0.2)])
    found = worst({"force_model_eV_per_A": wrong, "force_reference_eV_per_A": 0 * wrong}, frames, n=2)
    assert [k for k, _ in found] == [1, 2]
    assert [e for _, e in found] == pytest.approx([0.3, 0.2])


def test_the_first_replica_is_read_with_its_times(tmp_path):
    rng, atoms = np.random.default_rng(0), bulk("Si")
    places = rng.normal(size=(200, 4, 2, 3))
    np.savez(
        tmp_path / "nvt.npz", positions=places, time_fs=2.0 * np.arange(1, 201), numbers=atoms.numbers, cell=atoms.cell.array,
        pbc=atoms.pbc,
    )  # fmt: skip
    frames, times = first_replica(tmp_path / "nvt.npz")
    assert len(frames) == len(times) == 50
    assert (times[0], times[-1]) == (2.0, 400.0)
    assert all(np.array_equal(a.positions, places[round(t / 2) - 1, 0]) for a, t in zip(frames, times, strict=True))
