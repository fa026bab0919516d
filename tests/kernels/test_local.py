"""Local terms frozen into compiled calls equal the potential they were made from, and refuse what they cannot survive."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from adiabat.frozen import call_of
from adiabat.graph import Graph
from adiabat.kernels import build, dispatch
from adiabat.kernels.local import Call, Edges, Evaluator
from adiabat.models import BPNN, ZBL, LennardJones
from adiabat.models.nep_zbl import NEPZBL
from adiabat.models.pair import Buckingham, Morse
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from kernels.frozen import assert_same_bits, difference

try:
    build.compiler()
except build.NoKernels as why:
    pytestmark = pytest.mark.skip(reason=str(why))

CUTOFF = 5.0  # Å
FUNCTIONS = {"radial": 9, "angular": 2, "zetas": [1.0, 4.0, 16.0]}  # one more radial function than fills a vector


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setenv("ADIABAT_KERNELS", "cpp")


def bpnn(elements=("Si", "Ge"), cutoff=CUTOFF, **options) -> BPNN:
    """A network with descriptors shifted and scaled, some silenced."""
    torch.manual_seed(0)
    model = BPNN(cutoff, list(elements), **{**FUNCTIONS, "hidden": [20, 13], **options})
    for network in model.networks:
        for layer in network.layers:
            torch.nn.init.normal_(layer.bias, std=0.3)
    model.mean.normal_()
    model.scale.uniform_(0.5, 2).mul_(torch.rand_like(model.scale) > 0.1)
    return model


def potential(*terms, dtype=torch.float64) -> Potential:
    return Potential(*(terms or (ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(bpnn(), 0.7)))).to(dtype).eval()


def crystal(n: int = 1, seed: int = 1):
    atoms = bulk("Si", cubic=True) * (n, 1, 1)
    atoms.rattle(0.1, seed=seed)
    atoms.numbers[::3] = 32
    return atoms


def graph(cutoff: float = CUTOFF, skin: float = 0.6) -> Graph:
    """Three structures, one an atom without neighbors; edges beyond the cutoff."""
    lone = crystal()[:1]
    lone.pbc = False
    return Graph.of([crystal(), lone, crystal(3, seed=2)], cutoff, skin=skin)


# Other orders of summation: rounding alone, 1e-16 grown by sums of some thousand terms.
@pytest.mark.parametrize(
    "options",
    [{}, {"hidden": []}, {"hidden": [40]}, {"angular": 0, "radial": 3}, {"elements": ("Si", "Ge", "C", "H")}],
    ids=str,
)
def test_networks_equal_the_reference(options, monkeypatch):
    assert difference(potential(bpnn(**options)), graph(), monkeypatch) <= 1e-12


def test_terms_together_equal_the_reference(monkeypatch):
    terms = ReferenceEnergies({"Si": -3.0, "Ge": -2.0}), Scaled(bpnn(), 0.7), ZBL(reach=1.2, elements=["Si", "Ge"])
    assert difference(potential(*terms), graph(), monkeypatch) <= 1e-12


def test_more_pairs_than_are_kept_are_worked_out_again(monkeypatch):
    """The factors of 2,048 pairs are stored between the two passes; atoms with more go through them in batches, twice."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=3)
    g = Graph.of(atoms, 7.0)
    n = int(g.first.diff().min())
    assert n * (n - 1) // 2 > 2048
    assert difference(potential(bpnn(["Si"], cutoff=7.0)), g, monkeypatch) <= 1e-12


