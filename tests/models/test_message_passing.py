"""MACE and PaiNN: what the registry's laws do not see: species, kernels, and what evaluating keeps."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from adiabat import load
from adiabat.graph import Graph
from adiabat.models import MACE, PaiNN
from adiabat.potential import Potential

CUTOFF = 3.2


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """The generated kernels equal their references elsewhere; here nothing is compiled."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


FAMILIES = {
    "mace": lambda elements, cutoff: MACE(cutoff=cutoff, channels=4, l_max=2, radial=[8], elements=elements),
    "mace, radial functions by pair": lambda elements, cutoff: MACE(
        cutoff=cutoff, channels=4, l_max=1, correlation=2, radial=[8], elements=elements, transform={"soft": {"alpha": 3.0}}
    ),
    "painn": lambda elements, cutoff: PaiNN(cutoff=cutoff, channels=6, layers=2, radial=5, elements=elements),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return lambda *elements, cutoff=CUTOFF: Potential(FAMILIES[request.param](list(elements), cutoff)).double()


@pytest.fixture
def potential(family):
    return family("H", "C", "O")


def ethanol(seed=0):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=seed)
    return atoms


def test_forces_are_finite_differences(potential):
    atoms, h = ethanol(), 1e-5
    forces = potential(Graph.of(atoms, CUTOFF)).forces
    for a, x in ((0, 0), (2, 1), (5, 2)):
        energies = []
        for s in (1, -1):
            moved = atoms.copy()
            moved.positions[a, x] += s * h
            energies.append(float(potential(Graph.of(moved, CUTOFF)).energy))
        assert abs(-(energies[0] - energies[1]) / (2 * h) - float(forces[a, x])) < 1e-6


def test_rotation_and_inversion(potential):
    atoms = ethanol()
    before = potential(Graph.of(atoms, CUTOFF))
    for sign in (1, -1):
        turned = atoms.copy()
        turned.rotate(77, (1, 2, 3))
        turned.positions *= sign
        after = potential(Graph.of(turned, CUTOFF))
        R = np.linalg.lstsq(atoms.positions, turned.positions, rcond=None)[0]
        torch.testing.assert_close(after.energy, before.energy)
        torch.testing.assert_close(after.forces, before.forces @ torch.tensor(R), rtol=1e-8, atol=1e-9)


def test_a_lone_atom_has_no_energy_and_far_molecules_add(potential):
    for symbol in ("H", "C", "O"):
        assert potential(Graph.of(Atoms(symbol), CUTOFF)).energy == 0
    one, two = molecule("H2O"), molecule("CH4")
    two.positions += 20
    energies = [float(potential(Graph.of(a, CUTOFF)).energy) for a in (one, two, one + two)]
    assert abs(energies[0] + energies[1] - energies[2]) < 1e-10


def test_energy_and_force_fade_through_the_cutoff(potential):
    def at(d):
        out = potential(Graph.of(Atoms("CO", [[0, 0, 0], [0, 0, d]]), CUTOFF + 1))
        return float(out.energy), float(out.forces[1, 2])

    below, beyond = at(CUTOFF - 1e-6), at(CUTOFF + 1e-6)
    assert abs(below[0]) < 1e-10 and abs(below[1]) < 1e-5 and max(map(abs, beyond)) < 1e-14


def test_a_batch_is_one_by_one_and_atoms_may_change_places(potential):
    atoms, other = ethanol(), ethanol(seed=1)
    both = potential(Graph.of([atoms, other], CUTOFF))
    torch.testing.assert_close(both.energy[1:], potential(Graph.of(other, CUTOFF)).energy)
    order = np.random.default_rng(0).permutation(len(atoms))
    mixed = potential(Graph.of(atoms[order], CUTOFF))
    torch.testing.assert_close(mixed.energy, both.energy[:1])
    torch.testing.assert_close(mixed.forces, both.forces[: len(atoms)][torch.tensor(order)])


def test_a_supercell_multiplies(family):
    potential = family("Si", cutoff=4.0)
    small = bulk("Si")
    energies = [float(potential(Graph.of(a, 4.0)).energy) for a in (small, small * (2, 1, 3))]
    assert abs(energies[1] - 6 * energies[0]) < 1e-9


def test_kept_tables_follow_the_parameters(potential):
    """Evaluating keeps spline tables and merged polynomials; an optimizer's step must not go unseen."""
    graph = Graph.of(ethanol(), CUTOFF)
    before = potential(graph).energy
    with torch.no_grad():
        next(p for name, p in potential.named_parameters() if "mlp.weights" in name).add_(0.1)
    after = potential(graph).energy
    assert (after - before).abs() > 1e-6
    potential.train()
    torch.testing.assert_close(potential(graph).energy.detach(), after)


def test_every_parameter_learns_from_forces(potential):
    potential.train()
    potential(Graph.of(ethanol(), CUTOFF)).forces.square().sum().backward()
    learns = {
        name: p.grad is not None and bool(p.grad.isfinite().all() and p.grad.any()) for name, p in potential.named_parameters()
    }
    assert [name for name, yes in learns.items() if not yes] == []


@pytest.mark.parametrize(
    "shape", [{"hidden": "0e+1o+2e", "layers": 3, "correlation": 2}, {"l_max": 1, "correlation": 1, "layers": 1}]
)
def test_other_shapes_have_forces_too(shape):
    potential = Potential(MACE(cutoff=CUTOFF, channels=3, radial=[4], elements=["H", "O"], **shape)).double()
    assert potential(Graph.of(molecule("H2O"), CUTOFF)).forces.isfinite().all()


def test_mace_fades_below_the_nearest_distance(tmp_path):
    """Of two atoms at less than half of it nothing learned is left, beyond it everything; the file of the model knows it."""
    frames = [Graph.of(ethanol(seed), CUTOFF) for seed in range(3)]
    nearest = min(float(graph.r.norm(dim=1).min()) for graph in frames)
    torch.manual_seed(0)
    model = MACE(cutoff=CUTOFF, channels=4, l_max=1, radial=[8], elements=["H", "C", "O"], intervals=512, fade=True).double()
    potential, before = Potential(model), [float(Potential(model)(graph).energy) for graph in frames]
    potential.prepare(frames)
    model.neighbors.fill_(1.0)  # as before

    def pair(d: float) -> Graph:
        return Graph.of(Atoms("CO", [[0, 0, 0], [0, 0, d]]), CUTOFF)

    def energy(d: float) -> float:
        return float(potential(pair(d)).energy)

    # splines of C² functions: what one adds beside the kinks falls to a quarter a knot: 15 of them
    assert abs(energy(0.4 * nearest)) < 1e-12 < 1e-3 < abs(energy(0.8 * nearest))
    assert [float(potential(graph).energy) for graph in frames] == pytest.approx(before, rel=1e-6)
    d, h = 0.7 * nearest, 1e-5
    slope = (energy(d + h) - energy(d - h)) / (2 * h)
    assert float(potential(pair(d)).forces[1, 2]) == pytest.approx(-slope, abs=1e-6)
    potential.save(tmp_path / "fades.adiabat")
    again = load(tmp_path / "fades.adiabat").double()
    assert float(again(pair(d)).energy) == pytest.approx(energy(d), rel=1e-12)
