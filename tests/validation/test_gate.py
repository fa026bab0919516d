"""The model gate passes what is sound and finds every fault that is sown, by the check that is made for it."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from adiabat.deploy import load
from adiabat.graph import Graph
from adiabat.kernels.geometry import distance
from adiabat.kernels.segment import segment_sum
from adiabat.models import ZBL, Morse
from adiabat.potential import Model, Potential, ReferenceEnergies, Scaled
from adiabat.uncertainty import Committee
from adiabat.validation import GATES, GateRefusal, gate
from adiabat.validation.gate import Subject, dynamics, recorded, wall
from laws.potentials import family

LAWS = [name for name in GATES if not name.startswith("nve")]
E0 = {"H": -13.6, "O": -432.1}


class Jump(Model):
    """A pair energy that ends at its cutoff like a cliff."""

    name = "jump"

    def __init__(self, eV: float = 0.02, cutoff: float = 2.8) -> None:
        super().__init__()
        self.eV, self.cutoff = eV, cutoff

    def forward(self, graph):
        d = distance(graph.r)
        half = 0.5 * self.eV * torch.cos(d) * (d < self.cutoff)
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}


class Kinked(Model):
    """A pair energy whose curvature jumps at a distance, as that of a network with celu does in many places."""

    name, cutoff = "kinked", 3.0

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def forward(self, graph):
        d = distance(graph.r)
        half = 4 * (self.at - d).clamp(min=0) ** 2
        return {"energies": segment_sum(half.to(torch.float64), graph.i, graph.n_atoms)}


class Crowd(Model):
    """An energy that grows with the square of the number of atoms."""

    name, is_global = "crowd", True

    def forward(self, graph):
        return {"energy": 1e-3 * torch.bincount(graph.structure, minlength=graph.n_structures).double() ** 2}


class North(Model):
    """A pair energy that knows where up is."""

    name, cutoff = "north", 3.0

    def forward(self, graph):
        fade = (1 - (distance(graph.r) / self.cutoff) ** 2).clamp(min=0) ** 3
        return {"energies": segment_sum(1e-3 * (graph.r[:, 2] ** 2 * fade).double(), graph.i, graph.n_atoms)}


class Ranked(Model):
    """An energy that knows who came first."""

    name, cutoff = "ranked", 3.0

    def forward(self, graph):
        fade = (1 - (distance(graph.r) / self.cutoff) ** 2).clamp(min=0) ** 3
        place = torch.arange(graph.n_atoms) - torch.searchsorted(graph.structure, graph.structure)  # within its structure
        return {"energies": 1e-3 * place.double() * segment_sum(fade.double(), graph.i, graph.n_atoms)}


class Changed(Potential):
    """A potential whose answers somebody spoiled."""

    def forward(self, graph: Graph):
        return self.spoil(super().forward(graph))

    def frozen(self):
        return self


class UphillForces(Changed):
    def spoil(self, said):
        return dataclasses.replace(said, forces=-said.forces)


class TurnedStress(Changed):
    def spoil(self, said):
        return dataclasses.replace(said, strain=lambda: -said.strain_gradient)


class Friction(Changed):
    """Forces a thousandth too weak along x: a pump."""

    def spoil(self, said):
        return dataclasses.replace(said, forces=said.forces + 2e-3 * said.forces.roll(1, 1))


class NothingForHydrogen(Changed):
    """No number where the first atom is hydrogen."""

    def spoil(self, said):
        if int(said.graph.numbers[0]) != 1:
            return said
        nothing = torch.full((len(said.energy), 3, 3), torch.nan)
        return dataclasses.replace(said, energy=said.energy * torch.nan, forces=said.forces * torch.nan, strain=lambda: nothing)


def sound() -> list[Model]:
    """Springy bonds of O and H, about as stiff as water, with a wall."""
    return [ReferenceEnergies(E0), ZBL(elements=["H", "O"]), Morse(4.0, 2.0, 1.0, cutoff=3.0, elements=["H", "O"])]


@pytest.fixture
def water() -> list[Atoms]:
    return [Atoms("OHH", [[0, 0, 0], [1.0, 0, 0], [0.4, 0.95, 0]])]


def failed(found) -> set[str]:
    return {check.name for check in found.failures}


def test_a_kink_of_the_curvature_is_no_wrong_derivative(water):
    """A difference over a kink errs by a share of its step, which shorter steps take away, as they do not from wrong forces."""
    tried = Subject.of(Potential(*sound()), water, temperature_K=300.0, drift_steps=1).structures[0]
    kinked = [*sound(), Kinked(at=tried.get_distance(0, 1))]
    assert not failed(gate(Potential(*kinked), water, only=["forces", "stress"]))
    assert failed(gate(Friction(*kinked), water, only=["forces"])) == {"forces"}


def test_a_check_goes_by_the_name_that_is_printed(water):
    found = gate(Potential(*sound(), Crowd()), water, only=["short range wall", "extensivity"], waive=["short range wall"])
    assert set(found.checks) == {"short_range_wall", "extensivity"} and failed(found) == {"extensivity"}


def test_a_sound_potential_passes_everything(water):
    found = gate(Potential(*sound()), water)
    assert list(found.checks) == list(GATES)
    assert not found.failures, [str(f) for f in found.failures]
    assert {check.verdict for check in found.checks.values()} == {"pass"}
    drift, order = found.checks["nve_drift"], found.checks["nve_order"]
    assert abs(drift.value) + 2 * drift.error < drift.target == 1.0
    assert abs(order.value - 2) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bpnn", "mace"])
def test_families_pass_the_laws_without_any_structure_given(name):
    found = gate(Potential(*sound()[:2], Scaled(family(name), eV=0.3)), only=LAWS)
    assert not found.failures, [str(f) for f in found.failures]


def test_a_committee_passes_in_single_precision_too(water):
    committee = Committee.of([Potential(*sound()[:2], Scaled(family("bpnn", k), eV=0.3)) for k in (1, 2)])
    found = gate(committee.to(torch.float32), water, only=LAWS)
    assert not found.failures, [str(f) for f in found.failures]
    assert committee.dtype == torch.float32  # the gate looked at a copy


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: UphillForces(*sound()), {"forces"}),
        (lambda: TurnedStress(*sound()), {"stress"}),
        (lambda: Potential(*sound(), Jump()), {"smooth_cutoff"}),
        (lambda: Potential(sound()[0], Scaled(family("bpnn"), eV=0.3)), {"short_range_wall"}),
        (lambda: Potential(*sound(), Crowd()), {"extensivity"}),
        (lambda: Potential(*sound(), North()), {"rotation"}),
        (lambda: Potential(*sound(), Ranked()), {"permutation", "extensivity"}),
    ],
    ids=["uphill forces", "turned stress", "jump at the cutoff", "no wall", "not extensive", "knows where up is", "knows its place"],
)  # fmt: skip
def test_a_sown_fault_is_found_by_its_check(make, expected, water):
    found = gate(make(), water, only=LAWS)
    assert failed(found) == expected
    for check in found.failures:
        assert check.cure and check.target is not None
        with pytest.raises(GateRefusal, match=f"(?s){check.name}.*--waive"):
            found.refuse("model.adiabat")


def test_what_is_no_number_fails_though_the_next_structure_is_sound(water):
    """The first structure, and the first pair of elements, begin with hydrogen; the last ones do not."""
    frames = [water[0][[1, 2, 0]], Atoms("OOHH", [[0, 0, 0], [1.4, 0, 0], [-0.4, 0.95, 0], [1.8, 0.95, 0]])]
    assert failed(gate(NothingForHydrogen(*sound()), frames, only=LAWS)) == set(LAWS)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Friction(*sound())], ids=["forces that pump"])
def test_dynamics_finds_what_heats(make, water):
    found = gate(make(), water, only=["nve_drift"])
    assert failed(found) == {"nve_drift"}
    assert abs(found.checks["nve_drift"].value) > 1.0


def test_a_cliff_at_the_cutoff_shows_in_the_wiggle(water):
    """An atom that goes back and forth over a cliff of 0.05 eV: halving the timestep does not help."""
    found = gate(Potential(*sound(), Jump(0.1, 1.02)), water, only=["nve_order"])
    assert failed(found) == {"nve_order"}


class NowhereInside(Changed):
    """Sound at the start; no number once an atom has moved by more than it is shaken."""

    def spoil(self, said):
        lost = said.forces * torch.nan
        return dataclasses.replace(said, forces=torch.where(said.graph.positions.abs().amax() > 1.35, lost, said.forces))


@pytest.mark.parametrize("name", ["nve_drift", "nve_order"])
def test_a_frame_that_cannot_be_relaxed_fails_and_ends_nothing(name, water):
    """The forces are no number before the dynamics has begun."""
    water[0].positions[1] *= 1.4
    check = gate(NowhereInside(*sound()), water, only=[name]).checks[name]
    assert (check.verdict, check.value) == ("fail", None)
    assert check.message and check.cure


def test_a_drift_that_cannot_be_told_stands_in_the_way_until_it_is_waived(water, monkeypatch):
    """Ten femtoseconds tell no slope of 1 meV/atom/ns: that is no pass."""
    monkeypatch.setattr(dynamics, "PIECE", 20)
    found = gate(Potential(*sound()), water, only=["nve_drift"], drift_steps=20)
    check = found.checks["nve_drift"]
    assert check.verdict == "undetermined" and not found.passed
    assert check.cure == "run longer: adiabat gate --drift-steps 80"
    with pytest.raises(GateRefusal, match="fails 0 of 1 gates, and 1 could not be determined"):
        found.refuse("model")
    assert found.pass_over(["nve_drift"]).passed


def test_every_element_is_tried_however_many_compositions_there_are():
    """Six diatomics of six elements: the four smallest compositions would have left two elements out."""
    frames = [Atoms([z, z], [[0, 0, 0], [2.0, 0, 0]]) for z in (1, 6, 7, 8, 9, 17)]
    assert Subject.of(Potential(ZBL()), frames).elements == (1, 6, 7, 8, 9, 17)


def test_few_frames_are_tried_where_few_have_all_elements(water):
    frames = [*water, *(Atoms(f"H{n}", np.eye(n, 3) * np.arange(1, n + 1)[:, None]) for n in range(2, 9))]
    chosen = Subject.of(Potential(ZBL()), frames).frames
    assert [a.get_chemical_formula() for a in chosen] == ["H2O", "H2", "H3", "H4"]


def test_elements_that_are_not_tried_are_named():
    argon = Potential(Morse(0.1, 1.5, 3.0, cutoff=6.0, elements=["Ar", "Kr", "Ne"]), ZBL(elements=["Ar", "Kr", "Ne"]))
    large = Atoms("Kr300", np.random.default_rng(0).uniform(0, 40, (300, 3)))
    pair = Atoms("Ar2", [[0, 0, 0], [3.0, 0, 0]])
    check = gate(argon, [pair, large], only=["forces"]).checks["forces"]
    assert check.message.endswith("; not tried on Ne, Kr")


def test_two_atoms_in_a_cell_are_inside_a_structure():
    """The way outward leads to the images of a crystal's atoms: the climb is counted from the crystal, not from what is met there."""
    crystal = bulk("Cu", "hcp", a=2.55, c=4.16)
    subject = Subject.of(Potential(Morse(5.0, 1.5, 3.6, cutoff=5.0, elements=["Cu"]), ZBL(elements=["Cu"])), [crystal])
    share, _ = wall._climb(subject, crystal, 0, 1)
    near = crystal.copy()
    line = crystal.get_distance(0, 1, mic=True, vector=True)
    near.positions[1] = near.positions[0] + line / np.linalg.norm(line) * wall.NEAR * subject.bond(29, 29)
    climbed = float(subject(near).energy) - float(subject(crystal).energy)
    assert share == pytest.approx(climbed / wall._nuclear(crystal.numbers, wall.NEAR * subject.bond(29, 29)), rel=1e-9)


