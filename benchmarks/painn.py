"""PaiNN 128 × 3 beside schnetpack's: energy and forces of 512 silicon atoms, and a step of force training.

    python benchmarks/painn.py --peer /path/to/environment/bin/python                 # print
    python benchmarks/painn.py --peer ... --keep --machine "one core of ..."          # and append to results/painn.jsonl

The peer's environment holds schnetpack 2.2 and torch. Both are the same function of the same numbers: schnetpack's random weights go
through `adiabat.deploy.importers.schnetpack`. That is checked in float64 with fine radial tables to 1e-9 eV/atom and 1e-8 eV/Å (radial
buffers in float64, which schnetpack rounds), the derivative of a force loss by parameters, too; then, with the tables that are timed and
in float32, to 1e-4. Energy and forces alone: neighbors are given to both, and neither counts them. Through ASE: positions move by 0.001 Å
between calls, and each side finds neighbors as it does by default (schnetpack anew, ours within a skin of 0.5 Å). A step of training
ends with Adam as each side's training makes it: torch's own, which ours asks for in its fused form (some 1.5 ms of a step).
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

CUTOFF, CHANNELS, LAYERS, RADIAL = 5.0, 128, 3, 20
INTERVALS, FINE = 512, 4096
ELEMENTS = ["H", "C", "N", "O", "Si"]
SILICON = {"case": "silicon", "atoms": 512}
ROWS = {
    "PaiNN, 512 Si: energy and forces": SILICON,
    "PaiNN, 512 Si: energy, forces, stress through ASE": {"case": "ase"},
    "PaiNN, 5 × 27 atoms: training step": {"case": "training"},
}
# eV/atom, eV/Å and, relative, the gradient of the embedding; float64 with fine tables, then as timed
EXACT = {"energy": 1e-9, "forces": 1e-8, "gradient": 1e-7}
AS_TIMED = {"energy": 1e-4, "forces": 1e-4, "stress": 1e-5, "gradient": 1e-3}


def frames(case: str, atoms: int = 512) -> list[Any]:
    return [structures.silicon(atoms)] if case in ("silicon", "ase") else structures.molecules()


# ------------------------------------------------------------------------------------------------------------------ the peer
def peer(case: str, dtype: str = "float32", atoms: int = 512, weights: str | None = None) -> tuple:
    """Runs in schnetpack's environment. `weights` is where to write the numbers."""
    import numpy as np
    import schnetpack as spk
    import torch
    from schnetpack.interfaces import AtomsConverter
    from schnetpack.transform import MatScipyNeighborList

    torch.set_num_threads(1)
    torch.manual_seed(0)
    basis = spk.nn.GaussianRBF(n_rbf=RADIAL, cutoff=CUTOFF)
    painn = spk.representation.PaiNN(
        n_atom_basis=CHANNELS, n_interactions=LAYERS, radial_basis=basis, cutoff_fn=spk.nn.CosineCutoff(CUTOFF)
    )
    model = spk.model.NeuralNetworkPotential(
        representation=painn,
        input_modules=[*([spk.atomistic.Strain()] if case == "ase" else []), spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=CHANNELS, output_key="energy"),
            spk.atomistic.Forces(calc_stress=case == "ase"),
        ],
    )
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases start at zero, where a mistaken one is not seen
            torch.nn.init.normal_(parameter, std=0.1)
    kind = getattr(torch, dtype)
    model = model.to(kind)
    if kind == torch.float64:
        basis.offsets = torch.linspace(0, CUTOFF, RADIAL, dtype=kind)
        basis.widths = torch.full_like(basis.offsets, CUTOFF / (RADIAL - 1))
    if weights:
        np.savez(weights, **{name: value.numpy() for name, value in model.state_dict().items()})
    found = frames(case, atoms)
    if case == "ase":
        from schnetpack.interfaces import SpkCalculator

        neighbors = MatScipyNeighborList(cutoff=CUTOFF)
        return through_ase(SpkCalculator(model, neighbors, energy_unit="eV", stress_key="stress", dtype=kind), found[0])
    inputs = AtomsConverter(neighbor_list=MatScipyNeighborList(cutoff=CUTOFF), dtype=kind)(found)

    def call() -> tuple:
        out = model(dict(inputs))
        return out["energy"], out["forces"]

    return _steps(model, call, found, kind, lambda: painn.embedding.weight.grad[_numbers()])


