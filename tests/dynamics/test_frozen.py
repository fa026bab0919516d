"""Dynamics call frozen potentials: the same motion to rounding, and the same bits from the same start."""

from __future__ import annotations

from functools import partial
from itertools import islice

import pytest
import torch
from ase.build import bulk, molecule

from adiabat.dynamics import State, langevin, relax, velocity_verlet
from adiabat.kernels import build
from adiabat.models import BPNN, ZBL
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))


class Plain:
    """A potential operation by operation."""

    def __init__(self, potential) -> None:
        self.potential, self.cutoff = potential, potential.cutoff

    def __call__(self, graph):
        return self.potential(graph)


def water(seed: int = 0) -> Potential:
    torch.manual_seed(seed)
    network = BPNN(cutoff=3.0, elements=["H", "O"], radial=8, angular=1, zetas=[1.0, 2.0, 4.0], hidden=[10]).double()
    return Potential(ReferenceEnergies({"H": -13.6, "O": -432.1}), Scaled(network), ZBL(elements=["H", "O"])).eval()


def committee():
    return Committee.of([water(seed) for seed in range(3)]).without_spread


def silicon() -> Potential:
    torch.manual_seed(0)
    return Potential(Scaled(BPNN(cutoff=4.0, elements=["Si"], radial=8, angular=1, hidden=[10]).double(), 2.0)).eval()


SYSTEMS = {
    "molecules": (water, [molecule("H2O")] * 5),
    "committee": (committee, [molecule("H2O")] * 3),
    "crystals": (silicon, [bulk("Si", cubic=True), bulk("Si", cubic=True) * (2, 1, 1)]),
}


def run(potential, frames, ensemble: str, steps: int = 40) -> State:
    rng = torch.Generator().manual_seed(1)
    state = State.of(frames, potential, temperature_K=600.0, rng=rng, skin_angstrom=0.2)  # edges are found anew on the way
    bath = partial(langevin, rng=rng, temperature_K=600.0, friction_per_fs=0.02)
    states = (velocity_verlet if ensemble == "nve" else bath)(state, potential, timestep_fs=1.0)
    return next(islice(states, steps - 1, None))


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_motion_to_rounding(system, ensemble):
    make, frames = SYSTEMS[system]
    potential = make()
    fast, slow = run(potential, frames, ensemble), run(Plain(potential), frames, ensemble)
    # 1e-16 of forces of 10 eV/Å, grown by forty steps of motion that is not chaotic yet
    assert float((fast.positions - slow.positions).abs().max()) < 1e-11
    assert float((fast.velocities - slow.velocities).abs().max()) < 1e-11
    assert float((fast.conserved - slow.conserved).abs().max()) < 1e-9
    assert float((fast.positions - State.of(frames, potential).positions).abs().max()) > 1e-2


def test_the_same_start_gives_the_same_bits():
    make, frames = SYSTEMS["committee"]
    one, again = run(make(), frames, "nvt"), run(make(), frames, "nvt")
    assert torch.equal(one.positions, again.positions)
    assert torch.equal(one.velocities, again.velocities)
    assert torch.equal(one.heat, again.heat)


def test_relaxation_ends_at_the_same_place():
    make, frames = SYSTEMS["molecules"]
    potential = make()
    fast, slow = (relax(State.of(frames, it), it, fmax=0.05, max_steps=40) for it in (potential, Plain(potential)))
    assert torch.equal(fast.steps, slow.steps)
    assert float((fast.state.positions - slow.state.positions).abs().max()) < 1e-9
