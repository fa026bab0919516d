"""Two processes train as one does: the same numbers, the same errors told, and either goes on where the other stopped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ase import Atoms

from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.training.distributed import World
from training.ranks import CASES, stop, train

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1])]), "OMP_NUM_THREADS": "1"}
# Sums over frames are taken in another order: rounding, which a few steps of curvature or of division by small gradients amplify.
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def two_processes(*arguments: str) -> list[subprocess.CompletedProcess]:
    """What torchrun does for one machine: a rank each, and where to meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, str(Path(__file__).with_name("ranks.py")), *arguments]
    started = [
        subprocess.Popen(command, env={**ENV, **meet, "RANK": str(k), "LOCAL_RANK": str(k)}, stderr=subprocess.PIPE, text=True)
        for k in range(2)
    ]
    try:
        return [subprocess.CompletedProcess(command, p.wait(timeout=300), None, p.communicate()[1]) for p in started]
    finally:
        for p in started:
            p.kill()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder that two processes left."""
    folder = tmp_path_factory.mktemp("ranks")
    for done in two_processes(str(folder)):
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


def close(a, b) -> None:
    assert a.state_dict().keys() == b.state_dict().keys()
    for name, value in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[name], value, **CLOSE, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_does(together, tmp_path, case):
    alone, two = train(case, tmp_path), load(together / f"{case}.adiabat")
    exact = "dtype" not in CASES[case]
    if exact:  # in float32 a parameter whose gradient is nought but rounding goes where the rounding goes; errors do not see it
        close(alone, two)
    logs = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path, together / case)
    ]
    assert len(logs[0]) == len(logs[1]) > 0
    for mine, theirs in zip(*logs):
        for side in mine.keys() - {"epoch", "epochs"}:
            # errors over all frames, not means of the processes' means: equal to rounding
            assert theirs[side] == pytest.approx(mine[side], rel=1e-6 if exact else 1e-3)
    assert two.metadata["training"] == alone.metadata["training"]


@pytest.mark.parametrize("case", CASES)
def test_both_processes_end_with_the_same_bits(together, case):
    mine, theirs = load(together / f"{case}.adiabat"), load(together / f"{case} of another.adiabat")
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in mine.state_dict().items())


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped_and_two_where_one_did(together, tmp_path):
    whole = load(together / "adamw.adiabat")
    two_processes(str(tmp_path / "two"), "adamw", "stop")
    assert not (tmp_path / "two/adamw.adiabat").exists()
    close(whole, train("adamw", tmp_path / "two/adamw"))
    with pytest.raises(KeyboardInterrupt):
        train("adamw", tmp_path / "one/adamw", stop)
    for done in two_processes(str(tmp_path / "one"), "adamw"):
        assert done.returncode == 0, done.stderr[-3000:]
    close(whole, load(tmp_path / "one/adamw.adiabat"))


def chain(n: int) -> Graph:
    """n atoms 1 Å apart: 2(n − 1) edges."""
    return Graph.of(Atoms(f"H{n}", [[k, 0, 0] for k in range(n)]), 1.5)


@pytest.mark.parametrize("sizes", [[1], [1, 1, 1], [2, 9, 2, 2], [30, 1, 1, 1, 1, 1], [3] * 20])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_shares_are_the_batch_in_order_and_fair(sizes, processes):
    batch = [chain(n) for n in sizes]
    shares = [World(rank, processes).share(batch) for rank in range(processes)]
    assert [id(g) for share in shares for g in share] == [id(g) for g in batch]
    # nobody has more than an even share and half of the largest frame at each of its ends
    work = [sum(g.n_edges + 1 for g in share) for share in shares]
    assert max(work) <= sum(work) / processes + max(g.n_edges + 1 for g in batch)
