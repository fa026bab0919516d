"""Arguments and options that several commands share, and how a configuration becomes the options of a run."""

from __future__ import annotations

from typing import Any

import typer

JSON = typer.Option(None, "--json", help="write the result as JSON to this file; - is standard output", metavar="FILE")
UNITS = typer.Option("", help="units of the files, as energy=hartree,length=bohr; eV and Å without it")
KEYS = typer.Option("", help="names of the labels in the files, as energy=REF_energy,forces=REF_forces")
PARTIAL = typer.Option(False, "--partial", help="of a file that ends inside a frame, take the whole frames before it")
CONFIG = typer.Argument(help="configuration file (YAML); see adiabat new")
ASSIGN = typer.Argument(None, metavar="[KEY=VALUE …]", help="options that replace those of the file, as fit.epochs=100")


def configured(function: Any, path: str, assign: list[str] | None, where: str) -> dict[str, Any]:
    """Options of a run from its file and the command line, checked against the function that runs it."""
    from adiabat.config import checked, override, read_yaml

    return checked(function, override(read_yaml(path), assign or []), where=where, given={"say": None})
