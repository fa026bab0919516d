"""A potential for another program: one folder, written by the exporter of that program's name."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adiabat.deploy import lammps
from adiabat.potential import Potential

EXPORTS: dict[str, Callable[[Potential, Path, Path], dict[str, Any]]] = {"lammps": lammps.export}
NOTE = "export.json"


def export(
    potential: Potential,
    to: str,
    out: str | Path,
    *,
    overwrite: bool = False,
    check: Callable[[Path], Any] | None = None,
) -> dict[str, Any]:
    """Write `potential` for the program `to` into the folder `out`, and what was written into its `export.json`.

    FileExistsError if the folder has something in it that is no export, or an export and not `overwrite`. `check` looks at the
    finished files before they come into place, and may raise; what it returns stands in the answer. Until then an earlier export
    stays as it is.

    >>> export(None, "gromacs", "out")
    Traceback (most recent call last):
    ValueError: --to 'gromacs' is unknown; known: lammps
    """
    ready(to, out, overwrite=overwrite)
    folder = Path(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        told = {"to": to, **EXPORTS[to](potential, new, folder), "gate": potential.metadata.get("gate")}
        told["files"] = sorted(path.name for path in new.iterdir())
        (new / NOTE).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        found = {} if check is None else {"check": check(new)}
        _put(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return {**told, **found}


def ready(to: str, out: str | Path, *, overwrite: bool = False) -> None:
    """Raise what would refuse an export to `to` in the folder `out`, before anything that takes long was done for it."""
    if to not in EXPORTS:
        raise ValueError(f"--to {to!r} is unknown; known: {', '.join(EXPORTS)}")
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()):
        if not (overwrite and (folder / NOTE).exists()):
            raise FileExistsError(f"{folder}: is not empty; choose another folder, or --overwrite an earlier export")
    lammps.program.headers()


def _put(new: Path, folder: Path) -> None:
    """The files of `new` into `folder`, those of an earlier export out of it; its note last, so that a half-way folder is known."""
    folder.mkdir(exist_ok=True)
    earlier = json.loads((folder / NOTE).read_text(encoding="utf-8"))["files"] if (folder / NOTE).exists() else []
    names = [path.name for path in new.iterdir() if path.name != NOTE]
    for name in {Path(name).name for name in earlier} - set(names):
        (folder / name).unlink(missing_ok=True)
    for name in [*names, NOTE]:
        (new / name).replace(folder / name)
