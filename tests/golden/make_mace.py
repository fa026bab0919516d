"""Golden values of mace-torch: four tiny models with random weights, as extracted arrays, and their answers on several structures.

Run in the peer's environment, `make golden-mace PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SEED = 0


def models():
    """Both interaction blocks, both radial transforms, elements out of order, several radial shapes; all weights are random."""
    import torch
    from e3nn import o3
    from mace import modules

    residual = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    common = {
        "interaction_cls": residual, "MLP_irreps": o3.Irreps("6x0e"), "gate": torch.nn.functional.silu, "num_bessel": 5,
        "num_elements": 4, "atomic_numbers": [1, 6, 8, 14], "atomic_energies": np.array([-13.6, -1029.0, -2042.5, -7881.25]),
    }  # fmt: skip
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(SEED)
    yield "residual", modules.ScaleShiftMACE(
        r_max=3.5, num_polynomial_cutoff=5, max_ell=2, interaction_cls_first=residual, num_interactions=2, correlation=3,
        hidden_irreps=o3.Irreps("4x0e+4x1o"), radial_MLP=[8, 8], avg_num_neighbors=7.3,
        atomic_inter_scale=0.8, atomic_inter_shift=-0.3, **common,
    )  # fmt: skip
    yield "plain", modules.MACE(
        r_max=4.0, num_polynomial_cutoff=6, max_ell=3, correlation=2, num_interactions=3, radial_MLP=[6], avg_num_neighbors=12.1,
        interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
        hidden_irreps=o3.Irreps("3x0e+3x1o+3x2e"), **common,
    )  # fmt: skip
    for transform in ("Agnesi", "Soft"):
        yield transform.lower(), modules.ScaleShiftMACE(
            r_max=3.8, num_polynomial_cutoff=5, max_ell=2, interaction_cls_first=residual, num_interactions=2, correlation=2,
            hidden_irreps=o3.Irreps("4x0e+4x1o"), radial_MLP=[8], avg_num_neighbors=6.1, distance_transform=transform,
            atomic_inter_scale=0.7, atomic_inter_shift=0.1, **common,
        )  # fmt: skip


def structures():
    from ase import Atoms
    from ase.build import bulk, fcc111, molecule

    rng = np.random.default_rng(SEED)
    skewed = Atoms("SiCOH", [[0, 0, 0], [1.4, 0.1, 0.9], [0.2, 1.5, 2.1], [1.7, 1.6, 0.1]], pbc=True,
                   cell=[[2.9, 0, 0], [1.1, 2.8, 0], [-0.7, 0.9, 3.1]])  # fmt: skip
    slab = fcc111("Si", (2, 2, 2), a=4.2, vacuum=6.0)
    slab.append("O")
    slab.positions[-1] = slab.positions[:-1].max(0) * [0.3, 0.3, 1] + [0, 0, 1.6]
    some = {
        "molecule": molecule("CH3CH2OH"),
        "skewed cell, smaller than the cutoff": skewed,
        "slab": slab,
        "crystal": bulk("SiC", "zincblende", 4.36),
    }
    for atoms in some.values():
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    return {**some, "isolated atom": Atoms("O")}


def main() -> None:
    import torch
    from mace.calculators import MACECalculator

    told = {
        "peer": f"mace-torch {importlib.metadata.version('mace-torch')}", "torch": torch.__version__, "date": date.today().isoformat(),
        "seed": SEED, "units": "eV, Å; stress eV/Å³, Voigt as in ASE", "answers": {},
    }  # fmt: skip
    from adiabat.deploy.importers.mace_extract import extract

    for name, model in models():
        extract(model, importlib.metadata.version("mace-torch")).save(HERE / f"mace-{name}.npz")
        calculator = MACECalculator(models=[model], device="cpu", default_dtype="float64")
        for what, atoms in structures().items():
            atoms.calc = calculator
            told["answers"].setdefault(what, {
                "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
                "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(),
            })[name] = {
                "energy": float(atoms.get_potential_energy()), "forces": atoms.get_forces().tolist(),
                "stress": atoms.get_stress().tolist() if atoms.pbc.all() else None,
            }  # fmt: skip
    (HERE / "mace.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
