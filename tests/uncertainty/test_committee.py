"""Many potentials as one: its members are the originals, its mean is their mean, its spread their spread."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.build import molecule

from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.models import ACE, BPNN, MACE, MODELS, MTP, SNAP, ZBL, LennardJones, PaiNN
from adiabat.potential import Potential, ReferenceEnergies, Scaled
from adiabat.training import fit
from adiabat.uncertainty import Committee
from laws.potentials import cluster, crystal, family


def member(seed: int, *, hidden: int = 4, E0: float = -13.6) -> Potential:
    torch.manual_seed(seed)
    network = BPNN(cutoff=3.0, elements=["H", "O"], radial=4, angular=1, zetas=[1.0], hidden=[hidden]).to(torch.float64)
    potential = Potential(ReferenceEnergies({"H": E0, "O": -432.1}), ZBL(elements=["H", "O"]), Scaled(network, eV=2.0))
    potential.prepare([Graph.of([water(1), water(2)], 3.0)])
    return potential


def water(seed: int):
    atoms = molecule("H2O")
    atoms.rattle(0.3, seed=seed)  # so far that the wall acts in some
    return atoms


def graph() -> Graph:
    return Graph.of([water(seed) for seed in range(4)], 3.0)


@pytest.fixture
def members() -> list[Potential]:
    return [member(seed) for seed in range(3)]


@pytest.fixture
def committee(members) -> Committee:
    return Committee.of(members)


def near(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_its_members_are_the_originals(committee, members):
    assert committee.size == 3
    for m, original in enumerate(members):
        again = committee.member(m)
        assert all(torch.equal(v, original.state_dict()[k]) for k, v in again.state_dict().items())
        a, b = again(graph()), original(graph())
        assert torch.equal(a.energy, b.energy) and torch.equal(a.forces, b.forces)


def test_its_predictions_are_those_of_its_members(committee, members):
    each = committee.predictions(graph())
    for m, original in enumerate(members):
        alone = original(graph())
        near(each.energy[m], alone.energy)
        near(each.forces[m], alone.forces)
        near(each.atomic_energies[m], alone.atomic_energies)
        near(each.strain_gradient[m], alone.strain_gradient)


def test_its_mean_is_the_mean(committee, members):
    alone = [original(graph()) for original in members]
    for found in (committee(graph()), committee.mean(graph()), committee.without_spread(graph())):
        near(found.energy, torch.stack([p.energy for p in alone]).mean(0))
        near(found.forces, torch.stack([p.forces for p in alone]).mean(0))
        near(found.atomic_energies, torch.stack([p.atomic_energies for p in alone]).mean(0))
        near(found.strain_gradient, torch.stack([p.strain_gradient for p in alone]).mean(0))


def test_its_spread_is_the_members_standard_deviation(committee, members):
    committee.metadata["calibration"] = {"scale": {"forces": 2.0, "energy": 3.0}}
    found = committee(graph()).outputs
    forces = np.stack([p(graph()).forces.numpy() for p in members])
    energies = np.stack([p(graph()).energy.numpy() for p in members])
    np.testing.assert_allclose(found["forces_spread"], 2 * np.sqrt(forces.var(0, ddof=1).mean(-1)), rtol=1e-9)
    np.testing.assert_allclose(found["energy_spread"], 3 * energies.std(0, ddof=1), rtol=1e-9)
    assert set(committee.mean(graph()).outputs) == set()


def test_members_that_agree_have_no_spread():
    committee = Committee.of([member(0), member(0)])
    outputs = committee(graph()).outputs
    assert not outputs["forces_spread"].any() and not outputs["energy_spread"].any()


def test_identical_members_cannot_be_calibrated():
    from adiabat.training.spread import scales

    frames = Graph.of(water(0), 3.0)
    values = {k: type(v)(v.value, torch.ones_like(v.mask)) for k, v in frames.labels.items()}
    with pytest.raises(ValueError, match="are they copies of each other"):
        scales(Committee.of([member(0), member(0)]), [frames.replace(labels=values)])


def test_precision_and_place_move_everything(committee):
    exact = committee(graph())
    rough = copy.deepcopy(committee).to(torch.float32)
    assert rough.dtype == torch.float32 and committee.dtype == torch.float64
    assert all(v.dtype == torch.float32 for v in rough.state_dict().values())
    # float32 of descriptors and weights of order one: 1e-6 of forces up to 1e2 eV/Å near the wall
    torch.testing.assert_close(rough(graph()).forces, exact.forces, rtol=1e-4, atol=1e-3)
    assert rough.member(0).dtype == torch.float32
    meta = copy.deepcopy(committee).to(device="meta")
    tensors = [*meta.state_dict().values(), *(b for term in meta.terms for b in term.buffers())]
    assert all(t.device.type == "meta" for t in tensors)


def test_a_copy_is_independent(committee):
    other = copy.deepcopy(committee)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert not torch.equal(other(graph()).energy, committee(graph()).energy)


def test_it_comes_back_from_its_file(committee, tmp_path):
    committee.metadata["calibration"] = {"scale": {"forces": 2.0, "energy": 3.0}}
    committee.save(tmp_path / "c.adiabat")
    again = load(tmp_path / "c.adiabat")
    assert isinstance(again, Committee) and again.calibration == {"forces": 2.0, "energy": 3.0}
    a, b = committee(graph()), again(graph())
    assert torch.equal(a.forces, b.forces) and torch.equal(a.outputs["forces_spread"], b.outputs["forces_spread"])


def test_each_member_has_a_gradient_of_its_own(committee, members):
    committee.train()
    each = committee.predictions(graph())
    loss = each.forces.square().sum((1, 2)) + each.energy.square().sum(1)
    parameters = dict(committee.named_parameters())
    first = torch.autograd.grad(loss[0], list(parameters.values()), retain_graph=True)
    assert all(not g[1:].any() for g in first)
    original = members[0].train()
    one = original.predictions(graph())
    alone = torch.autograd.grad(one.forces.square().sum() + one.energy.square().sum(), list(original.parameters()))
    known = {name: g for (name, _), g in zip(original.named_parameters(), alone)}
    for name, g in zip(parameters, first):
        near(g[0], known[name.removeprefix("member:").replace(":", ".")], 1e-9)


def test_what_all_share_is_counted_once(committee, members):
    """The wall acts on these frames, and its forces are in every member's."""
    wall = Potential(ZBL(elements=["H", "O"]))
    close_pair = molecule("H2O")
    close_pair.positions[1] = close_pair.positions[0] + [0, 0, 0.4]
    g = Graph.of(close_pair, 3.0)
    assert float(wall(g).energy) > 1.0
    near(committee(g).energy, torch.stack([p(g).energy for p in members]).mean(0))
    near(committee(g).forces, torch.stack([p(g).forces for p in members]).mean(0))


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: [member(0)], "1 potential came; a committee needs at least two"),
        (lambda: [member(0), member(1, hidden=5)], "the potentials differ in more than their numbers"),
        (lambda: [member(0), member(1, E0=-13.5)], "the potentials differ in more than their numbers"),
        (lambda: [Potential(LennardJones()), Potential(LennardJones())], "no numbers to differ in"),
    ],
)
def test_potentials_that_make_no_committee_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        Committee.of(made())


