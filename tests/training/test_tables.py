"""What splines cost a trained model: stated in its file, and falling as it must."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential

import adiabat as ad
from adiabat.graph import Graph
from adiabat.models import PaiNN
from adiabat.models.pair import LennardJones as Pair
from adiabat.potential import Potential, Scaled
from adiabat.training.tables import LIMIT, refined, table_error
from adiabat.uncertainty import Committee


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
    assert stated["force_error_over_rms"] <= LIMIT  # design: the table's own error, of the forces' root mean square


def molecules(n: int) -> list[Atoms]:
    """Rattled water with a reference that has no network in it: springs and a soft core."""
    found = []
    for seed in range(n):
        atoms = molecule("H2O")
        atoms.rattle(0.08, seed=seed)
        atoms.calc = MorsePotential(epsilon=4.0, r0=1.0, rho0=2.0, rcut1=3.0, rcut2=3.5)
        atoms.get_forces()
        found.append(atoms)
    return found


def test_a_trained_mace_is_refined_until_its_table_costs_nothing(tmp_path):
    # 32 intervals of 0.11 Å: for 8 Bessel functions, whose shortest wave is 0.9 Å, far too coarse.
    model = ad.models.MACE(cutoff=3.5, channels=8, hidden="0e+1o", l_max=2, correlation=2, radial=[16], intervals=32)
    potential = ad.fit(model, molecules(30), epochs=40, seed=1, batch_edges=60, optimizer={"adamw": {"lr": 0.01}})
    potential.save(tmp_path / "water.adiabat")
    loaded = ad.load(tmp_path / "water.adiabat")
    trained = loaded.metadata["metrics"]["train"]
    assert trained["force_rmse_meV_per_A"] < 0.3 * 1e3 * rms(
        molecules(40)
    )  # it has learned: the forces are functions, not noise
    stated = loaded.metadata["radial_tables"]
    assert stated["intervals"] > 32 and stated["force_error_over_rms"] <= LIMIT
    # Independent of what is stated: the saved potential against the same numbers, 16 times as fine, on frames it has not seen.
    (term,) = (term.model for term in loaded.terms if isinstance(term, Scaled))
    fine = type(term)(**{**term.arguments, "intervals": 16 * stated["intervals"]}).double()
    fine.load_state_dict(term.state_dict())
    unseen = [Graph.of(atoms, 3.5) for atoms in molecules(34)[30:]]
    scale = next(it.eV for it in loaded.terms if isinstance(it, Scaled))
    coarse, fine = Potential(Scaled(copy.deepcopy(term).double(), scale)), Potential(Scaled(fine, scale))
    off = torch.cat([coarse.eval()(g).forces - fine.eval()(g).forces for g in unseen])
    total = torch.cat([fine(g).forces for g in unseen])
    assert float(off.norm() / total.norm()) <= 2 * LIMIT  # other frames than those it was measured on


def rms(frames: list[Atoms]) -> float:
    return float(np.sqrt(np.mean([atoms.get_forces() ** 2 for atoms in frames])))


def test_every_member_of_a_committee_is_refined():
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        members.append(Potential(Scaled(PaiNN(5.0, 8, 2, 8, elements=["Ar"], intervals=32), 0.1)))
    both, stated = refined(Committee.of(members), graphs())
    assert isinstance(both, Committee) and both.size == 2 and stated["force_error_over_rms"] <= LIMIT
    for m, before in enumerate(members):
        assert (
            table_error(both.member(m), graphs())["force_error_over_rms"]
            <= LIMIT
            < table_error(before, graphs())["force_error_over_rms"]
        )
        for name, value in before.state_dict().items():
            assert torch.equal(both.member(m).state_dict()[name], value)


def test_what_no_table_can_follow_is_said(monkeypatch):
    monkeypatch.setattr("adiabat.training.tables.MOST_INTERVALS", 64)
    with pytest.warns(UserWarning, match=r"splines of 64 intervals .* wanted 1e-05"):
        kept, stated = refined(model(32), graphs())
    assert stated["intervals"] == 64 and kept.terms[0].model.arguments["intervals"] == 64
