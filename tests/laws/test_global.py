"""Global terms see positions and the strained cell; forces and stress are taken for them as for the local ones."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from ase import Atoms

from adiabat.graph import Graph
from adiabat.potential import Model, Potential
from adiabat.uncertainty import Committee
from laws.differences import TOLERANCE, agree, directions, slope
from laws.potentials import close, cluster, crystal, family, graph_of, several


class Anchored(Model):
    """E = ½ k Σ |R|² + ½ κ Σ_cells tr(h hᵀ): no invariance at all, so every component of the derivative is put to the test."""

    name = "anchored"
    is_global = True

    def __init__(self, k: float = 0.3, kappa: float = 0.1) -> None:
        super().__init__()
        self.k, self.kappa = k, kappa

    def forward(self, graph: Graph) -> dict[str, torch.Tensor]:
        energy = 0.5 * self.kappa * graph.cell.square().sum((1, 2))
        return {"energy": energy.index_add(0, graph.structure, 0.5 * self.k * graph.positions.square().sum(1))}


class Screened(Model):
    """Charges of +1 and −½ on O and H that repel by e^{−κd}/d, over the images within three cells: physics of a real global term."""

    name = "screened"
    is_global = True

    def __init__(self, kappa: float = 1.5, charge: float = 1.0) -> None:
        super().__init__()
        self.kappa = kappa
        self.charge = torch.nn.Parameter(torch.tensor(charge, dtype=torch.float64))

    def forward(self, graph: Graph) -> dict[str, torch.Tensor]:
        energies = []
        q = self.charge * torch.where(graph.numbers == 8, 1.0, -0.5).to(torch.float64)
        for s in range(graph.n_structures):
            mine = graph.structure == s
            R, total = graph.positions[mine], 0.0
            reach = [range(-3, 4) if bool(p) else [0] for p in graph.pbc[s]]
            for n in itertools.product(*reach):
                shift = torch.tensor(n, dtype=torch.float64) @ graph.cell[s]
                d2 = (R[:, None] - R[None, :] + shift).square().sum(-1)
                if n == (0, 0, 0):
                    d2 = d2 + torch.diag(torch.full((len(R),), math.inf, dtype=torch.float64))
                d = d2.sqrt()
                total = total + 0.5 * ((q[mine][:, None] * q[mine]) * torch.exp(-self.kappa * d) / d).nan_to_num().sum()
            energies.append(total)
        return {"energy": torch.stack(energies)}


class Offset(Model):
    """A constant for each structure: an energy without any gradient."""

    name = "offset"
    is_global = True

    def forward(self, graph: Graph) -> dict[str, torch.Tensor]:
        return {"energy": torch.full((graph.n_structures,), 2.0, dtype=torch.float64)}


TERMS = {"anchored": Anchored, "screened": Screened}


@pytest.fixture(params=TERMS)
def potential(request) -> Potential:
    return Potential(family("morse"), TERMS[request.param]())


def energy(potential: Potential, atoms: Atoms) -> float:
    return float(potential(graph_of(potential, atoms)).energy[0])


def test_forces_of_a_global_term_are_minus_the_slope(potential, atoms):
    forces = potential(graph_of(potential, atoms)).forces

    def at(x: float, d: torch.Tensor) -> float:
        copy = atoms.copy()
        copy.positions += x * d.numpy()
        return energy(potential, copy)

    for d in directions(3, forces):
        agree(-slope(lambda x, d=d: at(x, d)), (forces * d).sum(), forces)


def test_stress_of_a_global_term_is_the_slope_with_strain(potential, atoms):
    gradient = potential(graph_of(potential, atoms)).strain_gradient[0]

    def at(x: float, d: torch.Tensor) -> float:
        grown = (torch.eye(3, dtype=torch.float64) + x * d).numpy()
        copy = atoms.copy()
        copy.set_cell(atoms.cell.array @ grown)
        copy.positions = atoms.positions @ grown
        return energy(potential, copy)

    for d in directions(3, gradient):
        d = (d + d.T) / 2
        agree(slope(lambda x, d=d: at(x, d)), (gradient * d).sum(), gradient)


def test_a_batch_equals_one_by_one_with_a_global_term(potential):
    batch = potential(graph_of(potential, [cluster(), crystal()]))
    each = [potential(graph_of(potential, a)) for a in (cluster(), crystal())]
    close(batch.energy, torch.cat([p.energy for p in each]))
    close(batch.forces, torch.cat([p.forces for p in each]))
    close(batch.strain_gradient, torch.cat([p.strain_gradient for p in each]))


def test_an_offset_pushes_nobody(atoms):
    plain, offset = Potential(family("morse")), Potential(family("morse"), Offset())
    graph = graph_of(plain, atoms)
    close(offset(graph).energy, plain(graph).energy + 2.0)
    close(offset(graph).forces, plain(graph).forces)
    close(offset(graph).strain_gradient, plain(graph).strain_gradient)


def test_a_global_term_learns(atoms):
    potential = Potential(Screened()).train()
    graph = graph_of(potential, atoms)
    (charge,) = potential.parameters()

    def loss(x: float) -> torch.Tensor:
        with torch.no_grad():
            charge.fill_(1.0 + x)
        return potential(graph).forces.square().sum()

    (gradient,) = torch.autograd.grad(loss(0.0), charge)
    close(torch.tensor(slope(lambda x: float(loss(x).detach()))), gradient, TOLERANCE)


def test_a_committee_shares_a_global_term_once(atoms):
    members = [Potential(*several(seed).terms, Anchored()) for seed in (1, 2)]
    committee = Committee.of(members)
    graph = graph_of(committee, atoms)
    for m, member in enumerate(members):
        close(committee.predictions(graph).energy[m], member(graph).energy)
        close(committee.predictions(graph).forces[m], member(graph).forces)
        close(committee.predictions(graph).strain_gradient[m], member(graph).strain_gradient)
    close(committee.mean(graph).forces, committee(graph).forces)


def test_a_committee_refuses_a_global_term_of_its_own():
    with pytest.raises(NotImplementedError, match="global term"):
        Committee.of([Potential(*several(seed).terms, Screened()) for seed in (1, 2)])
