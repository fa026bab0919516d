"""What the weight of energies (and stress) does to a training by batches: the same model, frames, rate and epochs, several weights.

    python benchmarks/loss.py 3bpa-mace --weights 100 1 usual     # printed
    python benchmarks/loss.py 3bpa-painn 3bpa-mace water-bpnn silicon-painn --keep    # and appended to results/loss.jsonl

The data are found by ADIABAT_DATA (../shared/data beside the checkout, if not set); water is the set of examples/. Errors are of
test frames. CPU seconds are of the training alone, on one thread.
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

DATA = Path(os.environ.get("ADIABAT_DATA", rows.HERE.parents[1] / "shared" / "data"))
EXAMPLES = rows.HERE.parent / "examples"


def bpa() -> tuple[list, list, list]:
    frames, order = ad.read(DATA / "3bpa/train_300K.xyz.xz"), np.random.default_rng(1).permutation(500)
    lone = ad.read(DATA / "3bpa/isolated_atoms.xyz.xz")
    test = ad.read(DATA / "3bpa/test_300K_proxy.xyz.xz")[::3]
    return [frames[k] for k in order[:100]] + lone, [frames[k] for k in order[100:120]], test


def silicon() -> tuple[list, list, list]:
    frames = ad.read(DATA / "mlearn_Si/train.xyz.xz")
    order = np.random.default_rng(1).permutation(len(frames))
    return [frames[k] for k in order[:80]], [frames[k] for k in order[80:95]], ad.read(DATA / "mlearn_Si/test.xyz.xz")


def water() -> tuple[list, None, list]:
    return ad.read(EXAMPLES / "water/water.xyz"), None, ad.read(EXAMPLES / "water/test.xyz")


def mace() -> Any:
    return ad.models.MACE(cutoff=5.0, channels=32, hidden="0e+1o", l_max=3)


def painn() -> Any:
    return ad.models.PaiNN(cutoff=5.0, channels=32)


def bpnn() -> Any:
    return ad.models.BPNN(cutoff=3.0, radial=8, angular=1, zetas=[1.0, 2.0, 4.0], hidden=[10])


# frames, model, learning rate, epochs, precision
CASES: dict[str, tuple[Any, Any, float, int, Any]] = {
    "3bpa-mace": (bpa, mace, 0.002, 60, "float32"),
    "3bpa-painn": (bpa, painn, 0.002, 60, "float32"),
    "silicon-mace": (silicon, mace, 0.002, 12, "float32"),
    "silicon-painn": (silicon, painn, 0.002, 25, "float32"),
    "water-bpnn": (water, bpnn, 0.005, 400, "float64"),
}


def trained(name: str, weight: str) -> dict[str, Any]:
    """One line: a case with this weight of energies and stress, or the usual one."""
    frames, model, lr, epochs, dtype = CASES[name]
    train, held, test = frames()
    begun = time.process_time()
    loss = {} if weight == "usual" else {"energy": float(weight), "stress": float(weight)}
    potential = ad.fit(model(), train, held, optimizer={"adamw": {"lr": lr}}, epochs=epochs, dtype=dtype, loss=loss)
    spent = time.process_time() - begun
    return {
        "benchmark": "loss", "case": name, "weight": weight, "lr": lr, "epochs": epochs, "dtype": dtype, "cpu_s": round(spent, 1),
        "frames": len(train), "test": errors(potential, test).summary(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=sorted(CASES))
    parser.add_argument(
        "--weights", nargs="+", default=["100", "1", "usual"], help="numbers, or usual: what is taken when none is given"
    )
    parser.add_argument("--keep", action="store_true", help="append to results/loss.jsonl")
    parser.add_argument("--machine", help="the machine in words")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.cases:
        for weight in given.weights:
            row = trained(name, weight)
            told = row["test"]
            print(
                f"{name:14} weight {weight:>6}: {told['energy_rmse_meV_per_atom']:6.2f} meV/atom {told['force_rmse_meV_per_A']:7.1f} meV/Å"
                f" {row['cpu_s']:7.1f} CPU s",
                flush=True,
            )
            if given.keep:
                rows.append("loss.jsonl", [{**rows.circumstances(given.machine), **row}])


if __name__ == "__main__":
    main()
