"""The model gate: gate."""

from __future__ import annotations

import typer

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, pairs, put_json, table
from adiabat.cli.application import app
from adiabat.cli.arguments import JSON, KEYS, UNITS


@app.command("gate")
def gate_of(
    model: str = typer.Argument(help="model file"),
    data: list[str] = typer.Option(
        None, help="structures it is meant for, such as its training data; more than once if need be"
    ),
    waive: list[str] = typer.Option(None, help="pass over this check; stands in the model file from then on"),
    only: list[str] = typer.Option(None, help="make this check alone; more than once if need be"),
    temperature: float = typer.Option(300.0, "--temperature-K", help="of the dynamics"),
    drift_steps: int = typer.Option(None, min=1, help="of dynamics at most, until the drift is told; 16,000 without it"),
    to_json: str = JSON,
    units: str = UNITS,
    keys: str = KEYS,
) -> int:
    """Laws a potential must obey, tried on it: derivatives, symmetry, cutoff, wall, precision, energy drift."""
    from adiabat.campaign.frames import read_all
    from adiabat.campaign.gate import gate_file, rows

    frames = read_all(data, units=pairs(units), keys=pairs(keys))[0] if data else []
    with Teller() as say:
        found = gate_file(
            model, frames, waive=waive or [], only=only or None, temperature_K=temperature,
            **({} if drift_steps is None else {"drift_steps": drift_steps}),
            progress=lambda name, check: say.line(check.verdict, name.replace("_", " ")),
        )  # fmt: skip
    if put_json(found.to_json(), to_json):
        table(model, ["check", "verdict", "found", "what to do"], rows(found))
    return terminal.FINE if found.passed else terminal.FINDING
