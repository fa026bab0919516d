"""A frozen potential is the potential: compiled, mixed, or as it always runs."""

from __future__ import annotations

import torch

from laws.potentials import close, cluster, crystal, graph_of


def test_frozen_it_says_the_same(potential, atoms):
    graph = graph_of(potential, [atoms, cluster(), crystal()], skin=0.5)
    found, wanted = potential.frozen()(graph), potential(graph)
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        close(getattr(found, name), getattr(wanted, name), 1e-11)
    assert set(found.outputs) == set(wanted.outputs)
    for name, value in wanted.outputs.items():
        close(found.outputs[name], value, 1e-9)


def test_frozen_it_gives_the_same_bits_twice(potential, atoms):
    frozen, graph = potential.frozen(), graph_of(potential, atoms)
    a, b, c = frozen(graph), frozen(graph), potential.frozen()(graph_of(potential, atoms))
    assert torch.equal(a.energy, b.energy) and torch.equal(a.forces, b.forces)
    assert torch.equal(a.energy, c.energy) and torch.equal(a.forces, c.forces)
