"""What splines cost a trained model: stated in its file, and falling as it must."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.lj import LennardJones

import adiabat as ad
from adiabat.graph import Graph
from adiabat.models import PaiNN
from adiabat.models.pair import LennardJones as Pair
from adiabat.potential import Potential, Scaled
from adiabat.training.tables import table_error


def graphs(n: int = 2) -> list[Graph]:
    found = []
    for seed in range(n):
        atoms = bulk("Ar", cubic=True)
        atoms.rattle(0.1, seed=seed)
        found.append(Graph.of(atoms, 5.0))
    return found


def model(intervals: int) -> Potential:
    torch.manual_seed(0)
    return Potential(Scaled(PaiNN(5.0, 8, 2, 8, elements=["Ar"], intervals=intervals), 0.1)).double()


def test_it_falls_with_the_fourth_power_of_the_interval():
    coarse, fine = (table_error(model(n), graphs()) for n in (32, 64))
    # Functions: h⁴; forces have a derivative more: h³. Either within a factor of 2, for the coarsest is not yet asymptotic.
    assert 8 < coarse["function_error_over_largest"] / fine["function_error_over_largest"] < 32
    assert 4 < coarse["force_error_over_rms"] / fine["force_error_over_rms"] < 32


def test_what_a_change_of_the_table_does_is_what_it_says():
    potential = model(32)
    told = table_error(potential, graphs(1))
    fine = model(1024)  # the same numbers, 32 times as fine
    fine.load_state_dict(potential.state_dict())
    (graph,) = graphs(1)
    wanted, found = fine(graph).forces, potential(graph).forces
    assert told["force_error_over_rms"] == pytest.approx(float((found - wanted).norm() / wanted.norm()), rel=0.01)


def test_without_tables_nothing_is_said():
    assert table_error(Potential(Pair(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=5.0, elements=["Ar"])), graphs()) is None


def test_a_trained_model_states_it_in_its_file(tmp_path):
    frames = []
    for seed in range(12):
        atoms = bulk("Ar", cubic=True)
        atoms.rattle(0.2, seed=seed)
        atoms.calc = LennardJones(epsilon=0.0104, sigma=3.4, rc=5.0, smooth=True)
        atoms.get_forces()
        frames.append(atoms)
    potential = ad.fit(ad.models.PaiNN(cutoff=5.0, channels=8, layers=2, radial=8), frames, epochs=2, seed=1)
    potential.save(tmp_path / "argon.adiabat")
    stated = ad.load(tmp_path / "argon.adiabat").metadata["radial_tables"]
    assert stated["frames"] >= 1 and np.isfinite(stated["force_error_over_rms"])
    assert stated["force_error_over_rms"] < 1e-4  # 256 intervals; random weights, hardly trained
