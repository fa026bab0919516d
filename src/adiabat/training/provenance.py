"""What a training says of its data: a name for them and for itself, their level of theory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from adiabat.data.composition import Reference
from adiabat.data.structure import Atoms, content_hash, labels
from adiabat.elements import symbol
from adiabat.potential import Model, describe


def fingerprint(data_hash: str, model: Model, options: Mapping[str, Any]) -> str:
    """A name for a training, by which its checkpoint is known."""
    asked = json.dumps([data_hash, describe(model), options], sort_keys=True, default=repr)
    return hashlib.sha256(asked.encode()).hexdigest()


def metadata(reference: Reference, level: str | None, **training: Any) -> dict[str, Any]:
    """What a model file tells of the data it learned from."""
    return {
        "training": training,
        "reference_energies": {"method": reference.method, "undetermined": [symbol(z) for z in reference.undetermined]},
        "level_of_theory": level,
    }


def said_level(info: Mapping[str, Any]) -> str | None:
    """The level of theory that a frame states, as JSON."""
    record = info.get("adiabat")
    return json.dumps(record["level_of_theory"]) if isinstance(record, Mapping) and "level_of_theory" in record else None


def one_level(said: Iterable[str | None]) -> str | None:
    """The level of theory of all frames that state one; two are refused."""
    levels = {level for level in said if level is not None}
    if len(levels) > 1:
        raise ValueError(f"the frames mix {len(levels)} levels of theory: {', '.join(sorted(levels))}; train on one of them")
    return json.loads(levels.pop()) if levels else None


def data_name(train: Sequence[Atoms], held: Sequence[Atoms]) -> str:
    """A name for the data: structures, labels and weights, on which side they stand and in which order."""
    digest = hashlib.sha256()
    for part in (train, held):
        digest.update(b"|")
        for atoms in part:
            digest.update(content_hash(atoms).encode())
            digest.update(repr((atoms.info.get("weight", 1.0), atoms.info.get("config_type", ""))).encode())
            for name, value in labels(atoms).items():
                digest.update(name.encode() + np.asarray(value, float).tobytes())
    return digest.hexdigest()
