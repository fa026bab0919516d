"""Files that are there when a function returns: after a power cut, too, not only after a kill.

A file's content is on the disk once the file is synced; its name, new or changed, once the folder that holds it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Where to write what shall stand at `path`: there for good when the block ends, or where it raises not at all.

    The name has the suffix of `path` and is this process's own, so that two who write the same do not write into each other.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replaced(path) as draft:
    ...     _ = draft.write_text("whole"), path.exists()
    >>> path.read_text(), [p.name for p in path.parent.iterdir()]
    ('whole', ['a.txt'])
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.writing{path.suffix}")
    draft.unlink(missing_ok=True)  # of a killed process that had this number
    try:
        yield draft
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
