"""No law is passed over in silence: a waiver names a law that is there, gives its reason, and is an instance's, never a whole family's."""

from __future__ import annotations

import re
from pathlib import Path

from adiabat.models import MODELS
from adiabat.models.bpnn import SMOOTH
from adiabat.models.pair import STEPS
from laws.potentials import KINDS, POTENTIALS

LAW = re.compile(r"^def test_(\w+)\([^)]*\bpotential\b", re.MULTILINE)
LAWS = {name for path in Path(__file__).parent.glob("test_*.py") for name in LAW.findall(path.read_text())}


def test_a_waiver_names_a_law_and_its_reason():
    waived = {law: why for make in POTENTIALS.values() for term in make().terms for law, why in term.waived.items()}
    assert len(LAWS) > 30 and waived.keys() | {*SMOOTH} <= LAWS
    assert all(len(why.split()) > 4 for why in waived.values())


def test_only_pairs_that_are_cut_are_excused():
    """No family is excused as a whole, nor as it is by default."""
    assert POTENTIALS.keys() >= MODELS.keys() | KINDS.keys()
    excused = {name for name, make in POTENTIALS.items() if any(term.waived for term in make().terms)}
    cut = {kind for kind, (_, others) in KINDS.items() if others.get("fade", "smooth") != "smooth"}
    assert excused == cut and not any(model.waived for model in MODELS.values())
    assert {*STEPS} == {*SMOOTH}
