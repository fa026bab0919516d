"""Answers of pace's own evaluator for the files of `yace_file`: a few lines of C++ against its sources, `make golden-yace PACE=…`.

python make_yace.py PACE OUT.json     (needs: g++, ase; PACE is lammps-user-pace with libpace.a of its sources, yaml-cpp and cnpy)
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
import yace_file
from ase import Atoms
from ase.neighborlist import neighbor_list
from make_mace import SEED, structures

CUTOFF = 4.2
DRIVER = r"""
#include "ace-evaluator/ace_c_basis.h"
#include "ace-evaluator/ace_evaluator.h"
#include <cstdio>
#include <vector>
int main(int, char **argv) {
    ACECTildeBasisSet basis(argv[1]);
    ACECTildeEvaluator evaluator(basis);
    int kind, n;
    while (std::scanf("%d %d", &kind, &n) == 2) {
        std::vector<double> x(3 * (n + 1), 0.0);
        std::vector<double *> rows;
        std::vector<SPECIES_TYPE> type(n + 1, kind);
        std::vector<int> list;
        for (int k = 1; k <= n; k++) {
            int t;
            std::scanf("%d %lf %lf %lf", &t, &x[3 * k], &x[3 * k + 1], &x[3 * k + 2]);
            type[k] = t;
            list.push_back(k);
        }
        for (int k = 0; k <= n; k++) rows.push_back(&x[3 * k]);
        evaluator.resize_neighbours_cache(n);
        evaluator.compute_atom(0, rows.data(), type.data(), n, list.data());
        std::printf("%.17g", evaluator.e_atom);
        for (int k = 0; k < n; k++)
            for (int x = 0; x < 3; x++) std::printf(" %.17g", evaluator.neighbours_forces(k, x));
        std::printf("\n");
    }
}
"""


def of_two_elements() -> dict[str, Atoms]:
    found = structures()
    for atoms in found.values():
        atoms.symbols[atoms.numbers == 6] = "Si"
        atoms.symbols[atoms.numbers == 1] = "O"
    found["molecule"].positions *= 1.4
    return found


def answers(driver: str, file: Path, atoms: Atoms) -> dict:
    i, j, r = neighbor_list("ijD", atoms, CUTOFF)
    kinds = [yace_file.ELEMENTS.index(s) for s in atoms.get_chemical_symbols()]
    said = []
    for a in range(len(atoms)):
        mine = np.flatnonzero(i == a)
        said += [f"{kinds[a]} {len(mine)}", *(f"{kinds[j[e]]} {r[e, 0]!r} {r[e, 1]!r} {r[e, 2]!r}" for e in mine)]
    text = "\n".join(said).replace("np.float64(", "").replace(")", "")
    lines = subprocess.run([driver, str(file)], input=text, check=True, capture_output=True, text=True).stdout.splitlines()
    energies, forces, virial = [], np.zeros((len(atoms), 3)), np.zeros((3, 3))
    for a, line in enumerate(line for line in lines if line[:1] in "-0123456789"):
        energy, *rest = map(float, line.split())
        energies.append(energy)
        mine, f = np.flatnonzero(i == a), np.array(rest).reshape(-1, 3)  # on the center, from each neighbor
        forces[a] += f.sum(0)
        np.subtract.at(forces, j[mine], f)
        virial += r[mine].T @ f
    found = {"energy": sum(energies), "forces": forces.tolist()}
    # Made-up couplings of components are no invariants, and the energy changes when all is turned: the symmetric part is the stress.
    stress = 0.5 * (virial + virial.T) / atoms.get_volume() if atoms.pbc.all() else None
    return {**found, "stress": stress.tolist()} if stress is not None else found


def main(pace: str, out: str) -> None:
    told = {
        "peer": f"lammps-user-pace {os.environ.get('PACE_COMMIT', 'of unknown commit')}", "date": date.today().isoformat(),
        "seed": SEED, "units": "eV, Å, eV/Å³", "structures": {}, "answers": [],
    }  # fmt: skip
    for name, atoms in of_two_elements().items():
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "driver.cpp"
        source.write_text(DRIVER)
        include = [f"-I{pace}/{part}" for part in ("ML-PACE", "ML-PACE/ace-evaluator", "yaml-cpp/include", "cnpy")]
        subprocess.run(
            ["g++", "-O1", "-std=c++17", "-w", *include, str(source), f"{pace}/libpace.a", "-lz", "-o", f"{place}/driver"],
            check=True,
        )
        for case in yace_file.CASES:
            file = yace_file.write(Path(place) / "x.yace", case)
            told["answers"].append({name: answers(f"{place}/driver", file, atoms) for name, atoms in of_two_elements().items()})
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
