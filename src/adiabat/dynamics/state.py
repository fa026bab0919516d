"""`State`: everything that moves, a batch as `Graph` is. Integrators take one and give the next.

Structures in a batch do not know each other: replicas of one molecule, or many different crystals, in one call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch

from adiabat.dynamics.rigid import Rigid
from adiabat.graph import Graph
from adiabat.prediction import Prediction
from adiabat.typing import Bool, Float, Tensor
from adiabat.units import ACCELERATION, GPa, k_B

if TYPE_CHECKING:
    from ase import Atoms

Remove = Literal["nothing", "momentum", "rotation"]


@runtime_checkable
class PotentialLike(Protocol):
    """A potential, a committee, or anything that answers a graph with a prediction and says how far it sees."""

    @property
    def cutoff(self) -> float: ...

    def __call__(self, graph: Graph) -> Prediction: ...


def quickest(potential: PotentialLike) -> PotentialLike:
    """The potential as it is called most quickly for values (`Potential.frozen`); itself where it knows no other way."""
    return potential.frozen() if hasattr(type(potential), "frozen") else potential  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Piston:
    """The cell as a particle of the dynamics; `barostat` moves it."""

    rate: Float[Tensor, "S 3 3"]  # of its strain, symmetric, 1/fs
    mass: Float[Tensor, "S"]  # amu Å²
    pressure: Float[Tensor, "S"]  # from outside, eV/Å³

    @property
    def kinetic_energy(self) -> Float[Tensor, "S"]:
        """½ W tr(ε̇ ε̇), eV."""
        return self.rate.square().sum((1, 2)) * self.mass * (0.5 / ACCELERATION)

    def replace(self, **changes: Any) -> Piston:
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class State:
    """Positions live in `graph`, forces in `prediction`; velocities in Å/fs, masses in amu, both float64."""

    graph: Graph
    velocities: Float[Tensor, "N 3"]
    masses: Float[Tensor, "N"]
    prediction: Prediction
    rigid: Rigid  # which rigid motions each structure does without
    running: Bool[Tensor, "S"]  # a structure that was stopped keeps its positions while the others go on
    heat: Float[Tensor, "S"]  # eV that came in from a thermostat so far
    time_fs: float = 0.0
    piston: Piston | None = None  # None: the cell stays as it is

    @classmethod
    def of(
        cls,
        atoms: Atoms | Sequence[Atoms],
        potential: PotentialLike,
        *,
        temperature_K: float | Sequence[float] | None = None,
        rng: torch.Generator | None = None,
        remove: Remove | None = None,
        skin_angstrom: float = 1.0,
        device: str = "cpu",
    ) -> State:
        """A state at rest, with the velocities the atoms carry, or with Maxwell–Boltzmann ones at `temperature_K`.

        `remove` names the rigid motions taken out and kept out: by default ``rotation`` (and drift) of molecules, ``momentum`` of
        what is periodic, ``nothing`` where atoms are fixed. Temperatures are counted over the motions that remain, and are right on
        average; each draw scatters as canonical velocities do.
        """
        frames: list[Atoms] = [atoms] if hasattr(atoms, "get_positions") else list(atoms)  # type: ignore[list-item]
        bare = [a.copy() for a in frames]  # without calculators: a prediction is not a label
        graph = Graph.of(bare, potential.cutoff, skin=skin_angstrom, device=device)
        masses = torch.tensor(np.concatenate([a.get_masses() for a in frames]), dtype=torch.float64, device=graph.device)
        rigid = Rigid.of(graph, masses, remove)
        prediction = quickest(potential)(graph)
        if prediction.forces.requires_grad:
            raise ValueError("the potential is in training mode and would remember every step; call potential.eval() first")
        velocities = torch.zeros_like(graph.positions)
        if temperature_K is not None:
            if rng is None:
                raise ValueError(
                    "temperature_K needs rng=torch.Generator().manual_seed(...): what cannot be re-run cannot be trusted"
                )
            velocities = maxwell_boltzmann(graph, masses, temperature_K, rng)
        elif any(a.has("momenta") for a in frames):
            velocities = torch.tensor(
                np.concatenate([_velocities(a) for a in frames]), dtype=torch.float64, device=graph.device
            )
        if graph.fixed is not None:
            velocities = velocities * ~graph.fixed[:, None]
        structures = graph.n_structures
        return cls(
            graph, rigid.without(graph.positions, velocities), masses, prediction, rigid,
            running=torch.ones(structures, dtype=torch.bool, device=graph.device),
            heat=torch.zeros(structures, dtype=torch.float64, device=graph.device),
        )  # fmt: skip

    @property
    def positions(self) -> Float[Tensor, "N 3"]:
        return self.graph.positions

    @property
    def numbers(self) -> Tensor:
        return self.graph.numbers

    @property
    def structure(self) -> Tensor:
        return self.graph.structure

    @property
    def cell(self) -> Float[Tensor, "S 3 3"]:
        return self.graph.cell

    @property
    def pbc(self) -> Bool[Tensor, "S 3"]:
        return self.graph.pbc

    @property
    def energy(self) -> Float[Tensor, "S"]:
        """Potential energy, eV."""
        return self.prediction.energy

    @property
    def forces(self) -> Float[Tensor, "N 3"]:
        return self.prediction.forces

    @property
    def stress(self) -> Float[Tensor, "S 3 3"]:
        return self.prediction.stress

    @property
    def outputs(self) -> Any:
        """What else the potential tells: a committee's `forces_spread`, say."""
        return self.prediction.outputs

    @property
    def kinetic_energy(self) -> Float[Tensor, "S"]:
        """½ Σ m v², eV."""
        squares = (self.velocities * self.velocities).sum(1) * self.masses * (0.5 / ACCELERATION)
        return squares.new_zeros(len(self.running)).index_add_(0, self.structure, squares)

    @property
    def degrees_of_freedom(self) -> Float[Tensor, "S"]:
        return self.rigid.degrees_of_freedom

    @property
    def temperature_K(self) -> Float[Tensor, "S"]:
        """2 E_kin / (f k_B), one a structure; NaN where nothing can move."""
        return 2 * self.kinetic_energy / (self.degrees_of_freedom * k_B)

    @property
    def conserved(self) -> Float[Tensor, "S"]:
        """Total energy less the heat a thermostat brought in: what a perfect integrator would keep.

        At constant pressure the cell's kinetic energy and the work P V against the outside belong to the total.

        Bussi and Parrinello, Phys. Rev. E 75, 056707 (2007): the effective energy drifts as the timestep's error does, in NVE
        and under Langevin alike.
        """
        total = self.energy + self.kinetic_energy - self.heat
        if self.piston is None:
            return total
        return total + self.piston.kinetic_energy + self.piston.pressure * self.graph.volume

    @property
    def pressure_GPa(self) -> Float[Tensor, "S"]:
        """(2 E_kin − tr ∂E/∂ε) / 3V, of this moment; NaN for a structure without volume."""
        virial = -self.prediction.strain_gradient.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (2 * self.kinetic_energy + virial) / (3 * self.graph.volume) / GPa

    def replace(self, **changes: Any) -> State:
        return dataclasses.replace(self, **changes)

    def to_atoms(self, results: bool = False) -> list[Atoms]:
        """One `ase.Atoms` a structure, with velocities; energy and forces only where asked, lest they be taken for labels."""
        from ase import Atoms, units
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.constraints import FixAtoms

        columns = (self.numbers, self.positions, self.masses, self.velocities * (1 / units.fs), self.forces)
        numbers, positions, masses, velocities, forces = (x.numpy(force=True) for x in columns)
        cells, pbc, energies = (x.numpy(force=True) for x in (self.cell, self.pbc, self.energy))
        fixed = None if self.graph.fixed is None else self.graph.fixed.numpy(force=True)
        frames = []
        for s, rows in enumerate(self.rigid.rows()):
            atoms = Atoms(numbers[rows], positions[rows], masses=masses[rows], cell=cells[s], pbc=pbc[s])
            atoms.set_velocities(velocities[rows])
            if fixed is not None and fixed[rows].any():
                atoms.set_constraint(FixAtoms(mask=fixed[rows]))
            if results:
                atoms.calc = SinglePointCalculator(atoms, energy=float(energies[s]), forces=forces[rows])
            frames.append(atoms)
        return frames


def maxwell_boltzmann(
    graph: Graph, masses: Float[Tensor, "N"], temperature_K: float | Sequence[float] | Tensor, rng: torch.Generator
) -> Float[Tensor, "N 3"]:
    """v ~ √(kT/m) · N(0, 1) for every component, one temperature or one a structure."""
    kT = k_B * torch.as_tensor(temperature_K, dtype=torch.float64, device=graph.device).expand(graph.n_structures)
    width = torch.sqrt(kT[graph.structure] / masses * ACCELERATION)
    return width[:, None] * torch.randn(graph.n_atoms, 3, generator=rng, dtype=torch.float64, device=graph.device)


def _velocities(atoms: Atoms) -> np.ndarray:
    from ase import units

    return atoms.get_velocities() * units.fs  # Å per ASE's unit of time → Å/fs
