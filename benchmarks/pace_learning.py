"""How a nonlinear atomic cluster expansion learns by L-BFGS, beside a linear ACE by least squares: errors by CPU time, one core.

    python benchmarks/pace_learning.py water [--epochs 60]                       # the tutorial's frames of one molecule
    python benchmarks/pace_learning.py Si [--every 4] [--epochs 100]             # mlearn's silicon from ADIABAT_DATA
    python benchmarks/pace_learning.py Si --keep --machine "one core of ..."     # and append to results/pace_learning.jsonl

Every line is one training: of `pace` with one and two densities, and of `ace` with fewer or more coefficients. Nothing is held out; errors
are mean absolute ones of test frames, of silicon those that no training frame is equivalent to. CPU time is that of all of `fit`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import accuracy
import rows
import torch

import adiabat as ad
from adiabat.validation import errors

WATER = Path(__file__).resolve().parents[1] / "examples/water"
# Stress labels of silicon are off by several meV/atom, which no potential follows.
LOSS = {"energy": 30.0, "forces": 1.0, "stress": 0.1}
MODELS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "water": [("pace", {"densities": 1}), ("pace", {"densities": 2}), ("ace", {"channels": 8})],
    "Si": [
        ("pace", {"densities": 1}),
        ("pace", {"densities": 2}),
        ("ace", {"channels": 4, "l_max": 2}),
        ("ace", {"channels": 8}),
    ],
}


def frames(name: str, every: int) -> tuple[list, list]:
    """To learn from, and to test on."""
    if name == "water":
        return ad.read(WATER / "water.xyz")[::every], ad.read(WATER / "test.xyz")
    test = accuracy.frames(name, "test")
    return accuracy.frames(name, "train")[::every], [a for k, a in enumerate(test) if k not in accuracy.KNOWN[name]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(MODELS))
    parser.add_argument("--every", type=int, default=1, help="of so many training frames one")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="append to results/pace_learning.jsonl")
    parser.add_argument("--machine", help="what it ran on, in words")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    train, test = frames(chosen.set, chosen.every)
    lines = []
    for family, arguments in MODELS[chosen.set]:
        more = {"optimizer": "lbfgs", "epochs": chosen.epochs, "loss": LOSS} if family == "pace" else {}
        begun = time.process_time()
        potential = ad.fit(ad.models.MODELS[family](**arguments), train, [], wall=False, **more)
        spent = time.process_time() - begun
        energy, _, force, _ = accuracy.mae(errors(potential, test), list(range(len(test))))
        size = sum(p.numel() for p in potential.parameters())
        print(
            f"{chosen.set}, {len(train)} frames, {family} {arguments}, {size} numbers: {spent:.0f} CPU s, test {energy:.3f} meV/atom, "
            f"{1e3 * force:.3f} meV/Å",
            flush=True,
        )
        lines.append(
            {"set": chosen.set, "frames": len(train), "model": family, "arguments": arguments, "numbers": size, "cpu_s": spent, **more,
             "energy_mae_meV_per_atom": energy, "force_mae_meV_per_A": 1e3 * force, **rows.circumstances(chosen.machine)}
        )  # fmt: skip
    if chosen.keep:
        print(rows.append("pace_learning.jsonl", lines))


if __name__ == "__main__":
    main()
