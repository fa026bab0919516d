"""`Graph`: edges, labels and what may be kept while atoms move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from hypothesis import given, settings
from hypothesis import strategies as st

from adiabat.graph import Graph


def labeled(atoms: Atoms, **results) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def pairs(graph: Graph, cutoff: float) -> set[tuple[int, int, tuple[int, ...]]]:
    near = graph.r.norm(dim=1) < cutoff
    return set(zip(graph.i[near].tolist(), graph.j[near].tolist(), map(tuple, graph.shift[near].tolist())))


def test_edge_vectors_lead_from_center_to_neighbor():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    graph = Graph.of(atoms, 4.0)
    R, h = torch.tensor(atoms.positions), torch.tensor(atoms.cell.array)
    assert torch.allclose(graph.r, R[graph.j] + graph.shift.double() @ h - R[graph.i], atol=1e-13)
    assert torch.equal(graph.r[graph.reverse], -graph.r) or torch.allclose(graph.r[graph.reverse], -graph.r, atol=1e-14)
    assert graph.r.norm(dim=1).max() < 4.0


def test_pointers_and_the_transposed_order():
    graph = Graph.of([molecule("CH3CH2OH"), Atoms("H"), bulk("Si")], 3.0)
    for a in range(graph.n_atoms):
        assert (graph.i[graph.first[a] : graph.first[a + 1]] == a).all()
        mine = graph.by_neighbor[graph.first_by_neighbor[a] : graph.first_by_neighbor[a + 1]]
        assert (graph.j[mine] == a).all()
    assert graph.first[-1] == graph.first_by_neighbor[-1] == graph.n_edges
    a, b = graph.triplets
    assert (graph.i[a] == graph.i[b]).all() and (a < b).all()
    neighbors = graph.first.diff()
    assert len(a) == int((neighbors * (neighbors - 1) // 2).sum())


def test_a_view_below_a_smaller_cutoff_is_the_list_of_that_cutoff():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    wide, narrow = Graph.of(atoms, 5.0, skin=0.5), Graph.of(atoms, 3.1)
    view = wide.within(3.1)
    for name in ("i", "j", "shift", "reverse", "r", "first", "by_neighbor"):
        assert torch.equal(getattr(view, name), getattr(narrow, name)), name
    with pytest.raises(ValueError, match="cutoff 6.0 Å exceeds the graph's 5.0 Å"):
        wide.within(6.0)


def test_a_view_follows_the_current_distances():
    graph = Graph.of(Atoms("H2", [[0, 0, 0], [0, 0, 2.1]]), 3.0, skin=1.0)
    assert graph.within(2.0).n_edges == 0
    assert graph.move(torch.tensor([[0, 0, 0.0], [0, 0, 1.9]], dtype=torch.float64)).within(2.0).n_edges == 2


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 1.0), st.floats(0.0, 0.15), st.sampled_from(["bulk", "slab", "molecule"]))
def test_no_pair_is_ever_missing_from_a_kept_list(seed, size, strain, kind):
    """The skin's promise: after any motion and strain, all pairs within the cutoff are listed, kept list or new one."""
    rng = np.random.default_rng(seed)
    atoms = {"bulk": bulk("Cu", cubic=True), "molecule": molecule("CH3CH2OH"), "slab": bulk("Cu", cubic=True)}[kind].copy()
    if kind == "slab":
        atoms.pbc = [True, True, False]
    graph = Graph.of(atoms, 3.0, skin=float(rng.uniform(0.1, 1.5)))
    for _ in range(4):
        grown = np.eye(3) + strain * rng.normal(size=(3, 3)) * (kind != "molecule") * rng.random()
        positions = graph.positions.numpy() @ grown + size * rng.normal(size=graph.positions.shape) * rng.random()
        cell = graph.cell[0].numpy() @ grown
        if kind != "molecule" and np.linalg.det(cell) < 20:
            return
        graph = graph.move(torch.tensor(positions), torch.tensor(cell)[None] if rng.random() < 0.7 or strain else None)
        there = Atoms(atoms.numbers, positions, cell=graph.cell[0].numpy(), pbc=atoms.pbc)
        assert pairs(graph, 3.0) == pairs(Graph.of(there, 3.0), 3.0)


