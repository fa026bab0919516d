"""Any potential in plain ASE: the calculator's numbers, and what it may keep between calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.constraints import FixAtoms
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from adiabat.graph import Graph
from adiabat.models import BPNN, LennardJones, Morse
from adiabat.potential import Potential, ReferenceEnergies
from adiabat.uncertainty import Committee


def morse() -> Potential:
    return Potential(
        ReferenceEnergies({"Cu": -3.0}), Morse(depth_eV=0.35, width_per_angstrom=1.3, minimum_angstrom=2.8, cutoff=5.5)
    )


def network(seed: int) -> Potential:
    torch.manual_seed(seed)
    return Potential(BPNN(cutoff=4.0, elements=["H", "O"], radial=3, angular=1, hidden=[4]).to(torch.float64))


@pytest.fixture
def copper():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = morse().calculator()
    return atoms


def test_forces_and_stress_are_ASE_s_finite_differences(copper):
    # ASE's central differences with 1e-3 Å (and 1e-5 of strain): h²/6 times a third derivative of 1e2 eV/Å³, and rounding of 10 eV
    # over the step, 1e-10 eV/Å; for the stress rounding over a strain of 1e-5 and 47 Å³ is 1e-11 eV/Å³.
    np.testing.assert_allclose(copper.get_forces(), calculate_numerical_forces(copper, eps=1e-3), atol=5e-5)
    np.testing.assert_allclose(copper.get_stress(), calculate_numerical_stress(copper, eps=1e-5), atol=1e-8)


def test_energies_of_atoms_add_up(copper):
    assert copper.get_potential_energies().sum() == pytest.approx(copper.get_potential_energy(), rel=1e-14)
    assert copper.get_potential_energy(force_consistent=True) == copper.get_potential_energy()


def test_stress_needs_a_cell():
    atoms = molecule("H2O")
    atoms.calc = network(0).calculator()
    assert np.isfinite(atoms.get_potential_energy()) and "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()
    atoms.center(vacuum=3.0)
    assert atoms.get_stress().shape == (6,)


def test_molecular_dynamics_in_ASE_keeps_its_energy(copper):
    start = copper * (2, 2, 2)
    momenta = np.random.default_rng(0).normal(0, np.sqrt(start.get_masses()[:, None] * units.kB * 300), (len(start), 3))

    def worst(timestep_fs: float) -> float:
        atoms = start.copy()
        atoms.calc = morse().calculator()
        atoms.set_momenta(momenta)
        energies = [atoms.get_total_energy()]
        dynamics = VelocityVerlet(atoms, timestep_fs * units.fs)
        for _ in range(round(60 / timestep_fs)):
            dynamics.run(1)
            energies.append(atoms.get_total_energy())
        return float(np.abs(np.array(energies) - energies[0]).max())

    # The error of velocity Verlet goes with the square of the timestep; forces that were no derivative would leave a rest.
    assert worst(3.0) / worst(1.5) == pytest.approx(4.0, rel=0.15)


def test_relaxation_in_ASE_respects_fixed_atoms(copper):
    copper.set_constraint(FixAtoms([0]))
    held = copper.positions[0].copy()
    BFGS(copper, logfile=None).run(fmax=1e-3, steps=100)
    assert np.abs(copper.get_forces()).max() < 1e-3
    np.testing.assert_array_equal(copper.positions[0], held)


def alone(atoms) -> float:
    """The energy by a calculator that knows nothing of before."""
    copy = atoms.copy()
    copy.calc = morse().calculator(skin_angstrom=0.0)
    return copy.get_potential_energy()


def test_every_change_is_noticed(copper):
    def check():
        assert copper.get_potential_energy() == pytest.approx(alone(copper), rel=1e-13)

    check()
    for change in (
        lambda: copper.rattle(0.02, seed=1),
        lambda: copper.rattle(0.5, seed=2),
        lambda: copper.set_cell(copper.cell * 1.02, scale_atoms=True),
        lambda: copper.set_cell(copper.cell * 0.8, scale_atoms=True),
        lambda: copper.set_cell(copper.cell * 1.3, scale_atoms=False),
        lambda: copper.set_pbc([True, True, False]),
        lambda: copper.set_positions(copper.positions + copper.cell[0]),
        lambda: copper.wrap(),
        lambda: copper.pop(),
        lambda: copper.set_pbc(False),
        lambda: copper.set_cell(None),
    ):
        change()
        check()


def test_edges_are_kept_for_small_steps_only(copper):
    copper.get_potential_energy()
    first = copper.calc.graph.i
    copper.rattle(0.01, seed=1)
    copper.get_potential_energy()
    assert copper.calc.graph.i is first
    copper.rattle(0.5, seed=1)
    copper.get_potential_energy()
    assert copper.calc.graph.i is not first


def test_a_changed_element_is_noticed():
    atoms = molecule("H2O")
    atoms.calc = network(0).calculator()
    before = atoms.get_potential_energy()
    atoms.numbers[0] = 1
    assert atoms.get_potential_energy() != before
    atoms.numbers[0] = 6
    with pytest.raises(ValueError, match="contains C, which this potential has not seen"):
        atoms.get_potential_energy()


def test_a_charge_stated_later_is_noticed():
    """No term here takes one, so it is refused; before, the neutral structure's graph went on to answer."""
    atoms = molecule("H2O")
    atoms.calc = network(0).calculator()
    atoms.get_potential_energy()
    atoms.info["charge"] = 1
    with pytest.raises(ValueError, match="charge"):
        atoms.get_potential_energy()


