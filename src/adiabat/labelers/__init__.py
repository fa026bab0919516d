"""Labelers: a structure in, energy, forces and stress out, with the record of how; or an error with a cure.

base             the protocol: checks, errors, the settings record
auto             the engine by case: pyscf for molecules, gpaw for what is periodic
pyscf            molecular DFT in Gaussian basis sets
gpaw             DFT in plane waves, solids and molecules, with stress
tblite           GFN1- and GFN2-xTB, molecules and periodic cells
ase_calculator   any ASE calculator by name
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from adiabat.data.structure import from_json, to_json
from adiabat.labelers.ase_calculator import ASECalculator
from adiabat.labelers.auto import Auto
from adiabat.labelers.base import EngineMissing, Labeler, LabelError
from adiabat.labelers.gpaw import GPAW
from adiabat.labelers.pyscf import PySCF
from adiabat.labelers.tblite import TBLite

__all__ = ["LABELERS", "EngineMissing", "LabelError", "Labeler", "label", "labeler"]

LABELERS: dict[str, type[Labeler]] = {cls.name: cls for cls in (Auto, PySCF, GPAW, TBLite, ASECalculator)}


def labeler(name: str, **settings: Any) -> Labeler:
    """A labeler by name; call it with atoms.

    >>> labeler("pyscf", functional="pbe").theory()
    'pbe/def2-svp'
    >>> labeler("pyscf", functionnal="pbe")
    Traceback (most recent call last):
    ValueError: labeler.pyscf: unknown option 'functionnal'; did you mean 'functional'?
    """
    if name not in LABELERS:
        raise ValueError(f"labeler: unknown name {name!r}; {_nearest(name, list(LABELERS))}")
    known = list(inspect.signature(LABELERS[name]).parameters)
    for option in settings:
        if option not in known:
            raise ValueError(f"labeler.{name}: unknown option {option!r}; {_nearest(option, known)}")
    return LABELERS[name](**settings)


def label(arguments: dict[str, Any]) -> dict[str, Any]:
    """The job: {"labeler": {name: settings}, "atoms": structure JSON} → {"atoms": JSON of the labeled copy}."""
    ((name, settings),) = arguments["labeler"].items()
    return {"atoms": to_json(labeler(name, **(settings or {}))(from_json(arguments["atoms"])))}


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
