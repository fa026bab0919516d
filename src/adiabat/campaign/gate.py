"""The model gate as a command runs it, and the exports and campaigns that stand behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.workshop import Workshop
from adiabat.deploy.load import load
from adiabat.potential import Potential
from adiabat.validation.gate import GATES, Check, Gate, gate, recorded

Progress = Callable[[str, Check], None]


def gate_file(
    model: str | Path,
    frames: Sequence[Atoms] = (),
    *,
    waive: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Gate:
    """The gate on a model file. A waiver by name is a signature: it is written into the file, with all verdicts.

    So are those of a run of `drift_steps` that was asked for: an export believes them and need not run as long again.
    """
    potential = load(model)
    found = gate(potential, frames, waive=waive, progress=progress, **options)
    if (waive or "drift_steps" in options) and found.passed:
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
    """The verdicts that stand in the potential, or new ones; GateRefusal where one fails that nobody waived, here or in the file.

    Verdicts of some checks alone are not enough; a waiver among them stands.
    """
    found = recorded(potential)
    if found is None or waive or frames or not found.passed or set(found.checks) != set(GATES):
        signed = [name for name, check in found.checks.items() if check.verdict == "waived" and name in GATES] if found else []
        found = gate(potential, frames, waive=[*waive, *signed], progress=progress)
        found.record(potential)
    found.refuse(what)
    return found


def learned(shop: Workshop, model: Path, frames: Sequence[Atoms], waive: Sequence[str] = ()) -> Gate:
    """A campaign's finished model before the gate: verdicts as a stage's product, in its report and in its model file.

    The caller lets the report be written before it refuses.
    """

    def work() -> dict[str, Any]:
        shop.say("gate", f"{len(GATES)} laws that a potential must obey")
        return gate(load(model), frames, drift_steps=64_000).to_json()

    found = Gate({name: Check(name=name, **told) for name, told in shop.stage("gate", work).items()}).pass_over(waive)
    potential = load(model)
    if recorded(potential) != found:
        found.record(potential)
        potential.save(model)
    failed = ", ".join(f"{check.name} ({check.verdict})" for check in found.failures)
    shop.say("gate", f"not passed: {failed}" if failed else f"{len(found.checks)} laws hold")
    return found


def section(found: Gate) -> dict[str, Any]:
    """The report's section `model_gate`."""
    told = found.to_json()
    for check in told.values():
        cure = check.pop("cure")
        check["message"] += f"; {cure}" if cure else ""
    return {"checks": told}


def rows(found: Gate) -> list[list[str]]:
    """The verdicts as a table: check, verdict, what was found and what to do."""
    return [[name.replace("_", " "), check.verdict, check.message, check.cure] for name, check in found.checks.items()]
