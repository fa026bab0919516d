"""Numbers of DeePMD-kit's PyTorch models with made-up weights; `make golden-deeppot` runs it where DeePMD-kit is.

python make_deeppot.py OUT.json.xz         (needs: deepmd-kit, torch, ase, numpy)
"""

from __future__ import annotations

import json
import lzma
import sys
import types
from datetime import date
from typing import Any

import numpy as np
from ase import Atoms

# The wheel's own operators may be built for another torch; models of Python do without them.
stub = types.ModuleType("deepmd.pt.cxx_op")
stub.ENABLE_CUSTOMIZED_OP = False  # type: ignore[attr-defined]
sys.modules["deepmd.pt.cxx_op"] = stub

SEED = 11
TWO = {
    "rcut": 4.0,
    "rcut_smth": 1.1,
    "sel": [28, 40],
    "neuron": [4, 8, 16],
    "axis_neuron": 3,
    "precision": "float64",
    "seed": 1,
}
THREE = {
    "type": "se_e3",
    "rcut": 3.3,
    "rcut_smth": 0.5,
    "sel": [20, 28],
    "neuron": [2, 4, 8],
    "precision": "float64",
    "seed": 2,
}
FITTING = {"neuron": [9, 9, 18], "precision": "float64", "seed": 3}
DESCRIPTORS: dict[str, dict[str, Any]] = {
    "se_e2_a": {**TWO, "type": "se_e2_a", "type_one_side": False},
    "se_e2_a, one side": {**TWO, "type": "se_e2_a", "type_one_side": True, "resnet_dt": True, "activation_function": "gelu"},
    "se_e2_r": {k: v for k, v in TWO.items() if k != "axis_neuron"} | {"type": "se_e2_r", "type_one_side": True},
    "se_e3": THREE,
    "hybrid": {"type": "hybrid", "list": [{**TWO, "type": "se_e2_a", "rcut": 3.3, "neuron": [8, 8]}, {**THREE, "resnet_dt": True}]},
}  # fmt: skip


def structures() -> dict[str, Atoms]:
    """A skewed cell, a cell smaller than the cutoff, a slab, a molecule, an isolated atom of each element."""
    rng = np.random.default_rng(SEED)

    def scattered(cell, within, n, pbc):
        atoms = Atoms(cell=cell, pbc=pbc)
        while len(atoms) < n:
            trial = atoms + Atoms("O" if rng.random() < 0.4 else "H", [rng.random(3) @ np.array(within)])
            if len(trial) == 1 or trial.get_all_distances(mic=pbc)[-1, :-1].min() > 0.9:
                atoms = trial
        return atoms

    skewed = [[5.5, 0, 0], [1.5, 5.0, 0], [-0.9, 1.1, 4.7]]
    small = Atoms(
        "OHH", [[0, 0, 0], [0.8, 0.7, 0.1], [1.6, 1.5, 1.7]], cell=[[2.9, 0, 0], [0.3, 3.0, 0], [0.2, 0.1, 3.1]], pbc=True
    )
    slab = scattered(np.diag([5.0, 5.5, 20.0]), np.diag([5.0, 5.5, 4.0]), 9, True)  # all or nothing is periodic there
    return {
        "skewed": scattered(skewed, skewed, 10, True), "small": small, "slab": slab,
        "molecule": scattered(np.zeros((3, 3)), np.diag([3.5, 3.5, 3.5]), 6, False),
        "oxygen": Atoms("O"), "hydrogen": Atoms("H"),
    }  # fmt: skip


def made_up(descriptor: dict[str, Any]) -> dict[str, Any]:
    """A serialized model whose statistics and energies are neither zeros nor ones."""
    from deepmd.pt.model.model import get_model

    data = get_model({"type_map": ["O", "H"], "descriptor": descriptor, "fitting_net": FITTING}).serialize()
    rng = np.random.default_rng(5)
    parts = data["descriptor"].get("list", [data["descriptor"]])
    for part in parts:
        mean, spread = part["@variables"]["davg"], part["@variables"]["dstd"]
        mean[..., 0] = rng.uniform(0.05, 0.2, len(mean))[:, None]
        spread[..., 0] = rng.uniform(0.2, 0.4, len(mean))[:, None]
        spread[..., 1:] = rng.uniform(0.2, 0.4, len(mean))[:, None, None]
    data["@variables"]["out_bias"] = np.array([[[-430.5], [-13.25]]])
    data["fitting"]["@variables"]["bias_atom_e"] = rng.normal(size=(2, 1))
    for network in data["fitting"]["nets"]["networks"]:  # forces of about 1 eV/Å
        network["layers"][-1]["@variables"]["w"] *= 30
    return data


def answers(data: dict[str, Any]) -> dict[str, Any]:
    import torch
    from deepmd.pt.model.model import EnergyModel

    model, found = EnergyModel.deserialize(data), {}
    for name, atoms in structures().items():
        told = model(
            torch.tensor(atoms.positions)[None],
            torch.tensor([["O", "H"].index(s) for s in atoms.symbols])[None],
            box=torch.tensor(atoms.cell.array).reshape(1, 9) if atoms.pbc.all() else None,
        )
        found[name] = {"energy": told["energy"].item(), "forces": told["force"][0].tolist()}
        if atoms.pbc.all():
            found[name]["virial"] = told["virial"].reshape(3, 3).tolist()  # −∂E/∂ε
    return found


def plain(data: Any) -> Any:
    """Arrays as DeePMD-kit writes them into a .yaml model."""
    if isinstance(data, np.ndarray):
        return {
            "@class": "np.ndarray", "@is_variable": True, "@version": 1, "dtype": data.dtype.name, "value": data.tolist(),
        }  # fmt: skip
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list | tuple) else data


def main(out: str) -> None:
    import deepmd
    import torch

    torch.manual_seed(0)
    told: dict[str, Any] = {
        "peer": f"deepmd-kit {deepmd.__version__}, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "seed": SEED,
    }
    told["structures"] = {
        name: {"symbols": str(atoms.symbols), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist()}
        for name, atoms in structures().items()
    }  # fmt: skip
    told["cases"] = {}
    for name, descriptor in DESCRIPTORS.items():
        data = made_up(dict(descriptor))
        file = {"software": "deepmd-kit", "version": deepmd.__version__, "backend": "PyTorch", "model": plain(data)}
        told["cases"][name] = {"file": file, "answers": answers(data)}
    with lzma.open(out, "wt") as text:
        json.dump(told, text)


if __name__ == "__main__":
    main(sys.argv[1])
