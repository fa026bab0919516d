"""MACE beside mace-torch: energy, forces and stress through ASE, and a step of force training.

    python benchmarks/mace.py --peer /path/to/environment/bin/python                 # print
    python benchmarks/mace.py --peer ... --keep --machine "one core of ..."          # and append to results/mace.jsonl

The peer's environment holds mace-torch 0.3.16. Both are the same function of the same numbers: mace-torch's random weights go through
`adiabat.deploy.importers`. That is checked before anything is timed: in float64 with fine radial tables to 1e-8 eV/atom and 1e-7 eV/Å,
then as timed, in float32. Positions move by 0.001 Å between calls, and each side finds neighbors as it does by default (mace-torch anew,
ours within a skin of 0.5 Å).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duel
import structures
from ase_calls import through_ase

CUTOFF, INTERVALS, FINE = 5.0, 512, 8192
ROWS = {
    "MACE 128x0e+128x1o, 512 Si": {"case": "silicon", "irreps": "128x0e+128x1o"},
    "MACE 64x0e, 512 Si": {"case": "silicon", "irreps": "64x0e"},
    "MACE 128x0e+128x1o, 432 atoms of MoNbTaW": {"case": "alloy", "irreps": "128x0e+128x1o"},
    "MACE 128x0e+128x1o, 432 atoms of MoNbTaW, Agnesi": {"case": "alloy", "irreps": "128x0e+128x1o", "transform": "Agnesi"},
    "MACE 128x0e+128x1o, 27 atoms of H C N O": {"case": "molecule", "irreps": "128x0e+128x1o"},
    "MACE 128x0e+128x1o, 27 atoms of H C N O, Agnesi": {"case": "molecule", "irreps": "128x0e+128x1o", "transform": "Agnesi"},
    "MACE 128x0e+128x1o, 5 × 27 atoms: training step": {"case": "training", "irreps": "128x0e+128x1o"},
}
ELEMENTS = {
    "silicon": ["Si"],
    "alloy": ["Mo", "Nb", "Ta", "W"],
    "molecule": ["H", "C", "N", "O"],
    "training": ["H", "C", "N", "O"],
}
ATOMS = {"silicon": 512, "alloy": 432, "molecule": 27, "training": 135}
# eV/atom, eV/Å, eV/Å³; float64 with fine tables, then as timed: round-off of both in float32, and the coarser table
EXACT = {"energy": 1e-8, "forces": 1e-7, "stress": 1e-8}
AS_TIMED = {"energy": 1e-4, "forces": 1e-4, "stress": 1e-5}


def frames(case: str) -> list[Any]:
    if case == "silicon":
        return [structures.silicon(512)]
    return [structures.alloy()] if case == "alloy" else structures.molecules(5 if case == "training" else 1)


# ------------------------------------------------------------------------------------------------------------------ the peer
def peer(case: str, irreps: str, weights: str, dtype: str = "float32", transform: str = "None") -> tuple:
    """Runs in mace-torch's environment. `weights` is where to write the numbers; `transform` gives pairs functions of their own."""
    import warnings

    warnings.filterwarnings("ignore")
    import os

    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # as mace.calculators does: its e3nn needs it
    from importlib.metadata import version

    import numpy as np
    import torch
    from ase.data import atomic_numbers
    from e3nn import o3
    from mace import modules

    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    torch.set_default_dtype(kind)
    torch.manual_seed(0)
    numbers = sorted(atomic_numbers[element] for element in ELEMENTS[case])
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, interaction_cls_first=block, interaction_cls=block,
        num_interactions=2, num_elements=len(numbers), hidden_irreps=o3.Irreps(irreps), MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(numbers)), avg_num_neighbors=28.0 if case == "silicon" else 20.0, atomic_numbers=numbers,
        correlation=3, gate=torch.nn.functional.silu, radial_MLP=[64, 64, 64], atomic_inter_scale=1.0, atomic_inter_shift=0.0,
        distance_transform=transform,
    )  # fmt: skip
    sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))
    from adiabat.deploy.importers.mace_extract import extract

    extract(model, version("mace-torch")).save(weights)
    torch.set_default_dtype(kind)
    found = frames(case)
    if case != "training":
        from mace.calculators import MACECalculator

        return through_ase(MACECalculator(models=[model], device="cpu", default_dtype=dtype), found[0])
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    table = AtomicNumberTable(numbers)
    single = [data.AtomicData.from_config(data.config_from_atoms(atoms), z_table=table, cutoff=CUTOFF) for atoms in found]
    batch = next(iter(torch_geometric.dataloader.DataLoader(single, batch_size=len(single), shuffle=False))).to_dict()

    def call() -> tuple:
        out = model(batch, training=True)
        return out["energy"], out["forces"]

    return _training(model, call, found, kind)


