"""Descriptors as arrays: equal to dscribe's and to the models' own, named, with derivatives that are slopes."""

import json
import lzma
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation

from adiabat.config import ConfigError
from adiabat.descriptors import DESCRIPTORS, acsf, aev, soap
from adiabat.graph import Graph
from adiabat.kernels import environments
from adiabat.models import ANI, GAP
from adiabat.nn import neighbor_species

FOLDER = Path(__file__).parent.parent / "golden"
GOLDEN, SPECTRA, VECTORS = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("acsf", "soap", "ani"))
QUIP = json.loads(lzma.decompress((FOLDER / "spectra-quip.json.xz").read_bytes()))
SMALL = {
    "ace": {"cutoff": 3.0, "n_max": 2, "l_max": 1, "correlation": 3},
    "bispectrum": {"cutoff": 3.0, "twojmax": 3, "weights": {"O": 0.7}},
    "moments": {"cutoff": 3.0, "level": 6},
    "acsf": {"cutoff": 3.0, "g2": [(1.0, 0.5)], "g3": [1.3], "g4": [(0.1, 2.0, -1.0)], "g5": [(0.1, 1.5, 1.0)]},
    "soap": {"cutoff": 3.0, "n_max": 2, "l_max": 2, "atom_sigma": 0.6, "radial": "quip"},
    "aev": {"cutoff": 3.0, "angular_cutoff": 2.5, "radial": 3, "shells": 2, "sections": 2},
}


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """The generated kernels equal their references elsewhere; here nothing is compiled."""
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")


@pytest.fixture(params=DESCRIPTORS)
def descriptor(request):
    return lambda atoms, **more: DESCRIPTORS[request.param](atoms, **{**SMALL[request.param], **more})


def water():
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


def carbide():
    atoms = bulk("SiC", "zincblende", 4.36)
    atoms.rattle(0.08, seed=2)
    return atoms


@pytest.mark.parametrize("what", GOLDEN["answers"])
def test_symmetry_functions_are_dscribes(what, agrees):
    """Both in double precision: 1e-8 is asked for, sums of some hundred terms leave 1e-12."""
    case, p = GOLDEN["answers"][what], GOLDEN["parameters"]
    atoms = Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"])
    found = acsf(
        atoms, GOLDEN["elements"], cutoff=p["r_cut"], g2=p["g2_params"], g3=p["g3_params"], g4=p["g4_params"], g5=p["g5_params"]
    )
    agrees("acsf", GOLDEN["peer"], atoms, p["r_cut"], components=(found.values, case["values"], 1e-11))


@pytest.mark.parametrize("radial", ["gto", "polynomial"])
@pytest.mark.parametrize("what", SPECTRA["answers"])
def test_power_spectra_are_dscribes(what, radial, agrees):
    """Both in double precision, dscribe's constants of π and the harmonics have twelve digits: 1e-8 is asked for."""
    case, p = SPECTRA["answers"][what], SPECTRA["parameters"]
    atoms = Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"])
    found = soap(
        atoms, SPECTRA["elements"], cutoff=p["r_cut"], n_max=p["n_max"], l_max=p["l_max"], atom_sigma=p["sigma"], radial=radial
    )
    agrees(f"soap, {radial}", SPECTRA["peer"], atoms, p["r_cut"], components=(found.values, case[radial], 1e-9))


def ways(told: str) -> dict:
    """QUIP's words as options of ours."""
    said = dict(word.split("=") for word in told.split())
    found = {option: int(said[key]) for key, option in (("nu_R", "nu_r"), ("nu_S", "nu_s")) if key in said}
    if "K" not in said:
        return found
    flags = {
        option: said.get(key, "F") == "T"
        for key, option in (("Z_mix", "species"), ("R_mix", "radial"), ("sym_mix", "symmetric"))
    }
    flags["coupled"] = said.get("coupling", "T") == "T"
    return {"mixing": {"channels": int(said["K"]), "shift": int(said.get("mix_shift", 0)), **flags}}


