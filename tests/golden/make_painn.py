"""Golden values of schnetpack: two tiny PaiNNs with random weights, as extracted arrays, and their answers on several structures.

Run in the peer's environment, `make golden-painn PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
from datetime import date
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from make_mace import SEED, structures

HERE = Path(__file__).parent
CUTOFF, ELEMENTS = 4.0, ["H", "C", "O", "Si"]


def models():
    """Both radial bases, one with shared interactions; biases are random, too, which schnetpack begins with zeros."""
    import schnetpack as spk
    import torch

    torch.manual_seed(SEED)
    for name, radial, shared in (("gaussians", spk.nn.GaussianRBF, False), ("bessel", spk.nn.BesselRBF, True)):
        model = spk.model.NeuralNetworkPotential(
            representation=spk.representation.PaiNN(
                n_atom_basis=4, n_interactions=2, radial_basis=radial(n_rbf=5, cutoff=CUTOFF), cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
                shared_interactions=shared, nuclear_embedding=torch.nn.Embedding(15, 4, padding_idx=0),
            ),
            input_modules=[spk.atomistic.Strain(), spk.atomistic.PairwiseDistances()],
            output_modules=[spk.atomistic.Atomwise(n_in=4, output_key="energy"), spk.atomistic.Forces(calc_stress=True)],
        )  # fmt: skip
        for key, value in model.named_parameters():
            if key.endswith("bias"):
                torch.nn.init.normal_(value, std=0.2)
        model = model.double().eval()
        buffers = dict(model.representation.radial_basis.named_buffers())  # schnetpack rounds them to single precision
        exact = {
            "offsets": torch.arange(5.0) * CUTOFF / 4,
            "widths": torch.full((5,), CUTOFF / 4),
            "freqs": torch.arange(1, 6, dtype=torch.float64) * (np.pi / CUTOFF),
        }
        for key, value in buffers.items():
            value.copy_(exact[key])
        yield name, model


def answers(model, atoms: Atoms) -> dict:
    import torch

    i, j, shifts = neighbor_list("ijS", atoms, CUTOFF)
    cell = atoms.cell.array if atoms.pbc.any() else np.eye(3)
    inputs = {
        "_atomic_numbers": torch.tensor(atoms.numbers), "_positions": torch.tensor(atoms.positions), "_cell": torch.tensor(cell)[None],
        "_pbc": torch.tensor(atoms.pbc), "_idx_i": torch.tensor(i), "_idx_j": torch.tensor(j), "_n_atoms": torch.tensor([len(atoms)]),
        "_idx_m": torch.zeros(len(atoms), dtype=torch.long), "_offsets": torch.tensor(shifts @ cell, dtype=torch.float64).reshape(-1, 3),
    }  # fmt: skip
    found = model(inputs)
    told = {"energy": found["energy"].item(), "forces": found["forces"].tolist(), "stress": None}
    return {**told, "stress": found["stress"].reshape(3, 3).tolist()} if atoms.pbc.all() else told


def main() -> None:
    import torch

    from adiabat.deploy.importers.schnetpack_extract import extract

    version = importlib.metadata.version("schnetpack")
    told = {
        "peer": f"schnetpack {version}", "torch": torch.__version__, "date": date.today().isoformat(), "seed": SEED,
        "units": "eV, Å; stress eV/Å³", "answers": {},
    }  # fmt: skip
    for name, model in models():
        extract(model, version, Path(name), ELEMENTS).save(HERE / f"painn-{name}.npz")
        for what, atoms in structures().items():
            told["answers"].setdefault(what, {
                "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
                "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(),
            })[name] = answers(model, atoms)  # fmt: skip
    (HERE / "painn.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
