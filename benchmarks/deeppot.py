"""A Deep Potential beside DeePMD-kit's, on TensorFlow and on PyTorch: energy, forces and stress of silicon and water through ASE.

    python benchmarks/deeppot.py --peer /path/to/environment/bin/python                 # print
    python benchmarks/deeppot.py --peer ... --keep --machine "one core of ..."          # and append to results/deeppot.jsonl

The peer's environment holds deepmd-kit 3.2 with TensorFlow and torch; ours wants h5py, for models are handed over as HDF5. Both sides are
the same function of the same numbers: a made-up se_e2_a of the usual size (25-50-100 with 16 axes, 240-240-240), or an se_e3 (2-4-8, the
same fitting network), written by DeePMD-kit, imported here, frozen there. That is checked in float64, of se_e2_a with TensorFlow's own
graph, of se_e3 with PyTorch's, to 1e-9 eV/atom and 1e-8 eV/Å; then in float32, as it is timed, to 5e-4. Through ASE: positions move by
0.001 Å between calls, and each side finds neighbors as it does by default (DeePMD-kit anew, ours within a skin of 0.5 Å).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import duel
import structures
from ase_calls import through_ase

SETTINGS: dict[str, dict[str, Any]] = {
    "silicon": {"type_map": ["Si"], "rcut": 5.0, "sel": [40]},
    "water": {"type_map": ["O", "H"], "rcut": 6.0, "sel": [46, 92]},
    "angles": {"type_map": ["O", "H"], "rcut": 5.8, "sel": [46, 92]},
}
TWO = {"type": "se_e2_a", "neuron": [25, 50, 100], "axis_neuron": 16, "type_one_side": True}
DESCRIPTORS: dict[str, dict[str, Any]] = {"silicon": TWO, "water": TWO, "angles": {"type": "se_e3", "neuron": [2, 4, 8]}}
SCALES = {"angles": 0.5}  # of the last matrix
ROWS = {
    "Deep Potential, 512 Si": {"case": "silicon"},
    "Deep Potential, 192 H2O": {"case": "water"},
    "Deep Potential se_e3, 192 H2O": {"case": "angles"},
}
ATOMS = {"silicon": 512, "water": 576, "angles": 576}
BACKENDS = ("TensorFlow", "PyTorch")
EXACT = {"energy": 1e-9, "forces": 1e-8, "stress": 1e-9}  # eV/atom, eV/Å, eV/Å³
AS_TIMED = {"energy": 1e-4, "forces": 5e-4, "stress": 1e-5}


def frame(case: str) -> Any:
    return structures.silicon(ATOMS[case]) if case == "silicon" else structures.water()


# ------------------------------------------------------------------------------------------------------------------ the peer
def peer(case: str, folder: str, backend: str = "TensorFlow", precision: str = "float32") -> tuple:
    """Runs in DeePMD-kit's environment; leaves the model in `folder`."""
    import types

    stub = types.ModuleType("deepmd.pt.cxx_op")  # the wheel's operators may be built for another torch; they serve LAMMPS alone
    stub.ENABLE_CUSTOMIZED_OP = False  # type: ignore[attr-defined]
    sys.modules["deepmd.pt.cxx_op"] = stub
    from deepmd.calculator import DP

    written = Path(folder) / f"{case}-{precision}.dp"
    data = _made_up(case, precision, written)
    if backend == "TensorFlow":
        from deepmd.entrypoints.convert_backend import convert_backend

        frozen = written.with_suffix(".pb")
        convert_backend(INPUT=str(written), OUTPUT=str(frozen))
    else:
        import torch
        from deepmd.pt.model.model import EnergyModel

        torch.set_num_threads(1)
        frozen = written.with_suffix(".pth")
        torch.jit.save(torch.jit.script(EnergyModel.deserialize(data).eval()), str(frozen))
    return through_ase(DP(model=str(frozen)), frame(case))


def _made_up(case: str, precision: str, written: Path) -> dict[str, Any]:
    """A model with statistics near those of the structure, and forces of about 1 eV/Å."""
    import copy

    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    its = SETTINGS[case]
    descriptor = {
        **DESCRIPTORS[case], "rcut": its["rcut"], "rcut_smth": 0.5, "sel": its["sel"], "precision": precision, "seed": 1,
    }  # fmt: skip
    fitting = {"type": "ener", "neuron": [240, 240, 240], "resnet_dt": True, "precision": precision, "seed": 1}
    settings = {"type_map": its["type_map"], "descriptor": descriptor, "fitting_net": fitting}
    data = get_model(copy.deepcopy(settings)).serialize()
    for name, columns in (("davg", [0.08, 0.0, 0.0, 0.0]), ("dstd", [0.15, 0.1, 0.1, 0.1])):
        data["descriptor"]["@variables"][name][:] = columns
    for network in data["fitting"]["nets"]["networks"]:
        network["layers"][-1]["@variables"]["w"] *= SCALES.get(case, 50)
    save_dp_model(str(written), {"backend": "DPModel", "model": data, "model_def_script": settings})
    return data


