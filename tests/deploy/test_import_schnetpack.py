"""PaiNN from schnetpack: the golden numbers are its own, of version 2.2.0 in float64 (radial buffers too), with random weights."""

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

FILE = Path(__file__).parents[1] / "golden/painn-schnetpack-2.2.0.npz"


@pytest.fixture(params=["gaussians", "bessel"])
def golden(request):
    known = read(FILE)
    return {k.removeprefix(request.param + "/"): v for k, v in known.items() if k.startswith(request.param) or "/" not in k}


def parts(golden):
    answers = {"positions", "numbers", "energy", "forces"}
    atoms = Atoms(golden["numbers"].numpy(), golden["positions"].numpy())
    return {k: v for k, v in golden.items() if k not in answers}, atoms


def test_it_is_the_same_function(golden, request, agrees):
    numbers, atoms = parts(golden)
    potential = painn(numbers, ["H", "C", "O"], intervals=2048)
    mine = potential(Graph.of(atoms, potential.cutoff))
    # what is left is the splines': 1e-3 Å between knots, errors of h⁴ and h³
    agrees(
        f"PaiNN, {request.node.callspec.params['golden']}",
        "schnetpack 2.2.0",
        atoms,
        potential.cutoff,
        energy=(mine.energy / len(atoms), golden["energy"].reshape(1) / len(atoms), 1e-9),
        forces=(mine.forces, golden["forces"], 1e-8),
    )


def test_the_splines_error_falls_with_their_intervals(golden):
    numbers, atoms = parts(golden)
    errors = []
    for intervals in (64, 512):
        potential = painn(numbers, ["H", "C", "O"], intervals=intervals)
        errors.append(float(abs(potential(Graph.of(atoms, potential.cutoff)).forces - golden["forces"]).max()))
    assert errors[1] < errors[0] / 100  # a derivative loses one power: 8³, less where a pair sits well between knots


def test_a_lone_atom_keeps_its_energy(golden):
    """schnetpack leaves it in the network: far atoms must add to what it says of the molecule."""
    numbers, _ = parts(golden)
    potential = painn(numbers, ["H", "C", "O"])
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
        painn(numbers, ["H", "C", "O"])


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "model.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        read(tmp_path / "model.npz")


def extracted(golden) -> Extracted:
    """The golden numbers in the form that schnetpack's own environment writes, with its own answers."""
    numbers, atoms = parts(golden)
    arrays = {f"state.{k}": v.numpy() for k, v in numbers.items()}
    arrays |= {"numbers": np.array([1, 6, 8]), "E0": np.array([-13.6, -1030.0, -2040.0])}
    shift = sum({1: -13.6, 6: -1030.0, 8: -2040.0}[z] for z in atoms.numbers)
    answers = {"numbers": atoms.numbers, "positions": atoms.positions, "energy": float(golden["energy"]) + shift,
               "forces": golden["forces"].numpy()}  # fmt: skip
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
