"""Weights that mace-torch's files give their frames, as ours: `config_weight` is `weight`; a label that weighs nothing is none.

mace-torch multiplies a frame's squared errors with `config_weight` and those of one label with `config_energy_weight` and its kin
(`mace/data/utils.py`, `mace/modules/loss.py`). Our loss weighs frames, kinds of frames and kinds of labels, but no label of a frame
against its others: what cannot be kept is said.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.data.structure import labeled, labels

OF_FRAME = "config_weight"
OF_LABEL = {
    "config_energy_weight": "energy", "config_forces_weight": "forces", "config_stress_weight": "stress",
    "config_virials_weight": "stress",
}  # fmt: skip


def weighted(frames: list[Atoms]) -> tuple[list[Atoms], list[str]]:
    """The frames with weights under our names, and in words what was done.

    >>> h2 = labeled(Atoms("H2", [[0, 0, 0], [0, 0, 0.7]], info={"config_weight": 3.0}), energy=-31.7)
    >>> [frame], notes = weighted([h2])
    >>> frame.info, notes
    ({'weight': 3.0}, ["weight taken from 'config_weight' (1 frame)"])
    """
    done: Counter[tuple[str, str]] = Counter()
    found = [_frame(atoms, done) for atoms in frames]
    notes = []
    for (what, name), n in done.items():
        of = f"{n} frame{'s' * (n != 1)}"
        if what == "taken":
            notes.append(f"weight taken from {name!r} ({of})")
        elif what == "second":
            notes.append(f"{of}: {name!r} left in info, for there is a 'weight' that differs from it")
        elif what == "none":
            notes.append(f"{OF_LABEL[name]} of {of} left out: {name!r} is 0 there")
        else:
            notes.append(
                f"{name!r} of {of} is not used: it is neither 0 nor 1, and no label of a frame is weighed against its others here; "
                "weigh frames (weight), kinds of frames (loss.kinds) or labels of all frames (loss.energy, loss.forces, loss.stress)"
            )
    return found, notes


def _frame(atoms: Atoms, done: Counter[tuple[str, str]]) -> Atoms:
    info = atoms.info
    if OF_FRAME in info:
        if "weight" not in info:
            info["weight"] = info.pop(OF_FRAME)
            done["taken", OF_FRAME] += 1
        elif info["weight"] != info[OF_FRAME]:
            done["second", OF_FRAME] += 1
    if not any(name in info for name in OF_LABEL):
        return atoms
    known = labels(atoms)
    for name, label in OF_LABEL.items():
        if name not in info or label not in known or _is(info[name], 1):
            continue
        if _is(info[name], 0):
            del known[label]
            done["none", name] += 1
        else:
            done["unused", name] += 1
    return labeled(atoms, **known) if len(known) < len(labels(atoms)) else atoms


def _is(value: Any, number: float) -> bool:
    return np.ndim(value) == 0 and not isinstance(value, str) and float(value) == number