def test_its_calibration_makes_errors_as_large_as_they_are_on_held_out_frames():
    from training.sets import water as labeled

    held = list(labeled(30, seed=9))
    committee = fit(
        BPNN(cutoff=3.0, radial=6, angular=1, zetas=[1.0], hidden=[8]),
        list(labeled(12)),
        held,
        members=4,
        optimizer="lbfgs",
        epochs=40,
    )
    frames = Graph.of(held, committee.cutoff)
    found = committee(frames)
    z = (found.forces - frames.labels["forces"].value) / found.outputs["forces_spread"][:, None]
    # The scale is defined by this: errors over scaled spreads have unit mean square, over all components of the held-out frames.
    assert float(z.square().mean()) == pytest.approx(1.0, rel=1e-6)
    z = (found.energy - frames.labels["energy"].value) / found.outputs["energy_spread"]
    assert float(z.square().mean()) == pytest.approx(1.0, rel=1e-6)


MESSAGE_PASSING = {
    "painn": lambda: PaiNN(cutoff=3.0, elements=["H", "O"], channels=4, layers=2, radial=4),
    "mace": lambda: MACE(cutoff=3.0, elements=["H", "O"], channels=3, l_max=1, correlation=2, radial=[4]),
}


@pytest.fixture(params=MESSAGE_PASSING)
def passing(request):
    """Members whose kernels are compiled for one set of numbers, and so run one after the other."""
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = MESSAGE_PASSING[request.param]().to(torch.float64)
        found.append(Potential(ReferenceEnergies({"H": -13.6, "O": -432.1}), Scaled(model, eV=2.0)))
    return found


