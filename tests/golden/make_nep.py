"""Numbers of calorine (GPUMD's NEP on the CPU, in double precision) for made-up nep.txt files; `make golden-nep` runs it where calorine is.

python make_nep.py OUT.json            (needs: calorine, ase, numpy)
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms

SEED, UNITS = 7, "eV, Å; stress eV/Å³"
# kind; elements; zbl; cutoffs; l_max and what follows it
CASES = [
    ("nep3", "O Al", None, "4.2 3.1", "4 2 0"),
    ("nep4", "O Al", None, "4.2 3.1", "4 2 1"),
    ("nep4_zbl", "Si O Al", "0.8 1.9", "4.0 4.0", "2 0 0"),
    ("nep4_zbl", "Al O", "0.6 2.1 0.7", "4.2 3.1", "4 1 1 1 1 1 1"),
    ("nep3_zbl", "Al O", "0 0", "3.9 3.2 4.4 2.8", "3 1 0 1 1 1"),
    ("nep5_zbl", "O Al", "0.8 1.9", "4.2 3.1", "8 0 1"),
]


def structures() -> dict[str, Atoms]:
    """A skewed cell, one smaller than the cutoff, a slab, a molecule, a lone atom; some pairs near enough for the walls."""
    rng = np.random.default_rng(SEED)

    def scattered(cell, n, pbc):
        atoms = Atoms(cell=cell, pbc=pbc)
        while len(atoms) < n:
            trial = atoms + Atoms("Al" if rng.random() < 0.4 else "O", [rng.random(3) @ np.array(cell)])
            if len(trial) == 1 or trial.get_all_distances(mic=any(pbc))[-1, :-1].min() > 1.4:
                atoms = trial
        return atoms

    skewed = [[5.5, 0, 0], [1.5, 5.0, 0], [-0.9, 1.1, 4.7]]
    small = Atoms("AlO", [[0, 0, 0], [1.1, 1.2, 1.0]], cell=[[2.3, 0, 0], [0.3, 2.4, 0], [0.2, 0.1, 2.5]], pbc=True)
    return {
        "skewed": scattered(skewed, 9, [True] * 3), "small": small, "slab": scattered(np.diag([5.0, 5.5, 10.0]), 8, [True, True, False]),
        "molecule": scattered(np.diag([4.0, 4.0, 4.0]), 5, [False] * 3), "lone": Atoms("O", cell=np.zeros((3, 3)), pbc=False),
    }  # fmt: skip


def written(kind: str, elements: str, zbl: str | None, cutoffs: str, l_max: str) -> str:
    rng, Z = np.random.default_rng(len(kind + l_max)), len(elements.split())
    n_max, basis, neurons = (2, 1), (3, 4), 5
    l, *flags = map(int, l_max.split())
    products = (flags[0] > 0) + flags[1] + sum(flags[2:])
    dim = n_max[0] + 1 + (n_max[1] + 1) * (l + products)
    head = [f"{kind} {Z} {elements}", f"zbl {zbl}", f"cutoff {cutoffs} 100 50"]
    head += [f"n_max {n_max[0]} {n_max[1]}", f"basis_size {basis[0]} {basis[1]}", f"l_max {l_max}", f"ANN {neurons} 0"]
    numbers = [rng.normal(0, 0.4, (dim + 2) * neurons + (kind[3] == "5")) for _ in range(1 if kind[3] == "3" else Z)]
    numbers += [rng.normal(0, 0.4, 1)]
    numbers += [rng.normal(0, 1, Z * Z * (n + 1) * (k + 1)) for n, k in zip(n_max, basis, strict=True)]
    numbers += [rng.uniform(0.1, 0.6, dim)]
    if zbl == "0 0":
        for _ in range(Z * (Z + 1) // 2):
            numbers.append(np.array([0.7, 1.8, 0.2, 3.2, 0.5, 0.94, 0.28, 0.4, 0.02, 0.2]) * rng.uniform(0.9, 1.1, 10))
    lines = [line for line in head if line != "zbl None"] + [f"{x:.7e}" for x in np.concatenate(numbers)]
    return "\n".join(lines) + "\n"


def answers(text: str) -> dict:
    """By calorine's compiled part: its Python class takes NEP4 alone."""
    from _nepy import NEPY

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nep.txt").write_text(text)
        for name, atoms in structures().items():
            if not atoms.pbc.all():  # calorine takes every cell for periodic
                atoms.center(vacuum=6.0, axis=[k for k in range(3) if not atoms.pbc[k]])
            n, columns, rows = len(atoms), atoms.cell.array.T.ravel().tolist(), atoms.positions.T.ravel().tolist()
            nep = NEPY(str(Path(folder) / "nep.txt"), n, columns, atoms.get_chemical_symbols(), rows, atoms.get_masses())
            energies, forces, virials = (np.array(x) for x in nep.get_potential_forces_and_virials())
            found[name] = {"energies": energies.tolist(), "forces": forces.reshape(3, n).T.tolist()}
            if atoms.pbc.all():
                found[name]["stress"] = (-virials.reshape(9, n).sum(1) / atoms.get_volume()).reshape(3, 3).tolist()
    return found


def main(out: str) -> None:
    files = [written(*case) for case in CASES]
    told = {
        "peer": f"calorine {version('calorine')}",
        "date": date.today().isoformat(),
        "seed": SEED,
        "units": UNITS,
        "structures": {},
    }
    told["cases"] = [{"file": text, "answers": answers(text)} for text in files]
    for name, atoms in structures().items():
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
