"""Potentials: train, test, import."""

from __future__ import annotations

import typer
from rich.text import Text

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, console, ended, pairs, put_json, short, table
from adiabat.cli.application import app
from adiabat.cli.arguments import ASSIGN, CONFIG, JSON, KEYS, PARTIAL, UNITS, configured


@app.command()
def train(
    config: str = CONFIG,
    assign: list[str] = ASSIGN,
    finish: bool = typer.Option(
        False, "--finish", help="a model of what an interrupted training has learned so far; no further epoch"
    ),
) -> int:
    """Train a potential on labeled files; goes on where it was interrupted."""
    from adiabat.campaign.train import train as run

    options = configured(run, config, assign, "train")
    with Teller() as say:
        folder = run(**options | {"finish": finish or options.get("finish", False)}, say=say)
    from adiabat.training.distributed import world

    if world().leads:  # of several processes the first one tells how it went
        ended(folder)
        model = folder / "models" / f"{options.get('name', 'model')}.adiabat"
        for then in ("test {} OTHER.xyz", "gate {} --data SET.xyz", "md {} START.xyz --temperature-K 300 --out nvt.xyz"):
            console.print(Text(f"next: adiabat {then.format(model)}"), soft_wrap=True)
    return terminal.FINE


@app.command("test")
def errors_of(
    model: str = typer.Argument(help="model file"),
    data: list[str] = typer.Argument(help="labeled files or stores"),
    to_json: str = JSON,
    out: str = typer.Option(None, help="folder for report.html with parity plots"),
    units: str = UNITS,
    keys: str = KEYS,
    partial: bool = PARTIAL,
) -> int:
    """Errors of a potential on labeled files, in meV/atom, meV/Å and GPa, over all and by kind."""
    from adiabat.campaign.frames import read_all
    from adiabat.deploy.load import load
    from adiabat.validation import errors

    found = errors(load(model), read_all(data, units=pairs(units), keys=pairs(keys), partial=partial)[0])
    told = found.to_json()
    if put_json(told, to_json):
        shown = [k for k in told if k != "by_kind" and told[k] is not None]
        head = ["kind", *(k.removeprefix("n_").replace("_per_", "/").replace("_", " ") for k in shown)]
        rows = [[name, *(short(e[k]) for k in shown)] for name, e in [*told["by_kind"].items(), ("all", told)]]
        table(f"{model} on {', '.join(data)}", head, rows)
    if out is not None:
        from adiabat.campaign.run_folder import RunFolder
        from adiabat.report import Sections, write

        folder = RunFolder(out, {"model": model, "data": list(data), "units": units, "keys": keys}, kind="test")
        by_kind = told.pop("by_kind")
        folder.write_json("summary.json", told)
        Sections(folder.folder).put("parity", sets={"test": found.parity()})
        Sections(folder.folder).put("errors_by_kind", set="test", overall=told, by_kind=by_kind)
        Teller().line("report", str(write(folder.folder)))
    return terminal.FINE


@app.command("import")
def import_(
    file: str = typer.Argument(help="a peer's model file or folder, or its extracted arrays (.npz)"),
    out: str = typer.Option(..., help="model file to write (.adiabat); .npz keeps the extracted arrays"),
    trust: bool = typer.Option(False, "--trust", help="open a pickle, which runs the code in it: only for a file you trust"),
    intervals: int = typer.Option(8192, help="of the radial splines that stand for the peer's networks"),
    elements: str = typer.Option(None, help="in the file's order, such as Si,O: for files that do not name theirs"),
    energy_unit: str = typer.Option(None, help="of the file's numbers, such as hartree: for files that do not name theirs"),
    length_unit: str = typer.Option(None, help="of the file's numbers, such as bohr"),
    to_json: str = JSON,
) -> int:
    """A peer's model file as a potential of ours, compared with the peer's own answers."""
    from adiabat.deploy.importers import extract, import_model

    named = None if elements is None else [symbol.strip() for symbol in elements.split(",")]
    if out.endswith(".npz"):
        extract(file, trust=trust, elements=named).save(out)
        console.print(Text(f"arrays of {file} in {out}"), soft_wrap=True)
        return terminal.FINE
    units = {what: unit for what, unit in (("energy", energy_unit), ("length", length_unit)) if unit is not None} or None
    potential = import_model(file, trust=trust, intervals=intervals, elements=named, units=units)
    potential.save(out)
    told = potential.metadata["imported"]
    if put_json({**told, "model": out}, to_json):
        rows = [[k.replace("_per_", "/").replace("_", " "), short(v) if isinstance(v, float) else v] for k, v in told.items()]
        compared = "; largest differences from the peer's answers on test clusters" if "force_rms_eV_per_A" in told else ""
        table(f"{file} → {out}{compared}", ["", ""], rows)
    return terminal.FINE
