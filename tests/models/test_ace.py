"""Linear ACE knows how near it has seen neighbors, and nothing of it is left nearer than that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.data.formats import read
from adiabat.graph import Graph
from adiabat.kernels import spline
from adiabat.models import ACE
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Potential
from adiabat.validation.gate import gate
from laws.differences import agree, slope


@pytest.fixture(scope="module")
def water(repository) -> list[Atoms]:
    frames = read(repository / "examples" / "water" / "water.xyz")
    return [atoms for atoms in frames if len(atoms) == 3][:24]


@pytest.fixture(scope="module")
def fitted(water):
    return ad.fit(ACE(cutoff=3.0, channels=8, l_max=2), water, seed=1)


def test_what_was_seen_is_not_changed(water):
    """From the nearest distances outward the tables are the ones before, to the last bit; ordered pairs have one nearest distance."""
    model = ACE(cutoff=3.0, channels=4, elements=["H", "O"]).double()
    before = Potential(model)
    graphs = [Graph.of(atoms, 3.0) for atoms in water]
    energies = [before(g).energy for g in graphs]
    model.prepare(graphs)
    assert torch.equal(model.nearest, model.nearest.T)
    distances = np.concatenate([a.get_all_distances()[0, 1:] for a in water])  # O–H
    assert float(model.nearest[0, 1]) == pytest.approx(distances.min(), abs=1e-12)
    # splines of C² functions: between two knots near the kink the coefficients differ, by less than 1e-6 of them
    for graph, energy in zip(graphs, energies, strict=True):
        assert float((Potential(model)(graph).energy - energy).abs()) < 1e-6


@pytest.mark.parametrize("share", [0.55, 0.7, 0.8])
def test_forces_where_it_fades(fitted, water, share):
    potential = fitted.to(torch.float64)
    near = float(next(term.model.nearest for term in potential.terms if hasattr(term, "model"))[0, 1])

    def moved(x: float) -> Graph:
        atoms = water[0].copy()
        line = atoms.get_distance(0, 1, vector=True)
        atoms.positions[1] = atoms.positions[0] + line / np.linalg.norm(line) * share * near + [x, 0, 0]
        return Graph.of(atoms, potential.cutoff)

    forces = potential(moved(0.0)).forces
    agree(-slope(lambda x: float(potential(moved(x)).energy)), forces[1, 0], forces)


def test_nothing_of_it_is_left_below(fitted, water):
    """Two hydrogens on each other meet the wall, not a polynomial's hole: without the fading one of tens of eV."""
    found = gate(fitted, water, only=["short_range_wall"])
    assert found.passed, found.checks["short_range_wall"].message
    model = next(term.model for term in fitted.terms if hasattr(term, "model")).double()
    far, near = (Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (9.0, 0.45 * float(model.nearest[0, 0])))
    alone = Potential(model)
    assert float(alone(Graph.of(far, 3.0)).energy) == 0.0
    assert abs(float(alone(Graph.of(near, 3.0)).energy)) < 1e-15  # the spline's knots decay within a few of them


def test_elements_that_never_met_add_nothing():
    model = ACE(cutoff=3.0, channels=4, elements=["H", "O"]).double()
    model.prepare([Graph.of(Atoms("H2", [[0, 0, 0], [0, 0, 0.8]]), 3.0)])
    together = Graph.of(Atoms("OH", [[0, 0, 0], [0, 0, 1.0]]), 3.0)
    assert float(Potential(model)(together).energy) == 0.0


def test_compiled_with_a_table_for_each_ordered_pair(fitted, water):
    potential = fitted.to(torch.float64)
    graph = Graph.batch([Graph.of(a, potential.cutoff) for a in water[:3]])
    wanted, found = potential(graph), potential.frozen()(graph)
    assert float((found.energy - wanted.energy).abs().max()) < 1e-10  # energies of 2,000 eV, in double
    assert float((found.forces - wanted.forces).abs().max()) < 1e-11


