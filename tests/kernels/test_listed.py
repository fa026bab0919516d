"""Free lists of symmetry functions run compiled: every kind, fade, angle, weight and activation equals the reference."""

from __future__ import annotations

import json
import lzma
import math

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from adiabat.deploy.importers import import_model
from adiabat.graph import Graph
from adiabat.kernels import build
from adiabat.kernels.cpp_listed import FADES
from adiabat.models import BPNN
from adiabat.nn import symmetry_list
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.units import bohr, hartree
from kernels.frozen import assert_same_bits, difference

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

CUTOFF = 4.5  # Å


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def functions(fade: str) -> list[dict]:
    """One of every kind under this fade: Gaussians and bumps, angles as powers and as bumps, named neighbors and weighted ones, two
    cutoffs, an inner one."""
    power = {"fade": fade, "gamma": 3.5 if fade == "power" else 0.0}
    inner = {} if fade in ("hard", "tanh", "tanh_bare") else {"inner": 0.2}
    listed = [
        {"kind": "radial", "neighbors": ["Ge"], "cutoff": CUTOFF, "eta": 0.3, "shift": 1.0, **inner},
        {"kind": "radial", "neighbors": ["Si"], "cutoff": 3.1, "eta": 0.0},
        {"kind": "radial", "neighbors": [], "cutoff": CUTOFF, "eta": 0.1},
        {"kind": "wide", "neighbors": ["Ge", "Si"], "cutoff": CUTOFF, "eta": 0.05, "zeta": 1.0, "lambd": -1.0},
        {"kind": "wide", "neighbors": ["Si", "Si"], "cutoff": 3.1, "eta": 0.1, "zeta": 6.0},
        {"kind": "narrow", "neighbors": ["Si", "Ge"], "cutoff": CUTOFF, "eta": 0.02, "zeta": 2.5, "lambd": 0.5, "shift": 0.4},
        {"kind": "narrow", "neighbors": [], "cutoff": 4.0, "eta": 0.02, "zeta": 4.0, **inner},
        {"kind": "narrow", "neighbors": [], "cutoff": 4.0, "eta": 0.02, "zeta": 4.0, "lambd": -1.0, **inner},
    ]
    if fade.startswith(("poly", "exp")):
        listed += [
            {"kind": "radial", "neighbors": ["Si"], "start": 1.0, "cutoff": 4.0},
            {"kind": "radial", "neighbors": [], "start": -4.0, "cutoff": 4.0},
            {"kind": "wide", "neighbors": ["Ge", "Ge"], "start": 0.5, "cutoff": CUTOFF, "angles": [0.2, 2.4]},
            {"kind": "narrow", "neighbors": [], "start": 0.5, "cutoff": 4.0, "angles": [math.pi / 2, 3 * math.pi / 2]},
        ]
    if fade.startswith("poly"):
        listed += [{"kind": "radial", "neighbors": ["Ge"], "start": 0.5, "cutoff": 3.6, "asymmetric": True}]
    return [{**f, **power} for f in listed]


def network(fade: str, **options) -> BPNN:
    """Silicon has the whole list, germanium a shorter one in another order."""
    torch.manual_seed(0)
    all_of_it = functions(fade)
    model = BPNN(functions={"Si": all_of_it, "Ge": all_of_it[5:2:-1]}, elements=["Si", "Ge"], **{"hidden": [9, 6], **options})
    model.mean.normal_(), model.scale.uniform_(0.1, 0.5)
    return model


def graph(cutoff: float = CUTOFF) -> Graph:
    """Crystals, a molecule in which three atoms are in one line, an atom without neighbors; edges beyond the cutoff."""
    crystal = bulk("Si", cubic=True)
    crystal.rattle(0.1, seed=1)
    crystal.numbers[::3] = 32
    line = Atoms("SiGeSiGe", [[0, 0, 0], [2.2, 0, 0], [4.5, 0, 0], [2.2, 1.9, 0.3]])
    return Graph.of([crystal, line, Atoms("Ge"), bulk("Ge")], cutoff, skin=0.6)


@pytest.mark.parametrize("fade", FADES)
def test_every_kind_of_function_equals_the_reference(fade, monkeypatch):
    """Other orders of summation: rounding alone, 1e-16 grown by sums of some thousand terms."""
    potential = Potential(ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(network(fade), 0.7)).double().eval()
    assert difference(potential, graph(), monkeypatch) <= 1e-12


