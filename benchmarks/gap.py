"""GAP beside QUIP: a fit with `gap_fit` and with ours on the same frames, their errors, and energy, forces and stress through ASE.

    python benchmarks/gap.py --peer /path/to/environment/bin/python                  # print; about four minutes
    python benchmarks/gap.py --peer ... --angles                                     # the same with a three-body kernel
    python benchmarks/gap.py --peer ... --keep --machine "one core of ..."           # and append to results/gap.jsonl

The peer's environment holds quippy-ase. The frames are every twelfth of mlearn's silicon training set (from ADIABAT_DATA), the errors those
on its test set. Both fits have the same labels (gap_fit says how many it found), kernels (distances; SOAP n_max 8, l_max 6, 5 Å, ζ = 4),
noise, of which each of six strain components has the same, and number of sparse points, which each chooses by its own CUR decomposition;
times are CPU seconds of one thread, without what importing takes. From the same points both fits are one function, which the tests show
(tests/deploy/test_import_gap.py). Then both evaluate the potential
that gap_fit wrote, the same function (checked to 1e-9 eV/atom and 1e-8 eV/Å), in double precision, on 512 atoms that move by 0.001 Å between
calls; each side finds neighbors as it does by default (quippy anew, ours within a skin of 0.5 Å).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duel
import structures
from ase_calls import through_ase

EVERY, SPARSE, DISTANCES = 12, 1000, 15
CUTOFF, WIDTH, SIGMA, ZETA, N_MAX, L_MAX = 5.0, 1.0, 0.5, 4, 8, 6
DELTA, DELTA_OF_DISTANCES, THETA = 0.2, 2.0, 1.0
ANGLES = {"cutoff": 3.5, "transition_width": 0.6, "delta_eV": 0.3, "n_sparse": 100}
NOISE = {"energy": 0.002, "forces": 0.1, "stress": 0.02, "shear": 0.02}
EXACT = {"energy": 1e-9, "forces": 1e-8, "stress": 1e-9, "variance": 1e-12}  # eV²: of δ² = 0.04
PROPERTIES = ["energy", "forces", "stress"]
ROW = "GAP, 512 Si, {sparse} sparse points{angles}: energy, forces, stress{more} through ASE"


# --------------------------------------------------------------------------------------------------------------- evaluation
def peer(xml: str, doubt: bool = False) -> tuple:
    """Runs in quippy's environment."""
    from quippy.potential import Potential

    told, atoms = Potential("IP GAP", param_filename=xml), structures.silicon(512)
    if not doubt:
        return through_ase(told, atoms)

    def variance(moved: Any) -> Any:
        told.calculate(moved, properties=PROPERTIES, calc_args="local_gap_variance=variance")
        return told.results, told.extra_results["atoms"]["variance"]

    return with_doubt(variance, atoms)


def ours(xml: str, doubt: bool = False) -> tuple:
    import torch

    from adiabat.deploy.importers import import_model
    from adiabat.uncertainty import with_variance

    torch.set_num_threads(1)
    potential, atoms = import_model(xml), structures.silicon(512)
    if not doubt:
        return through_ase(potential.calculator(), atoms)
    calculator = with_variance(potential).calculator()

    def variance(moved: Any) -> Any:
        calculator.calculate(moved, properties=PROPERTIES)
        return calculator.results, calculator.results["variance"]

    return with_doubt(variance, atoms)


def with_doubt(variance: Any, atoms: Any) -> tuple:
    """(step, values) as of `through_ase`, of energy, forces, stress and each atom's variance in one call."""
    import numpy as np

    rest, rng = atoms.positions.copy(), np.random.default_rng(7)

    def step() -> None:
        atoms.positions = rest + rng.normal(0, 1e-3, rest.shape)
        variance(atoms)

    def values() -> dict[str, list[float]]:
        atoms.positions = rest
        results, doubt = variance(atoms)
        told = {name: np.ravel(results[name]).tolist() for name in ("forces", "stress")}
        return {"energy": [float(np.ravel(results["energy"])[0]) / len(atoms)], **told, "variance": np.ravel(doubt).tolist()}

    return step, values