@pytest.mark.parametrize(
    "model",
    [
        LennardJones(0.01, 2.0, 4.0, ["Si", "Ge"]),
        Morse(1.0, 1.5, 2.3, CUTOFF, ["Si", "Ge"]),
        ZBL(reach=1.2),
        Scaled(ZBL(reach=1.2), 0.5),
        Scaled(Morse(), 2.0),
        Buckingham(300.0, 0.3, 20.0, CUTOFF),
        Scaled(Buckingham(), 0.7),
        Scaled(LennardJones(), 3.0),
        NEPZBL(1.1, 2.6, ["Si", "Ge"]),
        NEPZBL(0.0, 2.6, ["Si", "Ge", "C"], factor=0.9),
        Scaled(LennardJones(0.01, 2.0, 4.0, ["Si", "Ge"], "shifted", {"Ge-Si": {"cutoff": 3.7, "sigma_angstrom": 1.9}}), 3.0),
        Morse(1.0, 1.5, 2.3, CUTOFF, ["Si", "Ge"], pairs={"Si-Si": {"depth_eV": 0.8}}),
        Buckingham(300.0, 0.3, 20.0, CUTOFF, fade="cut"),
        Scaled(ZBL(inner=1.5, outer=3.1), 0.5),
    ],
    ids=lambda it: f"{type(it).__name__} {it.cutoff:g}",
)
def test_pair_potentials_equal_the_reference(model, monkeypatch):
    assert difference(potential(model), graph(model.cutoff), monkeypatch) <= 1e-12


def test_float32_follows_the_reference_in_float32(monkeypatch):
    # Rounding of 6e-8 in sums of hundreds of terms on both sides; energies of atoms are differences of such sums.
    assert difference(potential(dtype=torch.float32), graph(), monkeypatch) <= 4e-6


@pytest.mark.parametrize("level", ["x86-64-v3", "portable"])
def test_every_level_gives_the_same(level, monkeypatch):
    if not build.LEVELS[level].needs <= build._processor():
        pytest.skip(f"this processor is below {level}")
    monkeypatch.setenv("ADIABAT_LEVEL", level)
    dispatch.library.cache_clear()
    try:
        it = potential(bpnn(radial=3, angular=1, zetas=[1.0, 3.0]), Morse(1.0, 1.5, 2.3, CUTOFF, ["Si", "Ge"]))
        assert difference(it, graph(), monkeypatch) <= 1e-12
    finally:
        dispatch.library.cache_clear()


def test_bits_do_not_depend_on_the_number_of_threads():
    assert_same_bits(potential(dtype=torch.float32), Graph.of([crystal(20), crystal(5)], CUTOFF, skin=0.5))


def test_a_structure_is_alone_in_its_batch():
    """To rounding, not to the bit: how many atoms there are decides which share a block of rows. An atom alone has exactly E0."""
    frozen, g = potential().frozen(), graph()
    one = frozen(Graph.of(crystal(), CUTOFF, skin=0.6))
    together = frozen(g)
    assert torch.allclose(together.forces[:8], one.forces, rtol=1e-12, atol=1e-14)
    assert float(together.energy[1]) == -2.0
    assert not together.forces[8].any()


def test_workspaces_grow_and_shrink_with_what_comes():
    frozen, small, large = potential().frozen(), graph(), Graph.of(crystal(12), CUTOFF, skin=1.5)
    first = [frozen(g).forces for g in (small, large)]
    for _ in range(2):
        assert torch.equal(frozen(large).forces, first[1])
        assert torch.equal(frozen(small).forces, first[0])


def test_changed_parameters_are_taken_up():
    it, g = potential(), graph()
    frozen = it.frozen()
    for change in (
        lambda model: model.networks[0].layers[1].weight.mul_(1.5),
        lambda model: model.mean.add_(0.1),
        lambda model: setattr(model, "networks", copy.deepcopy(model.networks)) or model.networks[1].layers[0].bias.add_(0.2),
        lambda model: model.load_state_dict({name: 1.1 * value for name, value in model.state_dict().items()}),
    ):
        before = frozen(g).energy
        with torch.no_grad():
            change(it.terms[1].model)
        after = frozen(g).energy
        assert not torch.equal(before, after)
        assert torch.allclose(after, it(g).energy, rtol=1e-12)


def test_a_copy_and_a_file_freeze_anew(tmp_path):
    from adiabat.deploy.load import load

    it, g = potential(), graph()
    wanted = it.frozen()(g)
    it.save(tmp_path / "model.adiabat")
    for other in (copy.deepcopy(it), load(tmp_path / "model.adiabat")):
        assert torch.equal(other.frozen()(g).forces, wanted.forces)


