"""L-BFGS finds the minima scipy finds; a committee's members do not see each other; a full memory is survived."""

from __future__ import annotations

import resource
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen
from torch import nn

from adiabat.models import BPNN
from adiabat.training import fit
from adiabat.training.loop import Training
from adiabat.training.loss import Loss, Sum
from adiabat.training.optimizers import LBFGS, OPTIMIZERS
from training.sets import water

ENERGY = Loss(energy=1.0, forces=0.0, stress=0.0)


def minimized(f, start: torch.Tensor, epochs: int, members: int | None = None, optimizer=None) -> torch.Tensor:
    """`f` maps x [P] (or [M, P]) to values [*M], handed in as if it were an energy error."""
    x = nn.Parameter(start.clone())
    stepper = (optimizer or LBFGS()).start([x], members)

    def errors(batch):
        value = f(x)
        return {"energy": Sum(value, value.detach().abs(), torch.ones(()), torch.ones(()))}

    for _ in range(epochs):
        stepper.epoch([SimpleNamespace()], errors, ENERGY, 1.0)
    return x.detach()


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def test_lbfgs_finds_the_minimum_of_rosenbrock_s_valley():
    start = torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=torch.float64)
    found = minimized(rosenbrock, start, 120)
    by_scipy = minimize(rosen, start.numpy(), method="L-BFGS-B", options={"maxiter": 120, "ftol": 0, "gtol": 1e-9})
    assert by_scipy.fun < 1e-10 and float(rosenbrock(found)) < 1e-10
    np.testing.assert_allclose(found, by_scipy.x, atol=1e-5)


def test_lbfgs_solves_a_badly_scaled_quadratic():
    g = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(12, 12, generator=g, dtype=torch.float64))
    A = q @ torch.diag(torch.logspace(0, 4, 12, dtype=torch.float64)) @ q.T
    b = torch.randn(12, generator=g, dtype=torch.float64)
    found = minimized(lambda x: 0.5 * x @ A @ x - b @ x, torch.zeros(12, dtype=torch.float64), 80)
    # Condition 1e4 and a gradient small to 1e-8 of its start: the solution to 1e-4 of its size.
    np.testing.assert_allclose(found, torch.linalg.solve(A, b), atol=1e-4)


