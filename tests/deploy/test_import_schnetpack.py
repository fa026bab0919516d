"""PaiNN from schnetpack: the golden numbers are its own, in float64 (radial buffers too), with random weights."""

import json
from pathlib import Path

import ase.units
import numpy as np
import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError
from adiabat.deploy.importers.schnetpack import painn, read
from adiabat.graph import Graph

GOLDEN = Path(__file__).parents[1] / "golden"
TOLD = json.loads((GOLDEN / "painn.json").read_text())
ELEMENTS = ["H", "C", "O", "Si"]


@pytest.fixture(params=["gaussians", "bessel"])
def golden(request):
    """The state of a model, and its answers on the molecule."""
    known = Extracted.read(GOLDEN / f"painn-{request.param}.npz")
    case = TOLD["answers"]["molecule"]
    answers = {**case[request.param], "numbers": case["numbers"], "positions": case["positions"]}
    told = {
        k: torch.tensor(answers[k], dtype=None if k == "numbers" else torch.float64)
        for k in ("energy", "forces", "numbers", "positions")
    }
    return {
        **{k.removeprefix("state."): torch.from_numpy(v) for k, v in known.arrays.items() if k.startswith("state.")},
        **told,
    }


def parts(golden):
    answers = {"positions", "numbers", "energy", "forces"}
    atoms = Atoms(golden["numbers"].numpy(), golden["positions"].numpy())
    return {k: v for k, v in golden.items() if k not in answers}, atoms


@pytest.mark.parametrize("name", ["gaussians", "bessel"])
def test_it_is_the_peers_function(name, agrees):
    """What is left is the splines': 5e-4 Å between knots, errors of h⁴ and h³."""
    potential = ad.import_model(GOLDEN / f"painn-{name}.npz", units={"energy": "eV"})
    for case in TOLD["answers"].values():
        atoms, wanted = Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"]), case[name]
        found, n = potential(Graph.of(atoms, potential.cutoff)), len(atoms)
        compared = {
            "energy": (found.energy[0] / n, wanted["energy"] / n, 1e-9),
            "forces": (found.forces, wanted["forces"], 1e-8),
        }
        if wanted["stress"] is not None:
            compared["stress"] = (found.stress[0], wanted["stress"], 1e-9)
        agrees(f"PaiNN, {name}", TOLD["peer"], atoms, potential.cutoff, **compared)


def test_the_splines_error_falls_with_their_intervals(golden):
    numbers, atoms = parts(golden)
    errors = []
    for intervals in (64, 512):
        potential = painn(numbers, ELEMENTS, intervals=intervals)
        errors.append(float(abs(potential(Graph.of(atoms, potential.cutoff)).forces - golden["forces"]).max()))
    assert errors[1] < errors[0] / 100  # a derivative loses one power: 8³, less where a pair sits well between knots


def test_a_lone_atom_keeps_its_energy(golden):
    """schnetpack leaves it in the network: far atoms must add to what it says of the molecule."""
    numbers, _ = parts(golden)
    potential = painn(numbers, ELEMENTS)
    alone = [float(potential(Graph.of(Atoms(s), potential.cutoff)).energy) for s in ("H", "O")]
    far = float(potential(Graph.of(Atoms("HO", [[0, 0, 0], [0, 0, 9]]), potential.cutoff)).energy)
    assert abs(far - sum(alone)) < 1e-12 and min(map(abs, alone)) > 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"representation.cutoff_fn.cutoff": None}, "not the numbers of a schnetpack PaiNN"),
        ({"representation.electronic_embeddings.0.weight": torch.ones(3)}, "no counterpart"),
        ({"output_modules.0.outnet.1.bias": None}, "readout of two layers"),
    ],
)
def test_what_is_not_known_is_refused(golden, change, words):
    numbers, _ = parts(golden)
    numbers = {k: v for k, v in {**numbers, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=words):
        painn(numbers, ELEMENTS)


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "model.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        read(tmp_path / "model.npz")


def extracted(golden) -> Extracted:
    """The golden numbers in the form that schnetpack's own environment writes, single atoms' energies and its own answers with them."""
    numbers, atoms = parts(golden)
    E0 = {1: -13.6, 6: -1030.0, 8: -2040.0, 14: -7880.0}
    arrays = {f"state.{k}": v.numpy() for k, v in numbers.items()}
    arrays |= {"numbers": np.array([*E0]), "E0": np.array([*E0.values()])}
    answers = {"numbers": atoms.numbers, "positions": atoms.positions, "forces": golden["forces"].numpy(),
               "energy": float(golden["energy"]) + sum(E0[z] for z in atoms.numbers)}  # fmt: skip
    return Extracted(
        "schnetpack 2.2.0", {"representation": "PaiNN"}, arrays | {f"check.{k}": np.array([v]) for k, v in answers.items()}
    )


def test_an_extracted_model_is_imported_and_compared(golden, tmp_path):
    extracted(golden).save(tmp_path / "m.npz")
    potential = ad.import_model(tmp_path / "m.npz", intervals=2048)
    told = potential.metadata["imported"]
    assert told["from"] == "schnetpack 2.2.0"
    assert told["energy_eV_per_atom"] < 1e-9 and told["force_eV_per_A"] < 1e-8


def test_a_model_in_other_units_says_so(golden, tmp_path):
    """The model does not tell: without a word it is taken for eV, with a warning; in kcal/mol every energy and force is smaller."""
    extracted(golden).save(tmp_path / "m.npz")
    _, atoms = parts(golden)
    with pytest.warns(
        UserWarning, match="do not tell their units; this one is taken for eV and Å.*--energy-unit kcal/mol"
    ) as said:
        in_eV = ad.import_model(tmp_path / "m.npz", intervals=512)
    assert {one.filename for one in said} == {__file__}, "it points to the line that asked"
    potential = ad.import_model(tmp_path / "m.npz", intervals=512, units={"energy": "kcal/mol"})
    one, other = (it(ad.Graph.of(atoms, it.cutoff)) for it in (in_eV, potential))
    assert torch.allclose(other.forces, one.forces * ase.units.kcal / ase.units.mol, rtol=1e-7)
    assert torch.allclose(other.energy, one.energy * ase.units.kcal / ase.units.mol, rtol=1e-7)  # ASE's CODATA is of 2014
    assert potential.metadata["imported"]["energy_eV_per_atom"] < 1e-6
    for units, said in (
        ({"energy": "kcal"}, "unit 'kcal' is unknown"),
        ({"length": "bohr"}, "length unit bohr is not supported"),
    ):
        with pytest.raises(ForeignModelError, match=said):
            ad.import_model(tmp_path / "m.npz", intervals=512, units=units)


def test_a_misread_model_is_noticed(golden, tmp_path):
    found = extracted(golden)
    found.arrays["state.representation.embedding.weight"][8] *= -1
    found.save(tmp_path / "m.npz")
    with pytest.raises(ForeignModelError, match="forces differ from schnetpack 2"):
        ad.import_model(tmp_path / "m.npz", intervals=64)
