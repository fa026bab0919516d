"""The ways to solve a linear family beside each other: QR with one ridge, a prior for each coefficient, LSQR; errors on the test frames.

    python benchmarks/least_squares.py [Si] [--channels 8 16] [--only ridge ard lsqr …]

A linear ACE on the official training frames of an mlearn set, with given weights (30 : 1 : 0.001), so that nothing but the solver differs; mean
absolute errors on all official test frames. LSQR has blocks of a third of the columns, of a tenth, and of one column each, which is
scaling alone (minutes). CPU time is that of the whole fit, rows included.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import torch
from accuracy import frames

import adiabat as ad
from adiabat.validation import errors

WEIGHTS = {"energy": 30.0, "forces": 1.0, "stress": 1e-3}
ORDERS = 36  # coefficients a channel


def ways(channels: int) -> dict[str, Any]:
    def lsqr(share: int) -> dict[str, Any]:
        return {"lsqr": {"block": max(1, ORDERS * channels // share), "tolerance": 1e-6, "iterations": 3000}}

    return {
        "ridge": "least_squares",
        "ard": {"least_squares": {"prior": "ard"}},
        "lsqr": lsqr(3),
        "lsqr-tenth": lsqr(10),
        "lsqr-scaled": {"lsqr": {"block": 1, "tolerance": 1e-6, "iterations": 10_000}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("element", nargs="?", default="Si")
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--only", nargs="+", default=["ridge", "ard", "lsqr"], choices=list(ways(1)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # how LSQR ended stands in the table
    train, test = (frames(options.element, part) for part in ("train", "test"))
    print("| channels | solver | coefficients | E meV/atom | F eV/Å | iterations | fit, CPU s |\n|---|---|---|---|---|---|---|")
    for channels in options.channels:
        for name in options.only:
            begun = time.process_time()
            model = ad.models.ACE(cutoff=5.0, channels=channels)
            potential = ad.fit(model, train, [], wall=False, loss=WEIGHTS, optimizer=ways(channels)[name])
            cpu_s = time.process_time() - begun
            told, found = potential.metadata["training"], errors(potential, test)
            energy = 1e3 * np.abs(found.energy_model - found.energy_reference).mean()
            force = np.abs(found.force_model - found.force_reference).mean()
            steps = f"{told['iterations']}{'' if told['converged'] else ', not converged'}" if "iterations" in told else ""
            count = f"{told['relevant']} of {told['of']}" if "relevant" in told else ORDERS * channels + 1
            print(f"| {channels} | {name} | {count} | {energy:.3f} | {force:.4f} | {steps} | {cpu_s:.0f} |", flush=True)


if __name__ == "__main__":
    main()
