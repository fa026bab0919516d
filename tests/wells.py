"""Potentials with known answers, for the tests of what moves in them: called like a `Potential`, with exact forces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ase import Atoms

from adiabat.graph import Graph
from adiabat.models.pair import LennardJones, Morse
from adiabat.potential import Potential
from adiabat.prediction import Prediction


def predicted(graph: Graph, atomic: torch.Tensor, forces: torch.Tensor, **outputs: torch.Tensor) -> Prediction:
    energy = atomic.new_zeros(graph.n_structures).index_add_(0, graph.structure, atomic)
    return Prediction(energy, forces, atomic, graph, outputs)


@dataclass(frozen=True)
class Well:
    """Every atom in its own ½ k x² + ¼ q x⁴ about the origin, an axis at a time."""

    k: float = 1.0
    quartic: float = 0.0
    cutoff: float = 0.1

    def __call__(self, graph: Graph) -> Prediction:
        x = graph.positions
        energy = 0.5 * self.k * x**2 + 0.25 * self.quartic * x**4
        return predicted(graph, energy.sum(1), -self.k * x - self.quartic * x**3)


def argon() -> Potential:
    return Potential(LennardJones(epsilon_eV=0.0103, sigma_angstrom=3.4, cutoff=8.5))


def springy() -> Potential:
    """A molecule of Morse bonds, about as stiff as water."""
    return Potential(Morse(depth_eV=4.0, width_per_angstrom=2.0, minimum_angstrom=1.0, cutoff=6.0))


def triangle(height: float = 0.87) -> Atoms:
    return Atoms("OH2", [[0.0, height, 0.0], [0.5, 0.0, 0.0], [-0.52, 0.0, 0.0]])
