"""Faults sown into sound sets: each is named with exactly its frames, and none of the names is there before."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from adiabat.data.formats import read
from adiabat.data.gate import NAMES, check
from adiabat.data.gate.cures import cure
from adiabat.data.structure import labeled, labels
from adiabat.units import GPa, kbar
from data.sown import (
    EVERY,
    PAGE,
    SETS,
    SOWN,
    at,
    before,
    copper,
    found,
    line,
    moved,
    series,
    stress_of,
    with_labels,
    without_numbers,
)


@pytest.mark.parametrize("row", SOWN, ids=[f"{row.which}: {row.told}" for row in SOWN])
def test_what_is_sown_is_named_with_its_frames(row):
    """And with nothing sown it is not; the page shows what it says."""
    assert row.name not in before(row.which)
    told = found(row)
    n = len(row.sow(SETS[row.which]()))
    wanted = list(range(n)) if row.frames == EVERY else list(row.frames)
    if row.name in ("stress sign", "units of stress", "stress order") and row.which == "copper":
        wanted = [k for k in wanted if k < 32]  # the slabs are periodic in two directions and have no stress to judge
    assert [f.frames for f in told] == [wanted], told
    assert told[0].message and told[0].cure and told[0].grade in ("fault", "warning", "note")
    shown = without_numbers(PAGE.read_text(encoding="utf-8"))
    assert without_numbers(line(row, told[0])) in shown, "docs/data.md is not current: run `python -m data.sown` in tests/"


def test_every_kind_of_finding_is_sown():
    assert {row.name for row in SOWN} == set(NAMES) and len(NAMES) >= 25


def test_advice_for_a_cutoff_lies_in_the_span_of_its_kind():
    """Copper's third shell lies at 4.4 Å; metals are looked at to 5 or 6 Å."""
    [told] = [f for f in check(copper()) if f.name == "cutoff"]
    assert 5.0 <= told.value <= 6.0 and "metal" in told.message and "4.4" in told.message


def test_strained_energies_judge_stress_where_a_pair_model_cannot():
    """A perfect crystal has no forces to fit; a safe cure brings the labels back to the last digits."""
    sown = [stress_of(lambda s: -s[[0, 1, 2, 5, 3, 4]] / GPa)(a) for a in series()]
    names = {f.name for f in check(sown) if f.grade == "fault"}
    assert names == {"stress sign", "units of stress", "stress order"}
    mended = cure(sown, check(sown)).frames
    for a, b in zip(mended, series(), strict=True):
        np.testing.assert_allclose(labels(a)["stress"], labels(b)["stress"], rtol=1e-12, atol=1e-15)


def test_the_crushed_molecule_among_the_examples_is_named(repository):
    found = {f.name: f for f in check(read(repository / "examples" / "water" / "water.xyz"))}
    assert found["energy outliers"].frames == found["force outliers"].frames == [65]


@pytest.mark.parametrize("which", ["copper", "water", "many", "series"])
def test_the_sound_sets_have_no_fault_and_no_warning(which):
    assert {f.name for f in check(SETS[which]()) if f.grade != "note"} == set()


def test_safe_cures_bring_back_the_labels():
    """Signs, stress units and order are undone to the last digits, duplicates and broken frames are left out, and it is told."""
    sown = [stress_of(lambda s: -s / kbar)(with_labels(a, forces=-labels(a)["forces"])) for a in copper()]
    told = cure(sown, check(sown))
    assert any("energies against forces: forces times -1" in line for line in told.done)
    told = cure(told.frames, check(told.frames))  # the stress is judged once the forces are right
    for mended, a in zip(told.frames, copper()):
        np.testing.assert_allclose(mended.get_forces(), a.get_forces(), rtol=1e-12)
        if "stress" in labels(a) and a.pbc.all():
            np.testing.assert_allclose(labels(mended)["stress"], labels(a)["stress"], rtol=1e-12, atol=1e-15)
    sown = [*at(13)(lambda a: moved(a, distance=0.1))(copper()), copper()[3]]
    told = cure(sown, check(sown))
    assert told.kept == [k for k in range(40) if k != 13] and len(told.done) == 2
    assert not [f for f in check(told.frames) if f.grade == "fault"]


def test_crystals_rattled_alike_are_no_near_duplicates():
    """Sums over a large cell are nearly the same for every draw of one width; the atoms are 0.05 Å apart all the same."""
    perfect, rng = bulk("Cu") * (5, 5, 4), np.random.default_rng(0)
    frames = []
    for _ in range(60):
        atoms = perfect.copy()
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        frames.append(labeled(atoms, energy=-3.5 * len(atoms) + float(rng.normal())))
    assert not [f for f in check(frames) if f.name == "near duplicates"]
    assert [f.frames for f in check([*frames[:20], nudged_bare(frames[3])]) if f.name == "near duplicates"] == [[20]]


def nudged_bare(a):
    b = a.copy()
    b.rattle(0.0003, seed=5)
    return labeled(b, energy=a.get_potential_energy())
