"""Golden values of quippy: SOAP power spectra whole, compressed and mixed, and their slopes along one displacement of all atoms.

Run in the peer's environment (quippy-ase, ase), `make golden-spectra PEER_PYTHON=…`; the tests read what it writes and need no peer.
"""

import importlib.metadata
import json
import lzma
from datetime import date
from pathlib import Path

import numpy as np
from make_gap import structures

SEED = 2  # of the displacement
PARAMETERS = {"cutoff": 3.6, "cutoff_transition_width": 0.8, "n_max": 2, "l_max": 2, "atom_sigma": 0.5}
ELEMENTS = "n_Z=2 Z={29 79} n_species=2 species_Z={29 79}"
WAYS = [
    "",
    "nu_R=1 nu_S=2",
    "R_mix=T Z_mix=T K=3",
    "R_mix=T Z_mix=T K=3 sym_mix=T mix_shift=5",
    "R_mix=T Z_mix=T K=3 sym_mix=T coupling=F",
    "Z_mix=T K=2",
    "Z_mix=T K=2 sym_mix=T coupling=F",
    "R_mix=T K=2 sym_mix=T",
    "R_mix=T K=2 coupling=F",
]


def main() -> None:
    from quippy.descriptors import Descriptor

    told = {"peer": f"quippy-ase {importlib.metadata.version('quippy-ase')}", "date": date.today().isoformat(),
            "seed": SEED, "parameters": PARAMETERS, "answers": {}}  # fmt: skip
    settings = " ".join(f"{key}={value}" for key, value in PARAMETERS.items())
    for what, atoms in structures(["Cu", "Au"]).items():
        step, spectra = np.random.default_rng(SEED).normal(size=atoms.positions.shape), []
        boxed = atoms.copy()
        if not atoms.pbc.all():
            boxed.center(vacuum=8.0, axis=[k for k in range(3) if not atoms.pbc[k]])
            boxed.pbc = True  # QUIP's cells are periodic
        for way in WAYS:
            found = Descriptor(f"soap {settings} {ELEMENTS} {way}").calc(boxed, grad=True)
            assert [*found["ci"]] == [*range(1, len(atoms) + 1)]
            slopes = np.zeros_like(found["data"])
            for (i, j), each in zip(found["grad_index_0based"], found["grad_data"], strict=True):
                slopes[i] += step[j] @ each
            spectra.append({"way": way, "values": rounded(found["data"]), "slopes": rounded(slopes)})
        told["answers"][what] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(), "step": step.tolist(), "spectra": spectra,
        }  # fmt: skip
    content = json.dumps(told, separators=(",", ":")).encode() + b"\n"
    (Path(__file__).parent / "spectra-quip.json.xz").write_bytes(lzma.compress(content, preset=9))


def rounded(x: np.ndarray) -> list[list[float]]:
    return [[float(f"{number:.11g}") for number in row] for row in x]


if __name__ == "__main__":
    main()
