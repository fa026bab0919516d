"""A training in a process of its own: `python killed.py FOLDER OPTIMIZER MEMBERS [slow]`, with a checkpoint after every epoch."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from adiabat.models import BPNN
from adiabat.training import fit
from training.sets import water

OPTIONS = {"adamw": {"adamw": {"lr": 3e-3}}, "sgd": {"sgd": {"lr": 1e-3}}, "lbfgs": "lbfgs"}


def train(folder: Path | None, optimizer: str, members: int, progress=None, epochs: int = 12, **more):
    model = BPNN(cutoff=3.0, radial=4, angular=1, zetas=[1.0], hidden=[5])
    return fit(
        model, water(14), water(4, seed=9), members=members, epochs=epochs, optimizer=OPTIONS[optimizer],
        average={"exponential": {"decay": 0.7}}, batch_edges=20, check_every=2, folder=folder, progress=progress, seed=3, **more,
    )  # fmt: skip


if __name__ == "__main__":
    import importlib

    folder, optimizer, members = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    importlib.import_module("adiabat.training.loop").CHECKPOINT_EVERY_S = 0.0

    def progress(metrics):
        print(json.dumps(metrics["epoch"]), flush=True)
        time.sleep(0.2)

    train(folder, optimizer, members, progress)
