"""The command line: one command a verb. Each command reads its arguments and calls a room; nothing is computed here.

Rooms are imported inside the commands, so that `adiabat --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from adiabat.campaign import terminal
from adiabat.campaign.terminal import Teller, console, ended, pairs, put_json, short, table

KINDS = ("train", "learn", "label", "sample", "md")
IDEA = "From a structure to a validated machine-learned interatomic potential, and the physics computed with it."
app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=IDEA)

JSON = typer.Option(None, "--json", help="write the result as JSON to this file; - is standard output", metavar="FILE")
UNITS = typer.Option("", help="units of the files, as energy=hartree,length=bohr; eV and Å without it")
KEYS = typer.Option("", help="names of the labels in the files, as energy=REF_energy,forces=REF_forces")
PARTIAL = typer.Option(False, "--partial", help="of a file that ends inside a frame, take the whole frames before it")
CONFIG = typer.Argument(help="configuration file (YAML); see adiabat new")
ASSIGN = typer.Argument(None, metavar="[KEY=VALUE …]", help="options that replace those of the file, as fit.epochs=100")


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
    retry: bool = typer.Option(False, "--retry", help="try failed structures again"),
) -> int:
    """Label structures with a reference engine; goes on where it was interrupted."""
    from adiabat.campaign.label import label as run

    options = configured(run, config, assign, "label")
    options |= {k: v for k, v in (("workers", workers), ("retry", retry or None)) if v is not None}
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
    data: list[str] = typer.Argument(help="files or stores"),
    to_json: str = JSON,
    html: str = typer.Option(None, "--html", help="write the findings as one offline page to this file", metavar="FILE"),
    fix: str = typer.Option(None, "--fix", help="write a copy with the safe cures: a new .xyz or .db", metavar="NEWFILE"),
    units: str = UNITS,
    keys: str = KEYS,
) -> int:
    """The data gate: what is wrong with a set, before anything is trained on it. Exit code 1 on a fault."""
    from adiabat.campaign.check import read_parts
    from adiabat.campaign.frames import examine, gate_json

    frames, notes, refused, sides = read_parts(data, units=pairs(units), keys=pairs(keys))
    findings = examine(frames, refused, sides)
    told = gate_json(findings, len(frames) + len(refused))
    if html is not None:
        from adiabat.campaign.check import page

        page(findings, told["n_structures"], ", ".join(data), html)
    if fix is not None:
        from adiabat.campaign.check import fix as mend

        done, left = mend(frames, fix)
        for line in [*done, *(f"not mended: {f}" for f in left)]:
            Teller().line("fix", line)
    if put_json(told, to_json):
        rows = [[f["grade"], f["name"], f["message"], f["cure"]] for f in told["findings"]]
        table(terminal.counted(told["n_structures"], "structure"), ["grade", "finding", "what", "what to do"], rows)
        for note in notes:
            terminal.note(note)
    return terminal.FINDING if any(f.grade == "fault" for f in findings) else terminal.FINE


@app.command()
def convert(
    files: list[str] = typer.Argument(metavar="IN …", help="files of any supported format, and folders of them"),
    to: str = typer.Option(..., help="what to write: .xyz, .extxyz (also .xz, .gz), or .db, a store"),
    units: str = UNITS,
    keys: str = KEYS,
    partial: bool = PARTIAL,
    level: str = typer.Option("", help="part of the level of theory to keep, or all; the commonest without it"),
    to_json: str = JSON,
    overwrite: bool = typer.Option(False, "--overwrite", help="replace the output file"),
) -> int:
    """Files of any supported format into one; frames with faults are left out and listed, with exit code 1."""
    from adiabat.campaign.convert import convert as gathered
    from adiabat.campaign.convert import manifold
    from adiabat.campaign.frames import convert as run

    if manifold(files):
        told = gathered(files, to, units=pairs(units), keys=pairs(keys), level=level, overwrite=overwrite)
        if put_json(told, to_json):
            for said in [*told["notes"], *told["citations"], *filter(None, [told["methods"]])]:
                console.print(Text(f"note: {said}"), soft_wrap=True)
            console.print(Text(f"{told['written']} of {told['n_structures']} structures in {to}"), soft_wrap=True)
            left = [
                [r["file"], "" if r["frame"] is None else str(r["frame"]), r["message"], r["cure"]] for r in told["left_out"]
            ]
            if left:
                table(f"{len(left)} left out", ["file", "step", "why", "what to do"], left)
        return terminal.FINDING if told["left_out"] else terminal.FINE
    told = run(files, to, units=pairs(units), keys=pairs(keys), partial=partial, overwrite=overwrite)
    for note in told["notes"]:
        terminal.note(note)
    console.print(Text(f"{told['written']} of {told['n_structures']} structures in {to}"), soft_wrap=True)
    if told["left_out"]:
        rows = [[f["name"], ", ".join(map(str, f["frames"])), f["message"], f["cure"]] for f in told["findings"]]
        table(f"{len(told['left_out'])} left out", ["finding", "frames", "what", "what to do"], rows)
    return terminal.FINDING if told["left_out"] else terminal.FINE


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


@app.command()
def train(config: str = CONFIG, assign: list[str] = ASSIGN) -> int:
    """Train a potential on labeled files; goes on where it was interrupted."""
    from adiabat.campaign.train import train as run

    options = configured(run, config, assign, "train")
    with Teller() as say:
        folder = run(**options, say=say)
    return ended(folder)


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


@app.command()
def md(
    model: str = typer.Argument(metavar="MODEL|CONFIG", help="model file, or a configuration file (YAML)"),
    more: list[str] = typer.Argument(None, metavar="STRUCTURE", help="structure file; with a configuration file: key=value …"),
    ensemble: str = typer.Option(None, help="nve: constant energy; nvt: Langevin dynamics (the default)"),
    temperature: float = typer.Option(None, "--temperature-K", help="of the heat bath and the start velocities, K"),
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
    to_json: str = JSON,
) -> int:
    """What a trajectory tells: energy drift, temperature, distributions, g(r), diffusion, spectra."""
    from adiabat.campaign.analyze import analyze as run
    from adiabat.campaign.analyze import told

    found = run(trajectory, [w.strip() for w in what.split(",") if w.strip()], interval_fs=interval, cutoff=cutoff, skip=skip)
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


@app.command("import")
def import_(
    file: str = typer.Argument(help="a peer's model file, or its extracted arrays (.npz)"),
    out: str = typer.Option(..., help="model file to write (.adiabat); .npz keeps the extracted arrays"),
    trust: bool = typer.Option(False, "--trust", help="open a pickle, which runs the code in it: only for a file you trust"),
    intervals: int = typer.Option(8192, help="of the radial splines that stand for the peer's networks"),
    to_json: str = JSON,
) -> int:
    """A peer's model file as a potential of ours, compared with the peer's own answers."""
    from adiabat.deploy.importers import extract, import_model

    if out.endswith(".npz"):
        extract(file, trust=trust).save(out)
        console.print(Text(f"arrays of {file} in {out}"), soft_wrap=True)
        return terminal.FINE
    potential = import_model(file, trust=trust, intervals=intervals)
    potential.save(out)
    told = potential.metadata["imported"]
    if put_json({**told, "model": out}, to_json):
        rows = [[k.replace("_per_", "/").replace("_", " "), short(v) if isinstance(v, float) else v] for k, v in told.items()]
        table(f"{file} → {out}; largest differences from the peer's answers on test clusters", ["", ""], rows)
    return terminal.FINE


@app.command()
def report(run: str = typer.Argument(help="run folder")) -> int:
    """Write report.html of a run, finished or not."""
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


def configured(function: Any, path: str, assign: list[str] | None, where: str) -> dict[str, Any]:
    """Options of a run from its file and the command line, checked against the function that runs it."""
    from adiabat.config import checked, override, read_yaml

    return checked(function, override(read_yaml(path), assign or []), where=where, given={"say": None})


def main() -> None:
    """The entry point: every way a command can end becomes an exit code, and no traceback reaches a user."""
    sys.exit(terminal.run(app))


if __name__ == "__main__":
    main()
