"""Deployment parity: the same structures through the ASE calculator and through what was exported, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adiabat.deploy.lammps.run import single_point
from adiabat.potential import Potential
from adiabat.uncertainty import Committee
from adiabat.uncertainty.frozen import linear_mean
from adiabat.units import GPa, meV
from adiabat.validation.gate import Gate
from adiabat.validation.gate.check import Check, below, larger

if TYPE_CHECKING:
    from ase import Atoms

# Single precision rounds inside a model; in double precision only sums come in another order.
RELATIVE = {"float64": 1e-10, "float32": 1e-5}
CONSTANTS = 2e-7  # LAMMPS' unit of pressure has seven digits
CANCELLED = 1e-9  # of the size: what may be lost where members' coefficients are averaged before they are summed


def parity(potential: Potential, folder: str | Path, frames: Sequence[Atoms]) -> Gate:
    """Energy, forces and stress of `frames` by LAMMPS from an exported folder against the ASE calculator.

    Targets follow from the precision of the model: its rounding times the largest force, the energy an atom, the largest stress. A
    committee that is exported as one potential, by the mean of its coefficients, may differ by as much as the two differ here: those of
    a Gaussian process cancel each other, and the sums of means round otherwise than the means of sums.
    """
    one = linear_mean(potential) if isinstance(potential, Committee) else None
    lost = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    differ = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    size = {"energy": 1.0, "forces": 1.0, "stress": 1e-3}
    calculator = potential.calculator()
    for given in frames:
        atoms = given.copy()
        atoms.calc = calculator
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        said = single_point(folder, given)
        pairs: dict[str, tuple[Any, Any]] = {
            "energy": (energy / len(atoms), said.energy / len(atoms)),
            "forces": (forces, said.forces),
        }
        if atoms.cell.rank == 3:
            pairs["stress"] = (atoms.get_stress(voigt=False), said.stress)
        if one is not None:
            mean = given.copy()
            mean.calc = one.calculator()
            lost["energy"] = larger(lost["energy"], abs(mean.get_potential_energy() - energy) / len(atoms))
            lost["forces"] = larger(lost["forces"], np.abs(mean.get_forces() - forces).max())
            if "stress" in pairs:
                lost["stress"] = larger(lost["stress"], np.abs(mean.get_stress(voigt=False) - pairs["stress"][0]).max())
        for name, (a, b) in pairs.items():
            differ[name] = larger(differ[name], np.abs(np.subtract(a, b)).max())
            size[name] = max(size[name], float(np.abs(a).max()))
    relative = RELATIVE[str(potential.dtype).removeprefix("torch.")]
    cure = "please report it with the model file: an export has to compute what the model computes"
    units = {"energy": ("meV/atom", meV), "forces": ("meV/Å", meV), "stress": ("GPa", GPa)}
    checks: dict[str, Check] = {}
    for name, (unit, scale) in units.items():
        allowed = (relative + (CONSTANTS if name == "stress" else 0.0)) * size[name] / scale
        allowed += min(lost[name], CANCELLED * size[name]) / scale
        told = f"{name} by LAMMPS and by ASE differ on {len(frames)} structures by up to"
        checks[f"parity_{name}"] = below(f"parity_{name}", differ[name] / scale, unit, allowed, told, cure)
    return Gate(checks)
