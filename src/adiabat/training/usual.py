"""The model of someone who names none: a rule that looks at the frames.

| frames | model |
|---|---|
| molecules of more than `WHOLE` atoms, nothing periodic | a small MACE, about `STEPS` steps of AdamW |
| everything else | a linear ACE, by least squares: its minimum in seconds to a minute |

A polynomial that is linear in what it learns follows a flexible molecule's frames half as well as message passing does in as many
seconds, and where its dynamics leaves them a little it falls into holes: bonds break (benchmarks/molecules.py, docs/training.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from itertools import islice
from typing import Any

from adiabat.data.composition import is_isolated
from adiabat.data.parts import Part
from adiabat.data.structure import Atoms
from adiabat.graph import Graph
from adiabat.models import ACE, MACE
from adiabat.potential import Model

WHOLE = 5  # atoms: all their relations are products of four densities around one of them
STEPS = 5000  # of AdamW: three minutes of one core
BATCH_EDGES = 2000  # about four molecules of 27 atoms
LOOKED_AT = 50  # frames, spread evenly, whose edges are counted
OF_A_PACK = 500  # frames of a packed set that are looked at: the first ones, since a pack is in random order


def usual(frames: Sequence[Atoms] | Part, given: Mapping[str, Any], make: Any) -> tuple[Model, dict[str, Any]]:
    """The model for these frames, and the options of `make`, which fits it, that `given` leaves as they are by themselves.

    >>> from ase.build import bulk, molecule
    >>> from adiabat.training import fit
    >>> usual([bulk("Si")] * 20, {}, fit)[0].name, usual([molecule("H2O")] * 20, {}, fit)[0].name
    ('ace', 'ace')
    >>> model, options = usual([molecule("C6H6")] * 20, {"dtype": "float64"}, fit)
    >>> model.name, options["optimizer"], options["dtype"]
    ('mace', {'adamw': {'lr': 0.005}}, 'float32')
    """
    looked_at = list(islice(frames, OF_A_PACK)) if isinstance(frames, Part) else frames
    seen = [atoms for atoms in looked_at if not is_isolated(atoms)]
    if any(atoms.pbc.any() for atoms in seen) or max((len(atoms) for atoms in seen), default=0) <= WHOLE:
        return ACE(cutoff=5.0, channels=24), {}
    model = MACE(cutoff=5.0, channels=16, hidden="0e+1o", l_max=3, fade=True)
    if given.get("optimizer", "auto") != "auto":  # epochs and batches are another optimizer's
        return model, {}
    sample = seen[:: -(-len(seen) // LOOKED_AT)]
    edges = sum(Graph.of(atoms, model.cutoff).n_edges for atoms in sample) / len(sample)
    edges *= len(frames) * len(seen) / len(looked_at)
    ours = {
        "optimizer": {"adamw": {"lr": 0.005}}, "average": {"exponential": {"decay": 0.8}}, "batch_edges": BATCH_EDGES,
        "epochs": max(1, round(STEPS * BATCH_EDGES / max(edges, BATCH_EDGES))), "dtype": "float32",
    }  # fmt: skip
    parameters = signature(make).parameters
    return model, {
        name: value for name, value in ours.items() if given.get(name, parameters[name].default) == parameters[name].default
    }
