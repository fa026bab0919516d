"""Springs, chains and linear molecules have the frequencies the textbook gives; rigid motions never show."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from adiabat.analysis import harmonic_frequencies, rigid_motions
from adiabat.analysis.temperature import temperature_K, thermal_interval
from adiabat.analysis.vibrations import compare
from adiabat.units import ACCELERATION, PER_CM, h, k_B


def per_cm(omega_squared):
    return np.sqrt(omega_squared * ACCELERATION) / (2 * np.pi) * PER_CM


def springs(bonds, k, lengths):
    """½ k (d − d0)² for each bond, as forces of a list of structures."""

    def forces_of(frames):
        forces = []
        for atoms in frames:
            f = np.zeros((len(atoms), 3))
            for (a, b), stiffness, d0 in zip(bonds, k, lengths, strict=True):
                r = atoms.positions[b] - atoms.positions[a]
                pull = stiffness * (1 - d0 / np.linalg.norm(r)) * r
                f[a] += pull
                f[b] -= pull
            forces.append(f)
        return forces

    return forces_of


def triangle():
    water = molecule("H2O")
    bonds = [(0, 1), (0, 2), (1, 2)]
    lengths = [water.get_distance(a, b) for a, b in bonds]
    return water, springs(bonds, [40.0, 40.0, 8.0], lengths)


def test_two_springs_on_a_line_stretch_as_the_textbook_says():
    """O=C=O: ω² = k/m_O for the symmetric stretch, k (1/m_O + 2/m_C) for the other; bending costs nothing here."""
    atoms = Atoms("OCO", [[0, 0, -1.16], [0, 0, 0], [0, 0, 1.16]])
    v = harmonic_frequencies(atoms, springs([(0, 1), (1, 2)], [90.0, 90.0], [1.16, 1.16]), 1e-3)
    m_O, m_C = atoms.get_masses()[:2]
    assert len(v.frequencies_per_cm) == 4  # 3N − 5
    assert v.frequencies_per_cm[2:] == pytest.approx(per_cm(np.array([90 / m_O, 90 * (1 / m_O + 2 / m_C)])), rel=1e-5)
    assert np.abs(v.frequencies_per_cm[:2]).max() < 30  # √ of the finite step's leftovers


def test_a_chain_of_springs_has_the_sine_dispersion_of_a_ring():
    """N atoms on a periodic line: ω = 2 √(k/m) |sin(πn/N)|, each but the ends twice; only translations are projected."""
    n, a, k = 6, 2.0, 5.0
    chain = Atoms("He6", [[a * i, 0, 0] for i in range(n)], cell=[n * a, 20, 20], pbc=True)

    def forces_of(frames):
        forces = []
        for atoms in frames:
            x = atoms.positions
            f = np.zeros_like(x)
            stretch = np.roll(x[:, 0], -1) - x[:, 0]
            stretch[-1] += n * a
            f[:, 0] = k * (stretch - np.roll(stretch, 1))
            forces.append(f)
        return forces

    v = harmonic_frequencies(chain, forces_of)
    exact = per_cm(4 * k / chain.get_masses()[0] * np.sin(np.pi * np.arange(1, n) / n) ** 2)
    assert v.frequencies_per_cm[-5:] == pytest.approx(np.sort(exact), rel=1e-9)
    assert len(v.frequencies_per_cm) == 3 * n - 3


def test_rigid_motions_never_show_however_noisy_the_forces(rng):
    atoms, forces_of = triangle()
    noisy = lambda frames: [f + rng.normal(scale=0.01, size=f.shape) for f in forces_of(frames)]  # noqa: E731
    v = harmonic_frequencies(atoms, noisy)
    motions = rigid_motions(atoms.positions, atoms.get_masses())
    assert np.abs(motions @ v.modes.reshape(3, 9).T).max() < 1e-12
    assert v.frequencies_per_cm == pytest.approx(harmonic_frequencies(atoms, forces_of).frequencies_per_cm, rel=0.05)
    assert v.asymmetry > 0.1


def test_error_falls_with_the_square_of_the_step():
    atoms, forces_of = triangle()
    exact = harmonic_frequencies(atoms, forces_of, 1e-4).frequencies_per_cm
    errors = [np.abs(harmonic_frequencies(atoms, forces_of, s).frequencies_per_cm - exact).max() for s in (0.02, 0.04)]
    assert np.log2(errors[1] / errors[0]) == pytest.approx(2.0, abs=0.1)


def test_a_saddle_has_negative_frequencies():
    line = Atoms("HOH", [[0, 0, -1.0], [0, 0, 0], [0, 0, 1.0]])
    # The long spring pulls with 8 (2.0 − 1.5) eV/Å, the short ones push back with 40 (1.1 − 1.0): at rest, but not for long.
    v = harmonic_frequencies(line, springs([(0, 1), (1, 2), (0, 2)], [40.0, 40.0, 8.0], [1.1, 1.1, 1.5]), 1e-3)
    assert (v.frequencies_per_cm < -100).sum() == 2  # a linear water bends in two planes
    assert v.fmax < 1e-4


def test_a_lone_atom_has_no_vibration():
    v = harmonic_frequencies(Atoms("Ar"), lambda frames: [np.zeros((1, 3)) for _ in frames])
    assert v.frequencies_per_cm.shape == (0,) and v.zero_point_energy_eV == 0


def test_modes_rebuild_the_hessian_and_the_zero_point_energy():
    atoms, forces_of = triangle()
    v = harmonic_frequencies(atoms, forces_of)
    root = np.repeat(np.sqrt(v.masses), 3)
    modes = v.modes.reshape(3, 9)
    rebuilt = (modes.T * v.curvatures) @ modes * np.outer(root, root)
    assert rebuilt == pytest.approx(v.hessian, abs=0.01)
    assert v.zero_point_energy_eV == pytest.approx(0.5 * h * v.frequencies_per_cm.sum() / PER_CM)


def test_modes_are_matched_by_motion_through_a_rotation_and_a_crossing():
    atoms, forces_of = triangle()
    reference = harmonic_frequencies(atoms, forces_of, 1e-3)
    bonds = [(0, 1), (0, 2), (1, 2)]
    lengths = [atoms.get_distance(a, b) for a, b in bonds]
    turned = atoms.copy()
    turned.rotate(73, (1, 2, 3))
    same = compare(reference, harmonic_frequencies(turned, forces_of, 1e-3))
    assert [p.overlap for p in same] == pytest.approx([1.0] * 3, abs=1e-6)
    assert [p.difference_per_cm for p in same] == pytest.approx([0.0] * 3, abs=0.01)
    softer = compare(reference, harmonic_frequencies(atoms, springs(bonds, [38.0, 38.0, 8.0], lengths)))
    assert all(p.difference_per_cm < 0 for p in softer) and min(p.overlap for p in softer) > 0.99


def test_forces_of_the_wrong_number_are_refused():
    with pytest.raises(ValueError, match="answer each in order"):
        harmonic_frequencies(Atoms("Ar"), lambda frames: [])
    with pytest.raises(ValueError, match="finite forces"):
        harmonic_frequencies(Atoms("Ar"), lambda frames: [np.full((1, 3), np.nan)] * len(frames))


def test_temperature_of_thermal_velocities_lies_in_the_interval_chi_square_gives(rng):
    f, samples = 3, 5000
    energies = 0.5 * k_B * 300 * (rng.normal(size=(samples, f)) ** 2).sum(1)
    low, high = thermal_interval(f, samples)
    assert low < temperature_K(energies, f).mean() / 300 < high
    assert np.isnan(temperature_K(np.zeros(2), 0)).all()


def test_a_crystals_modes_do_not_care_into_which_cell_its_atoms_are_folded():
    """Laid upon each other like molecules, two foldings of one crystal would be turned against each other."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    def forces_of(frames):
        for atoms in frames:
            atoms.calc = EMT()
        return [atoms.get_forces() for atoms in frames]

    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05, seed=3)  # no two modes of one frequency
    folded = copper.copy()
    folded.positions[2] += folded.cell[0]
    pairs = compare(harmonic_frequencies(copper, forces_of), harmonic_frequencies(folded, forces_of))
    assert min(pair.overlap for pair in pairs) > 1 - 1e-6


