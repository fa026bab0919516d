"""Structures and labels: sample, label, check, convert, dataset."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.text import Text

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, console, counted, note, pairs, put_json, table, worded
from adiabat.campaign.wording import on_the_command_line
from adiabat.cli.application import app
from adiabat.cli.arguments import ASSIGN, CONFIG, JSON, KEYS, PARTIAL, UNITS, configured


@app.command()
def sample(config: str = CONFIG, assign: list[str] = ASSIGN) -> int:
    """Make structures: rattled, strained, from dynamics or normal modes."""
    from adiabat.campaign.sample import sample as run

    with Teller() as say:
        told = run(**configured(run, config, assign, "sample"), say=say)
    console.print(Text(f"{told['structures']} structures in {told['out']}"), soft_wrap=True)
    return terminal.FINE


@app.command()
def label(
    config: str = CONFIG,
    assign: list[str] = ASSIGN,
    workers: int = typer.Option(None, help="labels side by side; one a core without it"),
    limit: float = typer.Option(None, "--limit-minutes", help="a label that takes longer is stopped and is a failure"),
    retry: bool = typer.Option(False, "--retry", help="try failed structures again"),
) -> int:
    """Label structures with a reference engine; goes on where it was interrupted."""
    from adiabat.campaign.label import label as run

    options = configured(run, config, assign, "label")
    flags = {"workers": workers, "limit_minutes": limit, "retry": retry or None}
    options |= {k: v for k, v in flags.items() if v is not None}
    with Teller() as say:
        told = run(**options, say=say)
    out = Path(options["out"])
    console.print(Text(f"{told['labels']} labels in {out / told['store']} and {out / told['extxyz']}"), soft_wrap=True)
    if told["failures"]:
        rows = [
            [", ".join(map(str, f["frames"])), f["structure"], f["kind"], f["message"], f["cure"]] for f in told["failures"]
        ]
        table(f"{told['failed']} structures have no label", ["frame", "structure", "class", "why", "what to do"], rows)
    if any(f["kind"] != "bad_input" for f in told["failures"]):
        return terminal.FAILED
    return terminal.FINDING if told["failures"] else terminal.FINE


@app.command()
def check(
    data: list[str] = typer.Argument(help="files, stores, and folders of them"),
    to_json: str = JSON,
    html: str = typer.Option(None, "--html", help="write the findings as one offline page to this file", metavar="FILE"),
    fix: str = typer.Option(None, "--fix", help="write a copy with the safe cures: a new .xyz or .db", metavar="NEWFILE"),
    units: str = UNITS,
    keys: str = KEYS,
) -> int:
    """The data gate: what is wrong with a set, before anything is trained on it. Exit code 1 on a fault."""
    from adiabat.campaign.check import examine, page
    from adiabat.campaign.check import fix as mend
    from adiabat.campaign.frames import gate_json
    from adiabat.campaign.gather import gather

    came = gather(data, units=pairs(units), keys=pairs(keys))
    findings = examine(came)
    told = worded(gate_json(findings, len(came.order)) | {"files": came.files})
    if html is not None:
        page(told, ", ".join(data), html)
    if fix is not None:
        done, left = mend(came.frames, fix)
        for line in [*done, *(f"not mended: {f}" for f in left)]:
            Teller().line("fix", on_the_command_line(line, "check"))
    if put_json(told, to_json):
        rows = [[f["grade"], f["name"], came.where(f["frames"]), f["message"], f["cure"]] for f in told["findings"]]
        table(counted(told["n_structures"], "structure"), ["grade", "finding", "frames", "what", "what to do"], rows)
        for said in came.notes:
            note(said)
    return terminal.FINDING if any(f.grade == "fault" for f in findings) else terminal.FINE


@app.command()
def convert(
    files: list[str] = typer.Argument(metavar="IN …", help="files of any supported format, and folders of them"),
    to: str = typer.Option(..., help="what to write: .xyz, .extxyz (also .xz, .gz); .db, a store; .ase.db or .json, ASE's"),
    units: str = UNITS,
    keys: str = KEYS,
    partial: bool = PARTIAL,
    level: str = typer.Option("", help="part of the level of theory to keep, or all; the commonest without it"),
    to_json: str = JSON,
    overwrite: bool = typer.Option(False, "--overwrite", help="replace the output file"),
) -> int:
    """Files of any supported format into one; frames with faults are left out and listed, with exit code 1."""
    from adiabat.campaign.convert import convert as run
    from adiabat.campaign.convert import summed

    told = run(files, to, units=pairs(units), keys=pairs(keys), level=level, partial=partial, overwrite=overwrite)
    told = worded(told)
    whole = [f for f in told["findings"] if not f["frames"]]
    if put_json(told, to_json):
        for said in [*told["notes"], *told["citations"], *filter(None, [told["methods"]])]:
            note(said)
        console.print(Text(f"{told['written']} of {counted(told['n_structures'], 'structure')} in {to}"), soft_wrap=True)
        rows = [[f["name"], f["message"], f["cure"]] for f in whole]
        if rows:
            table("faults of the whole", ["finding", "what", "what to do"], rows)
        if told["left_out"]:
            table(
                f"{len(told['left_out'])} left out", ["file", "steps", "finding", "why", "what to do"], summed(told["left_out"])
            )
    return terminal.FINDING if told["left_out"] or whole else terminal.FINE


@app.command()
def dataset(
    store: str = typer.Argument(help="a store (.db)"),
    select: str = typer.Option("", help="only those, as 'config_type=surface and natoms<100'"),
    merge: list[str] = typer.Option(None, help="add what this store holds, or what --select chooses of it; repeat for more"),
    distinct: str = typer.Option(None, help="write a store without equivalent configurations", metavar="NEW.db"),
    pack: bool = typer.Option(False, "--pack", help="write packed shards beside the store"),
    card: str = typer.Option(None, help="write what is in it as an HTML page", metavar="FILE"),
    verify: bool = typer.Option(False, "--verify", help="look at every byte; exit code 1 on damage"),
    rescue: str = typer.Option(None, help="write the undamaged configurations into a new store", metavar="NEW.db"),
    to_json: str = JSON,
) -> int:
    """What is in a store, by kind; merge, choose, pack, verify."""
    from adiabat.campaign.dataset import work

    told = work(store, select=select, merge=merge or (), distinct=distinct, verify=verify, rescue=rescue, pack=pack, card=card)
    if put_json(told, to_json):
        if "damage" not in told:
            from adiabat.campaign.card import kind_rows, kinds_head

            table(f"{told['n_structures']} structures, {told['n_atoms']} atoms", kinds_head(), kind_rows(told))
        elif told["damage"]:
            table(
                f"{store} is damaged",
                ["row", "what"],
                [["" if d["row"] is None else str(d["row"]), d["message"]] for d in told["damage"]],
            )
        else:
            console.print(Text(f"{store}: no damage"), soft_wrap=True)
        for line in told["done"]:
            console.print(Text(line), soft_wrap=True)
    return terminal.FINDING if told.get("damage") else terminal.FINE
