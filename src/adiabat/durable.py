"""Files that are there when a function returns: after a power cut, too, not only after a kill.

A file's content is on the disk once the file is synced; its name, new or changed, once the folder that holds it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def put(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file of these parts; its content is on the disk when this returns. The name is, after `sync_folder`."""
    with open(path, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """The names in a folder, on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
