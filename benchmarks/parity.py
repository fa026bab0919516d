"""How far imported potentials are from the codes that made them: the worst deviation of every row, as a page.

    python benchmarks/parity.py [--out docs/parity.md]

The peers' answers are the golden files of the tests (`make golden-…` makes them anew in the peer's own environment) and those that
come with the public data (`ADIABAT_DATA`). Both sides in double precision.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read

from adiabat.deploy.importers import import_model, schnetpack
from adiabat.graph import Graph
from adiabat.potential import Potential

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "tests" / "golden"
DATA = Path(os.environ.get("ADIABAT_DATA", HERE.parents[1] / "shared" / "data"))
sys.path.insert(0, str(GOLDEN))

HEAD = """# Parity

Potentials made by other codes, imported and compared with what those codes say, both in double precision with the file's own
constants. The worst deviation over all structures of a row; `benchmarks/parity.py` writes this page. Networks have random weights;
MACE and PaiNN keep their radial functions as splines of 8192 intervals.

"""

Row = tuple[str, str, Potential, list[tuple[Atoms, float, np.ndarray]]]


def deviations(potential: Potential, answers: list[tuple[Atoms, float, np.ndarray]]) -> tuple[float, float]:
    """The worst of the energies (eV/atom) and of the forces (eV/Å)."""
    energy = force = 0.0
    for atoms, E, F in answers:
        found = potential(Graph.of(atoms, potential.cutoff))
        energy = max(energy, abs(float(found.energy[0]) - E) / len(atoms))
        force = max(force, float(np.abs(found.forces.numpy() - F).max()))
    return energy, force


NETWORKS = {  # golden files of networks with random weights
    "mace": {
        "residual": "ScaleShiftMACE",
        "plain": "MACE",
        "agnesi": "ScaleShiftMACE, Agnesi transform",
        "soft": "ScaleShiftMACE, Soft transform",
    },
    "ani": {"ensemble": "ANI, an ensemble in the manner of ANI-2x", "smooth": "ANI, gelu and a smooth cutoff"},
}


def networks() -> Iterator[Row]:
    """Networks with random weights: a molecule, a skewed cell smaller than the cutoff, a slab, a crystal, a lone atom; PaiNN: a molecule."""
    for peer, kinds in NETWORKS.items():
        golden = json.loads((GOLDEN / f"{peer}.json").read_text())
        for kind, name in kinds.items():
            answers = []
            for said in golden["answers"].values():
                atoms = Atoms(said["numbers"], said["positions"], cell=said["cell"], pbc=said["pbc"])
                answers.append((atoms, said[kind]["energy"], np.array(said[kind]["forces"])))
            yield name, golden["peer"], import_model(GOLDEN / f"{peer}-{kind}.npz"), answers
    known = schnetpack.read(GOLDEN / "painn-schnetpack-2.2.0.npz")
    atoms = Atoms(known["numbers"].numpy(), known["positions"].numpy())
    for kind, name in {"gaussians": "PaiNN, Gaussians", "bessel": "PaiNN, Bessel functions"}.items():
        state = {k.removeprefix(f"{kind}/"): v for k, v in known.items() if k.startswith(kind)}
        energy, forces = float(state.pop("energy")), state.pop("forces").numpy()
        yield name, "schnetpack 2.2.0", schnetpack.painn(state, ["H", "C", "O"], intervals=8192), [(atoms, energy, forces)]


def published() -> Iterator[Row]:
    """Trained potentials of Zuo et al. 2020 on five test frames each; expected forces are kept to ten decimals."""
    names = {
        "mtp": ("MTP", "fitted.mtp.xz"),
        "snap": ("SNAP", "SNAPotential.snapparam"),
        "qsnap": ("quadratic SNAP", "SNAPotential.snapparam"),
    }
    for element in ("Cu", "Li", "Si"):
        folder = DATA / "reference_mlearn_potentials" / element
        with lzma.open(folder / "expected_first5_test_frames.json.xz") as file:
            expected = json.load(file)
        with lzma.open(DATA / f"mlearn_{element}" / "test.xyz.xz", "rt") as file:
            frames = read(file, ":5", format="extxyz")
        for kind, (name, file_name) in names.items():
            said = expected[kind]
            potential = import_model(folder / kind / file_name, elements=[element])
            answers = [(a, e, np.array(f)) for a, e, f in zip(frames, said["energy"], said["forces"])]
            yield f"{name}, {element} of Zuo et al. 2020", str(said["engine"]), potential, answers


def made_up() -> Iterator[Row]:
    """Made-up potentials of two elements in skewed and small cells, a slab, a molecule."""
    from made_up import COARSE, tables

    for name in ("snap", "eam"):
        golden = json.loads((GOLDEN / f"{name}-lammps.json").read_text())
        for case in golden["cases"]:
            files = case.get("files") or {case["file"]: tables(case["file"], **COARSE)}
            with tempfile.TemporaryDirectory() as folder:
                for file, text in files.items():
                    (Path(folder) / file).write_text(text)
                potential = import_model(Path(folder) / next(iter(files)))
            answers = []
            for which, said in case["answers"].items():
                atoms = Atoms(**golden["structures"][which])
                if potential.elements == (73,):
                    atoms.symbols[:] = "Ta"
                answers.append((atoms, said["energy"], np.array(said["forces"])))
            kind = (
                f"EAM, {next(iter(files)).removeprefix('x')}"
                if name == "eam"
                else "SNAP, " + ", ".join(line for line in case["files"]["x.snapparam"].splitlines() if "flag" in line)
            )
            yield f"{kind}, two elements" if potential.elements != (73,) else kind, golden["from"], potential, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "parity.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| potential | compared with | structures | energy, eV/atom | forces, eV/Å |", "|---|---|---|---|---|"]
    for rows in (networks(), published(), made_up()):
        for name, peer, potential, answers in rows:
            energy, force = deviations(potential, answers)
            lines.append(f"| {name} | {peer} | {len(answers)} | {energy:.0e} | {force:.0e} |")
            print(lines[-1], flush=True)
    options.out.write_text(
        HEAD + "\n".join(lines) + f"\n\nForces from files are kept to ten decimals. {date.today().isoformat()}.\n"
    )


if __name__ == "__main__":
    main()
