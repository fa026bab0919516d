"""Numbers of LAMMPS's pair style snap for made-up potentials of two elements; `make golden-snap` runs it where LAMMPS is.

python make_snap.py OUT.json            (needs: lammps, ase, numpy)
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.lammps import convert
from ase.calculators.lammpslib import LAMMPSlib

SEED = 7
NKTV2P = 1.6021765e6  # LAMMPS's bar in eV/Å³, units metal


def structures() -> dict[str, Atoms]:
    """Several elements: a skewed cell, a cell smaller than the cutoff, a slab, a molecule, a lone atom."""
    rng = np.random.default_rng(SEED)

    def scattered(cell, n, pbc):
        atoms = Atoms(cell=cell, pbc=pbc)
        while len(atoms) < n:
            trial = atoms + Atoms("Ta" if rng.random() < 0.4 else "W", [rng.random(3) @ np.array(cell)])
            if len(trial) == 1 or trial.get_all_distances(mic=any(pbc))[-1, :-1].min() > 2.0:
                atoms = trial
        return atoms

    skewed = [[6.5, 0, 0], [1.5, 6.0, 0], [-0.9, 1.1, 5.7]]
    small = Atoms("TaW", [[0, 0, 0], [1.5, 1.6, 1.7]], cell=[[3.1, 0, 0], [0.3, 3.2, 0], [0.2, 0.1, 3.3]], pbc=True)
    return {
        "skewed": scattered(skewed, 9, [True] * 3), "small": small, "slab": scattered(np.diag([6.0, 6.5, 12.0]), 8, [True, True, False]),
        "molecule": scattered(np.diag([5.0, 5.0, 5.0]), 5, [False] * 3), "isolated atom": Atoms("W"),
    }  # fmt: skip


def snap(quadratic: int, bzero: int) -> dict[str, str]:
    rng = np.random.default_rng(quadratic)
    n = 14  # components of twojmax 4
    count = 1 + n + quadratic * n * (n + 1) // 2
    lines = [f"# made up\n\n2 {count}"]
    for element, radius, weight in (("W", 0.5, 1.0), ("Ta", 0.43, 0.8)):
        size = np.where(np.arange(count) <= n, 0.05, 0.0005)
        lines += [f"{element} {radius} {weight}", *(repr(float(x)) for x in rng.normal(size=count) * size)]
    settings = f"# made up\nrcutfac 4.6\ntwojmax 4\nrfac0 0.97\nbzeroflag {bzero}\nquadraticflag {quadratic}\n"
    return {"x.snapcoeff": "\n".join(lines) + "\n", "x.snapparam": settings}


def main(out: str) -> None:
    cases = []
    for quadratic, bzero in ((0, 0), (0, 1), (1, 0), (1, 1)):
        files = snap(quadratic, bzero)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            commands = ["pair_style snap", f"pair_coeff * * {folder}/x.snapcoeff {folder}/x.snapparam Ta W"]
            cases.append({"files": files, "answers": answers(commands)})
    Path(out).write_text(json.dumps({**head(), "cases": cases}) + "\n")


def head() -> dict:
    """Who computed it, when, and of what."""
    import lammps

    told = {
        "peer": f"LAMMPS {lammps.__version__}", "date": date.today().isoformat(), "seed": SEED, "units": "eV, Å; stress eV/Å³, Voigt as in ASE",
        "structures": {},
    }  # fmt: skip
    for name, atoms in structures().items():
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    return told


def answers(commands: list[str], only: str | None = None) -> dict:
    found = {}
    bar = convert(1.0, "pressure", "metal", "ASE")  # as ASE has it; LAMMPS made bars with its own constant
    for name, atoms in structures().items():
        types = {only: 1} if only else {"Ta": 1, "W": 2}
        if only:
            atoms.symbols[:] = only
        calc = LAMMPSlib(lmpcmds=commands, atom_types=types, keep_alive=False, log_file=None)
        if not atoms.pbc.all():
            atoms.center(vacuum=8.0, axis=[k for k in range(3) if not atoms.pbc[k]])
        atoms.calc = calc
        found[name] = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces().tolist()}
        if atoms.pbc.all():
            found[name]["stress"] = (atoms.get_stress() / bar / NKTV2P).tolist()
    return found


if __name__ == "__main__":
    main(sys.argv[1])
