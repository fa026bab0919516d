"""What a training is made of: parts of the frames that came, past the data gate.

The gate stands before every training: a fault stops the run, unless it is waived by name, and frames that stand on two sides of the
split are named. Of packed shards the gate and the report see a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.campaign.frames import gate
from adiabat.config import ConfigError
from adiabat.data.gate import Finding
from adiabat.data.parts import Part, divided
from adiabat.data.split import split as split_frames

SIDES = ("train", "validation", "test")
SAMPLE = 2000  # frames of a packed set that the gate and the report see


@dataclass(frozen=True)
class Material:
    """What a training is made of."""

    parts: Mapping[str, Any]  # by side: frames, or a part of a packed set
    seen: Mapping[str, list[Atoms]]  # of each side, the frames that errors are worked out on: all, or a sample
    findings: list[Finding]
    gated: int  # frames that the gate has seen
    notes: list[str]


def material(
    come: tuple[list[Atoms], list[str]] | Part,
    given: Mapping[str, list[Atoms]],
    split: tuple[float, float, float],
    seed: int,
    waive: Sequence[str],
) -> Material:
    """Training, validation and test parts: given ones as they are, the others split off from the frames that came (with notes of how they
    were read) or from a packed set; all of them past the data gate.

    The gate sees them together, numbered through: the frames of `data`, then those of the given sides.
    """
    fractions = shares(given, split)
    notes: list[str] = []
    parts: dict[str, Any]
    if isinstance(come, Part):
        parts = {**dict(zip(SIDES, divided(come, fractions, seed), strict=True)), **given}
        seen = {side: list(islice(part, _sampled(part, len(come)))) for side, part in parts.items()}
        frames = [a for side in SIDES for a in seen[side]]
        notes.append(f"{len(come)} packed frames; the data gate and the errors of the parts see {len(frames)} of them")
        ends = np.cumsum([0, *(len(seen[side]) for side in SIDES)])
        sides = {side: list(range(ends[k], ends[k + 1])) for k, side in enumerate(SIDES)}
    else:
        frames, notes = come[0], list(come[1])
        everything = [*frames, *(a for part in given.values() for a in part)]
        try:
            chosen = split_frames(frames, fractions, seed=seed)
        except ValueError:  # frames that cannot be told apart may be faulty ones
            gate(everything, waive=waive, where=_named("data", given))
            raise
        sides, n = {side: list(getattr(chosen, side)) for side in SIDES}, len(frames)
        for side, part in given.items():
            sides[side], n = list(range(n, n + len(part))), n + len(part)
        frames = everything
        parts = seen = {side: [frames[k] for k in sides[side]] for side in SIDES}
    findings = gate(frames, waive=waive, where=_named("data", given), sides={s: ks for s, ks in sides.items() if ks})
    notes += [f"{f.name}: {f.message}" for f in findings if f.name.startswith("leakage")]
    return Material(parts, seen, findings, len(frames), notes)


def _sampled(part: Any, whole: int) -> int:
    """How many frames of a part the gate and the report see."""
    return -(-SAMPLE * len(part) // max(1, whole)) if isinstance(part, Part) else len(part)


def _named(first: str, given: Mapping[str, Any]) -> str:
    return ", then ".join([first, *given])


def shares(given: Mapping[str, Any], wanted: tuple[float, float, float]) -> tuple[float, float, float]:
    """Of training, validation and test among the frames of `data`; none for a side that is given."""
    first, second, third = (0.0 if side in given else share for side, share in zip(SIDES, wanted, strict=True))
    total = first + second + third
    if not first > 0 or second < 0 or third < 0:
        raise ConfigError(
            f"split: {list(wanted)} came; wanted shares of training, validation and test frames, as [0.8, 0.1, 0.1]"
        )
    return first / total, second / total, third / total
