"""The language of select: what it means, by a slow reading of the same words in Python; what it refuses, and with which words."""

import itertools

import numpy as np
import pytest
from ase import Atoms

from adiabat.data import query
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled


@pytest.fixture(scope="module")
def dataset():
    made = Dataset(":memory:")
    for k, (kind, symbols) in enumerate(itertools.product(("bulk", "surface slab", None), ("Si4", "SiO2", "HCl", "H2O"))):
        atoms = Atoms(symbols, positions=np.arange(3 * len(Atoms(symbols))).reshape(-1, 3) + 0.01 * k)
        atoms.info |= {"step": k, "mark": str(k), "flag": k % 2 == 0, "adiabat": {"engine": "gpaw" if k % 3 else "vasp"}}
        if kind:
            atoms.info["config_type"] = kind
        made.add(labeled(atoms, energy=-1.5 * k, forces=None if k % 4 else np.zeros((len(atoms), 3))))
    return made


def steps(dataset, expression):
    return [atoms.info["step"] for atoms in dataset.select(expression)]


MEANINGS = {
    "config_type=bulk": lambda a: a.info.get("config_type") == "bulk",
    "config_type='surface slab' and natoms<4": lambda a: a.info.get("config_type") == "surface slab" and len(a) < 4,
    "config_type!=bulk": lambda a: a.info.get("config_type") != "bulk",
    "not config_type=bulk": lambda a: a.info.get("config_type") != "bulk",
    "config_type=none": lambda a: "config_type" not in a.info,
    "config_type != none": lambda a: "config_type" in a.info,
    "forces=none": lambda a: "forces" not in a.calc.results,
    "natoms<3 or natoms>3": lambda a: len(a) != 3,
    "step>=2 and step<4 or step==7": lambda a: 2 <= a.info["step"] < 4 or a.info["step"] == 7,
    "step>=2 and (step<4 or step==7)": lambda a: a.info["step"] in (2, 3, 7),
    "not (step<2 or not step<5)": lambda a: 2 <= a.info["step"] < 5,
    "NOT step<2 AND step IN (1, 2, 3)": lambda a: a.info["step"] in (2, 3),
    "step not in (0,1,2)": lambda a: a.info["step"] > 2,
    "formula in (H2O, ClH)": lambda a: a.get_chemical_formula() in ("H2O", "ClH"),
    "contains=Si": lambda a: "Si" in a.get_chemical_symbols(),
    "contains=H and contains!=O": lambda a: "H" in a.get_chemical_symbols() and "O" not in a.get_chemical_symbols(),
    "contains=S": lambda a: False,
    "contains=C": lambda a: False,  # chlorine is no carbon
    "energy_per_atom<-2.5e0": lambda a: a.get_potential_energy() / len(a) < -2.5,
    "max_force<1": lambda a: "forces" in a.calc.results,
    "not max_force<1": lambda a: "forces" not in a.calc.results,
    "flag=true": lambda a: a.info["flag"],
    "mark=3": lambda a: a.info["mark"] == "3",
    "mark>3": lambda a: False,  # texts are not larger than numbers
    "adiabat.engine=vasp": lambda a: a.info["adiabat"]["engine"] == "vasp",
    "volume=none": lambda a: True,
}


@pytest.mark.parametrize("expression", MEANINGS)
def test_an_expression_means_what_it_says(dataset, expression):
    assert steps(dataset, expression) == [a.info["step"] for a in dataset if MEANINGS[expression](a)]


@pytest.mark.parametrize("a", MEANINGS)
def test_not_is_the_rest_and_joints_are_sets(dataset, a):
    b = "step<6 or config_type=bulk"
    mine, others, all_ = set(steps(dataset, a)), set(steps(dataset, b)), set(range(12))
    assert set(steps(dataset, f"not ({a})")) == all_ - mine
    assert set(steps(dataset, f"({a}) and ({b})")) == mine & others
    assert set(steps(dataset, f"({a}) or ({b})")) == mine | others


@pytest.mark.parametrize(
    ("expression", "words"),
    {
        "natom<3": "no configuration knows 'natom'; did you mean 'natoms'",
        "stepp=3": "no configuration knows 'stepp'; did you mean 'step'",
        "natoms<three": "natoms is a number, 'three' came; wanted as in natoms<100",
        "forces=1": "forces are arrays and have no one value; wanted forces=none",
        "config_type<none": "what is absent has no size",
        "contains=silicon": "contains wants the symbol of an element",
        "contains<Si": "contains wants the symbol of an element",
        "natoms": "ends where an operator is wanted, as in natoms=…",
        "natoms <": "ends where a value is wanted, as in natoms<100",
        "natoms 3": "'3' at character 7 came, wanted one of = != < <= > >= or in",
        "(natoms<3": r"ends where '\)' is wanted",
        "natoms<3)": r"'\)' at character 8 came, wanted 'and', 'or' or the end",
        "natoms<3 natoms>1": "character 9 came, wanted 'and', 'or' or the end",
        "natoms<3 and": "ends where a name is wanted",
        "natoms in 3": r"wanted '\(' after in",
        "natoms in (3": r"ends where '\)' is wanted",
        "3<natoms": "'3<natoms' at character 0 came, wanted a name",
        "natoms<3; DROP TABLE configurations": "character 8 came, wanted name=value",
        "x'y=1": "character 1 came",
        "natoms<" + "9" * 400: "natoms is a number, '999",
        "natoms<1e999": "natoms is a number",
        "(" * 60 + "natoms<3" + ")" * 60: "more than 50 parentheses",
    }.items(),
)
def test_what_is_not_understood_is_told(dataset, expression, words):
    with pytest.raises(ValueError, match=words):
        dataset.select(expression)


def test_no_text_of_a_value_gets_into_the_question(dataset):
    assert dataset.select("formula=\"x' OR '1'='1\"") == []
    condition, values = query.sql(query.parse('formula="x\' OR 1"'), (), ("formula",), (), set)
    assert "OR" not in condition and values == ["x' OR 1"]
