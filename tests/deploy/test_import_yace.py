"""Atomic cluster expansions of pacemaker as pace's own evaluator has them: made-up ones of two elements, every basis and embedding."""

from __future__ import annotations

import json
import runpy

import pytest
import torch
from ase import Atoms

import adiabat as ad
from adiabat.deploy.importers import ForeignModelError, import_model

KINDS = ("ChebExpCos, linear", "ChebPow and SBessel, shifted and scaled", "ChebLinear, Finnis–Sinclair")


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests/golden/yace-pace.json").read_text())


@pytest.fixture(scope="module")
def write(repository):
    return runpy.run_path(str(repository / "tests/golden/yace_file.py"))["write"]


@pytest.mark.parametrize("case", range(3))
def test_energies_forces_and_stress_are_those_of_pace(case, golden, write, tmp_path, agrees):
    """pace looks radial functions up in splines, here 2·10⁻⁴ Å wide: 1e-12 of a value, 1e-9 of a slope where forces are 20 eV/Å."""
    potential = import_model(write(tmp_path / "x.yace", case))
    for name, wanted in golden["answers"][case].items():
        atoms = Atoms(**golden["structures"][name])
        found = potential(ad.Graph.of(atoms, potential.cutoff))
        n = len(atoms)
        compared = {
            "energy": (found.energy[0] / n, wanted["energy"] / n, 1e-11),
            "forces": (found.forces, wanted["forces"], 5e-9),
        }
        if "stress" in wanted:
            compared["stress"] = (found.stress[0], wanted["stress"], 1e-9)
        agrees(f"ACE of pacemaker's .yace, two elements, {KINDS[case]}", golden["peer"], atoms, potential.cutoff, **compared)


def test_forces_are_slopes(write, tmp_path):
    """Of the repulsion and of the fading expansion too: atoms 1.3 Å apart."""
    potential = import_model(write(tmp_path / "x.yace", 0))
    atoms, h = Atoms("SiOO", [[0, 0, 0], [1.3, 0.1, 0], [0.2, 1.1, 0.9]]), 1e-5
    found = potential(ad.Graph.of(atoms, potential.cutoff))
    core = potential.terms[1].sums(ad.Graph.of(atoms, potential.cutoff))[1]
    assert bool(((core > 0.1) & (core < 3.0)).any())  # between 1 and 0
    for a, x in ((0, 0), (1, 1), (2, 2)):
        moved = [atoms.copy(), atoms.copy()]
        for sign, each in zip((1, -1), moved):
            each.positions[a, x] += sign * h
        up, down = potential(ad.Graph.of(moved, potential.cutoff)).energy.tolist()
        assert abs(float(found.forces[a, x]) + (up - down) / (2 * h)) < 1e-7  # h² of forces of 10 eV/Å and 1e-15/h


def test_it_is_saved_and_read_again(write, tmp_path):
    potential = import_model(write(tmp_path / "x.yace", 1))
    potential.save(tmp_path / "x.adiabat")
    graph = ad.Graph.of(Atoms("SiO2", [[0, 0, 0], [1.6, 0.2, 0], [-0.3, 1.5, 0.4]]), potential.cutoff)
    assert torch.equal(ad.load(tmp_path / "x.adiabat")(graph).forces, potential(graph).forces)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ChebExpCos", "ACE.jl.base", r"bonds \[0, 0\]: radbasename 'ACE.jl.base' is not supported"),
        ("npoti: FinnisSinclair", "npoti: Sutton", "embeddings 0: npoti 'Sutton' is not supported"),
        ("dcut: 0.01", "dcut: 0.01, inner_cutoff_type: zbl", "inner_cutoff_type .*zbl.* is not supported"),
        ("[0, 1]:", "[0, 7]:", r"bonds \(0, 1\) is missing"),
        ("rcut: 4.2", "rcut: far", r"rcut holds no numbers"),
        ("num_ms_combs: 1,", "num_ms_combs: 2,", r"of lengths \[1, 1, 1, 1, 1\]; wanted \[1, 1, 1, 2, 2\]"),
        ("mus: [0]", "mus: [5]", "an index is out of range"),
        ("mus: [0]", "mus: [0], parity: 1", "'parity' is not supported"),
        ("mu0: 0", "mu0: 1", "mu0 1; it stands among those of 0"),
        ("rcut: 4.2", "rcut: 4.2, r0: 1.0", r"bonds \(0, 0\) 'r0' is not supported"),
        ("ndensity: 1", "ndensity: 1, scale: 2.0", "embeddings 0 'scale' is not supported"),
        ("embeddings:", "polypairpot: {p: 2}\nembeddings:", "'polypairpot' is not supported"),
        ("  [0, 1]:", "  [0, 0]:", "there twice"),
        ("mus: [0]", "{}: [0]", r"x\.yace: no YAML, or a damaged one"),
        ("E0: [-0.3, 1.7]", "E0: [-0.3]", "E0 holds 1 numbers; wanted 2"),
        ("Si, O", "Si, Xx", "Xx"),
        ("Si, O]", "Si, !!python/object/apply:os.system [x]]", "no YAML, or a damaged one"),
    ],
)
def test_what_is_not_supported_is_named(before, after, said, write, tmp_path):
    path = write(tmp_path / "x.yace", 0)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(ForeignModelError, match=said):
        import_model(path)


def test_a_truncated_file_is_named(write, tmp_path):
    path = write(tmp_path / "x.yace", 0)
    text = path.read_text()
    for part in (0.0, 0.01, 0.1, 0.5, 0.9):
        path.write_text(text[: int(part * len(text))])
        with pytest.raises(ForeignModelError, match=r"x\.yace"):
            import_model(path)