@pytest.mark.parametrize("hidden", [("tanh", "linear"), ("softplus", "logistic"), ("relu", "falling")], ids=" ".join)
def test_activations_equal_the_reference(hidden, monkeypatch):
    model = network("cosine", activations={"Si": [*hidden, "linear"], "Ge": [*hidden[::-1], "linear"]})
    assert difference(Potential(model).double().eval(), graph(), monkeypatch) <= 1e-12


def test_a_network_that_is_not_compiled_runs_by_operations():
    for activations in (["gaussian", "tanh", "linear"], ["tanh", "tanh", "logistic"]):
        assert network("cosine", activations=activations).double().program() is None


def test_float32_follows_the_reference_in_float32(monkeypatch):
    """Rounding of 6e-8 in sums of hundreds of weighted terms on both sides."""
    potential = Potential(Scaled(network("poly2"), 0.7)).float().eval()
    assert difference(potential, graph(), monkeypatch) <= 1e-5


def test_bits_do_not_depend_on_the_number_of_threads():
    atoms = bulk("Si", cubic=True) * (3, 2, 2)
    atoms.rattle(0.1, seed=2)
    assert_same_bits(Potential(network("cosine")).double().eval(), Graph.of(atoms, CUTOFF))


def test_members_with_lists_are_evaluated_together(monkeypatch):
    from adiabat.uncertainty import Committee

    members = []
    for seed in range(3):
        model = network("tanh")
        torch.manual_seed(seed)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        members.append(Potential(model).double().eval())
    committee, g = Committee.of(members), graph()
    found = committee.frozen()(g)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    each = torch.stack([member(g).forces for member in members])
    assert torch.allclose(found.forces, each.mean(0), rtol=0, atol=1e-12 * float(each.abs().max()))


def test_an_asymmetric_bump_ends_at_its_cutoff():
    f = symmetry_list.SymmetryFunction("radial", ("Si",), 3.0, "poly2", start=1.0, asymmetric=True)
    part = symmetry_list._Group([f], [0], [14])
    beyond = torch.tensor([0.5, 0.9, 3.1, 4.0, 7.0], dtype=torch.float64)
    assert float(part.R(beyond).abs().max()) == 0


@pytest.mark.parametrize("name", ["Cu2S_PBE", "DMABN_SCAN", "H2O_RPBE-D3"])
def test_folders_of_n2p2_run_compiled_and_are_n2p2s(name, data_folder):
    """The values n2p2's own tests want, kept to 17 digits: what is left is rounding, as where the importer is tested."""
    folder = data_folder / "reference_n2p2" / name
    potential = import_model(folder, units={"energy": "hartree", "length": "bohr"} if name == "DMABN_SCAN" else None)
    eV, angstrom = (1.0, 1.0) if name == "Cu2S_PBE" else (hartree, bohr)
    rows = [line.split() for line in _text(folder / "input.data").splitlines()]
    vectors = {
        kind: [[float(x) * angstrom for x in row[1:4]] for row in rows if row[0] == kind] for kind in ("lattice", "atom")
    }
    symbols = [row[4] for row in rows if row[0] == "atom"]
    atoms = Atoms(symbols, vectors["atom"], cell=vectors["lattice"] or None, pbc=bool(vectors["lattice"]))
    frozen = potential.frozen()
    found, wanted = frozen(Graph.of(atoms, potential.cutoff, skin=0.3)), json.loads(_text(folder / "expected.json"))
    assert len(frozen.evaluators) == len(potential.terms)
    assert math.isclose(float(found.energy[0]), wanted["energy"] * eV, rel_tol=1e-13)  # a sum of up to 1,080 atoms' energies
    forces = torch.tensor(wanted["forces"], dtype=torch.float64) * (eV / angstrom)
    assert torch.allclose(found.forces, forces, rtol=0, atol=1e-11)


def _text(path) -> str:
    if path.exists():
        return path.read_text()
    with lzma.open(path.with_name(path.name + ".xz"), "rt") as file:
        return file.read()


def test_a_molecule_in_one_call():
    model = network("cosine")
    atoms = molecule("Si2H6")
    atoms.numbers[atoms.numbers == 1] = 32
    frozen = Potential(model).double().eval().frozen()
    assert frozen(Graph.of(atoms, CUTOFF)).forces.abs().sum(0).max() > 0
    assert float(frozen(Graph.of(atoms, CUTOFF)).forces.sum(0).abs().max()) < 1e-12