def test_channels_end_where_their_own_cutoffs_are():
    """Evenly from the shortest to the cutoff: beyond its own a channel's table is nothing, before it something."""
    model = ACE(cutoff=4.0, shortest=2.0, channels=5, elements=["Cu"]).double()
    for c, cutoff in enumerate([2.0, 2.5, 3.0, 3.5, 4.0]):
        d = torch.tensor(
            [cutoff - 0.1, cutoff + 0.2], dtype=torch.float64
        )  # what splines add there falls to a quarter a knot, 0.008 Å
        inside, outside = spline(d, model.table, model.cutoff, torch.zeros(2, dtype=torch.int64))[:, :, c].abs().amax(1)
        assert outside < 1e-12 < 1e-6 < inside


def test_a_shortest_cutoff_beyond_the_longest_is_refused():
    with pytest.raises(ValueError, match=r"ace.shortest: 5.0 came; wanted .* ≤ 4.0 Å"):
        ACE(cutoff=4.0, shortest=5.0)


BY_ORDER = {"cutoff": 3.0, "l_max": 2, "channels": [7, 4, 4, 1], "shortest": 1.5, "elements": ["H", "O"]}


def test_channels_by_order_are_columns_of_the_whole_basis(water):
    """Fewer channels for products of more densities: the same descriptors and slopes, less some columns."""
    few, all_of_it = ACE(**BY_ORDER).double(), ACE(**{**BY_ORDER, "channels": 7}).double()
    graph = Graph.of(water[0], 3.0)
    orders = np.array([nu for _, nu in few.product.contraction.orders])
    taken = torch.from_numpy(np.arange(7)[:, None] < np.array([0, 7, 4, 4, 1])[orders]).flatten()
    assert few.size == int(taken.sum()) < all_of_it.size
    for mine, whole in zip(few.columns(graph), all_of_it.columns(graph), strict=True):
        assert float((mine - whole[..., taken]).abs().max()) <= 1e-13 * float(whole.abs().max())  # sums in another order
    (at,) = few.centers(graph)
    by_one_pass_each = next(LinearBasis.derivatives(few, at)[1])[1]
    for edges, J in few.derivatives(at)[1]:
        assert float((J - by_one_pass_each[edges]).abs().max()) < 1e-11 * float(by_one_pass_each.abs().max())


def test_products_that_are_not_there_stay_away(water):
    """Whatever a weight says of a coupling that a channel does not have, the energy, as it is compiled too, knows nothing of it."""
    model = ACE(**BY_ORDER).double()
    graph = Graph.of(water[0], 3.0)
    before = Potential(model)(graph).energy
    with torch.no_grad():
        model.product.weights[:, -1, 1:] += 100.0  # an order 4, which the first channel alone has
    after, compiled = Potential(model)(graph), Potential(model).frozen()(graph)
    assert torch.equal(after.energy, before)
    assert float((compiled.forces - after.forces).abs().max()) < 1e-12 * float(after.forces.abs().max())
    coefficients = torch.randn(2, model.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model.put(coefficients)
    energy = (model.columns(graph).energy * coefficients).sum()
    assert float((Potential(model)(graph).energy - energy).abs()) < 1e-12 * float(energy.abs())


def test_the_shortest_cutoff_follows_the_bonds(water):
    """1.8 times the mean distance to the next atom, and never beyond the cutoff."""
    graphs = [Graph.of(atoms, 6.0) for atoms in water]
    model = ACE(cutoff=6.0, channels=4, elements=["H", "O"], shortest="auto").double()
    model.prepare(graphs)
    near = np.concatenate([np.sort(a.get_all_distances() + 99 * np.eye(3), axis=1)[:, 0] for a in water])
    assert model.shortest == pytest.approx(1.8 * near.mean(), rel=1e-12)
    model = ACE(cutoff=1.5, channels=4, elements=["H", "O"], shortest="auto")
    model.prepare(graphs)
    assert model.shortest == 1.5


@pytest.mark.parametrize("channels", [[4, 8, 2, 2], [4, 4], [0, 0, 0, 0]])
def test_channels_that_make_no_sense_are_refused(channels):
    with pytest.raises(ValueError, match=r"ace.channels: \[.*\] came; wanted one number, or one for each order 1 to 4"):
        ACE(channels=channels)
