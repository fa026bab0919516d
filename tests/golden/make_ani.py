"""Golden values of torchani: two tiny models with random weights, as extracted arrays, and their answers on several structures.

Run in the peer's environment, `make golden-ani PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
from datetime import date
from pathlib import Path

from make_mace import SEED, structures

HERE = Path(__file__).parent
AEV = {
    "elements": ["H", "C", "O", "Si"], "cutoff": 4.3, "angular_cutoff": 3.1, "radial": [0.75, 1.75, 2.75], "shells": [0.75, 2.0],
    "sections": [0.5, 1.5, 2.5], "eta": 7.25, "angular_eta": 6.5, "zeta": 14.0,
}  # fmt: skip
SELF_ENERGIES = {"H": -0.499321, "C": -37.83383, "O": -74.94639, "Si": -289.03}


def models():
    """An ensemble in the manner of ANI-2x, and a network in that of ANI-2xr; elements out of order, layers of their own.

    Their celu is written through elu: the same function, but torch rounds the derivative of its celu to single precision.
    """
    import torch
    from torchani.aev import AEVComputer, ANIAngular, ANIRadial
    from torchani.arch import ANI
    from torchani.nn import ANINetworks, Ensemble, TightCELU
    from torchani.sae import SelfEnergy

    TightCELU.forward = lambda self, x: 0.1 * torch.nn.functional.elu(10 * x)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(SEED)
    symbols = ("O", "H", "Si", "C")

    def made(members: int, dims: dict, fade: str, activation: str, bias: bool, **angular):
        aev = AEVComputer(
            ANIRadial.cover_linearly(start=0.8, cutoff=4.3, eta=7.3, num_shifts=5, cutoff_fn=fade),
            ANIAngular.cover_linearly(start=0.7, cutoff=3.1, **angular, cutoff_fn=fade), num_species=len(symbols),
        )  # fmt: skip
        networks = [ANINetworks.build(symbols, aev.out_dim, dims, activation=activation, bias=bias) for _ in range(members)]
        energies = SelfEnergy(symbols, [SELF_ENERGIES[s] for s in symbols])
        return ANI(symbols, aev, networks[0] if members == 1 else Ensemble(networks), energies).double()

    yield "ensemble", made(
        2, {"O": (4, 3), "H": (5,), "Si": (3, 3), "C": (4, 4, 2)}, "cosine", "celu", True,
        eta=6.1, zeta=14.1, num_shifts=2, num_sections=3,
    )  # fmt: skip
    yield (
        "smooth",
        made(1, dict.fromkeys(symbols, (5, 3)), "smooth", "gelu", False, eta=5.2, zeta=8.0, num_shifts=3, num_sections=2),
    )


def vectors(atoms) -> list[list[float]]:
    """Every atom's environment vector."""
    import torch
    from torchani.aev import AEVComputer, ANIAngular, ANIRadial

    kinds = torch.tensor([[AEV["elements"].index(s) for s in atoms.get_chemical_symbols()]])
    computer = AEVComputer(
        ANIRadial(AEV["eta"], AEV["radial"], AEV["cutoff"], "cosine"),
        ANIAngular(AEV["angular_eta"], AEV["zeta"], AEV["shells"], AEV["sections"], AEV["angular_cutoff"], "cosine"),
        num_species=len(AEV["elements"]),
    ).double()  # fmt: skip
    periodic = bool(atoms.pbc.any())
    cell = torch.tensor(atoms.cell.array) if periodic else None
    found = computer(kinds, torch.tensor(atoms.positions)[None], cell, torch.tensor(atoms.pbc) if periodic else None)
    return [[float(f"{x:.13g}") for x in row] for row in found[0].tolist()]


def main() -> None:
    import torch

    from adiabat.deploy.importers.ani_extract import extract

    version = importlib.metadata.version("torchani")
    told = {
        "peer": f"torchani {version}", "torch": torch.__version__, "date": date.today().isoformat(),
        "seed": SEED, "units": "eV, Å; stress eV/Å³, Voigt as in ASE", "aev": AEV, "answers": {},
    }  # fmt: skip
    for name, model in models():
        extract(model, version).save(HERE / f"ani-{name}.npz")
        calculator = model.ase()
        for what, atoms in structures().items():
            periodic = bool(atoms.pbc.all())
            calculator.calculate(atoms, ["energy", "forces", *(["stress"] if periodic else [])])
            found = calculator.results
            told["answers"].setdefault(what, {
                "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
                "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(),
            })[name] = {
                "energy": float(found["energy"]), "forces": found["forces"].reshape(-1, 3).tolist(),
                "stress": found["stress"].ravel()[[0, 4, 8, 5, 2, 1]].tolist() if periodic else None,
            }  # fmt: skip
    for what, atoms in structures().items():
        told["answers"][what]["aev"] = vectors(atoms)
    (HERE / "ani.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
