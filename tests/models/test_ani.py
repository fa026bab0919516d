"""ANI beyond what the registry's laws see: its functions, its networks, and its ensembles."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

import adiabat as ad
from adiabat.graph import Graph
from adiabat.models import ANI
from adiabat.potential import Potential
from adiabat.uncertainty import Committee

SMALL = {"radial": 4, "shells": 2, "sections": 2, "hidden": [5, 4]}


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """The generated kernels equal their references elsewhere; here nothing is compiled."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=0)
    return atoms


def test_the_defaults_are_those_of_ani_1x():
    """The numbers of the published parameter file, which names them EtaR, ShfR, EtaA, Zeta, ShfA, ShfZ: 384 for H, C, N, O."""
    f = ANI(elements=["H", "C", "N", "O"]).functions
    assert (f.cutoff, f.angular_cutoff, f.eta, f.angular_eta, f.zeta, f.size(4)) == (5.2, 3.5, 16.0, 8.0, 32.0, 384)
    np.testing.assert_allclose(f.shifts[:3], [0.9, 1.16875, 1.4375], atol=1e-12)
    np.testing.assert_allclose(f.angular_shifts, [0.9, 1.55, 2.2, 2.85], atol=1e-12)
    np.testing.assert_allclose(np.array(f.sections[:2]), [0.19634954, 0.58904862], atol=1e-8)


def test_an_elements_network_is_its_own(tmp_path):
    widths = {"H": [5], "C": [7, 6], "O": [4, 3, 2]}
    potential = Potential(ANI(elements=["O", "H", "C"], **{**SMALL, "hidden": widths}))
    shapes = [[layer.out_features for layer in network.layers] for network in potential.terms[0].networks]
    assert shapes == [[5, 1], [7, 6, 1], [4, 3, 2, 1]]
    potential.save(tmp_path / "m.adiabat")
    graph = Graph.of(ethanol(), 5.2)
    assert torch.equal(ad.load(tmp_path / "m.adiabat")(graph).forces, potential(graph).forces)


def test_given_shifts_and_angles_are_kept():
    f = ANI(elements=["H"], radial=[1.0, 2.5], shells=[1.25], sections=[0.5, 1.5, 2.5]).functions
    assert (f.shifts, f.angular_shifts, f.sections) == ((1.0, 2.5), (1.25,), (0.5, 1.5, 2.5))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"activation": "relu"}, "ani.activation: 'relu' came; wanted celu or gelu"),
        ({"hidden": {"H": [4]}}, "ani.hidden: layers of O are missing"),
        ({"angular_cutoff": 6.0}, "aev: an angular cutoff of 6.0 Å came"),
        ({"fade": "hard"}, "aev: fade 'hard' came"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        ANI(elements=["H", "O"], **wrong)


def test_an_ensemble_is_its_members_mean():
    members = [Potential(ANI(elements=["H", "C", "O"], **SMALL)).double() for _ in range(3)]
    graph = Graph.of(ethanol(), 5.2)
    found, each = Committee.of(members)(graph), [member(graph) for member in members]
    torch.testing.assert_close(found.energy, torch.stack([e.energy for e in each]).mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.forces, torch.stack([e.forces for e in each]).mean(0), rtol=1e-10, atol=1e-12)
    assert (found.outputs["forces_spread"] > 0).all()


def test_atoms_beyond_the_shorter_cutoff_have_no_angles():
    """Three atoms 4 Å apart: the radial functions see them, the angular ones do not, so that bending changes nothing."""
    potential = Potential(ANI(elements=["H"], **SMALL)).double()
    energies = [
        float(potential(Graph.of(Atoms("H3", [[0, 0, 0], [4, 0, 0], [4 * np.cos(a), 4 * np.sin(a), 0]]), 5.2)).energy)
        for a in (np.pi, 2.3)  # the outer two are 8 and 7.3 Å apart
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-13) and abs(energies[0]) > 1e-6
