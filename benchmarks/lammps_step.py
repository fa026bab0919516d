"""A step of LAMMPS with our pair style, beside ASE's dynamics with the same potential. One core, constant energy.

    python benchmarks/lammps_step.py                       # print
    python benchmarks/lammps_step.py --keep                # and append to results/lammps_step.jsonl

512 silicon atoms at 300 K, 28 neighbors within 5 Å. The networks are untrained and scaled down, so that the crystal flies apart
slowly: no time depends on what they predict. Numbers are CPU microseconds per atom and step, the least over rounds; of LAMMPS the
difference of a long and a short run, so that reading and set-up are not counted. Energies agree to 1e-10, asserted first.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parent))
import rows
from structures import silicon

SHORT, LONG = 10, 60
NVE = "neighbor 1.0 bin\nneigh_modify delay 0 every 1 check yes\nvelocity all create 300 1 loop all\ntimestep 0.001\nfix 1 all nve\n"


def potentials() -> dict[str, Any]:
    """Name → potential in double precision, with a wall."""
    import torch

    import adiabat as ad
    from adiabat.graph import Graph
    from adiabat.potential import Potential, Scaled

    torch.manual_seed(0)
    made = {
        "BPNN, 16 radial and 12 angular functions, 2 × 24": ad.models.BPNN(
            cutoff=5.0, elements=["Si"], radial=16, angular=3, zetas=[1.0, 2.0, 4.0, 8.0], hidden=[24, 24]
        ),
        "PaiNN, 64 channels": ad.models.PaiNN(cutoff=5.0, elements=["Si"], channels=64),
        "MACE, 32 channels, l ≤ 2": ad.models.MACE(cutoff=5.0, elements=["Si"], channels=32, l_max=2, correlation=3),
    }
    found = {}
    for name, model in made.items():
        model = model.to(torch.float64)
        model.prepare([Graph.of(silicon(64), 5.0)])
        found[name] = Potential(ad.models.ZBL(elements=["Si"]), Scaled(model, eV=1e-3)).eval()
    return found


def in_lammps(folder: Path, rounds: int) -> float:
    """CPU µs per atom and step."""
    from adiabat.deploy.lammps.run import run, setup, style

    atoms = silicon()

    def cpu(steps: int) -> float:
        with tempfile.TemporaryDirectory() as place:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run(setup(atoms, Path(place)) + style(folder, atoms) + NVE + f"run {steps}\n", Path(place))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    short, long = (min(cpu(n) for _ in range(rounds)) for n in (SHORT, LONG))
    return 1e6 * (long - short) / (LONG - SHORT) / len(atoms)


def in_ase(potential: Any, rounds: int) -> float:
    """CPU µs per atom and step."""
    import numpy as np
    from ase import units
    from ase.md.verlet import VelocityVerlet

    atoms = silicon()
    width = np.sqrt(atoms.get_masses() * units.kB * 300)[:, None]
    atoms.set_momenta(width * np.random.default_rng(1).normal(size=(len(atoms), 3)))
    atoms.calc = potential.calculator(skin_angstrom=1.0)
    dynamics = VelocityVerlet(atoms, timestep=units.fs)
    dynamics.run(3)
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        dynamics.run(10)
        least = min(least, time.process_time() - begun)
    return 1e6 * least / 10 / len(atoms)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/lammps_step.jsonl")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--machine", help="the machine in words")
    asked = arguments.parse_args()
    import torch

    from adiabat.deploy.export import export
    from adiabat.deploy.lammps.run import single_point

    torch.set_num_threads(1)
    rows.on_one_core()
    found = []
    for name, potential in potentials().items():
        with tempfile.TemporaryDirectory() as place:
            export(potential, "lammps", place)
            atoms = silicon(64)
            energy = single_point(place, atoms).energy
            atoms.calc = potential.calculator()
            assert abs(energy - atoms.get_potential_energy()) < 1e-10 * max(1.0, abs(energy))
            measured = {"lammps": in_lammps(Path(place), asked.rounds), "ase": in_ase(potential, asked.rounds)}
        for where, value in measured.items():
            found.append({"what": name, "where": where, "value": round(value, 2), "unit": "µs/atom/step, CPU"})
            print(f"{name:50s} {where:7s} {value:8.2f} µs/atom/step", flush=True)
    if asked.keep:
        rows.append("lammps_step.jsonl", [{**row, **rows.circumstances(asked.machine)} for row in found])


if __name__ == "__main__":
    main()
