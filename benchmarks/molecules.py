"""How safe the first potential of a flexible molecule is to run: errors on frames it has not seen, and bonds that break where none should.

    python benchmarks/molecules.py 3bpa --bases old default --frames 450 --machine WORDS [--record]
    python benchmarks/molecules.py ethanol_pbe --frames 200 --draws 3
    python benchmarks/molecules.py --table                      # the newest line of each set, basis and number of frames

The data are found by ADIABAT_DATA (../shared/data beside the checkout, if not set). A fit is what `ad.fit` does with the training frames and
nothing else: no isolated atoms, the wall, weights and ridge by itself; of `default` the model, too. Each of `--draws` draws training frames,
weights and velocities. Then `RUNS` Langevin trajectories begin at test frames, at 300 and at 500 K: one is broken when a bond differs by
more than 0.5 Å from its mean length in the test frames, a test as in Fu et al., TMLR 2023 (arXiv:2210.07237). CPU time is of the whole fit on
one thread; that of an atom is of energy and forces of the `RUNS` molecules in one compiled call.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import rows
import torch
from ase import Atoms
from learning import SETS, resampled

import adiabat as ad
from adiabat.dynamics import State, langevin
from adiabat.elements import COVALENT_RADII
from adiabat.potential import describe
from adiabat.validation.errors import errors

FILE = "molecules.jsonl"
RUNS, TIMESTEP_FS, FRICTION_PER_FS, LOOK_EVERY = 12, 0.5, 0.005, 20
TOO_FAR = 0.5  # Å
TEMPERATURES_K = (300.0, 500.0)
BASES: dict[str, dict[str, Any]] = {
    "old": {"channels": 24},
    "own cutoffs": {"channels": 24, "shortest": "auto"},
    "orders": {"channels": [64, 64, 32, 16], "shortest": "auto"},
    "three bodies more": {"channels": [64, 64, 64, 0], "shortest": "auto"},
    "default": {},  # of `ad.fit("auto", ...)`
}


class Unbroken:
    """Which bonds a molecule has, and which trajectories have kept them."""

    def __init__(self, frames: list[Atoms]) -> None:
        d = np.array([atoms.get_all_distances() for atoms in frames])
        reach = np.array([COVALENT_RADII[z] for z in frames[0].numbers])
        i, j = np.nonzero(np.triu(d[0] < 1.25 * (reach[:, None] + reach), 1))
        self.pairs, self.lengths = torch.from_numpy(np.stack([i, j])), torch.from_numpy(d[:, i, j].mean(0))

    def __call__(self, state: State, timestep_fs: float) -> torch.Tensor:
        """True where a bond is broken: a watch for `stop_if`."""
        x = state.positions.unflatten(0, (len(state.running), -1))
        d = (x[:, self.pairs[0]] - x[:, self.pairs[1]]).norm(dim=2)
        return ~((d - self.lengths).abs() < TOO_FAR).all(1)

    def message(self, state: State, structure: int) -> str:
        return f"a bond of molecule {structure} is more than {TOO_FAR} Å from its length"


def survived(potential: ad.Potential, frames: list[Atoms], temperature_K: float, ps: float, seed: int) -> list[float]:
    """How long each trajectory kept its bonds, ps."""
    rng = torch.Generator().manual_seed(seed)
    start = State.of(frames[:RUNS], potential, temperature_K=temperature_K, rng=rng)
    ends, watch, steps = np.full(len(frames[:RUNS]), ps), Unbroken(frames), round(1e3 * ps / TIMESTEP_FS)
    states = langevin(
        start, potential, rng=rng, timestep_fs=TIMESTEP_FS, temperature_K=temperature_K, friction_per_fs=FRICTION_PER_FS,
        guards=(), stop_if=(watch,), check_every=LOOK_EVERY,
    )  # fmt: skip
    for step, state in zip(range(1, steps + 1), states, strict=False):
        if step % LOOK_EVERY == 0:
            ends = np.where(~state.running.numpy() & (ends == ps), step * TIMESTEP_FS / 1e3, ends)
    return ends.tolist()


def judged(name: str, basis: str, draw: int, n: int | None, ps: float, machine: str | None) -> dict[str, Any]:
    """The line of one fit."""
    train, held, test = SETS[name]()
    whole = [atoms for atoms in train if len(atoms) > 1]
    frames = [whole[k] for k in np.random.default_rng(draw).permutation(len(whole))[:n]]
    begun = time.process_time()
    model = ad.models.ACE(**BASES[basis], seed=draw) if BASES[basis] else "auto"
    potential = ad.fit(model, frames, held, seed=draw)
    cpu_s = time.process_time() - begun
    told, learned = potential.metadata["training"], next(term.model for term in potential.terms if hasattr(term, "model"))
    graph = ad.Graph.batch([ad.Graph.of(atoms, potential.cutoff) for atoms in test[:RUNS]])
    quick = potential.frozen()
    times = rows.timed(lambda: quick(graph), per_call=graph.n_atoms, rounds=30)
    runs = {f"{T:g}": survived(potential, test, T, ps, draw) for T in TEMPERATURES_K}
    return {
        "name": name, "basis": basis, "model": describe(learned), "draw": draw, "frames": len(frames), "cpu_s": round(cpu_s, 1),
        "parameters": sum(p.numel() for p in learned.parameters()), "ridge": told.get("ridge"), "loss": told["loss"],
        "us_per_atom": times, "test": resampled(errors(potential, test), test), "ps": ps, "kept_bonds_ps": runs,
        "broken": {T: sum(one < ps for one in ends) for T, ends in runs.items()}, **rows.circumstances(machine),
    }  # fmt: skip


def table() -> None:
    print(
        "| set, frames | model | parameters | draws | energy, meV | forces, meV/Å | broken at 300 K | at 500 K | CPU s | µs/atom |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    lines: dict[tuple, dict[int, dict]] = {}
    for line in rows.read(FILE):
        lines.setdefault((line["name"], line["frames"], line["basis"], line["ps"]), {})[line["draw"]] = line
    for (name, n, basis, ps), of_draw in lines.items():
        ones = list(of_draw.values())
        mean = {key: np.mean([one["test"][key] for one in ones]) for key in ("energy_rmse_meV", "force_rmse_meV_per_A")}
        broken = [f"{sum(one['broken'][T] for one in ones)} of {RUNS * len(ones)}" for T in ("300", "500")]
        print(
            f"| {name}, {n} | {basis} | {ones[0]['parameters']} | {len(ones)} | {mean['energy_rmse_meV']:.1f} | "
            f"{mean['force_rmse_meV_per_A']:.0f} | {broken[0]} in {ps:g} ps | {broken[1]} | {np.mean([one['cpu_s'] for one in ones]):.0f} | "
            f"{min(one['us_per_atom']['cpu_min'] for one in ones):.1f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="?", choices=["3bpa", "ethanol_pbe"])
    parser.add_argument("--bases", nargs="+", choices=list(BASES), default=["old", "default"])
    parser.add_argument("--frames", type=int, help="how many training frames; all, if it is left out")
    parser.add_argument(
        "--draws", type=int, nargs="+", default=[0], help="seeds of the frames drawn, the basis and the velocities"
    )
    parser.add_argument("--ps", type=float, default=5.0, help="of each trajectory")
    parser.add_argument("--machine", help="what it ran on, in words")
    parser.add_argument("--record", action="store_true", help="append the lines to results/molecules.jsonl")
    parser.add_argument("--table", action="store_true", help="print what was recorded, and do nothing")
    given = parser.parse_args()
    if given.table or given.set is None:
        table()
        raise SystemExit
    torch.set_num_threads(1)
    for basis in given.bases:
        for draw in given.draws:
            line = judged(given.set, basis, draw, given.frames, given.ps, given.machine)
            shown = (
                "basis",
                "draw",
                "frames",
                "cpu_s",
                "parameters",
                "ridge",
                "us_per_atom",
                "test",
                "broken",
                "kept_bonds_ps",
            )
            print({key: line[key] for key in shown}, flush=True)
            if given.record:
                rows.append(FILE, [line])
