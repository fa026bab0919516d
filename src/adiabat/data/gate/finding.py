"""What a check says: one finding, with its frames, its number and its cure; and the set it looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms

from adiabat.data.composition import Reference, is_isolated, reference_energies
from adiabat.data.gate.survey import Seen, seen
from adiabat.data.scale import Works, works
from adiabat.data.structure import content_hash

Grade = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found, in the words of `adiabat check --json`; `value` is its number, in the unit the message names.

    `remedy` is the cure as data where applying it is safe: ("leave out", None), ("scale", {"forces": -1.0}),
    ("reorder stress", (0, 1, 2, 4, 5, 3)), ("strip record", None); see `cures`.
    """

    name: str
    grade: Grade
    frames: list[int]
    message: str
    cure: str
    value: float | None = None
    remedy: tuple[str, Any] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.grade}: {self.name}: {self.message}; {self.cure}"


LEAVE_OUT: tuple[str, Any] = ("leave out", None)


def finding(
    name: str, grade, frames: Sequence[int], message: str, cure: str, value: float | None = None, remedy=None
) -> list[Finding]:
    """One finding, if any frame has it; its message is put `in_number`."""
    if not len(frames):
        return []
    return [Finding(name, grade, [int(k) for k in frames], in_number(message, len(frames)), cure, value, remedy)]


def in_number(message: str, n: int) -> str:
    """{n} becomes '3 frames', and of {have|has} the word that fits.

    >>> in_number("{n} {have|has} no energy", 3), in_number("{n} {have|has} no energy", 1)
    ('3 frames have no energy', '1 frame has no energy')
    """
    message = message.replace("{n}", f"{n} frame{'s' * (n != 1)}")
    return re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", lambda m: m[1] if n != 1 else m[2], message)


def graded(name: str, values: Mapping[int, float], limits: Mapping[int, tuple[float, float]], message: str, cure: str):
    """Frames above the second limit of theirs are a fault, above the first a warning."""
    found: list[Finding] = []
    for grade, place in (("fault", 1), ("warning", 0)):
        frames = [k for k, value in values.items() if value > limits[k][place] and (grade == "fault" or value <= limits[k][1])]
        if frames:
            worst = max(frames, key=lambda k: values[k])
            found += finding(
                name, grade, frames, message.format(n="{n}", value=values[worst], limit=limits[worst][0]), cure, values[worst]
            )
    return found


class Residuals(NamedTuple):
    """Energies less the reference energies, eV an atom, of the frames that have an energy and are no isolated atoms."""

    frames: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Set:
    """The frames with their labels, read once for all checks; what several checks ask is computed once."""

    frames: Sequence[Atoms]
    labels: list[dict[str, Any]]
    isolated: Mapping[int, float] = field(default_factory=dict)
    sides: Mapping[str, Sequence[int]] = field(default_factory=dict)  # name of a split → its frames

    @cached_property
    def hashes(self) -> list[str]:
        return [content_hash(atoms) for atoms in self.frames]

    @cached_property
    def seen(self) -> list[Seen]:
        """Distances of each frame, looked at once."""
        return [seen(atoms) for atoms in self.frames]

    @cached_property
    def formulas(self) -> list[bytes]:
        """Same atoms, same name: the sorted numbers as bytes."""
        return [np.sort(atoms.numbers).tobytes() for atoms in self.frames]

    @cached_property
    def levels(self) -> list[str]:
        """The level of theory each frame states, or 'not stated'."""
        return [str(record(atoms).get("level_of_theory") or "not stated") for atoms in self.frames]

    @cached_property
    def works(self) -> Works:
        """Energy change against work of the forces, over pairs of near frames."""
        return works(self.frames, self.labels)

    @cached_property
    def reference(self) -> Reference | None:
        known = [a for a, k in zip(self.frames, self.labels) if "energy" in k]
        return reference_energies(known) if known else None

    @cached_property
    def residuals(self) -> Residuals:
        ks = [k for k, known in enumerate(self.labels) if "energy" in known and not is_isolated(self.frames[k])]
        if self.reference is None:
            return Residuals(np.array([], int), np.array([]))
        rest = [(self.labels[k]["energy"] - self.reference.of(self.frames[k])) / len(self.frames[k]) for k in ks]
        return Residuals(np.array(ks, int), np.array(rest))

    @cached_property
    def largest_force(self) -> dict[int, float]:
        """The largest force on an atom, eV/Å, of each frame that has forces."""
        return {
            k: float(np.sqrt((known["forces"] ** 2).sum(axis=1).max()))
            for k, known in enumerate(self.labels)
            if "forces" in known and len(known["forces"])
        }


def record(atoms: Atoms) -> Mapping[str, Any]:
    told = atoms.info.get("adiabat")
    return told if isinstance(told, Mapping) else {}