def test_each_member_goes_its_own_way():
    starts = torch.tensor([[-1.2, 1.0, 0.3], [0.0, 0.0, 0.0], [1.5, -1.5, 2.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    together = minimized(rosenbrock, starts, 40, members=4)
    for k, start in enumerate(starts):
        alone = minimized(rosenbrock, start, 40)
        # The same arithmetic row by row; sums along rows may be taken in another order, and a valley amplifies that.
        np.testing.assert_allclose(together[k], alone, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_gradient_descents_descend(name):
    start = torch.full((3,), 2.0, dtype=torch.float64)
    optimizer = OPTIMIZERS[name](lr=0.05)
    found = minimized(lambda x: 0.5 * x.square().sum(-1), start, 400, optimizer=optimizer)
    assert found.abs().max() < 1e-2


def test_a_member_s_gradient_is_clipped_by_its_own_norm():
    steep = torch.tensor([[1e6, 0.0], [1e-3, 0.0]], dtype=torch.float64)
    found = minimized(
        lambda x: (steep * x).sum(-1), torch.zeros(2, 2, dtype=torch.float64), 1, 2, OPTIMIZERS["sgd"](lr=1.0, clip=10.0)
    )
    np.testing.assert_allclose(found, [[-10.0, 0.0], [-1e-3, 0.0]])


@pytest.mark.parametrize("optimizer, epochs", [("adamw", 6), ("sgd", 6), ("lbfgs", 6)])
def test_a_committee_trained_together_is_its_members_trained_one_by_one(optimizer, epochs):
    def train(frames, members, seed):
        model = BPNN(cutoff=3.0, radial=4, angular=1, zetas=[1.0], hidden=[5])
        options = {"epochs": epochs, "optimizer": optimizer, "batch_edges": 24, "leave_out": 0.0, "check_every": epochs}
        return fit(model, frames, list(water(3, seed=9)), members=members, seed=seed, **options)

    frames = list(water(10))
    committee = train(frames, 3, seed=0)
    # A member's weights come from the seed 1000003·seed + m: the first member of seed 0 is the single training of seed 0.
    single = train(frames, 1, seed=0)
    for name, value in single.state_dict().items():
        # A few steps of the same arithmetic in another order: 1e-15 of numbers of order one, amplified by curvature.
        torch.testing.assert_close(committee.member(0).state_dict()[name], value, rtol=1e-7, atol=1e-9)
    other = committee.member(1).state_dict()
    assert any(not torch.allclose(other[n], v, atol=1e-3) for n, v in single.state_dict().items())


def test_every_frame_left_out_by_some_member_teaches_the_others(tmp_path):
    """One frame a batch: for the member that leaves it out the batch holds nothing, and nothing must happen to it."""
    committee = fit(
        BPNN(cutoff=3.0, hidden=[4]), list(water(10)), list(water(3, seed=9)), members=4, leave_out=0.3, epochs=3, batch_edges=1
    )
    assert all(torch.isfinite(v).all() for v in committee.state_dict().values())
    weights = next(v for n, v in committee.stacked().items() if n.endswith("weight"))
    assert all(not torch.equal(weights[a], weights[b]) for a in range(4) for b in range(a))


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_full_memory_halves_the_batches_and_loses_nothing(tmp_path, monkeypatch, optimizer):
    """A real refusal of the allocator, once the batch exceeds three frames: 2⁶² bytes."""
    original = Training.errors

    def hungry(self, batch):
        if batch.n_structures > 3:
            torch.empty(2**62, dtype=torch.uint8)
        return original(self, batch)

    options = {"epochs": 4, "optimizer": optimizer, "seed": 1, "check_every": 2}
    frames, held = list(water(12)), list(water(3, seed=9))
    monkeypatch.setattr(Training, "errors", hungry)
    found = fit(BPNN(cutoff=3.0, hidden=[4]), frames, held, batch_edges=100, folder=tmp_path, **options)
    assert '"event": "out of memory"' in (tmp_path / "metrics.jsonl").read_text()
    monkeypatch.undo()
    # 100 edges, 50, 25: four water molecules of six edges; 12: two of them. What was tried in vain leaves no trace.
    calm = fit(BPNN(cutoff=3.0, hidden=[4]), frames, held, batch_edges=12, **options)
    for name, value in calm.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)


def test_another_error_is_not_taken_for_a_full_memory(monkeypatch):
    def broken(self, batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Training, "errors", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(BPNN(cutoff=3.0, hidden=[4]), list(water(4)), list(water(2, seed=9)), epochs=1)


LIMITED = """
import resource, sys, torch
import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones
from adiabat.data.structure import labeled
from adiabat.models import BPNN
from adiabat.training import fit
rng = np.random.default_rng(0)
frames = []
for _ in range(36):
    atoms = Atoms("Ar27", 3.4 * np.indices((3, 3, 3)).reshape(3, -1).T + 0.15 * rng.normal(size=(27, 3)))
    atoms.calc = LennardJones(sigma=3.3, epsilon=0.01, rc=8)
    frames.append(labeled(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces()))
options = dict(epochs=2, remember_MB=0, optimizer=sys.argv[1], wall=False)
model = BPNN(cutoff=7.0, hidden=[8])
fit(model, frames[:2], frames[:1], **options)  # everything is loaded and compiled once
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, -1))
fit(model, frames, frames[:1], batch_edges=10**6, folder=sys.argv[2], **options)
print(open(sys.argv[2] + "/metrics.jsonl").read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc")
@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_process_short_of_memory_trains_in_smaller_batches(tmp_path, optimizer):
    assert resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", LIMITED, optimizer, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "out of memory" in done.stdout and '"epoch": 2' in done.stdout
