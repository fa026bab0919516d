"""GAP's other spectra beside QUIP: SOAP of two elements with its channels mixed at random, and soap_turbo, through ASE.

    python benchmarks/gap_spectra.py --peer /path/to/environment/bin/python                # print; about three minutes
    python benchmarks/gap_spectra.py --peer ... --keep --machine "one core of ..."         # and append to results/gap.jsonl

The peer's environment holds quippy-ase. gap_fit makes the potentials of made-up energies of rattled crystals, which no time depends on;
both sides evaluate its file, the same function (checked to 1e-7 eV/atom, 1e-4 eV/Å: QUIP's forces of soap_turbo are not quite the slopes of
its energies), in double precision, on atoms that move by 0.001 Å between calls. Beside it stands our reference by tensors, timed alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duel
import structures
from ase_calls import through_ase

SPARSE, FRAMES = 500, 12
COMMON = f"n_sparse={SPARSE} covariance_type=dot_product sparse_method=random zeta=4 delta=0.2"
SOAP = f"soap n_max=8 l_max=6 atom_sigma=0.5 cutoff=5.0 cutoff_transition_width=1.0 {COMMON}"
TURBO = f"soap_turbo l_max=8 rcut_hard=5.0 rcut_soft=4.5 alpha_max=7 atom_sigma_r=0.5 atom_sigma_t=0.5 basis=poly3 {COMMON}"
MIXED = f"{SOAP} R_mix=T Z_mix=T sym_mix=T K=24 add_species=F n_Z=1 n_species=2 species_Z={{{{29 79}}}}"
CASES = {
    "GAP, 500 CuAu, SOAP n 8, l 6, R_mix Z_mix K=24 symmetric, 500 sparse points each": (
        "CuAu",
        f"{MIXED} Z=29 : {MIXED} Z=79",
    ),
    "GAP, 512 Si, soap_turbo n 7, l 8, 500 sparse points": ("Si", f"{TURBO} add_species=F n_species=1 species_Z=14"),
}
# eV/atom, eV/Å, eV/Å³: orthonormal functions of seven, as many as QUIP advises, are differences of large numbers in both codes.
EXACT = {"energy": 1e-7, "forces": 1e-4, "stress": 1e-4}


def crystal(kind: str) -> Any:
    """512 atoms of silicon, or 500 of copper and gold."""
    import numpy as np
    from ase.build import bulk

    if kind == "Si":
        return structures.silicon(512)
    atoms = bulk("Cu", cubic=True, a=3.8).repeat(5)
    atoms.symbols[:] = np.random.default_rng(0).choice(["Cu", "Au"], len(atoms))
    atoms.rattle(0.05, seed=1)
    return atoms


def peer(xml: str, kind: str) -> tuple:
    """Runs in quippy's environment."""
    from quippy.potential import Potential

    return through_ase(Potential("IP GAP", param_filename=xml), crystal(kind))


def ours(xml: str, kind: str) -> tuple:
    import torch

    from adiabat.deploy.importers import import_model

    torch.set_num_threads(1)
    return through_ase(import_model(xml).calculator(), crystal(kind))


def fitted(python: str, kind: str, gap: str, folder: Path) -> Path:
    """The file gap_fit writes."""
    import numpy as np
    from ase.io import write

    rng, told = np.random.default_rng(0), []
    for _ in range(FRAMES):
        atoms = crystal(kind)[:0]
        atoms += structures.silicon(64) if kind == "Si" else _small(rng)
        atoms.rattle(0.1, rng=rng)
        atoms.info["energy_"] = float(-3.0 * len(atoms) + rng.normal())
        told.append(atoms)
    write(folder / f"{kind}.xyz", told)
    asked = [
        f"at_file={kind}.xyz", f"gap={{{gap}}}", "default_sigma={0.01 0.1 0.1 0.0}", "e0_method=average", "energy_parameter_name=energy_",
        "do_copy_at_file=F", "rnd_seed=1", f"gp_file={kind}.xml",
    ]  # fmt: skip
    said = subprocess.run([Path(python).parent / "gap_fit", *asked], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    if said.returncode:
        raise RuntimeError(f"gap_fit: {(said.stdout + said.stderr)[-2000:]}")
    return folder / f"{kind}.xml"


def _small(rng: Any) -> Any:
    from ase.build import bulk

    atoms = bulk("Cu", cubic=True, a=3.8).repeat((4, 2, 2))
    atoms.symbols[:] = rng.choice(["Cu", "Au"], len(atoms))
    return atoms


def by_tensors(xml: Path, kind: str) -> float:
    """CPU seconds of energy and forces by our reference, the best of two."""
    import torch

    from adiabat.deploy.importers import import_model
    from adiabat.graph import Graph

    torch.set_num_threads(1)
    potential = import_model(xml)
    graph, took = Graph.of(crystal(kind), potential.cutoff), []
    for _ in range(2):
        begun = time.process_time()
        potential(graph)
        took.append(time.process_time() - begun)
    return min(took)


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with quippy-ase")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/gap.jsonl")
    arguments.add_argument("--seconds", type=float, default=15.0, help="of the clock, for the turns of each row")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = {name: fitted(chosen.peer, kind, gap, Path(folder)) for name, (kind, gap) in CASES.items()}
        turns = {name: {"xml": str(files[name]), "kind": kind} for name, (kind, _) in CASES.items()}
        tensors = {name: by_tensors(files[name], kind) for name, (kind, _) in CASES.items()}
        with (
            duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
            duel.Worker(chosen.peer, __file__, "--as", "peer") as theirs,
        ):
            versions = {"peer_versions": theirs.versions("quippy-ase"), **rows.circumstances(chosen.machine)}
            for result in duel.duel(turns, ours=mine, peer=theirs, agree=duel.agreement(EXACT), seconds=chosen.seconds, warm=1):
                atoms = len(crystal(CASES[result.row][0]))
                more = 1e6 * tensors[result.row] / atoms
                print(result.line(atoms, "µs/atom", 1e6), f"our reference {more:.0f}", dict(result.differences), flush=True)
                lines.append({**result.record(), "reference": more, **versions})
    if chosen.keep:
        print(rows.append("gap.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