# ------------------------------------------------------------------------------------------------------------------ ours
def ours(case: str, weights: str, dtype: str = "float32", atoms: int = 512, intervals: int = INTERVALS) -> tuple:
    import torch

    from adiabat.deploy.importers.schnetpack import painn, read
    from adiabat.graph import Graph

    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    model = painn(read(weights), ELEMENTS, intervals=intervals).to(kind)
    found = frames(case, atoms)
    if case == "ase":
        return through_ase(model.calculator(), found[0])
    graph = Graph.of(found, CUTOFF)
    potential = model if case == "training" else model.frozen()  # as the calculator and dynamics call it

    def call() -> tuple:
        out = potential(graph)
        return out.energy.to(kind), out.forces.to(kind)

    # fused as adiabat.training.optimizers makes it
    return _steps(model, call, found, kind, lambda: model.terms[0].embedding.grad, fused=True)


# ------------------------------------------------------------------------------------------------------------------ both
def _steps(
    model: Any, call: Callable[[], tuple], found: list[Any], kind: Any, gradient: Callable[[], Any], fused: bool = False
) -> tuple:
    """(what is timed, what is compared) of a model whose `call()` gives energies [S] and forces [N, 3]."""
    import numpy as np
    import torch

    sizes = torch.tensor([len(atoms) for atoms in found], dtype=kind)
    training = all("energy" in atoms.info for atoms in found)
    if training:
        energy = torch.tensor([atoms.info["energy"] for atoms in found], dtype=kind)
        forces = torch.tensor(np.concatenate([atoms.arrays["forces"] for atoms in found]), dtype=kind)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    parameters = list(model.parameters())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        E, F = call()
        (((E - energy) / sizes).square().mean() + (F - forces).square().mean()).backward(inputs=parameters)
        optimizer.step()

    def values() -> dict[str, Any]:
        E, F = call()
        told = {"energy": (E.detach() / sizes).tolist(), "forces": F.detach().flatten().tolist()}
        if training:
            model.zero_grad(set_to_none=True)
            (F - forces).square().mean().backward()
            told["gradient"] = gradient().flatten().tolist()
            model.zero_grad(set_to_none=True)
        return told

    model.train(training)
    return step if training else call, values


def _numbers() -> list[int]:
    from ase.data import atomic_numbers

    return [atomic_numbers[element] for element in ELEMENTS]


def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with schnetpack 2.2")
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/painn.jsonl")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of the clock, for each row and allocator")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        numbers = str(Path(folder) / "painn.npz")
        for allocator, environment in duel.ALLOCATORS.items():
            with (
                duel.Worker(sys.executable, __file__, "--as", "ours") as mine,
                duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs,
            ):
                if allocator == "default":
                    exact = check(mine, theirs, numbers)
                theirs.prepare(case="silicon", atoms=64, weights=numbers)
                turns = {name: {**row, "weights": numbers} for name, row in ROWS.items()}
                for result in duel.duel(turns, ours=mine, peer=theirs, agree=duel.agreement(AS_TIMED), seconds=chosen.seconds):
                    print(f"[{allocator} allocator] {result.line(*SHOWN[result.row])}", dict(result.differences), flush=True)
                    lines.append(
                        {**result.record(), "allocator_of_peer": allocator, "exact": exact, "intervals": INTERVALS,
                         "peer_versions": theirs.versions("schnetpack", "torch"), **rows.circumstances(chosen.machine)}
                    )  # fmt: skip
    if chosen.keep:
        print(rows.append("painn.jsonl", lines))


SHOWN = {name: (1, "ms", 1e3) if row["case"] == "training" else (512, "µs/atom", 1e6) for name, row in ROWS.items()}


def check(mine: duel.Worker, theirs: duel.Worker, numbers: str) -> dict[str, dict[str, float]]:
    """That both are one function: float64, fine tables."""
    found = {}
    for case in ("silicon", "training"):
        theirs.prepare(case=case, atoms=64, dtype="float64", weights=numbers)
        mine.prepare(case=case, atoms=64, dtype="float64", weights=numbers, intervals=FINE)
        found[case] = duel.agreement(EXACT)(f"{case}, float64", mine.values(), theirs.values())
    print(f"float64, {FINE} intervals, largest differences: {found}", flush=True)
    return found


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