@pytest.mark.parametrize("family", [ACE, MTP, SNAP])
def test_members_of_linear_families_are_the_originals(family, tmp_path):
    options = {ACE: {"channels": 2, "l_max": 1, "correlation": 2}, MTP: {"level": 6, "radial": 3}, SNAP: {"twojmax": 2}}[family]
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = family(cutoff=3.0, elements=["H", "O"], **options).double()
        model.put(torch.randn(1 if model.shared else 2, model.size).double())
        members.append(Potential(Scaled(model, eV=2.0)))
    Committee.of(members).save(tmp_path / "committee.adiabat")
    each = [member(graph()) for member in members]
    for committee in (Committee.of(members), load(tmp_path / "committee.adiabat")):
        found = committee.predictions(graph())
        torch.testing.assert_close(found.forces, torch.stack([it.forces for it in each]), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(found.energy, torch.stack([it.energy for it in each]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_members_of_every_family_are_the_originals_in_both_precisions(name):
    """Of those that have numbers; a family that keeps double precision (GAP) keeps it here, too."""
    members = [Potential(Scaled(family(name, seed), eV=2.0)) for seed in range(2)]
    if not members[0].state_dict():
        pytest.skip("it has no numbers in which members differ")
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-6)):
        members = [member.to(dtype) for member in members]
        committee = Committee.of([copy.deepcopy(member).double() for member in members]).to(dtype)
        found = Graph.of([cluster(), crystal()], committee.cutoff)
        each = torch.stack([member(found).forces for member in members])
        # vmap sums in another order than one member: a few units of the last place of the largest force
        assert (committee.predictions(found).forces - each).abs().max() < tolerance * max(1.0, float(each.abs().max()))


def test_members_that_run_in_turn_are_the_originals(passing):
    committee, here = Committee.of(passing), graph()
    alone = [potential(here) for potential in passing]
    for _ in range(2):  # again, with what evaluating kept
        together = committee.predictions(here)
        torch.testing.assert_close(together.energy, torch.stack([one.energy for one in alone]), rtol=1e-13, atol=1e-12)
        torch.testing.assert_close(together.forces, torch.stack([one.forces for one in alone]), rtol=1e-12, atol=1e-12)
    mean = committee.mean(here)
    torch.testing.assert_close(mean.forces, torch.stack([one.forces for one in alone]).mean(0), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        for parameter in (*committee.parameters(), *(p for potential in passing for p in potential.parameters())):
            parameter.mul_(1.01)
    changed = torch.stack([potential(here).energy for potential in passing])
    torch.testing.assert_close(committee.predictions(here).energy, changed, rtol=1e-13, atol=1e-12)


def test_members_that_run_in_turn_train_alike(passing):
    """A force loss has the gradients that each member alone has, stacked."""
    committee, here = Committee.of(passing).train(), graph()
    committee.predictions(here).forces.square().sum().backward()
    for m, potential in enumerate(passing):
        potential.train()
        potential(here).forces.square().sum().backward()
        for name, parameter in potential.named_parameters():
            stacked = committee.get_buffer_or_parameter(name).grad
            torch.testing.assert_close(stacked[m], parameter.grad, rtol=1e-10, atol=1e-10)
