"""The model gate as a command runs it, and the exports and campaigns that stand behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.deploy.load import load
from adiabat.potential import Potential
from adiabat.validation.gate import Check, Gate, gate, recorded

Progress = Callable[[str, Check], None]


def gate_file(
    model: str | Path,
    frames: Sequence[Atoms] = (),
    *,
    waive: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Gate:
    """The gate on a model file. A waiver by name is a signature: it is written into the file, with all verdicts."""
    potential = load(model)
    found = gate(potential, frames, waive=waive, progress=progress, **options)
    if waive and found.passed:
        found.record(potential)
        potential.save(model)
    return found


def behind_gate(
    potential: Potential,
    what: str,
    frames: Sequence[Atoms] = (),
    *,
    waive: Sequence[str] = (),
    progress: Progress | None = None,
) -> Gate:
    """The verdicts that stand in the potential, or new ones; GateRefusal where one fails that nobody waived."""
    found = recorded(potential)
    if found is None or waive or frames or not found.passed:
        found = gate(potential, frames, waive=waive, progress=progress)
        found.record(potential)
    found.refuse(what)
    return found


def rows(found: Gate) -> list[list[str]]:
    """The verdicts as a table: check, verdict, what was found and what to do."""
    return [[name.replace("_", " "), check.verdict, check.message, check.cure] for name, check in found.checks.items()]
