"""Golden values of dscribe: symmetry functions of several structures; its columns are in the order of ours.

Run in the peer's environment (dscribe, numpy, ase), `make golden-acsf PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
from datetime import date
from pathlib import Path

from make_mace import SEED, structures

PARAMETERS = {
    "r_cut": 4.0,
    "g2_params": [[1.0, 0.0], [3.5, 1.4]],
    "g3_params": [0.7, 2.1],
    "g4_params": [[0.05, 1.0, 1.0], [0.2, 4.0, -1.0]],
    "g5_params": [[0.1, 2.0, 1.0]],
}
ELEMENTS = ["H", "C", "O", "Si"]


def main() -> None:
    from dscribe.descriptors import ACSF

    told = {
        "peer": f"dscribe {importlib.metadata.version('dscribe')}", "date": date.today().isoformat(), "seed": SEED, "elements": ELEMENTS,
        "parameters": PARAMETERS, "answers": {},
    }  # fmt: skip
    for what, atoms in structures().items():
        periodic = bool(atoms.pbc.any())
        found = ACSF(species=ELEMENTS, periodic=periodic, **PARAMETERS)
        values = found.create(atoms)
        told["answers"][what] = {
            "numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(),
            "cell": atoms.cell.tolist(), "pbc": atoms.pbc.tolist(), "values": values.tolist(),
        }  # fmt: skip
    (Path(__file__).parent / "acsf.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
