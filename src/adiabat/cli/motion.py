"""Dynamics and what trajectories tell: md, analyze."""

from __future__ import annotations

import typer
from rich.text import Text

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, console, put_json, table
from adiabat.cli.application import app
from adiabat.cli.arguments import JSON, configured


@app.command()
def md(
    model: str = typer.Argument(metavar="MODEL|CONFIG", help="model file, or a configuration file (YAML)"),
    more: list[str] = typer.Argument(None, metavar="STRUCTURE", help="structure file; with a configuration file: key=value …"),
    ensemble: str = typer.Option(
        None, help="nve: constant energy; nvt: Langevin dynamics (the default); npt: at constant pressure"
    ),
    temperature: float = typer.Option(None, "--temperature-K", help="of the heat bath and the start velocities, K"),
    pressure: float = typer.Option(None, "--pressure-GPa", help="of npt, GPa; 0.0001 is one bar"),
    cell: str = typer.Option(None, help="of npt: isotropic (the default), axes, or free to shear, too"),
    pressure_damping: float = typer.Option(
        None, "--pressure-damping-fs", help="of npt: how slowly the cell answers, 1000 without it"
    ),
    timestep: float = typer.Option(None, "--timestep-fs", help="fs; 0.5 where hydrogen moves"),
    steps: int = typer.Option(None, help="how many steps"),
    every: int = typer.Option(None, help="steps between frames"),
    friction: float = typer.Option(None, "--friction-per-fs", help="of the heat bath, 1/fs; 0.01 forgets in 100 fs"),
    seed: int = typer.Option(None, help="of velocities and noise"),
    out: str = typer.Option(None, help="trajectory (.xyz); its log and summary beside it"),
    overwrite: bool = typer.Option(False, "--overwrite", help="replace a trajectory of another run"),
    to_json: str = JSON,
) -> int:
    """Molecular dynamics with a potential; goes on where it was interrupted."""
    from adiabat.campaign.md import md as run
    from adiabat.campaign.md import rows_of
    from adiabat.config import checked

    flags = {"ensemble": ensemble, "temperature_K": temperature, "timestep_fs": timestep, "steps": steps, "every": every}
    flags |= {"pressure_GPa": pressure, "cell": cell, "pressure_damping_fs": pressure_damping}
    flags |= {"friction_per_fs": friction, "seed": seed, "out": out, "overwrite": overwrite or None}
    flags = {k: v for k, v in flags.items() if v is not None}
    if model.endswith((".yaml", ".yml")):
        options = configured(run, model, more, "md") | flags
    else:
        if len(more or []) != 1:
            raise typer.BadParameter(f"{len(more or [])} structure files came; wanted MODEL and one STRUCTURE")
        options = checked(run, {"model": model, "structure": more[0], **flags}, where="md", given={"say": None})
    with Teller() as say:
        told = run(**options, say=say)
    if put_json(told, to_json):
        table("dynamics", ["", ""], rows_of(told))
    return terminal.FINE


@app.command()
def analyze(
    trajectory: str = typer.Argument(help="trajectory file"),
    what: str = typer.Option(
        "drift,temperature", help="drift, temperature, distances, angles, rdf, msd, diffusion, vacf, spectrum"
    ),
    interval: float = typer.Option(None, "--interval-fs", help="between frames, where the file does not tell it"),
    cutoff: float = typer.Option(
        None, "--cutoff-angstrom", help="of g(r), half the cell without it; of bonds, 1.3 times the radii"
    ),
    skip: int = typer.Option(0, help="frames left out at the start"),
    of: str = typer.Option(
        "", help="of msd and diffusion: elements, all for all atoms together, as O,H,all; every element without it"
    ),
    to_json: str = JSON,
) -> int:
    """What a trajectory tells: energy drift, temperature, distributions, g(r), diffusion, spectra."""
    from adiabat.campaign.analyze import analyze as run
    from adiabat.campaign.analyze import told

    wanted, whose = ([w.strip() for w in given.split(",") if w.strip()] for given in (what, of))
    found = run(trajectory, wanted, interval_fs=interval, cutoff=cutoff, skip=skip, of=whose)
    if put_json(found, to_json):
        table(
            trajectory,
            ["quantity", "value", "verdict"],
            [list(row) for name, result in found.items() for row in told(name, result)],
        )
        for result in found.values():
            if result.get("advice"):
                console.print(Text(result["advice"]), soft_wrap=True)
    return terminal.FINE
