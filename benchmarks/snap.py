"""A step of LAMMPS with its own SNAP, and with ours of the same file: 512 silicon atoms, 2J = 8, constant energy, one core.

    python benchmarks/snap.py                              # print
    python benchmarks/snap.py --keep --machine "..."       # and append to results/snap.jsonl

The coefficients are random and small, so that the crystal flies apart slowly: no time depends on what they predict. 28 neighbors within
the cutoff of 5 Å. Energies and forces agree to 1e-10 in float64 and to 1e-5 in float32, which is asserted first. Rounds of the
three take turns on one core; numbers are CPU microseconds per atom and step, the least over rounds, each the difference of a long and a
short run, so that reading and set-up are not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import rows
from ase import Atoms
from structures import silicon

SHORT, LONG = 5, 45
NVE = "neighbor 1.0 bin\nneigh_modify delay 0 every 1 check yes\nvelocity all create 300 1 loop all\ntimestep 0.001\nfix 1 all nve\n"
COMPONENTS = 55  # of 2J = 8


def write_snap(folder: Path) -> Path:
    """A potential of silicon with random coefficients, as LAMMPS reads it."""
    coefficients = np.random.default_rng(0).normal(size=COMPONENTS + 1) * 1e-6
    lines = ["# random", "", f"1 {COMPONENTS + 1}", "Si 0.5 1.0", *(repr(float(x)) for x in coefficients)]
    (folder / "x.snapcoeff").write_text("\n".join(lines) + "\n")
    (folder / "x.snapparam").write_text("rcutfac 5.0\ntwojmax 8\nrfac0 0.99363\nbzeroflag 1\nquadraticflag 0\n")
    return folder / "x.snapparam"


def cpu(style: str, steps: int, atoms: Atoms) -> float:
    """CPU seconds of a run of LAMMPS."""
    from adiabat.deploy.lammps.run import run, setup

    with tempfile.TemporaryDirectory() as place:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(setup(atoms, Path(place)) + style + NVE + f"run {steps}\n", Path(place))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def differences(atoms, potential, peer: str) -> dict[str, float]:
    """Of energy (eV/atom) and forces, relative to the largest of LAMMPS's."""
    from adiabat.deploy.lammps.run import POINT, oriented, run, setup

    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        turned, turn = oriented(atoms)
        log = run(setup(turned, here) + peer + POINT.format(dump=here / "forces"), here).splitlines()
        head = next(k for k, line in enumerate(log) if line.split()[:2] == ["Step", "PotEng"])
        energy, forces = float(log[head + 1].split()[1]), np.loadtxt(here / "forces", skiprows=9)[:, 1:] @ turn
    atoms.calc = potential.calculator()
    return {
        "energy": abs(atoms.get_potential_energy() - energy) / abs(energy),
        "forces": float(np.abs(atoms.get_forces() - forces).max() / np.abs(forces).max()),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/snap.jsonl")
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--machine", help="the machine in words")
    asked = arguments.parse_args()
    import torch

    from adiabat.deploy.export import export
    from adiabat.deploy.importers import import_model
    from adiabat.deploy.lammps.run import style

    torch.set_num_threads(1)
    rows.on_one_core()
    with tempfile.TemporaryDirectory() as place:
        file = write_snap(Path(place))
        theirs = f"pair_style snap\npair_coeff * * {file.with_suffix('.snapcoeff')} {file} Si\n"
        styles, atoms, told = {"LAMMPS ML-SNAP, float64": theirs}, silicon(64), {}
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            potential = import_model(file).to(dtype)
            name = f"this SNAP, {str(dtype).removeprefix('torch.')}"
            told[name] = differences(atoms, potential, theirs)
            assert max(told[name].values()) < tolerance, told
            folder = Path(place) / str(dtype)
            export(potential, "lammps", folder)
            styles[name] = style(folder, silicon())
        least = dict.fromkeys(styles, float("inf"))
        for _ in range(asked.rounds):
            for name, text in styles.items():
                seconds = (cpu(text, LONG, silicon()) - cpu(text, SHORT, silicon())) / (LONG - SHORT)
                least[name] = min(least[name], 1e6 * seconds / len(silicon()))
    found = [
        {"what": name, "value": round(value, 2), "unit": "µs/atom/step, CPU", "differences": told.get(name)}
        for name, value in least.items()
    ]
    slow = least["LAMMPS ML-SNAP, float64"]
    for row in found:
        print(
            f"{row['what']:30s} {row['value']:8.2f} µs/atom/step   {slow / row['value']:5.1f}×   {row['differences'] or ''}",
            flush=True,
        )
    if asked.keep:
        rows.append("snap.jsonl", [{**row, **rows.circumstances(asked.machine)} for row in found])


if __name__ == "__main__":
    main()