# ---------------------------------------------------------------------------------------------------------------------- fits
def frames() -> tuple[list[Any], list[Any]]:
    """What is learned, and what errors are told on."""
    import lzma

    from ase.io import read

    folder = Path(os.environ.get("ADIABAT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "mlearn_Si"
    sets = []
    for name in ("train", "test"):
        with lzma.open(folder / f"{name}.xyz.xz", "rt") as file:
            sets.append(read(file, ":", format="extxyz"))
    return sets[0][::EVERY], sets[1]


def fit_of_peer(python: str, train: list[Any], folder: Path, sparse: int, angles: bool) -> float:
    """CPU seconds of gap_fit, which writes gap.xml."""
    from ase import Atoms
    from ase.io import write

    told = []
    for atoms in train:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        bare.info = {
            "energy_": atoms.get_potential_energy(),
            # Nine numbers in a row: what ASE writes of a matrix, gap_fit passes over in silence.
            "virial_": (-atoms.get_stress(voigt=False) * atoms.get_volume()).ravel(),
        }
        bare.arrays["force_"] = atoms.get_forces()
        told.append(bare)
    write(folder / "train.xyz", told)
    common = f"cutoff={CUTOFF} cutoff_transition_width={WIDTH} add_species=T"
    kernels = (
        f"distance_2b {common} theta_uniform={THETA} delta={DELTA_OF_DISTANCES} n_sparse={DISTANCES} covariance_type=ard_se "
        f"sparse_method=uniform : soap {common} n_max={N_MAX} l_max={L_MAX} atom_sigma={SIGMA} zeta={ZETA} delta={DELTA} "
        f"n_sparse={sparse} covariance_type=dot_product sparse_method=cur_points"
    )
    if angles:
        kernels += (
            f" : angle_3b cutoff={ANGLES['cutoff']} cutoff_transition_width={ANGLES['transition_width']} theta_uniform={THETA} "
            f"delta={ANGLES['delta_eV']} n_sparse={ANGLES['n_sparse']} covariance_type=ard_se sparse_method=cur_points add_species=T"
        )
    asked = [
        "at_file=train.xyz", f"gap={{{kernels}}}", f"default_sigma={{{NOISE['energy']} {NOISE['forces']} {NOISE['stress']} 0.0}}",
        "e0_method=average", "energy_parameter_name=energy_", "force_parameter_name=force_", "virial_parameter_name=virial_",
        "do_copy_at_file=F", "rnd_seed=1", "gp_file=gap.xml",
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    said = subprocess.run(
        [Path(python).parent / "gap_fit", *asked], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if said.returncode:
        raise RuntimeError(f"gap_fit: {(said.stdout + said.stderr)[-2000:]}")
    for kind, wanted in (("energies", len(train)), ("forces", 3 * sum(map(len, train))), ("virials", 6 * len(train))):
        line = re.search(rf"Number of target {kind} .*found: *(\d+)", said.stdout)
        if line is None or int(line[1]) != wanted:
            raise RuntimeError(f"gap_fit says {line and line[0]!r}; wanted {wanted}: labels it does not read are no labels")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fit_of_ours(train: list[Any], sparse: int, angles: bool) -> tuple[float, Any]:
    """CPU seconds, and the potential."""
    import torch

    import adiabat as ad

    torch.set_num_threads(1)
    common = {"cutoff": CUTOFF, "transition_width": WIDTH}
    pairs = {**common, "theta_angstrom": THETA, "delta_eV": DELTA_OF_DISTANCES}
    soap = {**common, "n_max": N_MAX, "l_max": L_MAX, "atom_sigma": SIGMA, "zeta": ZETA, "delta_eV": DELTA}
    triples: Any = {**ANGLES, "theta": [THETA] * 3} if angles else []
    options: dict[str, Any] = {"wall": False, "reference_energies": "fit"}
    more: dict[str, Any] = {"three_body": triples, "noise": NOISE, "sparse": "cur"}
    few = ad.models.GAP(soap={**soap, "n_sparse": 5}, two_body={**pairs, "n_sparse": 5}, **more)
    ad.fit(few, train[:2], [], **options)  # imports, compiled kernels
    begun = time.process_time()
    model = ad.models.GAP(soap={**soap, "n_sparse": sparse}, two_body={**pairs, "n_sparse": DISTANCES}, **more)
    potential = ad.fit(model, train, [], **options)
    return time.process_time() - begun, potential


def errors(potential: Any, test: list[Any]) -> dict[str, float]:
    """MAE in meV/atom and eV/Å; energies less their mean error: each side has its own zero."""
    import numpy as np

    from adiabat.graph import Graph

    energy, force = [], []
    for atoms in test:
        found = potential.frozen()(Graph.of(atoms, potential.cutoff))
        energy.append((float(found.energy[0]) - atoms.get_potential_energy()) / len(atoms))
        force.append(np.abs(found.forces.numpy() - atoms.get_forces()).ravel())
    of_energy = np.array(energy)
    return {
        "energy_mae_meV_per_atom": float(1e3 * np.abs(of_energy).mean()),
        "energy_mae_less_mean_meV_per_atom": float(1e3 * np.abs(of_energy - of_energy.mean()).mean()),
        "force_mae_eV_per_A": float(np.concatenate(force).mean()),
    }


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with quippy-ase")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/gap.jsonl")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of the clock, for the turns of the evaluation")
    arguments.add_argument("--sparse", type=int, default=SPARSE, help="sparse points of the fit")
    arguments.add_argument("--angles", action="store_true", help="with a three-body kernel")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    from adiabat.deploy.importers import import_model

    train, test = frames()
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        of_peer = fit_of_peer(chosen.peer, train, folder, chosen.sparse, chosen.angles)
        of_ours, potential = fit_of_ours(train, chosen.sparse, chosen.angles)
        found = {"ours": errors(potential, test), "peer": errors(import_model(folder / "gap.xml"), test)}
        print(
            f"fit of {chosen.sparse} sparse points to {len(train)} frames, {sum(map(len, train))} atoms: ours {of_ours:.1f} s, gap_fit "
            f"{of_peer:.1f} s · {of_peer / of_ours:.1f}×; test errors {found}",
            flush=True,
        )
        row = {
            "name": "GAP fit with angles" if chosen.angles else "GAP fit",
            "ours": of_ours,
            "peer": of_peer,
            "unit": "s CPU",
            "errors": found,
            "frames": len(train),
            "sparse": chosen.sparse,
        }
        with (
            duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
            duel.Worker(chosen.peer, __file__, "--as", "peer") as theirs,
        ):
            versions = {"peer_versions": theirs.versions("quippy-ase"), **rows.circumstances(chosen.machine)}
            lines.append({**row, **versions})
            angles = f" and {ANGLES['n_sparse']} of angles" if chosen.angles else ""
            turns = {
                ROW.format(sparse=chosen.sparse, angles=angles, more=more): {
                    "xml": str(folder / "gap.xml"),
                    "doubt": bool(more),
                }
                for more in ("", ", variance of each atom")
            }
            for result in duel.duel(turns, ours=mine, peer=theirs, agree=duel.agreement(EXACT), seconds=chosen.seconds, warm=1):
                print(result.line(512, "µs/atom", 1e6), dict(result.differences), flush=True)
                lines.append({**result.record(), **versions})
    if chosen.keep:
        print(rows.append("gap.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
