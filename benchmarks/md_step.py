"""A step of the demo's dynamics: what the potential costs, and what the integrator adds. One core.

    python benchmarks/md_step.py                      # print
    python benchmarks/md_step.py --keep               # and append to results/md_step.jsonl

The batch is the demo's: 16 water molecules, a committee of four small Behler–Parrinello networks; the same with one molecule. Numbers
are microseconds per step of the whole batch. Frozen potentials are what dynamics call; "by tensors" is the same committee operation by
operation, equal to 1e-10, asserted before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import rows

WATER = rows.HERE.parent / "examples/water/water.xyz"
REPLICAS, STEPS = 16, 50


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Name of the piece → microseconds."""
    import torch

    import adiabat as ad
    from adiabat.dynamics import State, langevin, velocity_verlet

    torch.set_num_threads(1)
    model = ad.models.BPNN(cutoff=3.0, radial=8, angular=1, zetas=[1.0, 2.0, 4.0], hidden=[10])
    frames = ad.read(WATER)
    committee = ad.fit(model, frames, members=4, optimizer="lbfgs", epochs=150)
    mean, told = committee.without_spread.frozen(), committee.frozen()
    rest = next(atoms for atoms in reversed(frames) if atoms.info["config_type"] == "relax")
    rng = torch.Generator().manual_seed(0)
    start = State.of([rest] * REPLICAS, mean, temperature_K=300.0, rng=rng)
    bath: dict[str, Any] = {"rng": rng, "temperature_K": 300.0, "friction_per_fs": 0.02}

    def steps(states: Iterator[State]) -> None:
        for _ in islice(states, STEPS):
            pass

    def calls(potential: Any, state: State = start) -> None:
        for _ in range(STEPS):
            potential(state.graph)

    for potential, by_tensors in ((mean, committee.mean), (told, committee)):
        a, b = potential(start.graph), by_tensors(start.graph)
        for x, y in [(a.forces, b.forces), (a.energy, b.energy), *((a.outputs[k], b.outputs[k]) for k in b.outputs)]:
            assert float((x - y).abs().max()) < 1e-10 * max(1.0, float(y.abs().max()))

    one = State.of(rest, mean)
    pieces = {
        "potential call, mean, by tensors": lambda: calls(committee.mean),
        "potential call, mean": lambda: calls(mean),
        "potential call, mean and spread, by tensors": lambda: calls(committee),
        "potential call, mean and spread": lambda: calls(told),
        "potential call, mean, one molecule": lambda: calls(mean, one),
        "NVE step": lambda: steps(velocity_verlet(start, mean, timestep_fs=0.5)),
        "NVT step (BAOAB)": lambda: steps(langevin(start, mean, timestep_fs=0.5, **bath)),
        "NVE step, one molecule": lambda: steps(velocity_verlet(one, mean, timestep_fs=0.5)),
    }
    found = {name: rows.timed(work, per_call=STEPS, rounds=rounds) for name, work in pieces.items()}
    for step in ("NVE step", "NVT step (BAOAB)"):
        found[f"{step}, beyond the call"] = {k: found[step][k] - found["potential call, mean"][k] for k in found[step]}
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/md_step.jsonl")
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    rows.on_one_core()
    found = measured(chosen.rounds)
    print(f"{'µs per step of 16 molecules':46}{'CPU least':>12}{'median':>10}{'wall least':>12}{'median':>10}")
    for name, µs in found.items():
        print(f"{name:46}{µs['cpu_min']:12.0f}{µs['cpu_median']:10.0f}{µs['wall_min']:12.0f}{µs['wall_median']:10.0f}")
    if chosen.keep:
        around = rows.circumstances(chosen.machine)
        lines = [
            {"name": name, "value": round(µs["cpu_min"], 1), "unit": "µs CPU per step, least",
             "all": {k: round(v, 1) for k, v in µs.items()}, "replicas": REPLICAS, **around}
            for name, µs in found.items()
        ]  # fmt: skip
        print(rows.append("md_step.jsonl", lines))


if __name__ == "__main__":
    main()
