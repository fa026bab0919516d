"""Potentials for other programs: export."""

from __future__ import annotations

import typer

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, pairs, put_json, short, table
from adiabat.cli.application import app
from adiabat.cli.arguments import JSON, KEYS, UNITS


@app.command()
def export(
    model: str = typer.Argument(help="model file"),
    to: str = typer.Option(..., help="lammps"),
    out: str = typer.Option(..., help="folder to write"),
    data: list[str] = typer.Option(None, help="structures it is meant for, for the gate and the comparison"),
    waive: list[str] = typer.Option(None, help="pass over this check of the model gate"),
    overwrite: bool = typer.Option(False, "--overwrite", help="replace an earlier export"),
    to_json: str = JSON,
    units: str = UNITS,
    keys: str = KEYS,
) -> int:
    """A potential for LAMMPS, behind the model gate, compared with the ASE calculator."""
    from adiabat.campaign.export import export_file
    from adiabat.campaign.frames import read_all

    frames = read_all(data, units=pairs(units), keys=pairs(keys))[0] if data else []
    with Teller() as say:
        told = export_file(
            model, to, out, frames=frames, waive=waive or [], overwrite=overwrite,
            progress=lambda name, check: say.line(check.verdict, name.replace("_", " ")),
        )  # fmt: skip
    if put_json(told, to_json):
        rows = [[name.replace("_", " "), "", verdict] for name, verdict in told["gate"].items()]
        rows += [
            [name.replace("_", " "), f"{short(c['value'])} {c['unit']}", c["verdict"]] for name, c in told["parity"].items()
        ]
        table(f"{model} → {out}: {', '.join(told['files'])}", ["", "", ""], rows)
        if "not run" in told["gate"].values() and not frames:
            Teller().line(
                "note",
                "laws that need structures were not tried; --data SET.xyz tries them: above all, whether dynamics explode",
            )
    return terminal.FINE
