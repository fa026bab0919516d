"""Pair styles of LAMMPS's inputs as LAMMPS evaluates them, alone and in overlays; shifted and cut ones as ASE does."""

from __future__ import annotations

import importlib.metadata
import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential

from adiabat import models
from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.deploy.load import load
from adiabat.graph import Graph
from adiabat.potential import Potential
from adiabat.units import kcal_per_mol
from golden.made_up import COARSE, tables

ROWS = {
    "lj/cut": "Lennard-Jones, lj/cut, a cutoff and numbers a pair",
    "lj/cut, shifted": "Lennard-Jones, lj/cut, shifted",
    "lj/cut, mixed by sixth powers": "Lennard-Jones, lj/cut, mixed by sixth powers",
    "morse": "Morse, morse, a cutoff and numbers a pair",
    "morse, shifted": "Morse, morse, shifted",
    "buck": "Buckingham, buck, a cutoff and numbers a pair",
    "buck, shifted": "Buckingham, buck, shifted",
    "zbl": "ZBL, zbl, switched",
    "zbl and snap": "ZBL and SNAP, hybrid/overlay",
    "eam/alloy and morse": "EAM and Morse, hybrid/overlay",
}
ELEMENTS = ["Ta", "W"]


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests/golden/pair-lammps.json").read_text())


@pytest.fixture(scope="module")
def files(repository):
    """What inputs name beside themselves."""
    snap = json.loads((repository / "tests/golden/snap-lammps.json").read_text())["cases"][0]["files"]
    return {**snap, "x.eam.alloy": tables("x.eam.alloy", **COARSE)}


@pytest.fixture
def imported(golden, files, tmp_path):
    def imported(name, before="", after="", elements=None, **more):
        text = golden["cases"][name]["file"]
        assert before in text
        for file, content in files.items():
            (tmp_path / file).write_text(content)
        (tmp_path / "in.pair").write_text(text.replace(before, after, 1) if before else text)
        if elements is None and not any(word in text for word in ("zbl", "snap", "eam")):
            elements = ELEMENTS
        return import_model(tmp_path / "in.pair", elements=elements, **more)

    return imported


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.compiled)], ids=["", "compiled"])
def test_equal_to_lammps(name, frozen, golden, imported, agrees):
    """Both in double: ZBL's pairs have energies of 10 eV, whose sums and differences leave 1e-14 of it an operation."""
    potential = imported(name)
    evaluated = potential.frozen() if frozen else potential
    for what, wanted in golden["cases"][name]["answers"].items():
        atoms = Atoms(**golden["structures"][what])
        found, n = evaluated(Graph.of(atoms, potential.cutoff)), len(atoms)
        compared = {
            "energy": (found.energy[0] / n, wanted["energy"] / n, 1e-12),
            "forces": (found.forces, wanted["forces"], 1e-11),
        }
        if "stress" in wanted:
            xx, yy, zz, yz, xz, xy = wanted["stress"]
            compared["stress"] = (found.stress[0], [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], 1e-12)
        agrees(ROWS[name] + ", compiled" * frozen, golden["peer"], atoms, potential.cutoff, **compared)
    assert not frozen or len(evaluated.evaluators) == len(potential.terms)


@pytest.mark.parametrize("kind", ["Lennard-Jones, shifted", "Morse, cut"])
def test_equal_to_ase(kind, golden, agrees):
    """ASE's calculators are of one element; Morse's fades out over 1e-9 Å, where no pair is."""
    if kind == "Morse, cut":
        calc = MorsePotential(epsilon=0.7, r0=2.8, rho0=1.4 * 2.8, rcut1=4.4 / 2.8, rcut2=(4.4 + 1e-9) / 2.8)
        model = models.Morse(0.7, 1.4, 2.8, 4.4, ["W"], fade="cut")
    else:
        calc = LennardJones(epsilon=0.3, sigma=2.2, rc=4.5)
        model = models.LennardJones(0.3, 2.2, 4.5, ["W"], fade="shifted")
    potential = Potential(model)
    for case in golden["structures"].values():
        atoms = Atoms(**case)
        atoms.symbols[:] = "W"
        found, n = potential(Graph.of(atoms, potential.cutoff)), len(atoms)
        atoms.calc = calc
        compared = {
            "energy": (found.energy[0] / n, atoms.get_potential_energy() / n, 1e-12),
            "forces": (found.forces, atoms.get_forces(), 1e-12),
        }
        if atoms.pbc.all():
            compared["stress"] = (found.stress[0], atoms.get_stress(voigt=False), 1e-12)
        agrees(kind, f"ASE {importlib.metadata.version('ase')}", atoms, potential.cutoff, **compared)


