"""Silicon by the reference engine itself: lattice constant, bulk modulus, elastic constants, and the k-points that forces need.

python benchmarks/silicon.py examples/silicon/silicon.yaml                 # the crystal, at the settings of that file
python benchmarks/silicon.py examples/silicon/silicon.yaml --kpoints 2 3 4 5 6   # forces of a rattled cell against the last grid
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from ase.build import bulk
from rows import circumstances

from adiabat.campaign.options import parse
from adiabat.campaign.solids import crystal_of
from adiabat.config import build, read_yaml
from adiabat.data.structure import labels
from adiabat.labelers import LABELERS
from adiabat.properties.answers import Answer
from adiabat.units import GPa


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("config")
    arguments.add_argument("--kpoints", type=int, nargs="+", help="grids n×n×n to compare, the last one the reference")
    asked = arguments.parse_args()
    campaign = parse(read_yaml(asked.config))
    cell = bulk("Si", "diamond", a=5.47, cubic=True)
    labeler = build(campaign.labeler, LABELERS, where="labeler").for_frames([cell])
    print(f"{labeler.version()}, {labeler.level_of_theory()}; {circumstances()}")
    if asked.kpoints:
        grids(campaign.labeler, asked.kpoints)
        return
    cpu = time.process_time()
    for name, quantity in crystal_of(cell, lambda frames: [answer(labeler(a)) for a in frames], campaign.solid).items():
        print(f"{name:18s} {quantity}", flush=True)
    print(f"{time.process_time() - cpu:.0f} s of CPU time")


def answer(atoms) -> Answer:
    known = labels(atoms)
    s = known["stress"]
    stress = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
    return Answer(known["energy"], known["forces"], stress)


def grids(spec: dict, sizes: list[int]) -> None:
    """Forces and stress of one rattled cell (0.08 Å) on each grid, against the last."""
    atoms = bulk("Si", "diamond", a=5.47, cubic=True)
    atoms.rattle(0.08, seed=1)
    [(name, settings)] = spec.items()
    found = []
    for n in sizes:
        label = build({name: {**settings, "kpoints": [n, n, n]}}, LABELERS, where="labeler")(atoms)
        found.append((n, labels(label), label.info["adiabat"]["cpu_s"]))
    last = found[-1][1]
    print("grid  meV/atom  force rms, max (meV/Å)  stress (GPa)  CPU s")
    for n, known, cpu in found:
        force = 1e3 * (known["forces"] - last["forces"])
        energy = 1e3 * (known["energy"] - last["energy"]) / len(atoms)
        stress = np.abs(known["stress"] - last["stress"]).max() / GPa
        print(f"{n:3d}³ {energy:9.2f} {np.sqrt((force**2).mean()):11.1f} {np.abs(force).max():8.1f} {stress:12.3f} {cpu:8.1f}")


if __name__ == "__main__":
    main()
