"""NEP as calorine evaluates it: made-up files of every kind, over several structures, in double precision on both sides."""

from __future__ import annotations

import json

import pytest
import torch
from ase import Atoms

from adiabat.deploy.importers import ForeignModelError, import_model
from adiabat.deploy.load import load
from adiabat.graph import Graph


@pytest.fixture(scope="module")
def golden(repository):
    return json.loads((repository / "tests" / "golden" / "nep-calorine.json").read_text())


@pytest.fixture
def path(golden, tmp_path):
    (tmp_path / "nep.txt").write_text(golden["cases"][1]["file"])
    return tmp_path / "nep.txt"


ROWS = (
    "NEP3, two elements", "NEP4, two elements, up to five bodies", "NEP4, three elements, ZBL", "NEP4, all products, typewise ZBL",
    "NEP3, cutoffs by element, flexible ZBL", "NEP5, harmonics up to l = 8, ZBL",
)  # fmt: skip


@pytest.mark.parametrize("case", range(6))
def test_every_kind_of_file(case, golden, tmp_path, monkeypatch, agrees):
    monkeypatch.setenv("ADIABAT_KERNELS", "reference")
    equal(imported(golden["cases"][case], tmp_path), golden, case, agrees)


@pytest.mark.compiled
@pytest.mark.parametrize("case", [0, 3, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 4, 5))])
def test_compiled_into_one_call_they_are_the_same(case, golden, tmp_path, agrees):
    frozen = imported(golden["cases"][case], tmp_path).frozen()
    equal(frozen, golden, case, agrees, ", compiled")
    assert frozen.evaluators, "nothing was compiled"


def imported(case, folder):
    (folder / "nep.txt").write_text(case["file"])
    return import_model(folder / "nep.txt")


def equal(potential, golden, case, agrees, how=""):
    for name, wanted in golden["cases"][case]["answers"].items():
        atoms = Atoms(**golden["structures"][name])
        found = potential(Graph.of(atoms, potential.cutoff))
        # Both in double; the peer's smallest constants (l = 8) have eleven digits.
        compared = {
            "energy": (found.atomic_energies, wanted["energies"], 1e-12), "forces": (found.forces, wanted["forces"], 2e-12),
        }  # fmt: skip
        if "stress" in wanted:
            compared["stress"] = found.stress[0], wanted["stress"], 1e-12
        agrees(ROWS[case] + how, golden["peer"], atoms, potential.cutoff, **compared)


def test_an_imported_potential_comes_back_from_its_file(path, golden, tmp_path):
    potential = import_model(path)
    potential.save(tmp_path / "nep.adiabat")
    graph = Graph.of(Atoms(**golden["structures"]["skewed"]), potential.cutoff)
    assert torch.equal(load(tmp_path / "nep.adiabat")(graph).forces, potential(graph).forces)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("nep4 ", "nep4_charge1 ", "line 1: nep4_charge1 is not supported"),
        ("nep4 ", "nep4_dipole ", "line 1: nep4_dipole is not supported"),
        ("nep4 2", "nep4 3", "line 1: wanted nep4, the number of elements and so many symbols"),
        ("O Al", "O Xx", "line 1: O Xx are no elements"),
        ("O Al", "O O", "line 1: O O are no elements, each once"),
        ("cutoff 4.2 3.1", "cutoff 4.2 5.1", "an angular cutoff of 5.1 Å came"),
        ("cutoff 4.2 3.1 100 50", "cutoff 4.2 3.1 50", "line 2: cutoff wants 4 numbers"),
        ("n_max 2 1\n", "", "line 3: 'basis_size' came; wanted n_max"),
        ("l_max 4 2 1", "l_max 4 3 1", "line 5: l_max 4 3 1 is not supported"),
        ("l_max 4 2 1", "l_max 9 2 1", "l_max 9"),
        ("l_max 4 2 1", "l_max 1 2 1", "need harmonics beyond l_max 1"),
        ("ANN 5 0", "ANN 5 4", "line 6: ANN 5 4 is not supported; known is one hidden layer"),
        ("ANN 5 0", "ANN 5.5 0", "line 6: ANN wants whole numbers"),
        ("ANN 5 0", "ANN 99999999 0", "the settings make 1[0-9]+ numbers and more, the file has"),
        ("ANN 5 0", "ANN 4 0", "more lines than the model has numbers"),
        ("ANN 5 0", "ANN 6 0", "it is cut short"),
    ],
)
def test_what_is_not_supported_is_named(before, after, said, path):
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    with pytest.raises(ForeignModelError, match=f"nep.txt.*{said}"):
        import_model(path)


def test_a_damaged_file_is_named_with_its_line(path):
    lines = path.read_text().splitlines()
    for damaged, said in (
        (lines[:3], "line 4: the line is empty or missing"),
        (lines[:40], "line 41: the file ends at number 34 of 75 of w0"),
        (lines[:-1], f"line {len(lines)}: the file ends at number 14 of 15 of scale"),
        ([*lines[:20], "1.0e", *lines[21:]], "line 21: w0: '1.0e' is no number"),
        ([*lines[:20], "nan", *lines[21:]], "line 21: w0: 'nan' is no number"),
        ([*lines[:20], "1.0 2.0", *lines[21:]], "line 21: '1.0 2.0' came; wanted one number"),
        ([*lines[:20], "", *lines[21:]], "line 21: the line is empty"),
        ([*lines, "0.5"], "1 more lines than the model has numbers"),
    ):
        path.write_text("\n".join(damaged))
        with pytest.raises(ForeignModelError, match=f"nep.txt, {said}" if said.startswith("line") else said):
            import_model(path)
    path.write_bytes(b"nep4 \xff")
    with pytest.raises(ForeignModelError, match="no text, or a damaged one"):
        import_model(path)
