"""Exploration of a crystal: at constant volume cells stay, at constant pressure they breathe, and what boils is halted."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

import adiabat as ad
from adiabat.active import explore

OPTIONS = {
    "duration_fs": 400.0,
    "timestep_fs": 4.0,
    "look_every_fs": 40.0,
    "halt_eV_per_A": 10.0,
    "friction_per_fs": 0.02,
    "seed": 1,
}


@pytest.fixture(scope="module")
def committee():
    """Two opinions about argon, linear, from frames of several densities."""
    engine, rng, frames = (
        ad.labeler("ase", calculator="lj", arguments={"sigma": 3.4, "epsilon": 0.0103, "rc": 8.0}),
        np.random.default_rng(0),
        [],
    )
    for a in np.linspace(4.9, 5.8, 16):
        atoms = bulk("Ar", "fcc", a=a, cubic=True)
        atoms.rattle(0.15, rng=rng)
        frames.append(engine(atoms))
    return ad.fit(ad.models.ACE(cutoff=6.0, channels=6, correlation=2), frames, members=2)


def volumes(committee, **more) -> tuple[np.ndarray, list[float | None]]:
    starts = [bulk("Ar", "fcc", a=a, cubic=True) for a in (5.2, 5.4)]
    found = explore(committee, starts, **{**OPTIONS, "temperature_K": 30.0, **more})
    assert found.candidates and all(c.spread_eV_per_A > 0 for c in found.candidates)
    return np.array([c.atoms.cell.volume for c in found.candidates]), found.halted_fs


def test_cells_keep_their_volume_or_breathe(committee):
    still, _ = volumes(committee)
    assert set(np.round(still, 9)) == {round(5.2**3, 9), round(5.4**3, 9)}
    moved, halted = volumes(committee, pressure_GPa=1.0)
    assert len(set(np.round(moved, 9))) == len(moved) == 20 and halted == [None, None]
    assert moved[-2:].mean() < 5.3**3  # at 1 GPa argon is denser than where both began on average


def test_what_boils_away_is_halted(committee):
    found, halted = volumes(committee, temperature_K=3000.0, pressure_GPa=0.0, duration_fs=4000.0)
    assert all(time is not None for time in halted) and found.max() < 4 * 5.4**3
