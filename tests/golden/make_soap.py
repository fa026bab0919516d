"""Golden values of dscribe: SOAP power spectra in both of its radial bases; its columns are in the order of ours.

Run in the peer's environment (dscribe, numpy, ase), `make golden-soap PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
from datetime import date
from pathlib import Path

from make_mace import SEED, structures

PARAMETERS = {"r_cut": 3.2, "n_max": 2, "l_max": 3, "sigma": 0.45}
ELEMENTS = ["H", "C", "O", "Si"]


def main() -> None:
    from dscribe.descriptors import SOAP

    told = {
        "peer": f"dscribe {importlib.metadata.version('dscribe')}", "date": date.today().isoformat(), "seed": SEED, "elements": ELEMENTS,
        "parameters": PARAMETERS, "answers": {},
    }  # fmt: skip
    for what, atoms in structures().items():
        case = {
            "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
            "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
        for rbf in ("gto", "polynomial"):
            values = SOAP(species=ELEMENTS, periodic=bool(atoms.pbc.any()), rbf=rbf, **PARAMETERS).create(atoms)
            case[rbf] = [[float(f"{x:.12g}") for x in row] for row in values]
        told["answers"][what] = case
    (Path(__file__).parent / "soap.json").write_text(json.dumps(told, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
