"""Properties of crystals: properties."""

from __future__ import annotations

import typer

from adiabat.campaign import terminal
from adiabat.campaign.terminal import put_json, table
from adiabat.cli.application import app
from adiabat.cli.arguments import JSON


@app.command()
def properties(
    model: str = typer.Argument(help="model file"),
    structure: str = typer.Argument(help="structure file with a crystal; its first frame"),
    what: str = typer.Option(
        "eos,elastic", help="eos: lattice, bulk modulus; elastic: C_ij, moduli; stress: against the energy's slope"
    ),
    relax: bool = typer.Option(True, help="bring cell and atoms to rest first"),
    strain: float = typer.Option(None, help="the largest strain: 0.02 for eos, 0.005 for elastic without it"),
    to_json: str = JSON,
) -> int:
    """Lattice constant, bulk modulus, elastic constants of a crystal by a potential, with errors. Exit code 1 where a verdict is fail."""
    from adiabat.campaign.properties import properties as run
    from adiabat.campaign.properties import rows_of

    told = run(model, structure, [w.strip() for w in what.split(",") if w.strip()], relax=relax, strain=strain)
    if put_json(told, to_json):
        table(f"{structure} by {model}", ["quantity", "value", "verdict"], rows_of(told))
    return terminal.FINDING if any(q.get("verdict") == "fail" for q in told.values()) else terminal.FINE