def test_one_calculator_serves_several_structures(copper):
    other = bulk("Cu", cubic=True) * (2, 1, 1)
    other.calc = copper.calc
    for atoms in (copper, other, copper, other):
        assert atoms.get_potential_energy() == pytest.approx(alone(atoms), rel=1e-13)


def test_a_committee_tells_its_spread():
    committee = Committee.of([network(seed) for seed in range(3)])
    committee.metadata["calibration"] = {"scale": {"forces": 2.0, "energy": 3.0}}
    atoms = molecule("H2O")
    atoms.calc = committee.calculator()
    atoms.get_forces()
    each = committee.predictions(Graph.of(atoms, 4.0))
    np.testing.assert_allclose(atoms.calc.results["energy_spread"], 3 * each.energy.std(0), rtol=1e-12)
    np.testing.assert_allclose(atoms.calc.results["forces_spread"], 2 * each.forces.var(0).mean(-1).sqrt(), rtol=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), each.forces.mean(0), atol=1e-12)


def test_another_precision_leaves_the_potential_as_it_is():
    potential = network(0)
    before = {k: v.clone() for k, v in potential.state_dict().items()}
    rough = molecule("H2O")
    rough.calc = potential.calculator(dtype=torch.float32)
    assert rough.calc.potential.dtype == torch.float32 and potential.dtype == torch.float64
    assert all(torch.equal(v, before[k]) for k, v in potential.state_dict().items())
    exact = molecule("H2O")
    exact.calc = potential.calculator()
    np.testing.assert_allclose(rough.get_forces(), exact.get_forces(), atol=1e-4)  # 1e-7 of descriptors, times their steepness


def test_a_potential_without_pairs_has_a_calculator():
    atoms = bulk("Cu")
    atoms.calc = Potential(ReferenceEnergies({"Cu": -3.0})).calculator()
    assert atoms.get_potential_energy() == -3.0 and not atoms.get_forces().any()


def test_argon_s_lattice_is_where_lennard_jones_puts_it():
    """An oracle outside this house: the fcc sums of 12 and 6 are 12.13188 and 14.45392 (Kittel), so r/σ = (2·12.13188/14.45392)^(1/6)."""
    potential = Potential(LennardJones(epsilon_eV=0.0104, sigma_angstrom=3.4, cutoff=60.0))
    r = 3.4 * (2 * 12.13188 / 14.45392) ** (1 / 6)
    atoms = bulk("Ar", "fcc", a=r * np.sqrt(2))
    atoms.calc = potential.calculator()
    # The fading takes no more than the tail beyond half the cutoff: (2π/3) ρ 4εσ⁶/R³ = 1.3e-4 eV at 30 Å, twice that over the
    # volume of 37.7 Å³ for the pressure.
    energy = 2 * 0.0104 * (12.13188 * (3.4 / r) ** 12 - 14.45392 * (3.4 / r) ** 6)
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1.5e-4)
    assert abs(atoms.get_stress()[:3].mean()) < 1e-5


def test_a_structure_that_was_refused_leaves_nothing_behind():
    calculator, atoms = network(0).calculator(), molecule("H2O")
    atoms.calc = calculator
    atoms.get_forces()
    other = molecule("H2O")
    other.numbers[:] = [1, 8, 1]  # as many atoms, and as many edges
    rest = other.positions.copy()
    other.positions[1] = other.positions[0]
    other.calc = calculator
    with pytest.raises(ValueError, match="one place"):
        other.get_forces()
    other.positions = rest
    forces = other.get_forces()
    other.calc = network(0).calculator()
    np.testing.assert_array_equal(forces, other.get_forces())


def test_the_calculator_s_copy_of_the_atoms_moves_alone(copper):
    copper.calc = calculator = morse().calculator()
    copper.get_forces()
    before, where = calculator.atoms, copper.positions.copy()
    copper.positions[0, 0] += 0.01
    copper.set_momenta(np.ones((len(copper), 3)))
    copper.get_forces()
    np.testing.assert_array_equal(before.positions, where)
    assert calculator.atoms == copper and calculator.atoms.calc is None
    np.testing.assert_array_equal(calculator.atoms.get_momenta(), copper.get_momenta())
    copper.positions[0, 0] += 0.01
    assert calculator.atoms != copper
