"""A labeled configuration as a row of the store, and back; the seal that tells whether a row is still what was added.

The seal is a CRC-32 over everything that was given. Columns that follow from it (formula, energy per atom, …) are worked out
again when a store is verified.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.formula import Formula

from adiabat.data import structure
from adiabat.elements import symbol

DERIVED = ("config_type", "formula", "natoms", "engine", "energy_per_atom", "max_force", "volume")
GIVEN = ("hash", "level", "numbers", "positions", "cell", "energy", "forces", "stress", "rest", "info")
UNSPECIFIED = "unspecified"  # the level of theory of files that do not say


def row_of(atoms: Atoms, where: str) -> dict[str, Any]:
    """Columns by name; unlabeled, unconverged, misshapen and infinite ones are refused, `where` said."""
    record = structure.beside(atoms)  # refuses what is not finite
    labels = structure.labels(atoms)
    if "energy" not in labels and "forces" not in labels:
        raise ValueError(
            f"{where}: {structure.name_of(atoms)} has neither energy nor forces; wanted a labeled copy; label it first"
        )
    provenance = atoms.info.get("adiabat") or {}
    if provenance.get("converged") is False:
        raise ValueError(f"{where}: {structure.name_of(atoms)} says it is not converged; wanted converged labels; leave it out")
    n = len(atoms)
    energy, forces, stress = (labels.get(name) for name in structure.LABELS)
    for what, value, shape in (("forces", forces, (n, 3)), ("stress", stress, (6,))):
        if value is not None and value.shape != shape:
            raise ValueError(f"{where}: {what} have shape {value.shape}, wanted {shape}; correct or leave out this frame")
    for what, value in labels.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{where}: {what} of {structure.name_of(atoms)} is not finite; correct or leave out this frame")
    given = {
        "hash": structure.content_hash(atoms),
        "level": str(provenance.get("level_of_theory") or UNSPECIFIED),
        "numbers": atoms.numbers.astype("<i4").tobytes(),
        "positions": _blob(atoms.positions),
        "cell": _blob(atoms.cell.array),
        "energy": None if energy is None else energy + 0.0,  # SQLite keeps no sign of zero
        "forces": None if forces is None else _blob(forces),
        "stress": None if stress is None else _blob(stress),
        "rest": json.dumps({k: record[k] for k in ("pbc", "charge", "multiplicity", "fixed", "arrays") if k in record}),
        "info": json.dumps(record.get("info", {})),
    }
    return given | derived(given) | {"seal": seal(given)}


def derived(given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns to choose and count by, from those that were given."""
    numbers, info = np.frombuffer(given["numbers"], "<i4"), json.loads(given["info"])
    n, energy, forces = len(numbers), given["energy"], given["forces"]
    a, b, c = floats(given["cell"]).reshape(3, 3)
    volume = abs(float(np.dot(a, np.cross(b, c))))
    kind = info.get("config_type")
    values, counts = np.unique(numbers, return_counts=True)
    return {
        "config_type": None if kind is None else str(kind),
        "formula": _formula(tuple(values.tolist()), tuple(counts.tolist())),
        "natoms": n,
        "engine": (info.get("adiabat") or {}).get("engine"),
        "energy_per_atom": None if energy is None else energy / n,
        "max_force": None if forces is None else float(np.sqrt((floats(forces).reshape(-1, 3) ** 2).sum(1).max(initial=0.0))),
        "volume": volume if volume > 0 else None,
    }


def seal(given: Mapping[str, Any]) -> int:
    """CRC-32 of the given columns, each with its length in front.

    >>> row = dict.fromkeys(GIVEN) | {"energy": 1.0}
    >>> seal(row) == seal(row | {"energy": 1.0 + 2**-52})
    False
    """
    crc = 0
    for name in GIVEN:
        value = given[name]
        part = (
            b"none" if value is None
            else value if isinstance(value, bytes)
            else struct.pack("<d", value) if isinstance(value, float)
            else str(value).encode()
        )  # fmt: skip
        crc = zlib.crc32(part, zlib.crc32(len(part).to_bytes(8, "little"), crc))
    return crc


def atoms_of(given: Mapping[str, Any]) -> Atoms:
    """The labeled configuration again, every number to the last bit."""
    record = json.loads(given["rest"]) | {"info": json.loads(given["info"])}
    record |= {
        "numbers": np.frombuffer(given["numbers"], "<i4"),
        "positions": floats(given["positions"]),
        "cell": floats(given["cell"]).reshape(3, 3),
    }
    energy, forces, stress = given["energy"], given["forces"], given["stress"]
    return structure.labeled(
        structure.from_json(record),
        energy=energy,
        forces=None if forces is None else floats(forces).reshape(-1, 3),
        stress=None if stress is None else floats(stress),
    )


def floats(value: bytes | float) -> np.ndarray:
    return np.frombuffer(value, "<f8") if isinstance(value, bytes) else np.array([value], dtype=float)


def _blob(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


@lru_cache(maxsize=4096)
def _formula(numbers: tuple[int, ...], counts: tuple[int, ...]) -> str:
    """Hill's order, as ASE writes it."""
    return Formula.from_dict({symbol(z): n for z, n in zip(numbers, counts)}).format("hill")
