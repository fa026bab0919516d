"""L-BFGS beside AdamW on molecules of 21 atoms (rMD17's aspirin), by CPU seconds: where `optimizer: auto` should change over.

    python benchmarks/optimizers.py 50:lbfgs:100 50:adamw:80 200:lbfgs:50 200:adamw:60      # frames:optimizer:epochs
    python benchmarks/optimizers.py 50:lbfgs:150 50:adamw:120 --small --keep                # a network of a tenth of the size

A single Behler–Parrinello potential in float64, 20 held-out frames, errors on 100 frames of the test file. AdamW's rate is 0.003. The
data are found by ADIABAT_DATA (../shared/data beside the checkout, if not set).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import rows
import torch

import adiabat as ad
from adiabat.validation.errors import errors

DATA = Path(os.environ.get("ADIABAT_DATA", rows.HERE.parents[1] / "shared" / "data")) / "rmd17_aspirin"
SMALL = {"radial": 8, "angular": 1, "zetas": [1.0, 4.0], "hidden": [10]}


def trained(n: int, optimizer: str, epochs: int, small: bool) -> dict[str, Any]:
    frames, test = ad.read(DATA / "train.xyz.xz"), ad.read(DATA / "test.xyz.xz")[:100]
    order = np.random.default_rng(0).permutation(len(frames))
    train, held = [frames[k] for k in order[:n]], [frames[k] for k in order[-20:]]
    begun = time.process_time()
    how = {"adamw": {"lr": 0.003}} if optimizer == "adamw" else optimizer
    potential = ad.fit(ad.models.BPNN(cutoff=5.0, **(SMALL if small else {})), train, held, optimizer=how, epochs=epochs)
    spent = time.process_time() - begun
    return {
        "benchmark": "optimizers", "frames": n, "optimizer": optimizer, "epochs": epochs, "cpu_s": round(spent, 1),
        "parameters": sum(p.numel() for p in potential.parameters()), "test": errors(potential, test).summary(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="frames:optimizer:epochs")
    parser.add_argument("--small", action="store_true", help="a tenth of the parameters")
    parser.add_argument("--keep", action="store_true", help="append to results/optimizers.jsonl")
    parser.add_argument("--machine", help="the machine in words")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for run in given.runs:
        n, optimizer, epochs = run.split(":")
        row = trained(int(n), optimizer, int(epochs), given.small)
        told = row["test"]
        print(
            f"{n:>5} frames, {row['parameters']:6} parameters, {optimizer:6} {epochs:>5} epochs: "
            f"{told['energy_rmse_meV_per_atom']:6.2f} meV/atom "
            f"{told['force_rmse_meV_per_A']:7.1f} meV/Å {row['cpu_s']:7.1f} CPU s",
            flush=True,
        )
        if given.keep:
            rows.append("optimizers.jsonl", [{**rows.circumstances(given.machine), **row}])


if __name__ == "__main__":
    main()