def test_a_cell_that_changed_before_is_remembered_when_only_atoms_move():
    """Motion without a cell is judged in the cell of now, not in the one the list was found in."""
    atoms = bulk("Ar", "sc", a=3.6)
    graph = Graph.of(atoms, 3.0, skin=0.5)  # the nearest image at 3.6 Å is not listed
    assert graph.n_edges == 0
    squeezed = graph.move(graph.positions * 0.98, graph.cell * 0.98)
    assert squeezed.n_edges == 0
    there = squeezed.replace(cell=graph.cell * 0.8).move(graph.positions * 0.8)
    assert there.n_edges == 6


def test_edges_are_kept_within_half_a_skin_and_found_anew_beyond():
    graph = Graph.of(bulk("Cu", cubic=True), 3.0, skin=1.0)
    step = torch.zeros_like(graph.positions)
    step[0, 0] = 0.49
    kept = graph.move(graph.positions + step)
    assert kept.i is graph.i and kept.known is graph.known
    assert torch.allclose(kept.r, kept.vectors())
    assert graph.move(graph.positions + step * 1.03).i is not graph.i
    assert Graph.of(bulk("Cu", cubic=True), 3.0).move(graph.positions).skin == 0.0


def test_an_explosion_is_named():
    graph = Graph.of([Atoms("H"), Atoms("H2", [[0, 0, 0], [0, 0, 1.0]])], 3.0, skin=1.0)
    positions = graph.positions.clone()
    positions[2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"atom 2 of structure 1 has moved to .*nan.*; the dynamics exploded"):
        graph.move(positions)


def test_motion_drops_what_belongs_to_the_old_place_and_keeps_the_rest():
    atoms = labeled(molecule("H2O"), energy=-1.0)
    atoms.set_constraint(FixAtoms([0]))
    for skin in (0.0, 1.0):
        graph = Graph.of(atoms, 2.0, skin=skin).replace(features={"x": (torch.zeros(3),)}, weight=torch.tensor([2.0]).double())
        moved = graph.move(graph.positions + 0.1)
        assert not moved.labels and not moved.features
        assert moved.fixed.tolist() == [True, False, False] and moved.weight.tolist() == [2.0]


def test_labels_have_masks():
    whole = labeled(bulk("Cu"), energy=-3.0, forces=np.ones((1, 3)), stress=np.arange(6.0))
    graph = Graph.of([whole, molecule("H2O"), labeled(molecule("H2"), forces=np.full((2, 3), 2.0))], 3.0)
    energy, forces, stress = (graph.labels[k] for k in ("energy", "forces", "stress"))
    assert energy.mask.tolist() == [True, False, False] and energy.value.tolist() == [-3.0, 0.0, 0.0]
    assert forces.mask.tolist() == [True] + 3 * [False] + 2 * [True]
    # Voigt xx yy zz yz xz xy
    assert stress.value[0].tolist() == [[0.0, 5.0, 4.0], [5.0, 1.0, 3.0], [4.0, 3.0, 2.0]]
    assert stress.mask.tolist() == [True, False, False]
    assert graph.labeled == {"energy", "forces", "stress"}
    assert Graph.of(molecule("H2O"), 3.0).labeled == frozenset()


def test_the_label_is_the_force_consistent_energy():
    assert Graph.of(labeled(Atoms("H"), energy=-1.0, free_energy=-1.5), 2.0).labels["energy"].value.tolist() == [-1.5]


def test_labels_of_another_structure_are_none():
    a, b = molecule("H2O"), molecule("H2O")
    a.calc = b.calc = EMT()
    a.get_potential_energy()
    b.rattle(0.1)
    b.get_potential_energy()  # from now on the calculator knows b alone
    graph = Graph.of([a, b], 3.0)
    assert graph.labels["energy"].mask.tolist() == [False, True]


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1,)])
def test_a_stress_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="wanted \\(6,\\) in Voigt order"):
        Graph.of(labeled(bulk("Cu"), stress=np.zeros(shape)), 3.0)


