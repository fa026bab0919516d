"""`adiabat dataset`: counts are those of the frames; the card says them; damage is an exit code."""

import json

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from adiabat.campaign.card import card
from adiabat.cli import app
from adiabat.data.shards import Shards
from adiabat.data.statistics import effective_kinds, statistics
from adiabat.data.store import Dataset
from adiabat.data.structure import labeled


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    with Dataset(tmp_path / "set.db") as dataset:
        for k in range(30):
            atoms = Atoms(["Si4", "SiO2", "ClH"][k % 3], info={"step": k})
            atoms.positions = rng.normal(size=(len(atoms), 3)) * 3
            if k % 5:
                atoms.info["config_type"] = ["bulk", "<b>surface"][k % 2]
            forces = rng.normal(size=(len(atoms), 3)) if k % 4 else None
            dataset.add(labeled(atoms, energy=rng.normal(), forces=forces))
        yield dataset


def run(*arguments):
    """Exit code and output; errors are raised, for the words of the program's end are tested elsewhere."""
    found = CliRunner().invoke(app, [str(a) for a in arguments], standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found.return_value, found.output


@pytest.mark.parametrize("select", ["", "step<20 and config_type!=none"])
def test_statistics_are_those_of_the_frames(store, select):
    told, frames = statistics(store, select), list(store.frames(select))
    assert told["n_structures"] == len(frames) and told["n_atoms"] == sum(map(len, frames))
    assert sum(k["share"] for k in told["by_kind"].values()) == pytest.approx(1)
    for symbol, entry in told["elements"].items():
        assert entry["atoms"] == sum(a.get_chemical_symbols().count(symbol) for a in frames)
        assert entry["structures"] == sum(symbol in a.get_chemical_symbols() for a in frames)
    for kind, entry in told["by_kind"].items():
        mine = [a for a in frames if a.info.get("config_type", "none") == kind]
        energies = [a.get_potential_energy() / len(a) for a in mine]
        assert entry["structures"] == len(mine) and entry["energy_per_atom_eV"] == pytest.approx([min(energies), max(energies)])
        assert entry["with_forces"] == sum("forces" in a.calc.results for a in mine)
    assert 1 <= effective_kinds(told) <= len(told["by_kind"])


def test_the_card_stands_alone_and_no_name_becomes_markup(store):
    page = card(store)
    assert store.data_hash() in page and "&lt;b&gt;surface" in page and "<b>" not in page
    assert "http" not in page and "<script" not in page


def test_the_command_counts_packs_and_writes_the_card(store, tmp_path):
    code, told = run("dataset", store.path, "--card", tmp_path / "card.html", "--pack", "--select", "contains=Si")
    assert code == 0 and "20 structures, 70 atoms" in told.replace("\n", "")
    assert "card.html" in told.replace("\n", "") and (tmp_path / "card.html").exists()
    assert len(Shards(next(tmp_path.glob("*.shards")))) == 20
    code, told = run("dataset", tmp_path / "both.db", "--merge", store.path, "--select", "step<7", "--json", "-")
    assert code == 0 and json.loads(told)["n_structures"] == 7
    code, _ = run("dataset", store.path, "--distinct", tmp_path / "distinct.db")
    assert code == 0 and len(Dataset(tmp_path / "distinct.db")) == 30  # made by chance: none is another one turned
    with pytest.raises(FileNotFoundError, match="no such store"):
        run("dataset", tmp_path / "nowhere.db")


def test_damage_is_an_exit_code_and_a_list_and_rescue_leaves_it_out(store, tmp_path):
    assert run("dataset", store.path, "--verify")[0] == 0
    store._db.execute("UPDATE configurations SET energy = energy + 1e-9 WHERE id = 4")
    code, told = run("dataset", store.path, "--verify", "--json", "-")
    assert code == 1 and [d["row"] for d in json.loads(told)["damage"]] == [4]
    assert run("dataset", store.path, "--rescue", tmp_path / "sound.db")[0] == 1
    assert [a.info["step"] for a in Dataset(tmp_path / "sound.db")] == [k for k in range(30) if k != 3]
