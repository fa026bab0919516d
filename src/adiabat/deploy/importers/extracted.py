"""What an importer takes out of a peer's model: plain settings and arrays, and the peer's own answers to check against.

Kept as a `.npz` file it needs neither the peer nor trust to be read: numbers and a JSON header, nothing that runs.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adiabat import elements as periodic_table

FORM = 1  # raised when the meaning of settings or arrays changes


class ForeignModelError(ValueError):
    """A peer's model file that cannot be read, is not trusted, or holds what Adiabat does not support."""


@dataclass(frozen=True)
class Extracted:
    """`source` is the peer's name and version; `settings` are plain JSON; `arrays` are float64 or integers."""

    source: str
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Write the `.npz` file."""
        header = json.dumps({"adiabat_extracted": FORM, "source": self.source, "settings": self.settings}, sort_keys=True)
        np.savez_compressed(path, header=np.frombuffer(header.encode(), dtype=np.uint8), **self.arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: str | Path) -> Extracted:
        """Read the `.npz` file; arrays of objects, which would be code, are refused by numpy."""
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            header = json.loads(bytes(arrays.pop("header")))
            if header["adiabat_extracted"] != FORM:
                raise ForeignModelError(f"{path}: form {header['adiabat_extracted']}; this Adiabat reads form {FORM}")
            return cls(str(header["source"]), dict(header["settings"]), arrays)
        except (OSError, KeyError, TypeError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise ForeignModelError(f"{path}: no file of extracted arrays, or a damaged one ({error})") from None
        except ForeignModelError:
            raise
        except ValueError as error:  # numpy's word for a pickled array
            raise ForeignModelError(f"{path}: no file of extracted arrays, or a damaged one ({error})") from None


def agreed(where: object, named: Sequence[str] | None, given: Sequence[str] | None, count: int | None = None) -> list[str]:
    """The elements, in the file's order: those the file names, or, where it names none, those given with the call.

    >>> agreed("Si.mtp", None, ["Si"], count=1)
    ['Si']
    """
    if named is None and given is None:
        raise ForeignModelError(
            f"{where}: its elements are not in the file; name them in its order: --elements Si,O or elements=[…]"
        )
    if named is not None and given is not None and list(named) != list(given):
        raise ForeignModelError(f"{where}: it is for {', '.join(named)}, elements {', '.join(given)} came; leave them out")
    found = list(given or ()) if named is None else list(named)
    try:
        periodic_table.numbers(list(given or ()))
    except ValueError as error:
        raise ForeignModelError(f"{where}: elements: {error}") from None
    if len(set(map(str, found))) < len(found):
        raise ForeignModelError(f"{where}: an element stands twice among {', '.join(map(str, found))}")
    if count is not None and len(found) != count:
        raise ForeignModelError(f"{where}: it is for {count} elements, {len(found)} came: {', '.join(found)}")
    return found