@pytest.mark.parametrize("what", QUIP["answers"])
def test_power_spectra_and_their_slopes_are_quippys(what, agrees):
    """Both in double precision and normalized, kept to eleven digits. QUIP draws its random sums by a generator of its own."""
    case, p = QUIP["answers"][what], {**QUIP["parameters"]}
    p["transition_width"] = p.pop("cutoff_transition_width")
    atoms = Atoms(case["symbols"], case["positions"], cell=case["cell"], pbc=case["pbc"])
    values = []
    for wanted in case["spectra"]:
        more = ways(wanted["way"])
        found = soap(atoms, ["Cu", "Au"], radial="quip", derivatives=True, **p, **more)
        assert len({*found.names}) == len(found.names)
        assert all(("k=" in name) == ("mixing" in more) for name in found.names)
        told, slopes = (np.array(wanted[key])[:, :-1] for key in ("values", "slopes"))  # the last one is covariance_sigma0
        np.testing.assert_allclose(np.einsum("idax,ax->id", found.derivatives, case["step"]), slopes, rtol=0, atol=1e-9)
        values.append((found.values, told))
    mine, theirs = (np.concatenate(each, 1) for each in zip(*values, strict=True))
    row = "soap, quip: whole, compressed and mixed"
    agrees(row, QUIP["peer"], atoms, p["cutoff"], components=(mine, theirs, 1e-10))


@pytest.mark.parametrize("what", VECTORS["answers"])
def test_environment_vectors_are_torchanis(what, agrees):
    """Both in double precision, kept to thirteen digits; 1e-8 is asked for. torchani counts pairs of elements in another order."""
    case, p = VECTORS["answers"][what], {**VECTORS["aev"]}
    atoms = Atoms(case["numbers"], case["positions"], cell=case["cell"], pbc=case["pbc"])
    found = aev(atoms, p.pop("elements"), **p)
    elements = VECTORS["aev"]["elements"]
    order = [*elements, *("-".join(pair) for pair in combinations_with_replacement(elements, 2))]
    columns = sorted(range(len(found.names)), key=lambda k: order.index(found.names[k].split()[1]))  # stable
    agrees("aev", VECTORS["peer"], atoms, p["cutoff"], components=(found.values[:, columns], case["aev"], 1e-10))


def test_the_power_spectrum_keeps_the_length_of_the_whole_matrix():
    """Off-diagonal columns stand for two entries: normalized descriptors have length 1, and only QUIP's are smooth at the cutoff."""
    found = soap(water(), cutoff=3.0, n_max=3, l_max=3, radial="quip")
    np.testing.assert_allclose((found.values**2).sum(1), 1, atol=1e-14)
    pair = [Atoms("CO", [[0, 0, 0], [0, 0, 3.0 + x]]) for x in (-1e-6, 1e-6)]
    inside, outside = (soap(atoms, cutoff=3.0, n_max=3, l_max=3, radial="quip").values for atoms in pair)
    np.testing.assert_allclose(inside, outside, atol=1e-10)  # second order in the distance from the cutoff


@pytest.mark.parametrize("atoms", [water(), carbide()], ids=["molecule", "crystal"])
def test_derivatives_are_slopes(descriptor, atoms):
    found, h = descriptor(atoms, derivatives=True), 1e-5
    for a, x in ((0, 0), (1, 2)):
        values = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[a, x] += sign * h
            values.append(descriptor(moved).values)
        np.testing.assert_allclose(
            found.derivatives[:, :, a, x], (values[0] - values[1]) / (2 * h), atol=1e-7
        )  # h² and 1e-16/h
    np.testing.assert_allclose(found.derivatives.sum(2), 0, atol=1e-12)  # nobody notices when all move


def test_columns_have_names_of_their_own(descriptor):
    atoms = Atoms("SiCSiC", [[0, 0, 0], [1.6, 0.2, 0], [0.2, 1.7, 0.3], [0.5, 0.4, 1.8]])
    found = descriptor(atoms, elements=["C", "Si", "O"])
    assert found.values.shape == (4, len(found.names)) and len(set(found.names)) == len(found.names)
    if "all" in found.names[0].split():
        return  # elements share its columns
    silent = [k for k, name in enumerate(found.names) if "O" in name.split()[1].split("-")]
    assert silent and not found.values[:, silent].any() and np.delete(found.values, silent, 1).any(0).all()


