"""Expansions of listed products: where training begins, the coordinates it steps in, and what it reaches on frames of water."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk

import adiabat as ad
from adiabat.graph import Graph
from adiabat.labelers import labeler
from adiabat.models import PACE
from adiabat.models.pace import FLOOR
from adiabat.potential import Potential, Scaled
from adiabat.training.loss import Loss, squared_errors

WATER = Path(__file__).parents[2] / "examples/water"
SMALL = {"cutoff": 4.0, "radial": 3, "n_max": 2, "l_max": 1, "factors": 2}


@cache
def frames(n: int) -> list:
    """Alloys of copper and gold by effective medium theory."""
    rng, engine = np.random.default_rng(3), labeler("ase", calculator="emt")
    found = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True, a=3.8)
        atoms.symbols[int(rng.integers(4))] = "Au"
        atoms.rattle(0.12, rng=rng)
        found.append(engine(atoms))
    return found


def labeled(n: int) -> list[Graph]:
    return [Graph.of(atoms, 4.0) for atoms in frames(n)]


def loss(potential: Potential, graphs: list[Graph], **weights: float) -> float:
    batch = Graph.batch(graphs)
    return float(Loss(**{"energy": 100.0, "forces": 1.0, "stress": 0.0, **weights})(squared_errors(potential(batch), batch)))


def begun(graphs: list[Graph], **more) -> PACE:
    torch.manual_seed(0)
    model = PACE(elements=["Cu", "Au"], **{**SMALL, **more}).double()
    model.begin(graphs)
    return model


def least(model: PACE, graphs: list[Graph]) -> float:
    """The least loss of the linear density with these radial functions, by the least ridge: columns are what coefficients of 1 give."""
    it = copy.deepcopy(model)
    it.settle()
    batch, columns = Graph.batch(graphs), []
    natoms = torch.bincount(batch.structure).double()
    size = (100 / batch.n_structures) ** 0.5 / natoms, (1 / (3 * batch.n_atoms)) ** 0.5

    def column(energy: torch.Tensor, forces: torch.Tensor) -> torch.Tensor:
        return torch.cat([energy * size[0], forces.flatten() * size[1]])

    for k in range(len(it.products)):
        it.coefficients.data.zero_()
        it.coefficients.data[k] = 1.0
        found = Potential(it)(batch)
        columns.append(column(found.energy, found.forces).detach())
    A = torch.stack(columns, 1)
    wanted = column(batch.labels["energy"].value, batch.labels["forces"].value)
    scale = A.norm(dim=0).clamp_min(1e-300)
    ridge = (FLOOR**0.5 * torch.linalg.svdvals(A / scale)[0]) * torch.eye(len(scale), dtype=torch.float64)
    ridged = torch.cat([A / scale, ridge]), torch.cat([wanted, torch.zeros_like(scale)])
    solution = torch.linalg.lstsq(ridged[0], ridged[1][:, None], driver="gelsd").solution[:, 0]
    return float((A / scale @ solution - wanted).square().sum())


def test_a_linear_density_begins_at_the_least_squares():
    """Of few frames every force is a row; the ridge costs what it saves on other frames, here of 234 rows and 52 columns."""
    graphs = labeled(18)
    model = begun(graphs)
    minimum = least(model, graphs)
    assert 0.95 * minimum < loss(Potential(model), graphs) < 1.05 * minimum


def test_of_many_frames_random_sums_are_enough():
    """Of n rows and K columns they leave 1 + K/(n − K) times the least loss on average: 4/3 for n = 4 K."""
    graphs = labeled(60)
    model = begun(graphs)
    assert loss(Potential(model), graphs) < 2 * least(model, graphs)


def test_steps_reach_the_least_squares():
    """From the start by random sums, 1.4 times as much; radial functions are free, and the ridge holds back what the sums hardly tell."""
    graphs, train = labeled(60), frames(60)
    minimum = least(begun(graphs), graphs)
    found = ad.fit(
        PACE(**SMALL), train, [], optimizer="lbfgs", epochs=15, wall=False, loss={"energy": 100.0, "stress": 0.0},
        reference_energies={"Cu": 0.0, "Au": 0.0},
    )  # fmt: skip
    assert loss(found, graphs) < 1.06 * minimum


def test_what_is_remembered_gives_the_same_slopes():
    graphs = labeled(3)
    model = begun(graphs, densities=2)
    potential = Potential(model).train()
    found = []
    for each in (Graph.batch(graphs), Graph.batch([model.remember(g) for g in graphs])):
        prediction = potential(each)
        value = prediction.forces.square().sum() + prediction.energy.square().sum() + prediction.stress.square().sum()
        found.append([prediction.forces.detach(), *torch.autograd.grad(value, list(model.parameters()))])
    for a, b in zip(*found, strict=True):
        # Other orders of summation, and products of numbers that cancel.
        assert (a - b).abs().max() < 1e-9 * b.abs().max()


def test_settled_it_is_the_same_potential_and_a_plain_file(tmp_path):
    graphs = labeled(4)
    model = begun(graphs, densities=2)
    potential, names = Potential(Scaled(model, 0.7)), set(PACE(elements=["Cu", "Au"], **SMALL).state_dict())
    before = potential(graphs[0])
    frozen = potential.frozen()(graphs[0])
    potential.settle()
    assert set(model.state_dict()) == names
    potential.save(tmp_path / "x.adiabat")
    for after in (frozen, potential(graphs[0]), ad.load(tmp_path / "x.adiabat")(graphs[0])):
        assert (after.forces - before.forces).abs().max() < 1e-9 * before.forces.abs().max()  # coefficients that cancel


def test_a_committee_begins_apart_and_is_kept(tmp_path):
    """Each member begins with the frames it learns from."""
    found = ad.fit(PACE(**SMALL), frames(18), members=2, leave_out=0.5, optimizer="lbfgs", epochs=2, wall=False)
    found.save(tmp_path / "x.adiabat")
    graph = labeled(1)[0]
    read = ad.load(tmp_path / "x.adiabat")(graph)
    assert torch.equal(read.forces, found(graph).forces)
    assert float(read.outputs["forces_spread"].min()) > 0


@pytest.mark.parametrize("bases", ["ChebExpCos", "SBessel"])
def test_water_is_learned_to_a_thousandth_of_its_forces(bases):
    """Three atoms: around each there are at most two others, and products of three factors tell their triangle wholly. What is left is
    what radial functions of a finite number cannot follow. Without coordinates the same steps left a sixth of the forces."""
    train, test = (ad.read(WATER / name) for name in ("water.xyz", "test.xyz"))
    found = ad.fit(PACE(radial=5, n_max=3, l_max=1, bases=bases), train, [], optimizer="lbfgs", epochs=10)
    batch = Graph.batch([Graph.of(atoms, found.cutoff) for atoms in test])
    errors = found(batch).forces - batch.labels["forces"].value
    size = batch.labels["forces"].value.square().mean().sqrt()
    assert errors.square().mean().sqrt() < 1e-3 * size
