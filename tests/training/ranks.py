"""One process of several at the same trainings: `python ranks.py FOLDER [CASE] [stop]`, in the environment that torchrun makes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from adiabat.models import BPNN
from adiabat.training import fit
from training.sets import copper, water, without

# Names of trainings and their options. Batches of one frame leave one of two processes with nothing to do.
CASES = {
    "adamw": {"optimizer": {"adamw": {"lr": 3e-3}}, "batch_edges": 20},
    "one frame a batch": {"optimizer": {"adamw": {"lr": 3e-3}}, "batch_edges": 1, "epochs": 3},
    "committee": {"optimizer": {"sgd": {"lr": 1e-3}}, "batch_edges": 20, "members": 3, "leave_out": 0.3},
    "lbfgs committee": {"optimizer": "lbfgs", "batch_edges": 20, "members": 3, "leave_out": 0.3},
    "float32": {"optimizer": {"adamw": {"lr": 3e-3}}, "batch_edges": 20, "dtype": "float32"},
}


def train(case: str, folder: Path | None = None, progress=None):
    """Frames with and without some labels, of two kinds: what is counted differs from share to share."""
    frames = [*water(9), *(without(a, "forces") for a in water(2, seed=4)), *copper(2)]
    model = BPNN(cutoff=3.0, radial=4, angular=1, zetas=[1.0], hidden=[5])
    options = {"epochs": 8, "check_every": 2, "seed": 3, "average": {"exponential": {"decay": 0.7}}} | CASES[case]
    return fit(model, frames, [*water(3, seed=9), *copper(1, seed=9)], folder=folder, progress=progress, **options)


def stop(metrics) -> None:
    if metrics["epoch"] == 4:
        raise KeyboardInterrupt


if __name__ == "__main__":
    from adiabat.training.distributed import world

    importlib.import_module("adiabat.training.loop").CHECKPOINT_EVERY_S = 0.0
    folder = Path(sys.argv[1])
    for case in sys.argv[2:3] or CASES:
        made = train(case, folder / case, stop if "stop" in sys.argv else None)
        if world().leads:
            made.save(folder / f"{case}.adiabat")
        else:
            made.save(folder / f"{case} of another.adiabat")
