"""Errors: known ones come back, in the units of the contract; kinds add up; what is not labeled is not counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from adiabat.data.structure import labeled
from adiabat.models import LennardJones
from adiabat.potential import Potential
from adiabat.units import GPa
from adiabat.validation import errors

TRIMER = np.array([[0, 0, 0], [0, 0, 3.9], [0, 3.9, 0]])
KEYS = [
    "n_structures", "energy_mae_meV_per_atom", "energy_rmse_meV_per_atom", "energy_r2", "force_mae_meV_per_A",
    "force_rmse_meV_per_A", "force_r2", "stress_mae_GPa",
]  # fmt: skip


@pytest.fixture
def argon() -> Potential:
    return Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=6.0, elements=["Ar"])).eval()


def own(potential: Potential, atoms: Atoms, energy=0.0, force=0.0, stress=None) -> Atoms:
    """The potential's own answer as a label, less a known error."""
    calculator = potential.calculator()
    copy = atoms.copy()
    copy.calc = calculator
    wanted = {"energy": copy.get_potential_energy() - energy * len(atoms), "forces": copy.get_forces() - force}
    if stress is not None:
        wanted["stress"] = copy.get_stress() - stress
    return labeled(atoms, **wanted)


def clusters(n: int, rng) -> list[Atoms]:
    frames = [Atoms("Ar3", TRIMER + rng.normal(scale=0.2, size=(3, 3))) for _ in range(n)]
    for k, atoms in enumerate(frames):
        atoms.info["config_type"] = "odd" if k % 2 else "even"
    return frames


def test_known_errors_come_back(argon, rng):
    frames = [own(argon, a, energy=(-1) ** k * 0.002, force=0.05) for k, a in enumerate(clusters(6, rng))]
    found = errors(argon, frames).to_json()
    assert list(found) == [*KEYS, "by_kind"]
    assert found["n_structures"] == 6
    assert found["energy_mae_meV_per_atom"] == pytest.approx(2.0) == pytest.approx(found["energy_rmse_meV_per_atom"])
    assert found["force_mae_meV_per_A"] == pytest.approx(50.0) == pytest.approx(found["force_rmse_meV_per_A"])
    assert found["stress_mae_GPa"] is None


def test_stress_is_told_in_gigapascal(argon, rng):
    crystal = bulk("Ar", "fcc", a=5.3, cubic=True)
    crystal.rattle(0.05, seed=1)
    found = errors(argon, [own(argon, crystal, stress=0.5 * GPa), own(argon, clusters(1, rng)[0])]).to_json()
    assert found["stress_mae_GPa"] == pytest.approx(0.5)
    assert found["by_kind"]["even"]["stress_mae_GPa"] is None


def test_a_model_that_tells_no_number_for_a_stress_is_not_excused(argon, rng):
    """A molecule has no stress to compare; a crystal whose stress is NaN is wrong without end."""
    crystal = bulk("Ar", a=5.3)
    found = errors(argon, [own(argon, crystal, stress=0.5 * GPa)] * 2)
    broken = found.stress_model.copy()
    broken[1] = np.nan
    assert np.isnan(dataclasses.replace(found, stress_model=broken).to_json()["stress_mae_GPa"])
    molecule = labeled(clusters(1, rng)[0], energy=0.0, stress=np.ones(6))
    assert errors(argon, [molecule]).to_json()["stress_mae_GPa"] is None


def test_kinds_add_up(argon, rng):
    frames = [own(argon, a, energy=0.001 if a.info["config_type"] == "odd" else 0.003) for a in clusters(6, rng)]
    found = errors(argon, frames).to_json()
    assert {k: round(v["energy_mae_meV_per_atom"], 9) for k, v in found["by_kind"].items()} == {"even": 3.0, "odd": 1.0}
    assert all(list(v) == KEYS for v in found["by_kind"].values())
    assert sum(v["n_structures"] for v in found["by_kind"].values()) == 6


def test_a_perfect_model_has_r2_of_one_and_missing_labels_do_not_count(argon, rng):
    frames = [own(argon, a) for a in clusters(4, rng)]
    frames.append(labeled(clusters(1, rng)[0], energy=frames[0].get_potential_energy()))  # no forces
    frames[-1].info["config_type"] = "energy only"
    found = errors(argon, frames)
    told = found.to_json()
    assert told["force_r2"] == pytest.approx(1.0)
    assert told["by_kind"]["energy only"]["force_mae_meV_per_A"] is None
    assert told["by_kind"]["energy only"]["energy_r2"] is None  # one energy has no spread
    parity = found.parity()
    assert len(parity["force_model_eV_per_A"]) == 4 * 9 and len(parity["energy_model_eV_per_atom"]) == 5 == len(parity["kinds"])


def test_batches_change_nothing(argon, rng):
    frames = [own(argon, a, energy=0.001) for a in clusters(5, rng)]
    alone, together = errors(argon, frames, batch_edges=1), errors(argon, frames)
    np.testing.assert_allclose(alone.force_model, together.force_model, atol=1e-12)
    np.testing.assert_allclose(alone.energy_model, together.energy_model, atol=1e-12)


def test_an_isolated_atom_may_have_its_spin(rng):
    """Labelers give a lone oxygen its triplet; the potential has that in its reference energy."""
    from adiabat.potential import ReferenceEnergies

    potential = Potential(ReferenceEnergies({"O": -2040.0})).eval()
    lone = labeled(
        Atoms("O", info={"multiplicity": 3, "config_type": "IsolatedAtom"}), energy=-2040.001, forces=np.zeros((1, 3))
    )
    assert errors(potential, [lone]).to_json()["energy_mae_meV_per_atom"] == pytest.approx(1.0)


def test_frames_without_labels_and_unseen_elements_are_refused(argon, rng):
    with pytest.raises(ValueError, match="none of 2 frames has an energy or forces"):
        errors(argon, clusters(2, rng))
    with pytest.raises(ValueError, match="no frame came"):
        errors(argon, [])
    copper = bulk("Cu")
    copper.calc = EMT()
    copper.get_potential_energy()
    with pytest.raises(ValueError, match="contains Cu, which this potential has not seen; it knows Ar"):
        errors(argon, [copper])
