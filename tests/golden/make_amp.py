"""A made-up potential of Amp, its text and its answers, by Amp's own Python (no Fortran): `make golden-amp PEER_PYTHON=…`.

python make_amp.py OUT.json       (needs: amp-atomistics 1.0.1 importable, its Fortran not needed; numpy < 2, ase, scipy, pyzmq, pexpect)
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

import amp
import ase
import numpy as np
from amp import Amp
from amp.descriptor.cutoffs import Cosine
from amp.descriptor.gaussian import Gaussian, make_symmetry_functions
from amp.model.neuralnetwork import NeuralNetwork
from make_mace import structures

ELEMENTS = ["O", "Si"]
SEED = 4


def potential(activation: str) -> Amp:
    rng = np.random.default_rng(SEED)
    functions = {
        s: make_symmetry_functions(elements=ELEMENTS, type="G2", etas=[0.5, 14.0][: 2 - (s == "O")], offsets=[0.0, 1.5])
        + make_symmetry_functions(elements=ELEMENTS, type="G4", etas=[0.1], zetas=[1.0, 4.0], gammas=[1.0, -1.0])
        + make_symmetry_functions(elements=ELEMENTS, type="G5", etas=[0.2], zetas=[2.5], gammas=[1.0, -1.0])
        for s in ELEMENTS
    }
    layers = {"O": (5, 4), "Si": (6,)}
    weights, ranges = {}, {}
    for s in ELEMENTS:
        n = len(functions[s])
        sizes = [n, *layers[s], 1]
        weights[s] = {t + 1: (0.5 * rng.normal(size=(a + 1, b))).tolist() for t, (a, b) in enumerate(zip(sizes, sizes[1:]))}
        low = rng.uniform(0, 0.3, n)
        ranges[s] = np.stack([low, low + rng.uniform(1, 9, n)], 1).tolist()
        ranges[s][1] = [0.25, 0.25]  # a function that never changed is not scaled
    scalings = {"O": {"slope": 1.7, "intercept": -2.5}, "Si": {"slope": -0.6, "intercept": 0.3}}
    return Amp(
        descriptor=Gaussian(elements=ELEMENTS, Gs=functions, cutoff=Cosine(4.3), fortran=False),
        model=NeuralNetwork(
            hiddenlayers=layers, activation=activation, weights=weights, scalings=scalings, fprange=ranges, mode="atom-centered",
            fortran=False,
        ),
        cores=1, label="scratch",
    )  # fmt: skip


def main(out: str) -> None:
    out = os.path.abspath(out)
    version = (Path(amp.__file__).parent / "VERSION").read_text().strip()
    told = {
        "peer": f"amp-atomistics {version}, ase {ase.__version__}, numpy {importlib.metadata.version('numpy')}",
        "date": date.today().isoformat(), "seed": SEED, "units": "eV, Å", "structures": {}, "cases": [],
    }  # fmt: skip
    some = structures()
    for name, atoms in some.items():
        atoms.symbols[[s not in ("C", "Si") for s in atoms.symbols]] = "O"
        atoms.symbols[atoms.numbers == 6] = "Si"
        told["structures"][name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.tolist(), "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for activation in ("tanh", "sigmoid"):
            it = potential(activation)
            it.save("x.amp", overwrite=True)
            answers = {}
            for name, atoms in some.items():
                atoms.calc = it
                answers[name] = {"energy": atoms.get_potential_energy(), "forces": np.array(atoms.get_forces()).tolist()}
            told["cases"].append({"text": Path("x.amp").read_text(), "answers": answers})
    Path(out).write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
