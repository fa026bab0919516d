"""ASE databases (`.db` of SQLite, `.json`): labels as ASE keeps them, and beside them what ASE would lose, the frame's info and arrays.

A row has columns for numbers, geometry, labels and constraints. `info` goes whole into the row's `data`, where nothing is searched, and
those entries that ASE takes as key-value pairs once more there, so that `ase db x.db config_type=md` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.data import structure
from adiabat.durable import replaced

SUFFIXES = (".db", ".json")
_KEPT_BY_ASE = {"numbers", "positions", "initial_magmoms", "initial_charges", "tags", "masses", "momenta"}
_WORD = re.compile(r"[_a-zA-Z][_0-9a-zA-Z]*$")


def write(path: str | Path, frames: Iterable[Atoms], overwrite: bool = False) -> Path:
    """A database of these frames, labels in eV and Å; the file appears whole or not at all, an existing one is kept unless `overwrite`.

    >>> import tempfile
    >>> path = write(tempfile.mkdtemp() + "/h.ase.db", [Atoms("H", info={"config_type": "lone", "tags": [1, 2]})])
    >>> read(path)[0].info
    {'config_type': 'lone', 'tags': [1, 2]}
    """
    import ase.db

    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists already; choose another name, or overwrite=True")
    with replaced(path) as draft, ase.db.connect(draft, append=False, use_lock_file=False) as database:
        for atoms in frames:
            structure.labels(atoms)  # raises where they belong to other positions, which ASE would drop in silence
            beside = structure.beside(atoms)  # raises for what has no JSON form
            info = structure.plain(dict(atoms.info))
            arrays = {k: v for k, v in beside.get("arrays", {}).items() if k not in _KEPT_BY_ASE}
            database.write(atoms, key_value_pairs=_searched(info), data={"info": info, "arrays": arrays})
    return path


def read(path: str | Path) -> list[Atoms]:
    """All rows: with the info and arrays that `write` kept; of other people's databases, key-value pairs and data make the info."""
    import ase.db

    frames = []
    with ase.db.connect(Path(path), use_lock_file=False) as database:
        for row in database.select():
            atoms, data = row.toatoms(), dict(row.get("data") or {})
            ours = set(data) == {"info", "arrays"} and isinstance(data["info"], dict)
            atoms.info = dict(data["info"]) if ours else {**row.key_value_pairs, **data}
            for name, values in (data.get("arrays") or {}).items() if ours else ():
                atoms.set_array(name, np.array(values))
            frames.append(atoms)
    return frames


def _searched(info: dict[str, Any]) -> dict[str, Any]:
    """Entries that ASE takes as key-value pairs: plain words for names, numbers or texts that are no numbers for values."""
    from ase.db.core import check

    found = {}
    for key, value in info.items():
        if isinstance(value, bool | int | float | str) and _WORD.match(key):
            try:
                check({key: value})
            except ValueError:
                continue  # a name ASE keeps for itself, or a text that reads as a number: it stands in the data alone
            found[key] = value
    return found