def test_turned_and_renumbered_atoms_are_described_alike(descriptor):
    atoms, Q = water(), Rotation.random(rng=5).as_matrix()
    turned = Atoms(atoms.numbers[::-1], (atoms.positions @ Q)[::-1])
    np.testing.assert_allclose(descriptor(turned).values[::-1], descriptor(atoms).values, atol=1e-13)


def test_several_structures_are_described_one_below_the_other(descriptor):
    both = descriptor([water(), molecule("OH")], derivatives=True)
    one = descriptor(molecule("OH"), elements=["H", "O"], derivatives=True)
    np.testing.assert_allclose(both.values[3:], one.values, atol=1e-14)
    np.testing.assert_allclose(both.derivatives[3:, :, 3:], one.derivatives, atol=1e-14)
    assert not both.derivatives[3:, :, :3].any()


@pytest.mark.parametrize("nu_s", [0, 1, 2])
@pytest.mark.parametrize("nu_r", [0, 1, 2])
def test_compressed_spectra_are_those_of_gap(nu_r, nu_s):
    """GAP's radial functions are splines, right to 1e-15; densities nearly cancel in sums over radial functions: 1e-4 may be left."""
    atoms, shape = carbide().repeat((2, 1, 1)), {"cutoff": 3.5, "n_max": 4, "l_max": 3, "nu_r": nu_r, "nu_s": nu_s}
    found = soap(atoms, radial="quip", transition_width=1.0, derivatives=True, **shape)
    assert len({*found.names}) == len(found.names) == found.values.shape[1]
    assert all(("*" in name) == ((nu_r, nu_s) != (2, 2)) for name in found.names)
    model = GAP(soap=[{"center": "Si", "n_sparse": 2, **shape}], two_body=[], elements=["C", "Si"]).double()
    (at,) = model.centers(Graph.of(atoms, 3.5))
    mine, spectra = model.kernels[0].spectra(at)
    np.testing.assert_allclose(found.values[mine], spectra.detach().numpy(), rtol=0, atol=1e-11)
    # along a random displacement: central differences of functions of length 1 err by h² f‴ and by rounding over h
    h, step = 1e-4, np.random.default_rng(0).normal(size=atoms.positions.shape)
    after, before = atoms.copy(), atoms.copy()
    after.positions += h * step
    before.positions -= h * step
    there, back = (soap(a, radial="quip", transition_width=1.0, **shape).values for a in (after, before))
    np.testing.assert_allclose(np.einsum("idax,ax->id", found.derivatives, step), (there - back) / (2 * h), rtol=0, atol=1e-5)


def test_spectra_of_dscribe_are_whole():
    with pytest.raises(ValueError, match="nu_r 1, nu_s 2 of radial 'gto' came; wanted 0, 1 or 2, and 2 unless it is 'quip'"):
        soap(water(), nu_r=1)
    with pytest.raises(ValueError, match="mixing came with radial 'gto', nu_r 2, nu_s 2; wanted 'quip', 2 and 2"):
        soap(water(), mixing={"channels": 3})
    with pytest.raises(ConfigError, match="soap.mixing: unknown option 'K'"):
        soap(water(), radial="quip", mixing={"K": 3})


@pytest.mark.parametrize("what", sorted({*DESCRIPTORS} - {"soap"}))  # SOAP has the atom's own Gaussian
def test_a_lone_atom_is_described_by_zeros(what):
    descriptor = lambda atoms, **more: DESCRIPTORS[what](atoms, **SMALL[what], **more)  # noqa: E731
    found = descriptor(Atoms("O"), derivatives=True)
    assert not found.values.any() and not found.derivatives.any() and found.values.shape[0] == 1


def test_environment_vectors_are_the_models():
    model, graph = ANI(elements=["H", "O"], **SMALL["aev"]), Graph.of(water(), 3.0)
    mine = environments(graph.r, neighbor_species(graph, model.elements), graph, 2, model.functions)
    assert np.array_equal(aev(water(), **SMALL["aev"]).values, mine.detach().numpy())
    assert mine.dtype == torch.float64


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="the structure has H, elements O came"):
        acsf(water(), ["O"])
    with pytest.raises(ValueError, match="λ = 0.5 came; wanted 1 or −1"):
        acsf(water(), g4=[(0.1, 1.0, 0.5)])
