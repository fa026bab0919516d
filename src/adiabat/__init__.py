"""Adiabat: from a structure to a validated machine-learned interatomic potential and the physics computed with it.

    import adiabat as ad

Each name below is fetched from its room when it is first asked for, so that `import adiabat` and the command line answer
at once. Nothing inside `src/` imports from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker and an editor see; the same list as ROOMS, held equal by tests/test_house.py
    from adiabat import descriptors, models
    from adiabat.campaign.learn import learn
    from adiabat.data.formats import read
    from adiabat.data.store import Dataset
    from adiabat.deploy.importers import import_model
    from adiabat.deploy.load import load
    from adiabat.graph import Graph
    from adiabat.labelers import labeler
    from adiabat.potential import Potential
    from adiabat.training.fit import fit

__version__ = "0.1.0"

__all__ = ["read", "Dataset", "labeler", "models", "Graph", "Potential", "fit", "load", "learn", "import_model", "descriptors"]

# name → the module that has it; a module's own name stands for the module itself
ROOMS = {
    "read": "adiabat.data.formats",
    "Dataset": "adiabat.data.store",
    "labeler": "adiabat.labelers",
    "models": "adiabat.models",
    "Graph": "adiabat.graph",
    "Potential": "adiabat.potential",
    "fit": "adiabat.training.fit",
    "load": "adiabat.deploy.load",
    "learn": "adiabat.campaign.learn",
    "import_model": "adiabat.deploy.importers",
    "descriptors": "adiabat.descriptors",
}


def __getattr__(name: str) -> Any:
    if name not in ROOMS:
        raise AttributeError(f"module 'adiabat' has no attribute '{name}'; it offers {', '.join(__all__)}")
    room = importlib.import_module(ROOMS[name])
    thing = room if ROOMS[name] == f"adiabat.{name}" else getattr(room, name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