# ------------------------------------------------------------------------------------------------------------------ ours
def ours(case: str, folder: str, backend: str = "", precision: str = "float32") -> tuple:
    import torch

    import adiabat as ad

    torch.set_num_threads(1)
    potential = ad.import_model(Path(folder) / f"{case}-{precision}.dp").to(getattr(torch, precision))
    return through_ase(potential.calculator(), frame(case))


# ------------------------------------------------------------------------------------------------------------------ both
def main() -> None:
    import rows

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer", required=True, help="the interpreter of an environment with deepmd-kit 3.2")
    arguments.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    arguments.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=BACKENDS)
    arguments.add_argument("--allocators", nargs="+", default=["default"], choices=list(duel.ALLOCATORS))
    arguments.add_argument("--keep", action="store_true", help="append the numbers to results/deeppot.jsonl")
    arguments.add_argument("--seconds", type=float, default=20.0, help="of the clock, for each row, backend and allocator")
    arguments.add_argument("--machine", help="the machine in words")
    chosen = arguments.parse_args()
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, duel.Worker(sys.executable, __file__, "--as", "ours") as mine:
        exact = check(mine, chosen.peer, folder)
        for backend in chosen.backends:
            for allocator in chosen.allocators:
                environment = {**duel.ALLOCATORS[allocator], **SINGLE}
                with duel.Worker(chosen.peer, __file__, "--as", "peer", environment=environment) as theirs:
                    turns = {
                        name: {**row, "backend": backend, "folder": folder} for name, row in ROWS.items() if name in chosen.rows
                    }
                    for row, options in turns.items():
                        theirs.prepare(**options)  # writes the model that ours reads
                        for result in duel.duel(
                            {row: options}, ours=mine, peer=theirs, agree=duel.agreement(AS_TIMED), seconds=chosen.seconds
                        ):
                            per = ATOMS[ROWS[row]["case"]]
                            print(
                                f"[{backend}, {allocator}] {result.line(per, 'µs/atom', 1e6)}",
                                dict(result.differences),
                                flush=True,
                            )
                            lines.append(
                                {**result.record(), "name": f"{row}, {backend}", "allocator_of_peer": allocator, "exact": exact,
                                 "peer_versions": theirs.versions("deepmd-kit", "tensorflow-cpu", "torch"),
                                 **rows.circumstances(chosen.machine)}
                            )  # fmt: skip
    if chosen.keep:
        print(rows.append("deeppot.jsonl", lines))


QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_INTRA_OP_PARALLELISM_THREADS": "1", "TF_INTER_OP_PARALLELISM_THREADS": "1"}
QUIET |= {"DP_INTRA_OP_PARALLELISM_THREADS": "1", "DP_INTER_OP_PARALLELISM_THREADS": "1"}
SINGLE = {**QUIET, "DP_INTERFACE_PREC": "low"}


def check(mine: duel.Worker, python: str, folder: str) -> dict[str, float]:
    """That both are one function: float64, with TensorFlow's graph."""
    found: dict[str, float] = {}
    for case, backend in (
        ("water", "TensorFlow"),
        ("angles", "PyTorch"),
    ):  # TensorFlow's se_e3 is 5e-8 off in double precision, too
        options: dict[str, Any] = {"case": case, "precision": "float64", "folder": folder, "backend": backend}
        with duel.Worker(python, __file__, "--as", "peer", environment=QUIET) as theirs:
            theirs.prepare(**options)
            mine.prepare(**options)
            differences = duel.agreement(EXACT)(f"{case}, float64", mine.values(), theirs.values())
        print(f"{case}, float64, largest differences: {differences}", flush=True)
        found = {key: max(found.get(key, 0.0), value) for key, value in differences.items()}
    return found


if __name__ == "__main__":
    if sys.argv[1:] in (["--as", "ours"], ["--as", "peer"]):
        duel.serve(ours if sys.argv[2] == "ours" else peer)
    else:
        main()
