"""Numbers of motep for moment tensor potentials with made-up coefficients, and its basis; `make golden-mtp TEMPLATES=…` runs it where motep is.

python make_mtp.py TEMPLATES OUT.json   (needs: motep, ase, numpy; TEMPLATES holds 08.mtp and 12.mtp, the tables of those levels)
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from make_snap import SEED, structures

ELEMENTS = {"W": 74, "Ta": 73}  # in the order of the files
CUTOFF = 4.6


def potential(template: str, seed: int) -> str:
    """A trained file: the template's tables, coefficients drawn."""
    rng = np.random.default_rng(seed)
    functions, scalars = (
        int(re.search(rf"{key} = (\d+)", template)[1]) for key in ("radial_funcs_count", "alpha_scalar_moments")
    )

    def row(numbers: np.ndarray) -> str:
        return "{" + ", ".join(f"{x:.15e}" for x in numbers) + "}"

    radial = ["\tradial_coeffs"]
    for a in range(2):
        for b in range(2):
            radial += [f"\t\t{a}-{b}", *(f"\t\t\t{row(rng.normal(size=8) / (1 + np.arange(8)))}" for _ in range(functions))]
    text = template.replace("species_count = 1", "scaling = 1.3e-01\nspecies_count = 2")
    text = text.replace("min_dist = 0.5", "min_dist = 1.9").replace("max_dist = 5", f"max_dist = {CUTOFF}")
    text = re.sub(r"(radial_funcs_count = \d+\n)", lambda found: found[1] + "\n".join(radial) + "\n", text)
    return (
        text.rstrip() + f"\nspecies_coeffs = {row(rng.normal(size=2))}\nmoment_coeffs = {row(0.2 * rng.normal(size=scalars))}\n"
    )


def plain(template: str) -> str:
    """One element, f_μ = T_μ(2 d/r_c − 1) (d − r_c)², every coefficient 1."""
    functions, scalars = (
        int(re.search(rf"{key} = (\d+)", template)[1]) for key in ("radial_funcs_count", "alpha_scalar_moments")
    )
    rows = ["\t\t\t{" + ", ".join(str(float(n == mu)) for n in range(8)) + "}" for mu in range(functions)]
    text = template.replace("species_count = 1", "scaling = 1.0\nspecies_count = 1")
    text = text.replace("min_dist = 0.5", "min_dist = 0").replace("max_dist = 5", f"max_dist = {CUTOFF}")
    text = re.sub(
        r"(radial_funcs_count = \d+\n)", lambda found: found[1] + "\n".join(["\tradial_coeffs", "\t\t0-0", *rows]) + "\n", text
    )
    return text.rstrip() + "\nspecies_coeffs = {0.0}\nmoment_coeffs = {" + ", ".join(["1.0"] * scalars) + "}\n"


def engine(text: str, species: list[int], atoms: Atoms):
    from motep.io.mlip.mtp import read_mtp
    from motep.potentials.mtp.numpy.engine import NumpyMTPEngine

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.mtp").write_text(text)
        data = read_mtp(str(Path(folder) / "x.mtp"))
    data.species = species
    made = NumpyMTPEngine(data)
    return made, made.calculate(atoms)


def main(templates: str, out: str) -> None:
    told = {
        "peer": f"motep {version('motep')}", "date": date.today().isoformat(), "seed": SEED,
        "units": "eV, Å; stress eV/Å³, Voigt as in ASE", "structures": {}, "cases": [],
        "basis": {"level": 8, "cutoff": CUTOFF, "values": {}},
    }  # fmt: skip
    for name, atoms in structures().items():
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    for level in (8, 12):
        text, answers = potential((Path(templates) / f"{level:02}.mtp").read_text(), SEED + level), {}
        for name, atoms in structures().items():
            _, found = engine(text, list(ELEMENTS.values()), atoms)
            answers[name] = {"energies": found["energies"].tolist(), "forces": found["forces"].tolist()}
            if atoms.pbc.all():
                answers[name]["stress"] = found["stress"].tolist()
        told["cases"].append({"level": level, "elements": list(ELEMENTS), "file": text, "answers": answers})
    for name, atoms in structures().items():
        atoms.symbols[:] = "W"
        made, _ = engine(plain((Path(templates) / "08.mtp").read_text()), [74], atoms)
        told["basis"]["values"][name] = made.mbd.vatoms.T.tolist()
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