def test_copies_of_what_was_called_stand_on_their_own():
    it, g = potential(), graph()
    calculator = it.calculator()
    atoms = crystal()
    atoms.calc = calculator
    wanted, forces = it.frozen()(g), atoms.get_forces()
    frozen, there, other = copy.deepcopy((it.frozen(), g, calculator))
    del g, calculator
    assert torch.equal(frozen(there).forces, wanted.forces)
    atoms.calc = other
    atoms.positions[0, 0] += 1e-9
    assert np.allclose(atoms.get_forces(), forces, atol=1e-6)


def test_what_has_no_program_runs_beside_it():
    class Spring(LennardJones):
        """Inherits a program that is not its own."""

        name = "spring"

        def phi(self, d, *numbers):
            return 0.1 * (d - 2.0) ** 2

    spring = Spring(0.01, 2.0, 4.0, ["Si", "Ge"])
    it, g = potential(Scaled(bpnn(), 0.7), spring), graph()
    frozen = it.frozen()
    found, wanted = frozen(g), it(g)
    assert len(frozen.evaluators) == 1
    assert torch.allclose(found.forces, wanted.forces, rtol=1e-12, atol=1e-13)
    assert torch.allclose(found.strain_gradient, wanted.strain_gradient, rtol=1e-12, atol=1e-12)
    broken = potential(bpnn(zetas=[1.5]))  # a power that is not multiplied out
    assert torch.equal(broken.frozen()(g).forces, broken(g).forces)


def test_what_the_potential_refuses_is_refused():
    frozen = potential().frozen()
    frozen(graph())
    with pytest.raises(ValueError, match="contains H O, which this potential has not seen"):
        frozen(Graph.of(molecule("H2O"), CUTOFF))
    with pytest.raises(ValueError, match="exceeds the graph's 4.0 Å"):
        frozen(graph(4.0))
    charged = crystal()
    charged.info["charge"] = 1
    with pytest.raises(ValueError, match="no term of this potential depends on charge"):
        frozen(Graph.of(charged, CUTOFF))


def test_sums_of_more_members_than_there_are_are_refused_and_pairs_add_to_all():
    g = graph()
    networks, pairs = (model.double().program().evaluator() for model in (bpnn(), Morse(1.0, 1.5, 2.3, CUTOFF, ["Si", "Ge"])))
    call = call_of(g, 3)
    with pytest.raises(ValueError, match="more sets of sums than members"):
        networks.add(call)
    pairs.add(call)
    one = call_of(g).made_by([pairs])
    assert all(torch.equal(many, single.expand_as(many)) for many, single in zip(call.sums, one, strict=True))


@pytest.mark.parametrize("model", [bpnn(), Morse(1.0, 1.5, 2.3, CUTOFF, ["Si", "Ge"])], ids=["networks", "pairs"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"r": [[np.nan, 0, 0], [1, 0, 0]]}, "not a number"),
        ({"r": [[0, 0, 0], [1, 0, 0]]}, "one place"),
        ({"j": [1, 2]}, "neighbor or a counter-edge is out of range"),
        ({"reverse": [1, -1]}, "neighbor or a counter-edge is out of range"),
        ({"reverse": [0, 1]}, "does not lead back"),
        ({"numbers": [14, 6]}, "element is unknown"),
        ({"numbers": [14, 200]}, "element is unknown"),
        ({"structure": [0, 1]}, "no structure"),
        ({"first": [0, 1, 3]}, "row pointers"),
        ({"first": [0, 2]}, "lengths"),
        ({"r": [[1.0, 0, 0]]}, "edge vectors"),
    ],
)
def test_what_compiled_code_cannot_survive_is_refused(model, fault, message):
    evaluator = model.double().program().evaluator()
    assert isinstance(evaluator, Evaluator)
    plain = {"first": [0, 1, 2], "j": [1, 0], "reverse": [1, 0], "numbers": [14, 32], "structure": [0, 0]}
    r = [[1.0, 0, 0], [-1.0, 0, 0]]

    def run(r, **lists):
        topology = type("Topology", (), {name: torch.tensor(value) for name, value in lists.items()})
        evaluator.add(Call(Edges(topology, 1), torch.tensor(r, dtype=torch.float64), 1))

    run(r, **plain)
    with pytest.raises(ValueError, match=message):
        run(**{"r": r, **plain, **fault})
