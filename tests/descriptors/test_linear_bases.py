"""Descriptors that linear potentials are made of: the bispectrum is LAMMPS's; moments and ACE against sums over neighbors, one by one."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.neighborlist import neighbor_list
from scipy.special import eval_legendre, sph_harm_y

from adiabat.descriptors import ace, bispectrum, moments


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests/golden/bispectrum.json").read_text())


@pytest.mark.parametrize("name", ["skewed", "small", "slab", "molecule", "isolated atom"])
def test_bispectrum_components_are_those_of_lammps(name, golden, agrees):
    case = golden["answers"][name]
    atoms = Atoms(case["symbols"], case["positions"], cell=case["cell"], pbc=case["pbc"])
    found = bispectrum(atoms, **golden["parameters"])
    # of values up to 70, both in double
    agrees(
        "bispectrum", golden["peer"], atoms, golden["parameters"]["cutoff"], components=(found.values, case["values"], 1e-11)
    )


def test_moments_are_the_basis_of_motep(repository, agrees):
    """Each of its contractions is one of ours: its radial functions are r_c² times ours, and a contraction has up to four factors."""
    told = json.loads((repository / "tests/golden/mtp-motep.json").read_text())
    cutoff = told["basis"]["cutoff"]
    for name, theirs in told["basis"]["values"].items():
        atoms = Atoms(**told["structures"][name])
        atoms.symbols[:] = "W"
        found = moments(atoms, cutoff=cutoff, level=told["basis"]["level"])
        scale = cutoff ** (2.0 * np.array([len(column.split()[1].split("-")) for column in found.names]))
        theirs = np.array(theirs)
        if name == "skewed":  # which is which, told by one structure and the same in all
            order = [int(np.abs(found.values * scale - column[:, None]).max(0).argmin()) for column in theirs.T]
            assert sorted(order) == list(range(len(found.names))) and (np.abs(theirs).max(0) > 0.1).all()
        # sums over neighbors of both signs, to the fourth power
        agrees("moments", told["peer"], atoms, cutoff, components=(found.values[:, order], theirs / scale[order], 1e-12))


def cluster() -> Atoms:
    """A skewed cell smaller than the cutoff, of two elements."""
    return Atoms(
        "SiOO", [[0, 0, 0], [1.5, 0.3, 0.2], [0.1, 1.7, 1.3]], cell=[[3.2, 0, 0], [0.9, 3.1, 0], [-0.4, 0.7, 3.4]], pbc=True
    )


def neighbors(atoms, cutoff, center):
    """Element and vector of every neighbor of an atom."""
    i, j, r = neighbor_list("ijD", atoms, cutoff)
    return [(atoms[int(b)].symbol, v) for b, v in zip(j[i == center], r[i == center])]


def test_moments_are_sums_over_neighbors():
    atoms, cutoff = cluster(), 3.6
    found = moments(atoms, cutoff=cutoff, level=9)
    assert len(set(found.names)) == len(found.names)
    for center in range(3):
        near = neighbors(atoms, cutoff, center)

        def moment(element, mu, nu, near=near):
            total = np.zeros((3,) * nu)
            for symbol, v in near:
                if symbol == element:
                    d = np.linalg.norm(v)
                    tensor = np.cos(mu * np.arccos(2 * d / cutoff - 1)) * (1 - d / cutoff) ** 2
                    for _ in range(nu):
                        tensor = np.multiply.outer(tensor, v / d)
                    total = total + tensor
            return total

        for k, name in enumerate(found.names):
            _, who, mus, shared = name.split(" ")
            who, mus = who.split("-"), [int(x) for x in mus.removeprefix("mu=").split(",")]
            bundles = iter(int(x) for x in shared.removeprefix("shared=").split(",") if x)
            letters, names = ["" for _ in who], iter("abcdefghijklmnop")
            for a in range(len(who)):
                for b in range(a + 1, len(who)):
                    index = "".join(next(names) for _ in range(next(bundles)))
                    letters[a] += index
                    letters[b] += index
            tensors = [moment(s, mu, len(x)) for s, mu, x in zip(who, mus, letters)]
            wanted = np.einsum(",".join(letters) + "->", *tensors)
            assert abs(found.values[center, k] - wanted) < 1e-12 * max(1, abs(wanted)), name


def radial(d, n, cutoff):
    """What `ace` says of g_n: a spherical Bessel function times a polynomial with three vanishing derivatives."""
    x = d / cutoff
    fade = 1 - 28 * x**6 + 48 * x**7 - 21 * x**8
    return np.sqrt(2 / cutoff) * np.sin(n * np.pi * x) / d * fade


def three_j(l1, l2, l3, m1, m2, m3):
    from sympy.physics.wigner import wigner_3j

    return float(wigner_3j(l1, l2, l3, m1, m2, m3))


def test_products_are_sums_over_pairs_and_triples_of_neighbors(agrees):
    """No code is asked that has them. Two factors by Legendre polynomials, three by Wigner's symbols and complex harmonics."""
    atoms, cutoff, center = cluster(), 3.3, 1
    found = ace(atoms, cutoff=cutoff, n_max=2, l_max=2, correlation=3)
    assert len(set(found.names)) == len(found.names)
    near = [(s, np.linalg.norm(v), v / np.linalg.norm(v)) for s, v in neighbors(atoms, cutoff, center)]
    A = {}
    for element, n, l in product(("O", "Si"), (1, 2), range(3)):
        for m in range(-l, l + 1):
            A[element, n, l, m] = sum(
                radial(d, n, cutoff) * np.sqrt(4 * np.pi) * sph_harm_y(l, m, np.arccos(u[2]), np.arctan2(u[1], u[0]))
                for s, d, u in near if s == element
            )  # fmt: skip
    expected = []
    for name in found.names:
        _, who, ns, ls = name.split(" ")
        who, ns, ls = who.split("-"), [int(x) for x in ns[2:].split(",")], [int(x) for x in ls[2:].split(",")]
        if len(who) == 1:
            wanted = sum(radial(d, ns[0], cutoff) for s, d, _ in near if s == who[0])
        elif len(who) == 2:
            wanted = sum(
                radial(d, ns[0], cutoff) * radial(e, ns[1], cutoff) * eval_legendre(ls[0], u @ v)
                for s, d, u in near for t, e, v in near if (s, t) == tuple(who)
            )  # fmt: skip
        else:
            some = product(*(range(-l, l + 1) for l in ls))
            wanted = sum(three_j(*ls, *ms) * np.prod([A[key] for key in zip(who, ns, ls, ms)]) for ms in some if sum(ms) == 0)
            assert abs(np.imag(wanted)) < 1e-12
        expected.append(np.real(wanted))
    bound = 1e-11 * max(1, np.abs(expected).max())
    agrees("ace", "sums over neighbors, one by one", atoms, cutoff, components=(found.values[center], expected, bound))


def test_elements_differ_in_the_bispectrum_by_weight_and_radius():
    atoms = molecule("H2O")
    plain, named = bispectrum(atoms, cutoff=3.0, twojmax=3), bispectrum(atoms, ["H", "O", "Si"], cutoff=3.0, twojmax=3)
    assert np.array_equal(plain.values, named.values) and plain.names == named.names
    assert not np.allclose(bispectrum(atoms, cutoff=3.0, twojmax=3, weights={"O": 0.5}).values, plain.values)
    near = bispectrum(atoms, cutoff=3.0, twojmax=3, radii={"H": 0.1, "O": 0.1})  # a pair's cutoff is 0.6 Å: nobody is there
    assert not near.values.any()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="twojmax: 17 came"):
        bispectrum(molecule("H2O"), twojmax=17)
    with pytest.raises(ValueError, match="correlation: 4 came"):
        ace(molecule("H2O"), correlation=4)
    with pytest.raises(ValueError, match="level: 1 came"):
        moments(molecule("H2O"), level=1)
    assert torch.get_default_dtype() == torch.float32