def test_without_structures_dynamics_is_not_run_and_says_so():
    check = gate(Potential(*sound()), only=["nve_drift"]).checks["nve_drift"]
    assert (check.verdict, check.value) == ("not run", None)
    assert "--data" in check.cure


def test_a_waiver_by_name_stands_in_the_model_file(tmp_path, water):
    bare = Potential(sound()[0], Scaled(family("bpnn"), eV=0.3))
    found = gate(bare, water, only=LAWS, waive=["short_range_wall"])
    assert found.passed and found.checks["short_range_wall"].verdict == "waived"
    found.record(bare)
    bare.save(tmp_path / "bare.adiabat")
    again = load(tmp_path / "bare.adiabat")
    told = recorded(again)
    assert told is not None and told.checks == found.checks
    with torch.no_grad():
        next(again.parameters()).add_(1e-3)
    assert recorded(again) is None  # the verdicts were of other numbers


def test_a_family_s_own_waiver_counts(water):
    class Waiving(Jump):
        waived: ClassVar = {"a_pair_parts_smoothly": "its definition has a hard cutoff"}

    check = gate(Potential(*sound(), Waiving()), water, only=["smooth_cutoff"]).checks["smooth_cutoff"]
    assert check.verdict == "waived" and "hard cutoff" in check.message


def test_json_has_one_object_a_quantity(water):
    found = gate(Potential(*sound()), water, only=["forces", "extensivity"])
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(told) == {"forces", "extensivity"}
    assert set(told["forces"]) == {"value", "unit", "error", "target", "verdict", "message", "cure"}


def test_unknown_names_are_refused(water):
    with pytest.raises(ValueError, match="no check of the model gate"):
        gate(Potential(*sound()), water, waive=["wall"])
    with pytest.raises(ValueError, match="none of 2 to 200 atoms"):
        gate(Potential(*sound()), [Atoms("H")])


def test_labels_and_constraints_of_frames_do_not_matter(water):
    from ase.constraints import FixAtoms

    water[0].set_constraint(FixAtoms([0]))
    water[0].info["config_type"] = "x"
    a = gate(Potential(*sound()), water, only=["forces"]).checks["forces"]
    water[0].set_constraint()
    assert a == gate(Potential(*sound()), water, only=["forces"]).checks["forces"]
    assert np.isfinite(a.value)
