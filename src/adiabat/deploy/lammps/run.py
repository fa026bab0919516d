"""A structure through an exported folder: what `lmp` itself says of its energy, forces and stress."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms

from adiabat.deploy.lammps.program import NoLAMMPS, program
from adiabat.elements import symbol
from adiabat.units import bar


class Said(NamedTuple):
    """eV, eV/Å, eV/Å³ (positive when stretched); in the axes of the structure that was given."""

    energy: float
    forces: np.ndarray  # N 3
    stress: np.ndarray  # 3 3


START = """units metal
atom_style atomic
atom_modify map yes
boundary {boundary}
read_data "{data}"
{masses}
"""

POINT = """thermo_style custom step pe pxx pyy pzz pxy pxz pyz
thermo_modify format float %25.16e
thermo 1
run 0
write_dump all custom "{dump}" id fx fy fz modify sort id format float %25.16e
"""


def single_point(folder: str | Path, atoms: Atoms, *, timeout_s: float = 300) -> Said:
    """Energy, forces and stress of one structure by `pair_style adiabat`.

    Without a cell the box is made around the atoms; NoLAMMPS where `lmp` is missing or fails.
    """
    turned, turn = oriented(atoms)
    with tempfile.TemporaryDirectory(prefix="adiabat-lammps-") as place:
        here = Path(place)
        dump = here / "forces"
        text = setup(turned, here) + style(folder, turned) + POINT.format(dump=dump)
        log = run(text, here, timeout_s=timeout_s)
        lines = log.splitlines()
        head = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"])
        _, energy, *p = map(float, lines[head + 1].split())
        rows = np.loadtxt(dump, skiprows=9, ndmin=2)
    xx, yy, zz, xy, xz, yz = np.array(p) * bar
    stress = -np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return Said(energy, rows[:, 1:] @ turn, turn.T @ stress @ turn)


def run(text: str, here: Path, *, timeout_s: float = 300, ranks: int = 1) -> str:
    """What `lmp` says to an input; NoLAMMPS with its own words where it fails."""
    (here / "in").write_text(text)
    prefix = ["mpirun", "-np", str(ranks)] if ranks > 1 else []
    if prefix:
        prefix[0] = str(Path(program()).with_name("mpirun"))
    command = [*prefix, program(), "-in", "in", "-log", "none", "-nocite"]
    done = subprocess.run(
        command, cwd=here, capture_output=True, text=True, timeout=timeout_s, env={"OMP_NUM_THREADS": "1", **os.environ}
    )
    said = done.stdout + done.stderr
    if done.returncode or "ERROR" in said:
        why = next((line for line in said.splitlines() if "ERROR" in line), said.strip()[-300:])
        raise NoLAMMPS(f"lmp: {why}")
    return said


def setup(atoms: Atoms, here: Path) -> str:
    """The box and the atoms as LAMMPS commands; one atom type an element, by ascending number."""
    kinds = sorted(set(atoms.numbers.tolist()))
    low = np.zeros(3)
    cell = atoms.cell.array
    if atoms.cell.rank < 3:
        low, high = atoms.positions.min(0) - 1.0, atoms.positions.max(0) + 1.0
        cell = np.diag(high - low)
    rows = [
        "adiabat\n", f"{len(atoms)} atoms", f"{len(kinds)} atom types",
        *(f"{low[k]:.17g} {low[k] + cell[k, k]:.17g} {x}lo {x}hi" for k, x in enumerate("xyz")),
        f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz", "\nAtoms # atomic\n",
        *(
            f"{k + 1} {kinds.index(z) + 1} {x:.17g} {y:.17g} {w:.17g}"
            for k, (z, (x, y, w)) in enumerate(zip(atoms.numbers, atoms.positions, strict=True))
        ),
    ]  # fmt: skip
    (here / "data").write_text("\n".join(rows) + "\n")
    boundary = " ".join("p" if p else "m" for p in atoms.pbc)
    masses = "\n".join(f"mass {kinds.index(z) + 1} {atoms.get_masses()[atoms.numbers == z][0]:.10g}" for z in kinds)
    return START.format(boundary=boundary, data=here / "data", masses=masses)


def style(folder: str | Path, atoms: Atoms) -> str:
    """The commands of the pair style."""
    folder = Path(folder).resolve()
    elements = " ".join(symbol(z) for z in sorted(set(atoms.numbers.tolist())))
    return f'plugin load "{folder}/adiabatplugin.so"\npair_style adiabat\npair_coeff * * "{folder}" {elements}\n'


def oriented(atoms: Atoms) -> tuple[Atoms, np.ndarray]:
    """The structure as LAMMPS wants its cell (first vector along x, second in the xy plane), and the turn: v → v @ turn is back."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if bare.cell.rank < 3:
        if bare.pbc.any():
            raise ValueError("a structure that is periodic along fewer than three vectors needs three of them for LAMMPS")
        return bare, np.eye(3)
    cell, turn = bare.cell.standard_form()
    bare.set_cell(cell, scale_atoms=True)
    return bare, turn
