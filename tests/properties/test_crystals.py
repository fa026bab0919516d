"""Equation of state and elastic constants against lattice sums, published numbers, and laws that any crystal keeps."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk, make_supercell, molecule
from ase.calculators.emt import EMT

from adiabat.models import LennardJones
from adiabat.potential import Potential
from adiabat.properties import by_calculator, by_potential, elastic_constants, equation_of_state, stress_check
from adiabat.properties.eos import _conventional
from adiabat.properties.strain import at_rest, strained, tensor, voigt_of
from adiabat.properties.symmetry import rotations
from adiabat.units import GPa
from properties.stillinger_weber import StillingerWeber

EPSILON, SIGMA, CUTOFF = 0.0103, 3.4, 34.0
ARGON = Potential(LennardJones(epsilon_eV=EPSILON, sigma_angstrom=SIGMA, cutoff=CUTOFF, elements=["Ar"]))
SILICON = Potential(StillingerWeber())


@pytest.fixture(scope="module")
def argon():
    return equation_of_state(bulk("Ar", a=5.25), by_potential(ARGON), largest=0.015)


def test_lennard_jones_fcc_has_the_lattice_sums_minimum(argon):
    """E = 2ε [12.13188 (σ/r)¹² − 14.45392 (σ/r)⁶] an atom (Kittel, Introduction to Solid State Physics, ch. 3): r/σ = 1.0902."""
    r6 = 2 * 12.13188 / 14.45392
    nearest = SIGMA * r6 ** (1 / 6)
    volume = nearest**3 / np.sqrt(2)
    energy = -2 * EPSILON * 14.45392**2 / (4 * 12.13188)
    curvature = 2 * EPSILON * (12.13188 * 156 * r6**-2 - 14.45392 * 42 / r6) / nearest**2
    bulk_modulus = curvature * nearest**2 / (9 * volume) / GPa
    # The model is faded out towards 10 σ, which takes some 1e-3 of the attraction
    assert argon.lattice_constant.value == pytest.approx(np.sqrt(2) * nearest, rel=1e-3)
    assert argon.energy.value == pytest.approx(energy, rel=1e-2)
    assert argon.bulk_modulus.value == pytest.approx(bulk_modulus, rel=2e-2)
    assert argon.slope.value == pytest.approx(8.0, abs=0.5)  # B′ = (m + n)/3 + 2 of a 12-6 solid


def test_elastic_constants_of_a_pair_potential_are_lattice_sums(argon):
    """C = (1/2V) Σ (φ″ − φ′/r) r_α r_β r_γ r_δ / r², Born and Huang 1954, at zero pressure; and C12 = C44 (Cauchy)."""
    a = argon.lattice_constant.value
    n = np.array(np.meshgrid(*[np.arange(-9, 10)] * 3)).reshape(3, -1).T
    r = n[n.sum(1) % 2 == 0] * a / 2
    d = np.linalg.norm(r, axis=1)
    r, d = r[(d > 0) & (d < 9 * a / 2)], d[(d > 0) & (d < 9 * a / 2)]
    s6 = (SIGMA / d) ** 6
    slope, curve = 4 * EPSILON * (-12 * s6**2 + 6 * s6) / d, 4 * EPSILON * (156 * s6**2 - 42 * s6) / d**2
    weight = (curve - slope / d) / d**2 / (2 * a**3 / 4) / GPa
    c11, c12 = np.sum(weight * r[:, 0] ** 4), np.sum(weight * r[:, 0] ** 2 * r[:, 1] ** 2)
    found = elastic_constants(bulk("Ar", a=a), by_potential(ARGON))
    told = {k: q.value for k, q in found.quantities().items()}
    assert told["C11"] == pytest.approx(c11, rel=0.02) and told["C12"] == pytest.approx(c12, rel=0.02)
    # the cell is at rest to the fit's error: a pressure p opens C12 − C44 by 2p
    assert abs(told["C12"] - told["C44"]) < 2 * np.abs(found.stress).max() + 1e-3 * told["C44"]
    assert told["bulk_modulus"] == pytest.approx(argon.bulk_modulus.value, rel=5e-3) and found.stable


def test_silicon_of_stillinger_and_weber_with_atoms_relaxed():
    """Cowley, PRL 60, 2379 (1988): a = 5.431 Å, C11 151.4, C12 76.4, C44 56.4 GPa; with atoms held C44 would be 117.2."""
    ask = by_potential(SILICON)
    found = equation_of_state(bulk("Si", a=5.43), ask, largest=0.01)
    assert found.lattice_constant.value == pytest.approx(5.431, abs=1e-3)
    told = elastic_constants(bulk("Si", a=found.lattice_constant.value), ask, fmax=1e-5)
    values = {k: q.value for k, q in told.quantities().items()}
    assert values["C11"] == pytest.approx(151.4, abs=0.3) and values["C12"] == pytest.approx(76.4, abs=0.3)
    assert values["C44"] == pytest.approx(56.4, abs=0.3)
    assert values["bulk_modulus"] == pytest.approx(found.bulk_modulus.value, rel=5e-3)


def test_symmetry_changes_the_work_and_not_the_answer():
    atoms, ask = bulk("Cu", a=3.6, cubic=True), by_calculator(EMT())
    few, all_six = (elastic_constants(atoms, ask, symmetric=s) for s in (True, False))
    assert few.asked < all_six.asked / 3
    assert np.abs(few.C - all_six.C).max() < 0.05  # GPa; what is left of order h⁴


@pytest.mark.parametrize("digits", [6, 5, 4])
def test_a_cell_written_with_few_digits_has_the_same_constants(digits):
    """Its rotations are as exact as its digits; a shear that is told by what is off in them would be noise."""
    atoms, ask = bulk("Cu", a=3.59), by_calculator(EMT())
    straight = elastic_constants(atoms, ask).C
    off = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 3)) * 10.0**-digits
    atoms.set_cell(atoms.cell.array + off, scale_atoms=True)
    found = elastic_constants(atoms, ask)
    assert set(found.quantities()) == {"C11", "C12", "C44", "bulk_modulus", "shear_modulus"}
    # B′ is about 6: a cell that is off by a part in 10⁴ changes C by a part in 10³ of 172 GPa
    assert np.abs(found.C - straight).max() < 0.2


def test_a_turned_crystal_has_turned_constants():
    """Twelve degrees about an axis that is no symmetry: C turns as a tensor of rank four."""
    atoms = bulk("Cu", a=3.6)
    straight = elastic_constants(atoms, by_calculator(EMT()))
    turned = atoms.copy()
    turned.rotate(12, (1, 2, 3), rotate_cell=True)
    R = np.linalg.solve(atoms.cell.array, turned.cell.array)
    C = elastic_constants(turned, by_calculator(EMT())).C
    for e in np.eye(6):
        s = straight.C @ voigt_of(R @ tensor(e) @ R.T)
        stress = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
        found = C @ e
        expected = R.T @ stress @ R
        assert found == pytest.approx([expected[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], abs=0.1)


def test_a_hexagonal_crystal_is_isotropic_about_its_axis():
    found = elastic_constants(bulk("Ar", "hcp", a=3.71, c=6.06), by_potential(ARGON), fmax=1e-5)
    C = found.C
    assert C[5, 5] == pytest.approx((C[0, 0] - C[0, 1]) / 2, rel=1e-6) and C[3, 3] == pytest.approx(C[4, 4], rel=1e-6)
    assert {"C11", "C12", "C13", "C33", "C44"} <= set(found.quantities())


@pytest.mark.parametrize("a", [5.3, 5.6])
def test_stress_is_the_slope_of_the_energy(a):
    atoms = bulk("Si", a=a)
    atoms.rattle(0.05, seed=1)
    assert stress_check(atoms, by_potential(SILICON)).largest_difference_GPa < 1e-3  # h² times third derivatives


def test_rotations_of_a_crystal_with_one_atom_moved_are_few():
    atoms = bulk("Si", cubic=True)
    assert len(rotations(atoms)) == 48
    atoms.positions[0] += (0.1, 0.05, 0.02)
    assert len(rotations(atoms)) == 1


def test_atoms_come_to_rest():
    atoms = strained(bulk("Si", a=5.43), tensor([0, 0, 0, 0.02, 0, 0]))
    frames, answers, asked = at_rest([atoms], by_potential(SILICON), fmax=1e-4)
    assert np.abs(answers[0].forces).max() < 1e-4 and asked < 10
    assert np.allclose(frames[0].cell, atoms.cell) and not np.allclose(frames[0].positions, atoms.positions)


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="no minimum between .* relax the cell first"):
        equation_of_state(bulk("Cu", a=4.2), by_calculator(EMT()))
    broken = bulk("Si", a=5.43)
    broken.positions[1] += 0.3
    with pytest.raises(ValueError, match="relax the structure first"):
        elastic_constants(broken, by_potential(SILICON))
    with pytest.raises(ValueError, match=r"steps = \[1.0, 0.5, 0.25\]; wanted one positive number or two"):
        elastic_constants(broken, by_potential(SILICON), steps=(1.0, 0.5, 0.25))
    with pytest.raises(ValueError, match="wanted a crystal"):
        rotations(_slab())


@pytest.mark.parametrize("where", ["energy", "forces", "stress"])
def test_an_answer_that_is_no_number_is_refused(where):
    """A NaN force is below every limit: without a word the atoms would count as at rest."""
    emt = by_calculator(EMT())

    def broken(frames):
        return [dataclasses.replace(a, **{where: getattr(a, where) * np.nan}) for a in emt(frames)]

    copper = bulk("Cu", a=3.6)
    for prop in (elastic_constants, stress_check, *([equation_of_state] if where == "energy" else [])):
        with pytest.raises(ValueError, match=f"the {where} of structure 1 of .* is not finite"):
            prop(copper, broken)


def test_an_engine_without_stress_has_an_equation_of_state_and_is_asked_for_energies_alone():
    class Plain(EMT):
        implemented_properties: ClassVar = ["energy", "free_energy", "forces"]

        def get_property(self, name, *args, **kwargs):
            assert name in ("energy", "free_energy"), f"asked for {name}"
            return super().get_property(name, *args, **kwargs)

    copper = bulk("Cu", a=3.6)
    plain, whole = (equation_of_state(copper, by_calculator(c)) for c in (Plain(), EMT()))
    assert np.array_equal(plain.energies, whole.energies) and plain.bulk_modulus == whole.bulk_modulus
    with pytest.raises(ValueError, match="Plain gives no stress, which is wanted here"):
        elastic_constants(copper, by_calculator(Plain()))


def test_an_answer_too_few_is_refused():
    with pytest.raises(ValueError, match="6 answers came to 7 structures"):
        equation_of_state(bulk("Cu", a=3.6), lambda frames: by_calculator(EMT())(frames)[1:])


def test_what_has_no_volume_has_no_elastic_constants_and_no_stress():
    with pytest.raises(ValueError, match="vacuum"):
        elastic_constants(_slab(), by_calculator(EMT()), symmetric=False)
    with pytest.raises(ValueError, match="0 independent vectors"):
        stress_check(molecule("N2"), by_calculator(EMT()))
    with pytest.raises(ValueError, match="strain = 0"):
        stress_check(bulk("Cu"), by_calculator(EMT()), strain=0.0)


def test_the_error_of_the_bulk_modulus_of_a_cubic_crystal_is_that_of_its_two_constants():
    """B = (C11 + 2 C12)/3: nine entries of the matrix, but two numbers, whose errors do not average out."""
    found = elastic_constants(bulk("Cu", a=3.59), by_calculator(EMT())).quantities()
    assert found["bulk_modulus"].error == pytest.approx((found["C11"].error + 2 * found["C12"].error) / 3)


def test_a_cell_given_askew_has_all_its_rotations():
    atoms = bulk("Cu", a=3.6, cubic=True)
    cell = atoms.cell.array.copy()
    cell[2] += 10 * cell[0] + 7 * cell[1]
    atoms.set_cell(cell)
    assert len(rotations(atoms)) == 48


def _slab():
    atoms = bulk("Cu")
    atoms.pbc = (True, True, False)
    return atoms


@pytest.mark.parametrize(
    "cell, constant",
    [
        (bulk("Cu", a=3.6), 3.6),
        (bulk("Cu", a=3.6) * (2, 3, 1), 3.6),
        (bulk("Fe", a=2.87, cubic=True) * 2, 2.87),
        (bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (1, 2, 1), 5.64),
        (bulk("CsCl", "cesiumchloride", a=4.12) * 2, 4.12),
        (make_supercell(bulk("Si", a=5.43), [[1, 1, 0], [0, 1, 2], [1, 0, 1]]), 5.43),
        (bulk("Ti", "hcp", a=2.95, c=4.68) * 2, None),
    ],
    ids=["fcc", "its supercell", "bcc", "rock salt", "CsCl", "a skewed supercell of diamond", "not cubic"],
)
def test_a_supercell_has_the_lattice_constant_of_what_it_repeats(cell, constant):
    rng = np.random.default_rng(0)
    cell.positions += rng.uniform(size=3)
    found = _conventional(cell[rng.permutation(len(cell))])
    assert found is None if constant is None else found == pytest.approx(constant, abs=1e-6)


def test_without_a_translation_a_cell_repeats_nothing():
    vacant = (bulk("Cu", a=3.6, cubic=True) * 2)[1:]
    assert _conventional(vacant) == pytest.approx(7.2)
