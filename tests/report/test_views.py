"""Structures on the page: what they are, seen from where, how many fit."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.geometry import get_distances

from adiabat.report import Sections, write
from adiabat.report.forms import Structures
from adiabat.report.forms.structures import MOST
from adiabat.report.record import plain
from adiabat.report.views import EDGES, viewer, views
from report.water import write_run


def view(atoms, **more):
    cell = {"cell_A": atoms.cell.array} if atoms.cell.rank == 3 else {}
    frame = {"symbols": atoms.get_chemical_symbols(), "positions_A": atoms.positions, **cell}
    return plain({"name": atoms.get_chemical_formula(), "frames": [frame], **more})


def drawn(*atoms):
    return views(Structures.model_validate({"views": [view(a) for a in atoms]}))


@pytest.mark.parametrize(
    "atoms", [molecule("CH3CH2OH"), bulk("Si", cubic=True), molecule("H2O"), molecule("O2"), molecule("H")]
)
def test_a_structure_is_turned_and_never_bent_or_mirrored(atoms):
    [shown] = drawn(atoms)
    places = np.array(shown.content["frames"][0]["positions"])
    assert np.allclose(get_distances(places)[1], get_distances(atoms.positions)[1], atol=2e-3)  # coordinates have three digits
    if len(atoms) > 4:
        one, other = (np.linalg.det((p - p[0])[1:4]) for p in (places, atoms.positions))
        assert one == pytest.approx(other, abs=0.02)


def test_a_molecule_shows_its_widest_plane():
    [shown] = drawn(molecule("C2H4"))
    spread = np.ptp(np.array(shown.content["frames"][0]["positions"]), axis=0)
    assert spread[2] < 0.01 < 1 < spread[1] < spread[0]


def test_a_cell_has_the_edges_of_its_lattice():
    atoms = bulk("Cu")
    [shown] = drawn(atoms)
    corners = np.array(shown.content["frames"][0]["box"])
    lengths = [np.linalg.norm(corners[a] - corners[b]) for a, b in EDGES]
    assert np.allclose(sorted(lengths), sorted(4 * atoms.cell.lengths().tolist()), atol=2e-3)


def test_the_still_picture_has_every_atom_and_every_bond():
    [shown] = drawn(molecule("CH3CH2OH"))
    assert shown.still.count("<circle") == 9
    assert shown.still.count("<path") == 8
    numbers = [float(x) for x in re.findall(r'c[xy]="([-\d.]+)"', shown.still)]
    assert 0 < min(numbers) < max(numbers) < 300


def test_more_than_a_page_holds_is_refused():
    many = [[0.0, 0.0, float(k)] for k in range(MOST // 3 + 1)]
    with pytest.raises(ValueError, match=rf"{MOST + 3} coordinates, {MOST} fit on a page"):
        Structures.model_validate(
            {"views": [{"name": "long", "frames": [{"symbols": ["H"] * len(many), "positions_A": many}]}]}
        )


def test_the_largest_page_can_be_mailed(tmp_path):
    places = np.random.default_rng(0).uniform(0, 90, (50, MOST // 150, 3))
    frames = [{"positions_A": p, **({} if k else {"symbols": ["Si"] * len(p)})} for k, p in enumerate(places)]
    run = write_run(tmp_path / "run", only=[])
    Sections(run).put("structures", views=[{"name": "large", "frames": frames}])
    assert write(run).stat().st_size < 1.5e6  # the viewer is 0.54 of them


def test_every_atom_has_an_element():
    with pytest.raises(ValueError, match=r"view 'x', frame 0: 2 symbols for 1 positions"):
        Structures.model_validate({"views": [{"name": "x", "frames": [{"symbols": ["H", "H"], "positions_A": [[0, 0, 0]]}]}]})


def test_an_exploded_frame_is_not_shown():
    content = view(molecule("H2O"))
    content["frames"].append({"positions_A": [[None, 0, 0], [0, 0, 1], [0, 1, 0]]})
    [shown] = views(Structures.model_validate({"views": [content]}))
    assert len(shown.content["frames"]) == 1
    content["frames"] = [{**content["frames"][1], "symbols": ["O", "H", "H"]}]
    assert views(Structures.model_validate({"views": [content]})) == []


def test_the_viewers_licence_goes_with_it(tmp_path):
    page = write(write_run(tmp_path / "run", only=["structures"])).read_text()
    assert viewer() in page
    assert "Redistribution and use in source and binary forms" in page
    assert "University of Pittsburgh" in page
    assert "3Dmol" not in write(write_run(tmp_path / "other", only=["versions"])).read_text()
