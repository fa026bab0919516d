"""ANI beside torchani, with its cell list, the same function: energy and forces of 512 silicon atoms, and of 576 atoms of water.

    python benchmarks/ani.py --peer /path/to/environment/bin/python                  # print
    python benchmarks/ani.py --peer ... --keep --machine "one core of ..."           # and append to results/ani.jsonl

The peer's environment holds torchani 2.9, and for the importer jaxtyping, vesin, safetensors, pydantic and PyYAML. Its model: the functions
and layers of ANI-2x for the elements at hand, random weights, one network an element. Its numbers go through `adiabat import`; that both
are the same function is checked before anything is timed, in float64 to 1e-9 eV/atom and 1e-7 eV/Å (torch rounds the derivative of celu
to single precision), then as timed in float32. Both find neighbors and count them: torchani anew at every call, ours as it does by default
(a skin of 0.5 Å); positions move by 0.001 Å between calls.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duel
import numpy as np
import structures

ROWS = {
    "ANI-2x of one member, 512 Si": {"case": "silicon"},
    "ANI-2x of one member, 576 atoms of water": {"case": "water"},
}
ATOMS = {"silicon": 512, "water": 576}
ELEMENTS = {"silicon": ("Si",), "water": ("H", "O")}
EXACT = {"energy": 1e-9, "forces": 1e-7}
AS_TIMED = {"energy": 1e-5, "forces": 1e-4}


def frame(case: str) -> Any:
    return structures.silicon(512) if case == "silicon" else structures.water()


def peer(case: str, weights: str, dtype: str = "float32") -> tuple:
    """Runs in torchani's environment. `weights` is where to write the numbers."""
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from torchani.arch import simple_ani

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = simple_ani(
        ELEMENTS[case], lot="", ensemble_size=1, cutoff_fn="cosine", radial_start=0.8, angular_start=0.8, radial_cutoff=5.1,
        angular_cutoff=3.5, repulsion=False, self_energies="zero", container_ctor="like_2x", activation="celu", bias=True,
        strategy="auto", neighborlist="cell_list",
    )  # fmt: skip
    sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))
    from importlib.metadata import version

    from adiabat.deploy.importers.ani_extract import extract

    extract(model, version("torchani")).save(weights)
    return _calls(model.to(getattr(torch, dtype)).ase(), frame(case))


def ours(case: str, weights: str, dtype: str = "float32") -> tuple:
    import torch

    from adiabat.deploy.importers import import_model

    torch.set_num_threads(1)
    return _calls(import_model(weights).calculator(dtype=getattr(torch, dtype)), frame(case))


def _calls(calculator: Any, atoms: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(what is timed, what is compared)."""
    from ase.calculators.calculator import all_changes

    rest, rng = atoms.positions.copy(), np.random.default_rng(7)
    known = False

    def energy_and_forces(positions: Any) -> dict[str, Any]:
        nonlocal known
        atoms.positions = positions
        # ASE's bookkeeping is left out: both calculators are told what has changed.
        calculator.calculate(atoms, ["energy", "forces"], ["positions"] if known else list(all_changes))
        known = True
        return calculator.results

    def values() -> dict[str, list[float]]:
        found = energy_and_forces(rest)
        return {"energy": [float(np.ravel(found["energy"])[0]) / len(atoms)], "forces": np.ravel(found["forces"]).tolist()}

    return lambda: energy_and_forces(rest + rng.normal(0, 1e-3, rest.shape)), values


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with torchani 2.9")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/ani.jsonl")
    arguments.add_argument("--seconds", type=float, default=15.0, help="of the clock, for each row and allocator")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        turns = {name: {**row, "weights": str(Path(folder) / "ani.npz")} for name, row in ROWS.items()}
        for allocator, environment in duel.ALLOCATORS.items():
            with (
                duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
                duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs,
            ):
                for name, turn in turns.items():
                    # The peer goes first: it writes the numbers.
                    theirs.prepare(**turn, dtype="float64")
                    mine.prepare(**turn, dtype="float64")
                    exact = duel.agreement(EXACT)(f"{name}, float64", mine.values(), theirs.values())
                    theirs.prepare(**turn)
                    (result,) = duel.duel(
                        {name: turn}, ours=mine, peer=theirs, agree=duel.agreement(AS_TIMED), seconds=chosen.seconds
                    )
                    line = result.line(ATOMS[turn["case"]], "µs/atom", 1e6)
                    print(f"[{allocator} allocator] {line}", {"float64": exact, **result.differences}, flush=True)
                    lines.append(
                        {**result.record(), "allocator_of_peer": allocator, "exact": exact,
                         "peer_versions": theirs.versions("torchani", "torch"), **rows.circumstances(chosen.machine)}
                    )  # fmt: skip
    if chosen.keep:
        print(rows.append("ani.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
