"""The evaluator equals the potential it was made from, and refuses what it cannot survive."""

from __future__ import annotations

import copy
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase.build import bulk

from adiabat.graph import Graph
from adiabat.models import MACE, PaiNN
from adiabat.models.painn import dense
from adiabat.potential import Potential, ReferenceEnergies, Scaled

CUTOFF = 3.2  # Å: four neighbors at 2.35 Å, and what a rattled crystal brings near


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def mace(dtype=torch.float64, **shape):
    shape = {"channels": 24, "hidden": "0e+1o", "l_max": 2, "correlation": 2, "layers": 2, "radial": [8], **shape}
    model = MACE(cutoff=CUTOFF, elements=["Si", "Ge"], **shape)
    model.neighbors.fill_(4.0)
    return Potential(ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(model, 0.7)).to(dtype).eval()


def painn(dtype=torch.float64, **shape):
    torch.manual_seed(0)
    shape = {"channels": 24, "layers": 2, "radial": 6, "intervals": 64, **shape}
    model = PaiNN(cutoff=CUTOFF, elements=["Si", "Ge"], **shape)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases start at zero, where a mistaken one is not seen
            torch.nn.init.normal_(parameter, std=0.1)
    return Potential(ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(model, 0.7)).to(dtype).eval()


FAMILIES = {"mace": mace, "painn": painn}
MODELS_OF = {
    "mace": "MACE(cutoff=3.2, elements=['Si'], channels=24, hidden='0e+1o', l_max=2, correlation=2, layers=2, radial=[8])",
    "painn": "PaiNN(3.2, 64, 2, elements=['Si'])",
}


def crystal(rattle: float, n: int = 1):
    atoms = bulk("Si", cubic=True) * (n, 1, 1)
    atoms.rattle(rattle, seed=1)
    atoms.numbers[::3] = 32
    return atoms


def graph(skin: float = 0.0) -> Graph:
    """Two structures, more than one chunk of atoms, and one atom without neighbors."""
    lone = bulk("Si", cubic=True)[:1]
    lone.pbc = False
    return Graph.of([crystal(0.1, 5), lone, crystal(0.2)], CUTOFF, skin=skin)


def equal(potential: Potential, g: Graph, monkeypatch, tolerance: float) -> None:
    frozen = potential.frozen()
    found = frozen(g)
    assert frozen.evaluators
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    wanted = potential(g)
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert float((a - b).abs().max()) <= tolerance * float(b.abs().max()), name


# One table and other orders of summation: rounding alone, 1e-16 grown by sums of some hundred terms.
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"hidden": "0e", "l_max": 1, "correlation": 3, "channels": 16},
        {"hidden": "0e+1o+2e", "l_max": 2, "correlation": 2, "channels": 7},
        {"hidden": "0e+1o", "l_max": 3, "correlation": 1, "layers": 3, "channels": 64},
        {"layers": 1, "channels": 130, "l_max": 1},
    ],
    ids=str,
)
def test_it_equals_the_reference(shape, monkeypatch):
    equal(mace(**shape), graph(skin=0.4), monkeypatch, 1e-12)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"layers": 1, "channels": 7},
        {"layers": 3, "channels": 130, "basis": "gaussians"},
        {"channels": 5, "radial": 30},  # filters are made of no fewer functions than they are
    ],
    ids=str,
)
def test_painn_equals_the_reference(shape, monkeypatch):
    equal(painn(**shape), graph(skin=0.4), monkeypatch, 1e-12)


