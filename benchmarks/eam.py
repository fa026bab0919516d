"""A step of LAMMPS with its own eam/alloy, lj/cut and morse, and with ours of the same function: 500 copper atoms, constant energy, one core.

    python benchmarks/eam.py                              # print
    python benchmarks/eam.py --keep --machine "..."       # and append to results/eam.jsonl

The tables are those of a second-moment model of copper, Cleri and Rosato, PRB 48, 22 (1993), faded out between 5.5 and 6 Å: 78 neighbors;
Lennard-Jones and Morse end at 6 Å, too. Energies and forces agree to 1e-10 in float64 and, for slopes are differences of rounded tables,
to 5e-4 in float32, which is asserted first. LAMMPS and ours walk half a neighbor list; ours computes in double precision, tables rounded
to single or not. Rounds take turns on one core; numbers are CPU microseconds per atom and step, the least over rounds, each the
difference of a long and a short run, so that reading and set-up are not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import rows
import snap
from structures import copper

DR, DRHO, POINTS, CUTOFF = 0.005, 0.01, (2000, 1201), 6.0
SHORT, LONG = 10, 1010


def write_setfl(path: Path) -> Path:
    """Copper as LAMMPS's eam/alloy reads it: F(ρ), ρ(d), d φ(d), a number a line."""
    d, rho = np.arange(POINTS[1]) * DR, np.arange(POINTS[0]) * DRHO
    x = np.clip((d - 5.5) / 0.48, 0, 1)  # slopes by differences reach two points further
    smooth = 1 - x**3 * (10 - x * (15 - 6 * x))
    density = np.exp(-2 * 2.278 * (d / 2.556 - 1)) * smooth
    pair = 2 * 0.0855 * np.exp(-10.960 * (d / 2.556 - 1)) * d * smooth
    numbers = np.concatenate([-1.224 * np.sqrt(rho), density, pair])
    head = ["second-moment copper", "", "", "1 Cu", f"{POINTS[0]} {DRHO} {POINTS[1]} {DR} {CUTOFF}", "29 63.546 3.615 fcc"]
    path.write_text("\n".join([*head, *(f"{x:.17e}" for x in numbers)]) + "\n")
    return path


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/eam.jsonl")
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--machine", help="the machine in words")
    asked = arguments.parse_args()
    import torch

    from adiabat.deploy.export import export
    from adiabat.deploy.importers import import_model
    from adiabat.deploy.lammps.run import style
    from adiabat.models import LennardJones, Morse
    from adiabat.potential import Potential

    def cut(kind, *numbers: float) -> Potential:
        return Potential(kind(*numbers, cutoff=CUTOFF, elements=["Cu"], fade="cut"))

    torch.set_num_threads(1)
    rows.on_one_core()
    atoms = copper()
    with tempfile.TemporaryDirectory() as place:
        file = write_setfl(Path(place) / "cu.eam.alloy")
        kinds = {
            "EAM": (f"pair_style eam/alloy\npair_coeff * * {file} Cu\n", import_model(file)),
            "Lennard-Jones": (f"pair_style lj/cut {CUTOFF}\npair_coeff * * 0.4 2.3\n", cut(LennardJones, 0.4, 2.3)),
            "Morse": (f"pair_style morse {CUTOFF}\npair_coeff * * 0.34 1.36 2.8\n", cut(Morse, 0.34, 1.36, 2.8)),
        }
        styles, told, beside = {}, {}, {}
        for kind, (theirs, potential) in kinds.items():
            styles[peer := f"LAMMPS, {kind}, float64"] = theirs
            for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 5e-4)):
                name = f"ours, {kind}, {str(dtype).removeprefix('torch.')}"
                told[name] = snap.differences(copper(), potential.to(dtype), theirs)
                assert max(told[name].values()) < tolerance, told
                folder = Path(place) / name.replace(", ", "-")
                export(potential, "lammps", folder)
                styles[name], beside[name] = style(folder, atoms), peer
        least = dict.fromkeys(styles, float("inf"))
        for _ in range(asked.rounds):
            for name, text in styles.items():
                seconds = (snap.cpu(text, LONG, atoms) - snap.cpu(text, SHORT, atoms)) / (LONG - SHORT)
                least[name] = min(least[name], 1e6 * seconds / len(atoms))
    found = [
        {"what": name, "value": round(value, 3), "unit": "µs/atom/step, CPU", "differences": told.get(name)}
        for name, value in least.items()
    ]
    for row in found:
        ratio = least[beside.get(row["what"], row["what"])] / least[row["what"]]
        print(f"{row['what']:30s} {row['value']:7.3f} µs/atom/step   {ratio:5.2f}×   {row['differences'] or ''}", flush=True)
    if asked.keep:
        rows.append("eam.jsonl", [{**row, **rows.circumstances(asked.machine)} for row in found])


if __name__ == "__main__":
    main()
