"""Errors on the mlearn sets beside published ones: one family, one set of defaults, three elements.

    python benchmarks/accuracy.py [Cu Li Si] [--models FOLDER] [--only K] [--channels N] [--machine WORDS] [--record]

For each element the same few linear ACEs (`CANDIDATES`) are fitted to the official training frames, and the one of least error on frames left
out of these is taken, as `adiabat.training.choose` does; weights and ridge are chosen by the same errors. It alone is judged on the
official test frames. With --models fits are kept, and those that are there used; --only fits that candidate and stops. Some test frames
are symmetry-equivalent to a training frame; the headline leaves them out. Errors of the published moment tensor potentials (Zuo et al.,
J. Phys. Chem. A 124, 731 (2020)) are computed here from their own files, on the same frames. ± is the standard deviation over 1,000
bootstrap samples of the test frames. CPU time is that of all candidates' fits, all included.
"""

from __future__ import annotations

import argparse
import lzma
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rows
import torch
from ase import Atoms
from ase.io import read

import adiabat as ad
from adiabat.deploy.importers import import_model
from adiabat.potential import Potential
from adiabat.training.choice import error_of
from adiabat.validation import Errors, errors

DATA = Path(os.environ.get("ADIABAT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# One set for all elements. Distances in Å.
CANDIDATES: list[dict[str, Any]] = [{}, {"cutoff": 5.5, "shortest": 4.0}]
# Rows of the test file that are symmetry-equivalent to a training frame, as the data's READMEs have them.
KNOWN = {"Cu": [19, 20, 21, 25, 26, 27, 28, 29, 30], "Li": [26, 27, 28], "Si": [22, 23, 24]}
PUBLISHED = {"Cu": (0.41, 0.007), "Li": (0.49, 0.010), "Si": (2.31, 0.056)}  # whole test set: meV/atom, eV/Å


def frames(element: str, part: str) -> list[Atoms]:
    with lzma.open(DATA / f"mlearn_{element}" / f"{part}.xyz.xz", "rt") as file:
        return read(file, ":", format="extxyz")


def fitted(element: str, k: int, folder: Path | None, changes: dict[str, Any]) -> Potential:
    """Candidate k, with the CPU seconds of its fit; one that was kept is not fitted again."""
    kept = None if folder is None else folder / f"{element}-{'-'.join(map(str, [k, *changes.values()]))}.adiabat"
    if kept is not None and kept.exists():
        return ad.load(kept)
    begun = time.process_time()
    potential = ad.fit(ad.models.ACE(**CANDIDATES[k], **changes), frames(element, "train"), [], wall=False)
    potential.metadata["cpu_s"] = time.process_time() - begun
    if kept is not None:
        folder.mkdir(parents=True, exist_ok=True)
        potential.save(kept)
    return potential


def mae(found: Errors, chosen: list[int]) -> tuple[float, float, float, float]:
    """Energy (meV/atom) and force (eV/Å) errors of these frames, each with its bootstrap deviation."""
    energy = 1e3 * np.abs(found.energy_model - found.energy_reference)
    force = np.abs(found.force_model - found.force_reference)
    sums = np.array([force[found.frame == k].sum() for k in range(len(energy))])
    counts = np.array([force[found.frame == k].size for k in range(len(energy))])
    rng = np.random.default_rng(0)
    drawn = rng.choice(chosen, (1000, len(chosen)))
    of_forces = sums[drawn].sum(1) / counts[drawn].sum(1)
    return (
        float(energy[chosen].mean()), float(energy[drawn].mean(1).std()),
        float(sums[chosen].sum() / counts[chosen].sum()), float(of_forces.std()),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elements", nargs="*", default=list(KNOWN))
    parser.add_argument("--models", type=Path, help="keep the fitted potentials in this folder, and use those that are there")
    parser.add_argument("--only", type=int, choices=range(len(CANDIDATES)), help="fit this candidate only, and judge nothing")
    parser.add_argument("--channels", type=int, help="of all candidates, instead of the default")
    parser.add_argument("--machine", help="what it ran on, in words")
    parser.add_argument("--record", action="store_true", help="add the lines to results/accuracy.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| element | frames | this ACE: E meV/atom, F eV/Å | published MTP, same frames | published, whole set | fit, CPU s |"
    )
    print("|---|---|---|---|---|---|")
    lines = []
    for element in options.elements:
        found = []
        for k in range(len(CANDIDATES)) if options.only is None else [options.only]:
            found.append(fitted(element, k, options.models, {} if options.channels is None else {"channels": options.channels}))
            told, cpu_s = found[-1].metadata["training"]["left_out"], found[-1].metadata["cpu_s"]
            print(
                f"{element}, candidate {k} {CANDIDATES[k]}: frames left out {told}; {cpu_s:.0f} CPU s",
                file=sys.stderr,
                flush=True,
            )
        if options.only is not None:
            continue
        best = min(range(len(found)), key=lambda k: error_of(found[k].metadata["training"]["left_out"]))
        potential, cpu_s = found[best], sum(one.metadata["cpu_s"] for one in found)
        test = frames(element, "test")
        published = import_model(DATA / "reference_mlearn_potentials" / element / "mtp" / "fitted.mtp.xz", elements=[element])
        ours, theirs = errors(potential, test), errors(published, test)
        new = [k for k in range(len(test)) if k not in KNOWN[element]]
        for name, chosen in (("new", new), ("all", list(range(len(test))))):
            a, b = mae(ours, chosen), mae(theirs, chosen)
            shown = ["{:.3f} ± {:.3f}, {:.4f} ± {:.4f}".format(*x) for x in (a, b)]
            print(
                f"| {element} | {name} {len(chosen)} | {shown[0]} | {shown[1]} | {PUBLISHED[element]} | {cpu_s:.0f} |",
                flush=True,
            )
            lines.append(
                {"what": "mlearn", "element": element, "frames": name, "n": len(chosen), "cpu_s": cpu_s,
                 "energy_mae_meV_per_atom": a[0], "energy_error": a[1], "force_mae_eV_per_A": a[2], "force_error": a[3],
                 "mtp_energy_mae_meV_per_atom": b[0], "mtp_force_mae_eV_per_A": b[2], "model": "ace",
                 "chosen": best, "candidates": CANDIDATES, "channels": options.channels,
                 "left_out": [one.metadata["training"]["left_out"] for one in found],
                 **rows.circumstances(options.machine)}
            )  # fmt: skip
    if options.record:
        rows.append("accuracy.jsonl", lines)


if __name__ == "__main__":
    main()