def test_a_readout_wider_than_everything_else_has_room(monkeypatch):
    potential = painn(channels=7)
    potential.terms[1].model.readout = dense(7, 300, 1, bias=False).double()
    equal(potential, graph(), monkeypatch, 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_single_precision_is_as_near_to_double_as_the_reference_is(family, monkeypatch):
    # Relative to the same numbers in double precision: energies to 1e-6. Derivatives of a network lose some digits of 6e-8 in any
    # order of operations (MACE's forces 3e-6 by torch, 2e-6 here), so the reference in single precision says how many.
    potential, g = FAMILIES[family](torch.float32), graph()
    found = potential.frozen()(g)
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    plain, exact = potential(g), copy.deepcopy(potential).double()(g)
    for name in ("energy", "atomic_energies", "forces", "strain_gradient"):
        ours, torchs = (float((getattr(p, name) - getattr(exact, name)).norm()) for p in (found, plain))
        assert ours <= max(1e-6 * float(getattr(exact, name).norm()), 2 * torchs), name


@pytest.mark.parametrize("family", FAMILIES)
def test_bits_do_not_depend_on_the_number_of_threads(family):
    potential, g = FAMILIES[family](torch.float32), graph()
    frozen, threads = potential.frozen(), torch.get_num_threads()
    one = frozen(g)
    try:
        for n in (2, 3, 5):  # of MACE, slots are shared by two and idle for five
            torch.set_num_threads(n)
            many = frozen(g)
            assert torch.equal(one.forces, many.forces) and torch.equal(one.atomic_energies, many.atomic_energies)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_that_call_one_evaluator_do_not_meet(family):
    # The library lets Python go on while it runs: two of these calls at a time overlap on two cores.
    potential = FAMILIES[family]()
    frozen, graphs = potential.frozen(), [Graph.of(crystal(0.05 * k, 8), CUTOFF) for k in range(4)]
    alone = [frozen(g).forces for g in graphs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(lambda g: frozen(g).forces, graphs))
            assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_atom_in_a_small_cell_sees_its_images(family, monkeypatch):
    atoms = bulk("Si")[:1]
    atoms.set_cell(np.diag([2.4, 2.5, 2.6]), scale_atoms=False)
    equal(FAMILIES[family](), Graph.of(atoms, CUTOFF), monkeypatch, 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_edge_at_all_is_a_lone_atom(family):
    atoms = crystal(0.0)[:3]
    atoms.pbc = False
    atoms.positions *= 20
    found = FAMILIES[family]().frozen()(Graph.of(atoms, CUTOFF))
    assert found.atomic_energies.tolist() == [-2.0, -3.0, -3.0] and not found.forces.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_changed_parameters_are_taken_up(family):
    potential, g = FAMILIES[family](), graph()
    frozen = potential.frozen()
    before = frozen(g).energy
    with torch.no_grad():
        potential.terms[1].model.embedding.mul_(1.5)
    after = frozen(g).energy
    assert not torch.allclose(before, after)
    assert torch.allclose(after, potential(g).energy, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"r": [[np.nan, 0, 0], [1, 0, 0]]}, "not a number"),
        ({"r": [[np.inf, 0, 0], [1, 0, 0]]}, "not a number"),
        ({"r": [[0, 0, 0], [1, 0, 0]]}, "one place"),
        ({"r": [[1, 0, 0]]}, "wanted 3, 2 and"),
        ({"j": [1, 2]}, "neighbor is out of range"),
        ({"j": [-1, 0]}, "neighbor is out of range"),
        ({"species": [0, 2]}, "element is unknown"),
        ({"species": [0, -1]}, "element is unknown"),
        ({"structure": [0, 1]}, "no structure"),
        ({"structure": [0]}, "1 structures of atoms"),
        ({"first": [0, 1, 3]}, "row pointers"),
        ({"first": [0, 3, 2]}, "row pointers"),
        ({"first": [1, 1, 2]}, "row pointers"),
        ({"first": [0, 2]}, "row pointers"),
    ],
)
def test_what_it_cannot_survive_is_refused(family, fault, message):
    arguments = {"first": [0, 1, 2], "j": [1, 0], "species": [0, 1], "structure": [0, 0], "r": [[1.0, 0, 0], [-1.0, 0, 0]]}
    evaluator = FAMILIES[family]().terms[1].program().evaluator()
    sound = evaluator(*(np.array(x) for x in arguments.values()), structures=1)
    with pytest.raises(ValueError, match=message):
        evaluator(*(np.array(x) for x in {**arguments, **fault}.values()), structures=1)
    again = evaluator(*(np.array(x) for x in arguments.values()), structures=1)
    assert np.array_equal(sound.forces, again.forces)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_atoms_at_one_place_and_positions_that_are_no_numbers(family):
    frozen, atoms = FAMILIES[family]().frozen(), crystal(0.0)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(ValueError, match="one place"):
        frozen(Graph.of(atoms, CUTOFF))
    moved = Graph.of(crystal(0.0), CUTOFF)
    with pytest.raises(ValueError, match="not a number"):
        frozen(moved.replace(r=moved.r * float("nan")))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_memory_of_a_thousand_million_atoms_is_refused_and_none_of_it_taken(family):
    # Arrays of one number, repeated by a stride of zero: the refusal comes before anything is copied.
    N = 10**9
    first, species = (np.broadcast_to(np.int64(0), (n,)) for n in (N + 1, N))
    evaluator = FAMILIES[family]().terms[1].program().evaluator()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MemoryError, match=r"1000000000 atoms and 0 edges need \d+\.\d\d GB .* evaluate fewer atoms"):
        evaluator(first, np.zeros(0, np.int64), species, species, np.zeros((0, 3)), structures=1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # kB: 64 MB of what would be terabytes


@pytest.mark.skipif("ADIABAT_SANITIZE" in os.environ, reason="AddressSanitizer reserves terabytes of address space")
def test_more_atoms_than_memory_holds_are_refused_before_it_is_touched(tmp_path):
    # In a process of its own, whose address space may grow by 1 GB: 200,000 atoms of this model want 1.5.
    script = tmp_path / "many.py"
    script.write_text(
        "import resource, sys\n"
        "import numpy as np\n"
        "from adiabat.models import PaiNN\n"
        "evaluator = PaiNN(3.2, 64, 2, elements=['Si']).program().evaluator()\n"
        "def lattice(n):\n"
        "    return [np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((0, 3))]\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + (1 << 30)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "evaluator(*lattice(1000), structures=1)\n"
        "try:\n"
        "    evaluator(*lattice(200_000), structures=1)\n"
        "except MemoryError as error:\n"
        "    print(error)\n"
        "evaluator(*lattice(1000), structures=1)\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=100)
    assert said.returncode == 0, said.stderr
    assert "200000 atoms and 0 edges need" in said.stdout and "evaluate fewer atoms" in said.stdout


@pytest.mark.skipif("ADIABAT_SANITIZE" in os.environ, reason="AddressSanitizer reserves terabytes of address space")
@pytest.mark.parametrize("family", FAMILIES)
def test_memory_that_runs_out_between_threads_is_told(family, tmp_path):
    # Two atoms with 300,000 edges each: what is worked out of a chunk's edges is asked for within a parallel region, some 100 bytes an
    # edge at least, and an exception that left the region would end the process. Positions, lists and gradients are there before.
    script = tmp_path / "many.py"
    script.write_text(
        "import resource\n"
        "import numpy as np\n"
        "from adiabat.models import MACE, PaiNN\n"
        f"model = {MODELS_OF[family]}\n"
        "evaluator = model.program().evaluator()\n"
        "def pair(n):\n"
        "    j, r = np.repeat([1, 0], n), np.ones((2 * n, 3))\n"
        "    return [np.array([0, n, 2 * n]), j, np.zeros(2, np.int64), np.zeros(2, np.int64), r]\n"
        "wanted = evaluator(*pair(10), structures=1).forces\n"
        "few, many = pair(10), pair(300_000)\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + (45 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n"
        "    evaluator(*many, structures=1)\n"
        "except MemoryError as error:\n"
        "    print(error)\n"
        "assert np.array_equal(evaluator(*few, structures=1).forces, wanted)\n"
    )
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=100)
    assert said.returncode == 0, said.stderr
    assert "no memory is left; evaluate fewer atoms at once" in said.stdout
