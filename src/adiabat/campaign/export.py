"""An export: behind the model gate, and compared with what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.gate import Progress, behind_gate
from adiabat.deploy.export import export, ready
from adiabat.deploy.load import load
from adiabat.validation.gate import Subject
from adiabat.validation.parity import parity


def export_file(
    model: str | Path,
    to: str,
    out: str | Path,
    *,
    frames: Sequence[Atoms] = (),
    waive: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Export a model file that passes the gate, and compare the export with the ASE calculator on a few structures.

    `frames` are structures it is meant for; without them made-up ones are taken. GateRefusal where a gate fails that `waive` does
    not name, or where both sides differ.
    """
    ready(to, out, overwrite=overwrite)
    potential = load(model)
    found = behind_gate(potential, str(model), frames, waive=waive, progress=progress)
    if waive:  # a signature
        potential.save(model)

    def agrees(folder: Path) -> dict[str, Any]:
        compared = parity(potential, folder, Subject.of(potential, frames).structures)
        compared.refuse(f"{model} → {out}")
        return compared.to_json()

    told = export(potential, to, out, overwrite=overwrite, check=agrees)
    verdicts = {name: check.verdict for name, check in found.checks.items()}
    return {**told, "gate": verdicts, "parity": told.pop("check")}