# ------------------------------------------------------------------------------------------------------------------ ours
def ours(
    case: str, irreps: str, weights: str, dtype: str = "float32", intervals: int = INTERVALS, transform: str = "None"
) -> tuple:
    """`irreps` and `transform` stand in the numbers, too."""
    import torch

    from adiabat.deploy.importers import import_model
    from adiabat.graph import Graph

    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    potential = import_model(weights, intervals=intervals)
    found = frames(case)
    if case != "training":
        return through_ase(potential.calculator(dtype=kind), found[0])
    model, graph = potential.to(kind), Graph.of(found, CUTOFF)

    def call() -> tuple:
        out = model(graph)
        return out.energy.to(kind), out.forces.to(kind)

    return _training(model, call, found, kind)


# ------------------------------------------------------------------------------------------------------------------ both
def _training(model: Any, call: Callable[[], tuple], found: list[Any], kind: Any) -> tuple:
    """A step of force training, and the values compared, of a model whose `call()` gives energies [S] and forces [N, 3]."""
    import numpy as np
    import torch

    sizes = torch.tensor([len(atoms) for atoms in found], dtype=kind)
    energy = torch.tensor([atoms.info["energy"] for atoms in found], dtype=kind)
    forces = torch.tensor(np.concatenate([atoms.arrays["forces"] for atoms in found]), dtype=kind)
    # Both learn so slowly that their functions stay what they were compared as.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6, amsgrad=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        E, F = call()
        (((E - energy) / sizes).square().mean() + 100 * (F - forces).square().mean()).backward()
        optimizer.step()

    def values() -> dict[str, Any]:
        E, F = call()
        return {"energy": (E.detach() / sizes).tolist(), "forces": F.detach().flatten().tolist()}

    model.train()
    return step, values


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with mace-torch 0.3.16")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/mace.jsonl")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of the clock, for each row and allocator")
    arguments.add_argument("--row", action="append", help="only rows whose name contains this; may be given again")
    arguments.add_argument(
        "--calls", type=int, default=1, help="of each side a turn: with several, caches are one's own, as in dynamics"
    )
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    wanted = {name: row for name, row in ROWS.items() if not chosen.row or any(part in name for part in chosen.row)}
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        numbers = str(Path(folder) / "mace.npz")
        turns = {name: {**row, "weights": numbers} for name, row in wanted.items()}
        for allocator, environment in duel.ALLOCATORS.items():
            with (
                duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
                duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs,
            ):
                for name, turn in turns.items():
                    # The peer goes first: it writes the numbers.
                    theirs.prepare(**turn, dtype="float64")
                    mine.prepare(**turn, dtype="float64", intervals=FINE)
                    exact = duel.agreement(EXACT)(f"{name}, float64", mine.values(), theirs.values())
                    theirs.prepare(**turn)
                    (result,) = duel.duel(
                        {name: turn}, ours=mine, peer=theirs, agree=duel.agreement(AS_TIMED), seconds=chosen.seconds, warm=1,
                        calls=chosen.calls,
                    )  # fmt: skip
                    unit = (1, "ms", 1e3) if turn["case"] == "training" else (ATOMS[turn["case"]], "µs/atom", 1e6)
                    print(f"[{allocator} allocator] {result.line(*unit)}", {"float64": exact, **result.differences}, flush=True)
                    lines.append(
                        {**result.record(), "allocator_of_peer": allocator, "exact": exact, "intervals": INTERVALS,
                         "calls_a_turn": chosen.calls,
                         "peer_versions": theirs.versions("mace-torch", "torch", "e3nn"), **rows.circumstances(chosen.machine)}
                    )  # fmt: skip
    if chosen.keep:
        print(rows.append("mace.jsonl", lines))


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
