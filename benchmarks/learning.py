"""How a small MACE learns: trains on published data for so many CPU minutes and appends one line to results/learning.jsonl.

python benchmarks/learning.py 3bpa --minutes 30
python benchmarks/learning.py 3bpa --curve docs/images/learning-3bpa.png    # the newest line of a set as a picture

The data are found by ADIABAT_DATA (../shared/data beside the checkout, if not set). The learning rate falls along half a cosine,
so the number of epochs is settled beforehand, from a trial of three. CPU minutes are of the training alone, on one thread. An error
of the energy an atom weighs as much as one of a force: with a hundred times as much the energies' noise between steps
drowns the forces (seen on 3BPA).
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
from ase import Atoms

import adiabat as ad
from adiabat.validation.errors import errors

FILE = "learning.jsonl"
DATA = Path(os.environ.get("ADIABAT_DATA", rows.HERE.parents[1] / "shared" / "data"))
RESAMPLES = 2000
Sets = tuple[list[Atoms], list[Atoms], list[Atoms]]


def bpa() -> Sets:
    """3BPA at 300 K: 450 frames, the 50 whose numbers the data name, and the frames at 300 K that are not among them."""
    folder = DATA / "3bpa"
    frames = ad.read(folder / "train_300K.xyz.xz")
    held = {int(k) for k in (folder / "valid_index_seed20261121.txt").read_text().split()}
    train = [atoms for k, atoms in enumerate(frames) if k not in held]
    lone = ad.read(folder / "isolated_atoms.xyz.xz")
    return train + lone, [frames[k] for k in sorted(held)], ad.read(folder / "test_300K_proxy.xyz.xz")


def silicon() -> Sets:
    """mlearn's silicon; a tenth of its training frames choose the epoch."""
    folder = DATA / "mlearn_Si"
    frames, rng = ad.read(folder / "train.xyz.xz"), np.random.default_rng(0)
    held = set(rng.choice(len(frames), len(frames) // 10, replace=False).tolist())
    return (
        [a for k, a in enumerate(frames) if k not in held],
        [frames[k] for k in sorted(held)],
        ad.read(folder / "test.xyz.xz"),
    )


def ethanol() -> Sets:
    """Ethanol at PBE; a tenth of its training frames choose the epoch."""
    folder = DATA / "ethanol_pbe"
    frames, rng = ad.read(folder / "train.xyz.xz"), np.random.default_rng(0)
    held = set(rng.choice(len(frames), len(frames) // 10, replace=False).tolist())
    train = [a for k, a in enumerate(frames) if k not in held]
    return train + ad.read(folder / "isolated_atoms.xyz.xz"), [frames[k] for k in sorted(held)], ad.read(folder / "test.xyz.xz")


SETS = {"3bpa": bpa, "mlearn_Si": silicon, "ethanol_pbe": ethanol}


def trained(name: str, minutes: float, channels: int, batch_edges: int, lr: float, machine: str | None) -> dict[str, Any]:
    """The line of one training."""
    torch.set_num_threads(1)
    train, validation, test = SETS[name]()
    model = {"cutoff": 5.0, "channels": channels, "hidden": "0e+1o", "l_max": 3}
    options: dict[str, Any] = {
        "optimizer": {"adamw": {"lr": lr}}, "average": {"exponential": {"decay": 0.8}}, "loss": {"energy": 1.0, "forces": 1.0},
        "batch_edges": batch_edges, "dtype": "float32",
    }  # fmt: skip
    ends: list[float] = []
    ad.fit(ad.models.MACE(**model), train, validation, epochs=3, progress=lambda _: ends.append(time.process_time()), **options)
    epochs = max(5, round(60 * minutes / (ends[2] - ends[1])))

    begun, curve = time.process_time(), []

    def note(found: dict[str, Any]) -> None:
        spent = (time.process_time() - begun) / 60
        curve.append({"cpu_min": round(spent, 3), "epoch": found["epoch"], **found["validation"]})
        if found["epoch"] % 10 == 0:
            print(curve[-1], flush=True)

    potential = ad.fit(ad.models.MACE(**model), train, validation, epochs=epochs, progress=note, **options)
    spent = (time.process_time() - begun) / 60
    found = errors(potential, test)
    every = -(-len(curve) // 200)
    return {
        "name": name, **rows.circumstances(machine), "model": {"mace": model}, "fit": {k: repr(v) for k, v in options.items()},
        "parameters": sum(p.numel() for p in potential.parameters()),
        "frames": {"train": len(train), "validation": len(validation), "test": len(test)}, "epochs": epochs, "cpu_min": round(spent, 1),
        "curve": curve[::every], "test": found.summary(), "bootstrap": resampled(found, test),
    }  # fmt: skip


def resampled(found: Any, test: list[Atoms]) -> dict[str, float]:
    """Root-mean-square errors by molecule and component with their standard errors over resampled test frames (bootstrap)."""
    rng, atoms = np.random.default_rng(0), np.array([len(a) for a in test])
    energy = ((found.energy_model - found.energy_reference) * atoms * 1e3) ** 2
    square = ((found.force_model - found.force_reference) * 1e3) ** 2
    forces = np.bincount(found.frame, square.sum(1)) / (3 * atoms)
    draws = rng.integers(0, len(test), (RESAMPLES, len(test)))
    return {
        "energy_rmse_meV": float(np.sqrt(energy.mean())),
        "energy_rmse_meV_error": float(np.sqrt(energy[draws].mean(1)).std()),
        "force_rmse_meV_per_A": float(np.sqrt((forces * atoms).sum() / atoms.sum())),
        "force_rmse_meV_per_A_error": float(np.sqrt((forces * atoms)[draws].sum(1) / atoms[draws].sum(1)).std()),
    }


def draw(name: str, file: Path) -> None:
    """Validation errors against CPU minutes."""
    import matplotlib.pyplot as plt

    line = [line for line in rows.read(FILE) if line["name"] == name][-1]
    minutes = [point["cpu_min"] for point in line["curve"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.loglog(minutes, [point["force_rmse_meV_per_A"] for point in line["curve"]])
    right.loglog(minutes, [point["energy_rmse_meV_per_atom"] for point in line["curve"]])
    left.set(
        xlabel="CPU time (min)", ylabel="force RMSE (meV/Å)", title=f"{name}: {line['frames']['validation']} held-out frames"
    )
    right.set(xlabel="CPU time (min)", ylabel="energy RMSE (meV/atom)")
    for axes in (left, right):
        axes.grid(True, which="both", alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batch-edges", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--machine")
    parser.add_argument("--curve", type=Path, help="draw the newest line into this file instead of training")
    given = parser.parse_args()
    if given.curve:
        draw(given.set, given.curve)
    else:
        line = trained(given.set, given.minutes, given.channels, given.batch_edges, given.lr, given.machine)
        print(rows.append(FILE, [line]), line["test"], line["bootstrap"])
