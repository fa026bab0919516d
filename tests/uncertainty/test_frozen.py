"""A frozen committee tells what the committee tells: mean, spreads, stress, whatever its members are made of."""

from __future__ import annotations

import pytest
import torch
from ase.build import molecule

from adiabat.graph import Graph
from adiabat.models import ACE, BPNN, MACE, ZBL, LennardJones
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee
from adiabat.uncertainty.frozen import FrozenCommittee

pytestmark = pytest.mark.compiled


class Offset(Model):
    """A global term: a spring from every atom to the origin."""

    name = "offset"
    is_global = True

    def __init__(self, spring: float = 0.01) -> None:
        super().__init__()
        self.spring = spring

    def forward(self, graph: Graph) -> dict:
        square = graph.positions.square().sum(1)
        return {"energy": self.spring * square.new_zeros(graph.n_structures).index_add(0, graph.structure, square)}


class Untold(LennardJones):
    """A term without a program."""

    name = "untold"

    def program(self):
        return None


def bpnn() -> Model:
    return BPNN(cutoff=3.0, elements=["H", "O"], radial=8, angular=1, zetas=[1.0, 2.0, 4.0], hidden=[10])


def mace() -> Model:
    return MACE(cutoff=3.0, elements=["H", "O"], channels=8, hidden="0e", l_max=1, correlation=1, radial=[4], layers=1)


def committee(make=bpnn, *others: Model, members: int = 4, dtype=torch.float64) -> Committee:
    """Four members with scales of their own, and terms that all share."""
    found = []
    for seed in range(members):
        torch.manual_seed(seed)
        learned = make().to(torch.float64)
        shared = (ReferenceEnergies({"H": -13.6, "O": -432.1}), ZBL(elements=["H", "O"]), *others)
        potential = Potential(shared[0], Scaled(learned, eV=2.0), *shared[1:])
        potential.prepare([Graph.of([water(10 * seed + k) for k in range(6)], potential.cutoff)])
        found.append(potential.to(dtype).eval())
    together = Committee.of(found)
    together.metadata["calibration"] = {"scale": {"forces": 1.7, "energy": 0.6}}
    return together


def water(seed: int):
    atoms = molecule("H2O")
    atoms.rattle(0.2, seed=seed)  # so far that the wall acts in some
    return atoms


def graph(cutoff: float = 3.0) -> Graph:
    return Graph.of([*(water(seed) for seed in range(5)), molecule("H"), molecule("H2")], cutoff, skin=1.0)


def equal(found, wanted, tolerance: float = 1e-10) -> None:
    for name in ("energy", "forces", "atomic_energies", "strain_gradient"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert a.shape == b.shape, name
        assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max())), name
    assert set(found.outputs) == set(wanted.outputs)
    for name, b in wanted.outputs.items():
        assert float((found.outputs[name] - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max())), name


MADE = {
    "networks": lambda: committee(),
    "shared without a program": lambda: committee(bpnn, Untold(0.01, 2.0, 3.0, ["H", "O"])),
    "global": lambda: committee(bpnn, Offset()),
    "message passing": lambda: committee(mace, members=2),
    "no program": lambda: committee(lambda: BPNN(3.0, ["H", "O"], radial=4, angular=1, zetas=[1.5], hidden=[4]), members=2),
}


@pytest.mark.parametrize("kind", MADE)
def test_it_equals_the_committee(kind, monkeypatch):
    together, g = MADE[kind](), graph()
    spread, mean = together.frozen(), together.without_spread.frozen()
    found = spread(g), mean(g)
    assert isinstance(spread, FrozenCommittee)
    assert bool(spread.together) == (kind in ("networks", "shared without a program", "global"))
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    equal(found[0], together(g))
    equal(found[1], together.mean(g))
    assert float(found[0].outputs["forces_spread"].max()) > 0


def linear(member: int, data: int) -> Potential:
    """`member` draws the coefficients, `data` is what the basis is made from."""
    torch.manual_seed(member)
    model = ACE(3.0, 4, 2, 3, 4, ["H", "O"]).double()
    model.prepare([Graph.of(water(data), 3.0)])
    return Potential(ZBL(elements=["H", "O"]), Scaled(model, eV=2.0)).eval()


def test_the_mean_of_linear_potentials_is_one_potential():
    together, g = Committee.of([linear(member, data=0) for member in range(3)]), graph()
    mean = together.without_spread.frozen()
    equal(mean(g), together.mean(g))
    assert len(mean.one_by_one) == 1
    spread = together.frozen()
    equal(spread(g), together(g))
    assert len(spread.one_by_one) == 3 and float(spread(g).outputs["forces_spread"].max()) > 0


def test_members_with_a_basis_of_their_own_are_asked_one_by_one():
    together, g = Committee.of([linear(0, data) for data in range(2)]), graph()
    mean = together.without_spread.frozen()
    equal(mean(g), together.mean(g))
    assert len(mean.one_by_one) == 2


def test_float32_follows_the_committee_in_float32():
    together, g = committee(dtype=torch.float32), graph()
    # Rounding of 6e-8 of energies of 400 eV, and of descriptors that are shifted by their means and scaled up.
    equal(together.frozen()(g), together(g), 1e-5)


def test_while_it_trains_the_committee_answers():
    together, g = committee().train(), graph()
    assert together.frozen()(g).forces.requires_grad


def test_changed_members_are_taken_up():
    together, g = committee(), graph()
    frozen = together.frozen()
    before = frozen(g)
    with torch.no_grad():
        for parameter in together.parameters():
            parameter[1].mul_(1.3)
    equal(frozen(g), together(g))
    assert not torch.equal(before.outputs["forces_spread"], frozen(g).outputs["forces_spread"])


def test_members_that_agree_have_no_spread():
    torch.manual_seed(0)
    one = Potential(bpnn()).double().eval()
    told = Committee.of([one, one]).frozen()(graph()).outputs
    assert not told["forces_spread"].any() and not told["energy_spread"].any()


def test_what_the_committee_refuses_is_refused():
    frozen = committee().frozen()
    with pytest.raises(ValueError, match="has not seen"):
        frozen(Graph.of(molecule("CH4"), 3.0))
    with pytest.raises(ValueError, match=r"exceeds the graph's 2.0 Å"):
        frozen(graph(2.0))
