"""NEP beside calorine's, which is GPUMD's code on the CPU, the same function: energy and forces of silicon, and of an alloy.

    python benchmarks/nep.py --peer /path/to/environment/bin/python                  # print
    python benchmarks/nep.py --peer ... --keep --machine "one core of ..."           # and append to results/nep.jsonl
    python benchmarks/nep.py --peer ... --ace FOLDER/Si.adiabat                      # a linear ACE instead of ours

The peer's environment holds calorine 4.1. Its model is a NEP4 with random numbers in GPUMD's text, which goes through `adiabat import`;
that both are the same function is checked before anything is timed, in float64 to 1e-9 eV/atom and 1e-8 eV/Å, then as timed: the peer
computes in double precision, ours in single ("float32") and double. Both find neighbors and count them: calorine anew at every call, ours
as it does by default (a skin of 0.5 Å); positions move by 0.001 Å between calls.

With --ace a potential of mlearn's silicon takes our side; `accuracy.py Si --channels 16 --models FOLDER` fits one and tells its errors. It
is another function of the same atoms, so nothing is compared but time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duel
import numpy as np
import structures

SETTINGS = {"silicon": ("Si", 5.0, 4.0), "MoNbTaW": ("Mo Nb Ta W", 5.0, 4.0)}  # elements, both cutoffs
ATOMS = {"silicon": 512, "MoNbTaW": 432}
EXACT = {"energy": 1e-9, "forces": 1e-8}
AS_TIMED = {"float64": EXACT, "float32": {"energy": 1e-5, "forces": 1e-4}}


def frame(case: str) -> Any:
    return structures.silicon(512) if case == "silicon" else structures.alloy()


def written(case: str, path: str) -> None:
    """A NEP4 with random numbers: n_max 8 6, basis_size 8 8, l_max 4 with the four-body term, 30 neurons."""
    elements, cutoff, shorter = SETTINGS[case]
    rng, Z = np.random.default_rng(0), len(elements.split())
    size = 9 + 7 * 5
    count = Z * (size + 2) * 30 + 1 + Z * Z * 9 * (9 + 7)
    head = f"nep4 {Z} {elements}\ncutoff {cutoff} {shorter} 200 120\nn_max 8 6\nbasis_size 8 8\nl_max 4 2 0\nANN 30 0\n"
    numbers = [*rng.normal(0, 0.3, count), *np.full(size, 0.05)]
    Path(path).write_text(head + "".join(f"{x:.7e}\n" for x in numbers))


def peer(case: str, model: str, dtype: str) -> tuple:
    """Runs in calorine's environment. `model` is where to write the numbers."""
    from calorine.calculators import CPUNEP

    written(case, model)
    return _calls(CPUNEP(model), frame(case))


def ours(case: str, model: str, dtype: str, kept: str | None = None) -> tuple:
    import torch

    import adiabat as ad
    from adiabat.deploy.importers import import_model

    torch.set_num_threads(1)
    potential = ad.load(kept) if kept else import_model(model)
    return _calls(potential.calculator(dtype=getattr(torch, dtype)), frame(case))


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


def against_ace(ace: str, peer: str, seconds: float) -> list[dict[str, Any]]:
    """Rows of a linear ACE of silicon, in single and double precision, beside calorine's NEP4."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for allocator, environment in duel.ALLOCATORS.items():
            with (
                duel.Worker(sys.executable, __file__, "--as", "ours", ace) as mine,
                duel.Worker(peer, __file__, "--as", "peer", environment=environment) as theirs,
            ):
                turn = {"case": "silicon", "model": str(Path(folder) / "nep.txt")}
                named = {f"{Path(ace).name}, 512 atoms of silicon, {dtype}": {**turn, "dtype": dtype} for dtype in AS_TIMED}
                for result in duel.duel(named, ours=mine, peer=theirs, seconds=seconds):
                    print(f"[{allocator} allocator] {result.line(512, 'µs/atom', 1e6)}", flush=True)
                    lines.append(
                        {
                            **result.record(),
                            "allocator_of_peer": allocator,
                            "peer_versions": theirs.versions("calorine", "numpy"),
                        }
                    )
    return lines


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with calorine 4.1")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/nep.jsonl")
    arguments.add_argument("--seconds", type=float, default=15.0, help="of the clock, for each row and allocator")
    arguments.add_argument("--machine", help="the machine in words")
    arguments.add_argument("--ace", help="a linear ACE of silicon, to be timed instead of our NEP")
    chosen = arguments.parse_args()
    if chosen.ace:
        lines = [
            {**line, **rows.circumstances(chosen.machine)} for line in against_ace(chosen.ace, chosen.peer, chosen.seconds)
        ]
        if chosen.keep:
            print(rows.append("nep.jsonl", lines))
        return
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for allocator, environment in duel.ALLOCATORS.items():
            with (
                duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
                duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs,
            ):
                for case in SETTINGS:
                    turn = {"case": case, "model": str(Path(folder) / "nep.txt")}
                    for dtype, allowed in AS_TIMED.items():
                        name = f"NEP4, {ATOMS[case]} atoms of {case}, {dtype}"
                        # The peer goes first: it writes the numbers.
                        theirs.prepare(**turn, dtype="float64")
                        mine.prepare(**turn, dtype="float64")
                        exact = duel.agreement(EXACT)(f"{name}, float64", mine.values(), theirs.values())
                        (result,) = duel.duel(
                            {name: {**turn, "dtype": dtype}}, ours=mine, peer=theirs, agree=duel.agreement(allowed),
                            seconds=chosen.seconds,
                        )  # fmt: skip
                        line = result.line(ATOMS[case], "µs/atom", 1e6)
                        print(f"[{allocator} allocator] {line}", {"float64": exact, **result.differences}, flush=True)
                        lines.append(
                            {**result.record(), "allocator_of_peer": allocator, "exact": exact,
                             "peer_versions": theirs.versions("calorine", "numpy"), **rows.circumstances(chosen.machine)}
                        )  # fmt: skip
    if chosen.keep:
        print(rows.append("nep.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        kept = sys.argv[3:]  # a potential that takes the place of the imported one
        duel.serve(peer if sys.argv[2] == "peer" else partial(ours, kept=kept[0] if kept else None))
    else:
        main()
