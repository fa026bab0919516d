"""How long the data gate takes: frames of 50 copper atoms in a periodic box, by number of frames.

python benchmarks/check.py --frames 10000
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import rows
from ase.build import bulk

from adiabat.data.gate import check
from adiabat.data.structure import labeled


def frames_of(n: int, seed: int = 0) -> list:
    """Rattled face-centered cubic cells of 50 atoms with harmonic labels: the gate reads them as it reads any."""
    rng = np.random.default_rng(seed)
    perfect = bulk("Cu") * (5, 5, 2)
    made = []
    for _ in range(n):
        step = rng.normal(scale=0.08, size=(len(perfect), 3))
        step -= step.mean(axis=0)
        atoms = perfect.copy()
        atoms.positions += step
        made.append(labeled(atoms, energy=-3.5 * len(atoms) + 2.5 * float((step**2).sum()), forces=-5.0 * step))
    return made


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frames", type=int, default=10000)
    n = options.parse_args().frames
    frames = frames_of(n)
    begun = time.process_time(), time.perf_counter()
    findings = check(frames)
    cpu, wall = time.process_time() - begun[0], time.perf_counter() - begun[1]
    row = {"what": "data gate", "frames": n, "atoms": 50, "cpu_s": cpu, "wall_s": wall, "findings": len(findings)}
    rows.append("check.jsonl", [row | rows.circumstances()])
    print(f"{n} frames: {cpu:.1f} s CPU, {wall:.1f} s wall, {1e3 * cpu / n:.2f} ms a frame")
