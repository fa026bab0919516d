"""NEP trained by L-BFGS on an mlearn set: errors on its test frames by CPU time, beside the published moment tensor potential's.

    python benchmarks/nep_accuracy.py Si FOLDER [--epochs 700] [--seconds 200] [--record] [--machine WORDS]

The folder keeps where the training stands; a call trains for so many CPU seconds at most, and the same call goes on. Nothing is held out,
options are the defaults of `NEP`, errors are those of `accuracy.py`: test frames that no training frame is equivalent to, and all. CPU time
is that of all sittings, preparation and checks included.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import accuracy
import rows
import torch

import adiabat as ad
from adiabat.validation import errors

# As for least squares: the stress labels are off by several meV/atom, which no potential follows.
LOSS = {"energy": 30.0, "forces": 1.0, "stress": 0.1}


class Enough(Exception):
    """The sitting's time is over."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("element", choices=list(accuracy.KNOWN))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=700)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of CPU, in this sitting")
    parser.add_argument("--record", action="store_true", help="add the lines to results/accuracy.jsonl")
    parser.add_argument("--machine", help="what it ran on, in words")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun, clock = time.process_time(), chosen.folder / "cpu_s.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0

    def spent() -> float:
        return before + time.process_time() - begun

    def progress(found: dict[str, Any]) -> None:
        told = found["train"]
        energy, force = told["energy_mae_meV_per_atom"], told["force_mae_meV_per_A"]
        print(f"{found['epoch']:>5} epochs, {spent():6.0f} CPU s: train {energy:.2f} meV/atom, {force:.1f} meV/Å", flush=True)
        clock.write_text(json.dumps(spent()))
        if time.process_time() - begun > chosen.seconds:
            raise Enough

    try:
        potential = ad.fit(
            ad.models.NEP(), accuracy.frames(chosen.element, "train"), [], optimizer="lbfgs", epochs=chosen.epochs, loss=LOSS,
            wall=False, folder=chosen.folder, progress=progress, check_every=25,
        )  # fmt: skip
    except Enough:
        print("the sitting's time is over; the same call goes on")
        return
    potential.save(chosen.folder / "nep.adiabat")
    test = accuracy.frames(chosen.element, "test")
    found, lines = errors(potential, test), []
    new = [k for k in range(len(test)) if k not in accuracy.KNOWN[chosen.element]]
    for name, frames in (("new", new), ("all", list(range(len(test))))):
        energy, energy_error, force, force_error = accuracy.mae(found, frames)
        print(
            f"{chosen.element}, {name} {len(frames)}: {energy:.2f} ± {energy_error:.2f} meV/atom, {force:.4f} ± {force_error:.4f} eV/Å; "
            f"published MTP, all: {accuracy.PUBLISHED[chosen.element]}; {spent():.0f} CPU s"
        )
        lines.append(
            {"what": "mlearn", "element": chosen.element, "frames": name, "n": len(frames), "cpu_s": spent(), "epochs": chosen.epochs,
             "energy_mae_meV_per_atom": energy, "energy_error": energy_error, "force_mae_eV_per_A": force, "force_error": force_error,
             "model": "nep", **rows.circumstances(chosen.machine)}
        )  # fmt: skip
    if chosen.record:
        rows.append("accuracy.jsonl", lines)


if __name__ == "__main__":
    main()
