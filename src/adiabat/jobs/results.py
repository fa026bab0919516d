"""A published result is one file `results/<first two>/<key>.json`, there whole or not at all, and it vouches for itself.

The worker writes a temporary file beside it, syncs, renames, syncs the folder: no moment of a kill or a power cut leaves half
a file under the final name. sha256 over the rest of the record catches what file systems do later.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from adiabat.durable import put, sync_folder
from adiabat.jobs.task import sha256, spell

STALE_S = 3600.0  # temporary files live for milliseconds; one this old lost its worker, wherever that ran


class Damaged(ValueError):
    """A file under a result's name that is not that result."""


def path_of(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.json"


def publish(folder: Path, key: str, kind: str, result: Any, *, wall_s: float, cpu_s: float) -> dict[str, Any]:
    """Write the result, plain JSON, so that it is there for good when this returns."""
    record = {"key": key, "kind": kind, "result": result, "host": socket.gethostname(), "pid": os.getpid()}
    record |= {"wall_s": wall_s, "cpu_s": cpu_s, "published": time.time()}
    record["sha256"] = sha256(spell(record))
    path = path_of(folder, key)
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(folder)
    temporary = path.with_name(f"{key}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        put(temporary, [spell(record).encode("ascii")])
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()  # on a full disk the half file is part of the trouble
        raise
    sync_folder(path.parent)
    return record


def read(folder: Path, key: str) -> dict[str, Any] | None:
    """The verified record, None where nothing is published, `Damaged` where the file does not verify."""
    path = path_of(folder, key)
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Damaged(f"{path}: not a whole JSON file ({error})") from None
    try:
        seal = record.pop("sha256")
        sealed, named = sha256(spell(record)), record["key"]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Damaged(f"{path}: not a record of a result") from None
    if sealed != seal:
        raise Damaged(f"{path}: sha256 {sealed[:12]}… is not the recorded {str(seal)[:12]}…")
    if named != key:
        raise Damaged(f"{path}: holds the result of {str(named)[:12]}…")
    return record


def read_or_set_aside(folder: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """As `read`, but a damaged file moves to results/damaged (it is never deleted) and is named in the second value."""
    try:
        return read(folder, key), ""
    except Damaged as damage:
        aside = folder / "damaged" / f"{key}.{time.time_ns()}.json"
        aside.parent.mkdir(exist_ok=True)
        os.replace(path_of(folder, key), aside)
        return None, f"{damage}; moved to {aside}, to be computed again"


def published_keys(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("??/*.json"))


def sweep(folder: Path) -> None:
    """Remove what workers left that died while writing."""
    for path in folder.glob("??/*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
