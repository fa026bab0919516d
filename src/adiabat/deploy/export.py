"""A potential for another program: one folder, written by the exporter of that program's name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adiabat.deploy import lammps
from adiabat.potential import Potential

EXPORTS: dict[str, Callable[[Potential, Path], dict[str, Any]]] = {"lammps": lammps.export}
NOTE = "export.json"


def export(potential: Potential, to: str, out: str | Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write `potential` for the program `to` into the folder `out`, and what was written into its `export.json`.

    FileExistsError if the folder has something in it that is no export, or an export and not `overwrite`.

    >>> export(None, "gromacs", "out")
    Traceback (most recent call last):
    ValueError: --to 'gromacs' is unknown; known: lammps
    """
    if to not in EXPORTS:
        raise ValueError(f"--to {to!r} is unknown; known: {', '.join(EXPORTS)}")
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()):
        if not (overwrite and (folder / NOTE).exists()):
            raise FileExistsError(f"{folder}: is not empty; choose another folder, or --overwrite an earlier export")
        for name in json.loads((folder / NOTE).read_text(encoding="utf-8"))["files"]:
            (folder / Path(name).name).unlink(missing_ok=True)
    begun = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        told = {"to": to, **EXPORTS[to](potential, folder), "gate": potential.metadata.get("gate")}
    except BaseException:
        if begun:  # nothing is left of what could not be finished
            shutil.rmtree(folder)
        raise
    told["files"] = sorted(path.name for path in folder.iterdir() if path.name != NOTE)
    (folder / NOTE).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return told