def test_it_is_saved_and_read_again(golden, imported, tmp_path):
    potential = imported("lj/cut")
    potential.save(tmp_path / "x.adiabat")
    graph = Graph.of(Atoms(**golden["structures"]["skewed"]), potential.cutoff)
    assert torch.equal(load(tmp_path / "x.adiabat")(graph).forces, potential(graph).forces)
    assert potential.metadata["imported"]["from"] == "LAMMPS"


def test_units_are_the_inputs_or_the_callers(golden, imported):
    """Metal stands there; without it they are asked for, and kcal/mol is another word for eV."""
    graph = Graph.of(Atoms(**golden["structures"]["molecule"]), 4.6)
    metal, real = imported("buck")(graph), imported("buck", "units metal", "units real")(graph)
    assert torch.allclose(real.forces, metal.forces * kcal_per_mol, rtol=1e-13, atol=0)
    told = imported("buck", "units metal", "", units={"energy": "eV", "length": "angstrom"})(graph)
    assert torch.equal(told.forces, metal.forces)
    with pytest.raises(ForeignModelError, match="in.pair: says no units; give them"):
        imported("buck", "units metal", "")


def test_elements_of_types_are_the_inputs_or_the_callers(imported, tmp_path):
    assert [it.elements for it in imported("zbl").terms] == [(73, 74)] * 2
    with pytest.raises(ForeignModelError, match=r"in\.pair: pair_coeff of type 2; there are 1 elements, Ta"):
        imported("morse", elements=["Ta"])
    with pytest.raises(ForeignModelError, match=r"in\.pair: its elements are not in the file; name them"):
        import_model(tmp_path / "in.pair")
    with pytest.raises(ForeignModelError, match="it is for Ta, W, elements W, Ta came"):
        imported("zbl and snap", elements=["W", "Ta"])


