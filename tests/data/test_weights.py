"""mace-torch's weights of frames and labels: taken where the meaning is the same, told where it is not, never dropped in silence."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from adiabat.data.formats import read, read_noted, write
from adiabat.data.structure import labels
from adiabat.training.loss import Loss


def weighed(tmp_path, name, **info):
    """A frame with these entries of `info`, by way of a file, and what was said."""
    atoms = bulk("Cu") if "stress" in str(info) or "virials" in str(info) else molecule("H2O")
    atoms.info |= info
    stress = {"stress": np.linspace(0.1, 0.6, 6)} if atoms.pbc.all() else {}
    atoms.calc = SinglePointCalculator(atoms, energy=-14.0, forces=np.ones((len(atoms), 3)), **stress)
    ase.io.write(tmp_path / name, atoms)
    (found,), notes = read_noted(tmp_path / name)
    return found, " ".join(notes)


@pytest.mark.parametrize("name", ["a.xyz", "a.traj"])
def test_a_frame_counts_as_its_file_says(tmp_path, name):
    found, said = weighed(tmp_path, name, config_weight=0.25)
    assert Loss().weight_of(found.info) == 0.25
    assert "weight taken from 'config_weight' (1 frame)" in said
    assert Loss().weight_of(read(write(tmp_path / "again.xyz", found))[0].info) == 0.25


def test_our_own_weight_goes_before_theirs(tmp_path):
    found, said = weighed(tmp_path, "a.xyz", config_weight=0.25, weight=4.0)
    assert Loss().weight_of(found.info) == 4.0 and found.info["config_weight"] == 0.25
    assert "'config_weight' left in info, for there is a 'weight' that differs" in said


@pytest.mark.parametrize(
    "label, word", [("energy", "energy"), ("forces", "forces"), ("stress", "stress"), ("stress", "virials")]
)
def test_a_label_that_weighs_nothing_is_none(tmp_path, label, word):
    one, silent = weighed(tmp_path, "one.xyz", **{f"config_{word}_weight": 1.0})
    none, said = weighed(tmp_path, "none.xyz", **{f"config_{word}_weight": 0.0})
    other, told = weighed(tmp_path, "other.xyz", **{f"config_{word}_weight": 10.0})
    assert "weight" not in silent
    assert (
        set(labels(one)) - set(labels(none)) == {label} and f"{label} of 1 frame left out: 'config_{word}_weight' is 0" in said
    )
    assert set(labels(other)) == set(labels(one)) and f"'config_{word}_weight' of 1 frame is not used" in told
