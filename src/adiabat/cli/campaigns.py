"""Runs that go through the whole loop, and what tells of them: demo, new, learn, report, doctor."""

from __future__ import annotations

import sys

import typer
from rich.text import Text

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, console, ended, put_json, table
from adiabat.cli.application import app
from adiabat.cli.arguments import ASSIGN, CONFIG, JSON

KINDS = ("train", "learn", "label", "sample", "md")


@app.command()
def demo(
    out: str = typer.Option("water-demo", help="run folder"),
    workers: int = typer.Option(None, help="labels side by side; one a core without it"),
) -> int:
    """The whole loop for the water molecule: DFT labels, potential, active learning, dynamics, report."""
    from adiabat.campaign.demo import demo as run

    with Teller() as say:
        folder = run(out, workers=workers, say=say)
    return ended(folder)


@app.command()
def new(kind: str = typer.Argument(metavar="KIND", help=f"one of {', '.join(KINDS)}")) -> int:
    """Print a commented configuration: adiabat new train > train.yaml."""
    if kind not in KINDS:
        from adiabat.config import ConfigError, nearest

        raise ConfigError(f"new: there is no kind {kind!r}; {nearest(kind, KINDS)}")
    from importlib.resources import files

    sys.stdout.write(files("adiabat.campaign").joinpath(f"templates/{kind}.yaml").read_text(encoding="utf-8"))
    return terminal.FINE


@app.command()
def learn(
    config: str = CONFIG, assign: list[str] = ASSIGN, out: str = typer.Option(None, help="run folder, in place of the file's")
) -> int:
    """The active-learning campaign: labels, committee, exploration, more labels, validation, report; goes on where it was interrupted."""
    from adiabat.campaign.learn import learn as run
    from adiabat.config import override, read_yaml

    with Teller() as say:
        folder = run(override(read_yaml(config), assign or []), out=out, say=say)
    return ended(folder)


@app.command()
def report(
    run: str = typer.Argument(help="run folder"),
    methods: bool = typer.Option(False, "--methods", help="print a methods paragraph and BibTeX for a manuscript instead"),
) -> int:
    """Write report.html of a run, finished or not."""
    if methods:
        from adiabat.report.methods import text

        sys.stdout.write(text(run))
        return terminal.FINE
    from adiabat.report import write

    console.print(Text(str(write(run))), soft_wrap=True)
    return terminal.FINE


@app.command()
def doctor(to_json: str = JSON) -> int:
    """What is installed, what works, what to do."""
    from adiabat.campaign.doctor import examine, sound

    lines = examine()
    if put_json([line._asdict() for line in lines], to_json):
        table("", ["", "", "", "what to do"], [[line.what, line.state, line.told, line.cure] for line in lines])
    return terminal.FINE if sound(lines) else terminal.FINDING