def test_labels_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="the forces label is not finite"):
        Graph.of(labeled(Atoms("H"), forces=np.full((1, 3), np.nan)), 3.0)


def test_a_batch_is_its_structures_one_after_the_other():
    frames = [molecule("H2O"), bulk("Cu", cubic=True), Atoms("H"), molecule("CH4")]
    each = [Graph.of(a, 3.0) for a in frames]
    batch = Graph.of(frames, 3.0)
    assert batch.n_structures == 4 and batch.n_atoms == 13 and batch.n_edges == sum(g.n_edges for g in each)
    assert batch.structure.tolist() == [0] * 3 + [1] * 4 + [2] + [3] * 5
    assert torch.equal(batch.r, torch.cat([g.r for g in each]))
    assert torch.equal(batch.structure[batch.i], batch.structure[batch.j])
    assert torch.equal(batch.i[batch.reverse], batch.j) and torch.equal(batch.j[batch.reverse], batch.i)
    assert batch.volume.isnan().tolist() == [True, False, True, True]


def test_a_batch_of_batches_and_weights_of_members():
    g = Graph.of([molecule("H2O"), Atoms("H")], 3.0).replace(weight=torch.ones(2, 4).double())
    assert Graph.batch([g, g]).weight.shape == (4, 4)
    assert Graph.batch(
        [Graph.of(Atoms("H"), 3.0), Graph.of(Atoms("H"), 3.0).replace(weight=torch.tensor([3.0]).double())]
    ).weight.tolist() == [1.0, 3.0]


def test_precision_is_that_of_the_edge_vectors_alone():
    graph = Graph.of(bulk("Cu"), 3.0, dtype=torch.float32)
    assert graph.r.dtype == torch.float32 and graph.positions.dtype == graph.cell.dtype == torch.float64
    assert graph.to(dtype=torch.float64).r.dtype == torch.float64
    moved = graph.move(graph.positions + 0.1)
    assert moved.r.dtype == torch.float32 and moved.positions.dtype == torch.float64
    assert Graph.of(bulk("Cu"), 3.0).to(device="cpu").to() is not None


def test_charge_and_multiplicity_are_inputs_only_where_they_are_unusual():
    def inputs(atoms, **info):
        atoms.info.update(info)
        return {k: v.tolist() for k, v in Graph.of(atoms, 2.0).inputs.items()}

    assert inputs(molecule("H2O")) == {} and inputs(molecule("H2O"), charge=0, multiplicity=1) == {}
    assert inputs(Atoms("H")) == {} and inputs(Atoms("H"), multiplicity=2) == {}
    assert inputs(molecule("H2O"), charge=1) == {"charge": [1.0]}
    assert inputs(molecule("O2"), multiplicity=3) == {"multiplicity": [3.0]}
    charged = Atoms("H", info={"charge": 1})
    assert Graph.of([Atoms("H"), charged], 2.0).inputs["charge"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "atoms, message",
    [
        ([], "no structure came"),
        (Atoms(), "a structure without atoms came"),
        (Atoms("H", [[0, 0, np.nan]]), "positions of atom 0 are not finite"),
        (Atoms("H", cell=[1, np.inf, 1]), "the cell is not finite"),
        (Atoms("H2", np.zeros((2, 3))), "atoms 0 and 1 lie at one place"),
        (Atoms("X"), "no element has atomic number 0"),
        (Atoms("H", pbc=True), "cell vector 0 is zero"),
    ],
)
def test_a_structure_that_is_none_is_refused(atoms, message):
    with pytest.raises(ValueError, match=message):
        Graph.of(atoms, 2.0)


def test_a_cutoff_of_nothing_is_refused():
    with pytest.raises(ValueError, match="cutoff 0 Å came; wanted a positive length"):
        Graph.of(Atoms("H"), 0)
