"""Answers of n2p2 itself for the folders of `runner_folder`: a few lines of C++ against its library, `make golden-runner N2P2=…`.

python make_runner.py N2P2 OUT.json       (needs: g++, Eigen's headers in EIGEN, ase; N2P2/src/libnnp with libnnp.a built)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import runner_folder
from ase import Atoms
from make_mace import SEED, structures

IMAGED = ("skewed cell, smaller than the cutoff", "crystal")
DRIVER = r"""
#include "Prediction.h"
#include <cstdio>
int main() {
    nnp::Prediction p;
    p.log.writeToStdout = false;
    p.setup();
    p.readStructureFromFile("input.data");
    p.predict();
    std::printf("%.17g\n", p.structure.energy);
    for (auto const &a : p.structure.atoms) std::printf("%.17g %.17g %.17g\n", a.f[0], a.f[1], a.f[2]);
}
"""


def written(atoms: Atoms) -> str:
    """input.data: all axes periodic, or none."""
    lines = [f"lattice {x!r} {y!r} {z!r}" for x, y, z in atoms.cell.tolist()] if atoms.pbc.any() else []
    lines += [
        f"atom {x!r} {y!r} {z!r} {s} 0 0 0 0 0" for s, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions.tolist())
    ]
    return "\n".join(["begin", *lines, "energy 0", "charge 0", "end"]) + "\n"


def of_two_elements() -> dict[str, Atoms]:
    found = structures()
    for atoms in found.values():
        atoms.symbols[atoms.numbers == 6] = "Si"
        atoms.symbols[atoms.numbers == 1] = "O"
    found["molecule"].positions *= 1.4  # no two atoms at the distance of C and H
    return found


def asked(driver: str, folder: Path, atoms: Atoms) -> tuple[float, list[list[float]]]:
    (folder / "input.data").write_text(written(atoms))
    lines = subprocess.run([driver], cwd=folder, check=True, capture_output=True, text=True).stdout.split("\n")
    energy, *forces = [[float(x) for x in line.split()] for line in lines if line]
    return energy[0], forces


def slopes(driver: str, folder: Path, atoms: Atoms, h: float = 1e-4) -> list[list[float]]:
    """Forces as differences of n2p2's energies: where an atom sees its own images, its forces are not their slopes."""
    found = np.zeros((len(atoms), 3))
    for a, x in np.ndindex(*found.shape):
        for steps, weight in ((1, 8 / 12), (2, -1 / 12)):
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[a, x] += sign * steps * h
                found[a, x] -= sign * weight * asked(driver, folder, moved)[0] / h
    return found.tolist()


def main(n2p2: str, out: str) -> None:
    library = Path(n2p2) / "src" / "libnnp"
    told = {
        "peer": f"n2p2 {os.environ.get('N2P2_COMMIT', 'of unknown commit')}", "date": date.today().isoformat(), "seed": SEED,
        "units": "eV, Å",
        "structures": {}, "answers": [],
    }  # fmt: skip
    for name, atoms in of_two_elements().items():
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        driver = Path(place) / "driver.cpp"
        driver.write_text(DRIVER)
        subprocess.run(
            ["g++", "-O1", "-std=c++17", "-w", f"-I{library}", f"-I{os.environ['EIGEN']}", str(driver), str(library / "libnnp.a"),
             "-o", f"{place}/driver"], check=True,
        )  # fmt: skip
        for case in runner_folder.CASES:
            folder, answers = runner_folder.write(Path(place) / str(case), case), {}
            for name, atoms in of_two_elements().items():
                energy, forces = asked(f"{place}/driver", folder, atoms)
                if name in IMAGED:
                    forces = slopes(f"{place}/driver", folder, atoms)
                answers[name] = {"energy": energy, "forces": forces}
            told["answers"].append(answers)
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