def test_negative_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="degrees_of_freedom = -3"):
        temperature_K(1.0, -3)


def test_an_adsorbate_on_a_held_slab_has_the_modes_that_ase_finds(tmp_path):
    from ase.build import add_adsorbate, fcc111
    from ase.calculators.emt import EMT
    from ase.constraints import FixAtoms
    from ase.optimize import BFGS
    from ase.vibrations import Vibrations

    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, "C", 1.2, "fcc")
    slab.set_constraint(FixAtoms(range(8)))
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(1e-4, 100)
    theirs = Vibrations(slab, indices=[8], name=str(tmp_path / "vib"))
    theirs.run()

    def forces_of(frames):
        for atoms in frames:
            atoms.calc = EMT()
        return [atoms.get_forces() for atoms in frames]

    ours = harmonic_frequencies(slab, forces_of)
    # both 0.01 Å and central: what differs is that ASE leaves the Hessian's rows as they came
    assert ours.frequencies_per_cm == pytest.approx(np.real(theirs.get_frequencies()), abs=0.01)
    assert not ours.modes[:, :8].any() and ours.asymmetry < 1e-2


def test_constraints_on_single_coordinates_are_refused():
    from ase.constraints import FixAtoms, FixCartesian

    water, forces_of = triangle()
    water.set_constraint(FixCartesian(0))
    with pytest.raises(ValueError, match="FixCartesian are not known here"):
        harmonic_frequencies(water, forces_of)
    water.set_constraint(FixAtoms([0, 1, 2]))
    with pytest.raises(ValueError, match="every atom is fixed"):
        harmonic_frequencies(water, forces_of)