def test_what_a_hybrid_input_adds_is_what_the_snap_importer_misses(imported, tmp_path, recwarn):
    """LAMMPS's own potentials come with such an input: importing it is importing all."""
    potential = imported("zbl and snap")
    assert [type(term).__name__ for term in potential.terms] == ["ReferenceEnergies", "ZBL", "SNAP"] and not len(recwarn)
    (tmp_path / "in.pair").rename(tmp_path / "x.snap")
    with pytest.warns(UserWarning, match=r"x\.snap adds other terms .* import that file instead"):
        import_model(tmp_path / "x.snapcoeff")


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("lj/cut", "lj/cut", "lj/charmm/coul/long", "pair_style 'lj/charmm/coul/long' is not supported; known are lj/cut"),
        ("lj/cut", "pair_style lj/cut 4.6", "pair_style hybrid lj/cut 4.6", "pair_style 'hybrid' is not supported"),
        ("lj/cut", "0.21 2.3", "0.21", r"pair_coeff 1 1: 1 numbers; lj/cut has epsilon_eV, sigma_angstrom, cutoff"),
        ("lj/cut", "0.21 2.3", "0.21 x", "lj/cut: 'x' is no number"),
        ("lj/cut", "0.21", "${eps}", r"pair_coeff: \$\{eps\} is no variable with one value"),
        ("lj/cut", "pair_coeff 1 1", "pair_coeff A A", "type 'A' is not supported"),
        ("lj/cut", "pair_coeff 2 2", "pair_coeff 3 3", "pair_coeff of type 3; there are 2 elements"),
        ("lj/cut", "lj/cut 4.6", "lj/cut", "'nothing' came; wanted lj/cut cutoff"),
        ("lj/cut", "units metal", "units lj", "units lj is not supported; known are metal, real"),
        ("lj/cut, shifted", "shift yes", "tail yes", "pair_modify tail yes is not supported; known are shift, mix, tail no"),
        ("lj/cut", "pair_style", "kspace_style pppm 1e-4\npair_style", "kspace_style is not supported"),
        ("lj/cut", "pair_style", "include others\npair_style", "include is not supported"),
        ("morse", "pair_coeff 1*2 2", "pair_coeff 2 2", "pair_coeff 1 2 of morse is missing"),
        ("zbl", "2.4 4.2", "4.2 2.4", "wanted 0 < inner < outer"),
        ("zbl", "1 1 73 73", "1 1 73 74", "zbl: wanted the nuclear charge of an element for each type"),
        ("zbl", "1 2 73 74", "1 2 73 72", "zbl: wanted the nuclear charge of an element for each type"),
        ("zbl", "units metal", "units real", "zbl and files are read in units metal alone"),
        ("zbl and snap", "x.snapparam", "y.snapparam", "wanted two files named alike"),
        ("zbl and snap", "snapparam Ta W", "snapparam NULL W", "NULL is not supported"),
        ("zbl and snap", "snapparam Ta W", "snapparam W Ta", "its styles are for different elements: Ta, W; W, Ta"),
        ("zbl and snap", "snapparam Ta W", "snapparam Ta Re", "its styles are for different elements"),
        ("eam/alloy and morse", "x.eam.alloy", "y.eam.alloy", "y.eam.alloy is not beside it"),
        ("eam/alloy and morse", "* * morse", "* * mors", "wanted one of eam/alloy, morse"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(name, before, after, said, imported):
    with pytest.raises(ForeignModelError, match=rf"in\.pair: .*{said}"):
        imported(name, before, after)


def test_overlays_mix_nothing(tmp_path):
    """There LAMMPS leaves a style out for a pair that it is not given for: other physics than mixing, and refused."""
    both = [
        "units metal",
        "pair_style hybrid/overlay lj/cut 4.6 zbl 2 3",
        "pair_coeff 1 1 zbl 73 73",
        "pair_coeff 2 2 zbl 74 74",
    ]
    both += ["pair_coeff 1 1 lj/cut 0.2 2.3", "pair_coeff 2 2 lj/cut 0.3 2.1"]
    (tmp_path / "in.pair").write_text("\n".join(both))
    with pytest.raises(ForeignModelError, match=r"in\.pair: pair_coeff 1 2 of lj/cut is missing"):
        import_model(tmp_path / "in.pair")


def test_pairs_have_numbers_of_their_own_and_say_which():
    own = {"H-O": {"sigma_angstrom": 1.2, "cutoff": 3.0}}
    model = models.LennardJones(0.05, 1.3, 3.5, ["H", "O"], pairs=own)
    alone = models.LennardJones(0.05, 1.2, 3.0, ["H", "O"])
    dimer = Graph.of(Atoms("HO", [[0, 0, 0], [1.1, 0.3, 0.2]]), 3.5)
    assert torch.equal(Potential(model)(dimer).forces, Potential(alone)(dimer).forces)
    assert float(Potential(model)(Graph.of(Atoms("HO", [[0, 0, 0], [3.1, 0, 0]]), 3.5)).energy[0]) == 0
    for pairs, said in (
        ({"H-C": {"cutoff": 1.0}}, "'H-C'.*wanted two of H, O"),
        ({"H-O": {"sigma": 1.0}}, "of epsilon_eV, sigma_angstrom"),
    ):
        with pytest.raises(ValueError, match=said):
            models.LennardJones(elements=["H", "O"], pairs=pairs)
    with pytest.raises(ValueError, match="fade: 'hard' came; wanted smooth, shifted or cut"):
        models.Morse(fade="hard")
    with pytest.raises(ValueError, match="elements are wanted where pairs have numbers of their own"):
        models.Morse(pairs={"H-H": {"cutoff": 1.0}})


def test_the_wall_ends_in_zero_with_slope_and_curvature():
    """LAMMPS's polynomial: three orders vanish, so that energies fall with the cube of what is left."""
    potential = Potential(models.ZBL(inner=1.0, outer=2.0, elements=["W"]))
    energies = [float(potential(Graph.of(Atoms("W2", [[0, 0, 0], [2.0 - x, 0, 0]]), 2.0)).energy[0]) for x in (1e-2, 1e-3, 0.0)]
    assert np.isclose(energies[0] / energies[1], 1e3, rtol=0.1) and energies[2] == 0
