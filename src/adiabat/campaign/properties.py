"""What a potential says of a crystal: the cell at rest, equation of state, elastic constants, stress; numbers with errors and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from adiabat.analysis import Quantity
from adiabat.campaign.frames import read_all
from adiabat.config import ConfigError, find
from adiabat.deploy.load import load
from adiabat.properties import PROPERTIES, by_potential, elastic_constants, equation_of_state, stress_check
from adiabat.units import GPa

AGREE = 0.05  # two ways to the bulk modulus of one potential: further apart than this share, its energy is rough
AT_REST = 1e-4  # eV/Å: below it the lattice constant moves by less than its fifth digit


def properties(
    model: str, structure: str, what: Sequence[str] = ("eos", "elastic"), *, relax: bool = True, strain: float | None = None
) -> dict[str, Any]:
    """The wanted properties, in float64, of the structure's first frame, whose cell is relaxed first unless `relax` is off.

    One object a quantity, ``{value, error, unit}``; `strain` is the largest strain of what is asked (eos 0.02, elastic 0.005, stress
    0.001 without it). A committee answers with its mean. The bulk moduli by the equation of state and by the elastic constants are
    one number; `verdict` says whether they agree within 5 %, as they do where the energy is smooth.
    """
    if not what:
        raise ConfigError(f"what: nothing was asked for; wanted some of {', '.join(PROPERTIES)}")
    for name in what:
        find(name, PROPERTIES, where="what")
    atoms = read_all(structure, where="structure")[0][0]
    if not atoms.pbc.all():
        raise ConfigError(
            f"{structure}: periodic along {atoms.pbc.tolist()}; these are properties of crystals, periodic along all three directions"
        )
    potential = load(model)
    atoms = rested(atoms, potential) if relax else atoms
    ask = by_potential(potential)
    options: dict[str, Any] = {} if strain is None else {"largest": strain}
    found: dict[str, Any] = {}
    if "eos" in what:
        found |= equation_of_state(atoms, ask, **options).quantities()
    if "elastic" in what:
        elastic = elastic_constants(atoms, ask, **options)
        # The equation of state knows the bulk modulus better: a fit over many volumes; both are told where both were asked for.
        found |= {("elastic_bulk_modulus" if k in found else k): q for k, q in elastic.quantities().items()}
        pressure = -float(np.trace(elastic.stress)) / 3
        found |= {"pressure": Quantity(pressure, float("nan"), "GPa")}
    told = {name: quantity.to_json() for name, quantity in found.items()}
    if "elastic" in what:
        told["mechanically_stable"] = {
            "value": elastic.stable,
            "error": None,
            "unit": "",
            "verdict": "pass" if elastic.stable else "fail",
        }
    if "elastic_bulk_modulus" in told:
        one, other = (told[name]["value"] for name in ("bulk_modulus", "elastic_bulk_modulus"))
        apart = abs(other / one - 1)
        told["elastic_bulk_modulus"] |= {"target": one, "verdict": "pass" if apart <= AGREE else "fail"}
    if "stress" in what:
        check = stress_check(atoms, ask, strain=1e-3 if strain is None else strain)
        told["stress_check"] = check.to_json()["largest_difference"] | check.to_json()
    return told


def rested(atoms: Atoms, potential: Any) -> Atoms:
    """Cell and atoms at zero stress and forces by the potential."""
    here = atoms.copy()
    here.set_constraint()
    here.calc = potential.calculator(dtype=torch.float64)
    movable: Any = FrechetCellFilter(here)
    optimizer = BFGS(movable, logfile=None)
    if not optimizer.run(fmax=AT_REST, steps=300):
        raise ValueError(
            f"{atoms.get_chemical_formula()}: cell and atoms did not come to rest in 300 steps (largest force "
            f"{np.abs(here.get_forces()).max():.2g} eV/Å, stress {np.abs(here.get_stress()).max() / GPa:.2g} GPa); "
            "start nearer to the minimum, or use --no-relax"
        )
    here.calc = None
    return here


def rows_of(told: dict[str, Any]) -> list[list[str]]:
    """Name, value with error, verdict."""
    rows = []
    for name, q in told.items():
        value, error = q["value"], q.get("error")
        shown = str(value) if isinstance(value, bool) else f"{value:.5g}" + (f" ± {error:.2g}" if error is not None else "")
        rows.append([name.replace("_", " "), f"{shown} {q['unit']}".strip(), q.get("verdict", "")])
    return rows
