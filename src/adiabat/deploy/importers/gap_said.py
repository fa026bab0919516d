"""Numbers and words of QUIP's XML files: what stands in an element, what a descriptor says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from adiabat.deploy.importers.extracted import ForeignModelError


class Said:
    """What a descriptor says: key=value, key={several values}, key="…", whose keys may have capitals or not.

    >>> said = Said(Path("gap.xml"), "soap", 'n_max=3 species_Z={29 79} R_mix=T note="a b"')
    >>> said.number("n_max"), said.numbers("species_z"), said.true("r_mix"), said.word("note"), "l_max" in said
    (3.0, [29.0, 79.0], True, 'a b', False)
    """

    def __init__(self, path: Path, kind: str, text: str) -> None:
        self.path, self.kind, self.text = path, kind, text
        self.by_key = {
            found[1].lower(): next(x for x in found.groups()[1:] if x is not None).strip()
            for found in re.finditer(r'(\w+)\s*=\s*(?:\{+([^}]*)\}+|"([^"]*)"|(\S*))', text)
        }

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    def word(self, key: str, default: str = "") -> str:
        return self.by_key.get(key, default)

    def true(self, key: str, default: str = "F") -> bool:
        return true(self.word(key, default))

    def number(self, key: str, default: float | None = None) -> float:
        """The first, where there are several."""
        return self.numbers(key, None if default is None else [default])[0]

    def numbers(self, key: str, default: Sequence[float] | None = None) -> list[float]:
        if key not in self and default is not None:
            return [*default]
        words = self.word(key).split()
        if not words:
            raise ForeignModelError(f"{self.path}: {self.kind} says no {key}")
        return [number(self.path, key, word) for word in words]


def true(text: str) -> bool:
    return text.strip().upper() in ("T", "TRUE", "1", "Y", "YES")


def same(one: str, other: str) -> bool:
    """Whether these are the same number or truth."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip().upper() in (other.upper(), {"F": "FALSE", "T": "TRUE"}.get(other, other.upper()))


def only(path: Path, node: ElementTree.Element, name: str) -> ElementTree.Element:
    """The one element of this name."""
    found = list(node.iter(name))
    if len(found) != 1:
        raise ForeignModelError(f"{path}: {len(found)} {name} in {node.tag}; wanted one")
    return found[0]


def number(path: Path, key: str, text: str | None) -> float:
    """Of Fortran, too; finite."""
    try:
        value = float((text or "").replace("D", "E").replace("d", "e"))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ForeignModelError(f"{path}: {key} {text!r} came; wanted a number")
    return value
