"""Training as a run: labeled files in, a model file, its errors and a report out.

The data gate stands before it (`material`). Packed shards (`adiabat dataset DB --pack`) are read as they are needed.

Under torchrun every process trains, and the first one keeps the run folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adiabat import training
from adiabat.campaign.frames import GateFaults, Source, gate_json, read_all
from adiabat.campaign.material import material
from adiabat.campaign.provenance import machine, versions
from adiabat.campaign.run_folder import RunFolder, RunFolderError
from adiabat.config import build, checked, named
from adiabat.data.parts import Part
from adiabat.models import MODELS
from adiabat.nn.linear_basis import LinearBasis
from adiabat.potential import Potential, describe
from adiabat.report import Sections, write
from adiabat.report.citations import FAMILIES
from adiabat.training.distributed import world
from adiabat.training.fit import OF_OPTIMIZERS
from adiabat.training.optimizers import OPTIMIZERS
from adiabat.training.packed import as_part
from adiabat.training.schedule import AVERAGES, SCHEDULES
from adiabat.training.solvers import SOLVERS, asked
from adiabat.training.usual import usual
from adiabat.validation import Errors, errors

Say = Callable[[str, str, dict[str, Any]], None]
GIVEN = dict.fromkeys(("model", "train", "validation", "folder", "progress", "tick", "finish", "seed"))


def train(
    *,
    data: Source | list[Source],
    model: str | dict[str, Any] = "auto",
    out: str,
    validation: Source | list[Source] | None = None,
    test: Source | list[Source] | None = None,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    units: dict[str, str] | None = None,
    keys: dict[str, str] | None = None,
    waive: list[str] = [],  # noqa: B006 (never changed)
    fit: dict[str, Any] = {},  # noqa: B006
    name: str = "model",
    seed: int = 0,
    finish: bool = False,
    say: Say | None = None,
) -> Path:
    """Train on `data` (files, stores, or one folder of packed shards), or go on with that training; returns the run folder, which
    then holds the model file, `summary.json` and `report.html`.

    `validation` and `test` are files of their own; what is not given is split off from `data` by the shares of `split` (train,
    validation, test). `model` is a family with its options, or ``auto``: by the frames (`training.usual`). `fit` are options of
    `training.fit`; `waive` names faults of the data gate to be passed over.
    `finish`: no further epoch, the model as the interrupted training in `out` has it; the training can still go on afterwards.
    """
    options = {k: v for k, v in locals().items() if k not in ("out", "say", "finish")}
    say = say or (lambda *_: None)
    potential_of = None if model == "auto" else build(model, MODELS, where="model")
    checked_fit = check_fit(fit)
    if finish and not (Path(out) / "training/checkpoint.safetensors").exists():
        raise RunFolderError(
            f"{out}: there is no checkpoint of an interrupted training to finish (linear families are solved at once and have none); "
            "train without --finish"
        )
    others = {"validation": validation, "test": test}
    given = {side: read_all(s, units=units, keys=keys, where=side)[0] for side, s in others.items() if s is not None}
    pack = as_part(data) if isinstance(data, str) else None
    # before the folder is made: a file that cannot be read leaves nothing behind
    read = read_all(data, units=units, keys=keys) if pack is None else pack
    if potential_of is None:
        potential_of, more = usual(read if isinstance(read, Part) else read[0], checked_fit, training.fit)
        checked_fit |= more
    solved = asked(checked_fit.get("optimizer", "auto"), potential_of.name, isinstance(potential_of, LinearBasis)) is not None
    if not world(checked_fit.get("device", "cpu")).leads:
        parts = material(read, given, split, seed, waive).parts
        training.fit(
            potential_of,
            parts["train"],
            parts["validation"],
            seed=seed,
            folder=Path(out) / "training",
            finish=finish,
            **checked_fit,
        )
        return Path(out)
    with RunFolder(out, options, kind="train") as folder:
        begun, sections = time.monotonic(), Sections(folder.folder)
        folder.event("start", "goes on" if folder.resumed else "begun")
        try:
            come = material(read, given, split, seed, waive)
        except GateFaults as faults:
            sections.put("data_gate", gate_json(faults.findings, faults.n))
            folder.event("gate", "stopped by the data gate")
            write(folder.folder)
            raise
        sections.put("data_gate", gate_json(come.findings, come.gated))
        for note in come.notes:
            folder.event("data", note)
            say("data", note, {})
        if model == "auto":
            chosen = f"model: {potential_of.name}, by the frames; name another one if you want it"
            folder.event("data", chosen)
            say("data", chosen, {})
            options = {**options, "model": describe(potential_of), "fit": checked_fit}
        parts = come.parts
        counts = {side: len(part) for side, part in parts.items()}
        say("data", ", ".join(f"{n} {side}" for side, n in counts.items()), {})

        pace = Pace(say, solved)
        training_folder = folder.path("training/metrics.jsonl").parent
        try:
            potential = training.fit(
                potential_of,
                parts["train"],
                parts["validation"],
                seed=seed,
                folder=training_folder,
                finish=finish,
                progress=pace.checked,
                tick=pace.tick,
                **checked_fit,
            )
        except KeyboardInterrupt:
            if (training_folder / "checkpoint.safetensors").exists():
                raise KeyboardInterrupt(
                    f"{pace.where}; run the same command again to go on, or with --finish for a model of what is learned so far"
                ) from None
            if solved:
                raise KeyboardInterrupt("stopped; least squares keeps nothing half-way, the same command begins anew") from None
            raise
        told = potential.metadata["training"]
        how = "" if told["optimizer"] == "least squares" else f", the {told['kept']} of {told['epochs']} epochs"
        stands = spoken({"epoch": told["epochs"], **potential.metadata["metrics"]}) if finish else pace.last
        say("train", f"{told['optimizer']}{how}: {stands}", {})
        path = folder.path(f"models/{name}.adiabat")
        potential.save(path)
        folder.event("train", "finished", **potential.metadata["metrics"].get("validation", {}))
        found = {side: errors(potential, part) for side, part in come.seen.items() if part}
        tell(sections, options, potential, found, come.seen, training_folder)
        judged = next(side for side in ("test", "validation", "train") if side in found)
        summary = {
            "labels": sum(counts.values()), **{f"n_{side}": n for side, n in counts.items()}, "errors_on": judged,
            **{k: v for k, v in found[judged].to_json().items() if k not in ("n_structures", "by_kind")},
            **({"unfinished": told["unfinished"]} if "unfinished" in told else {}),
            "wall_s": folder.worked_s, "model": f"models/{name}.adiabat", "report": "report.html",
        }  # fmt: skip
        folder.write_json("summary.json", summary)
        write(folder.folder)
        folder.event("done", f"{judged} errors are in summary.json", wall_s=time.monotonic() - begun)
        say("done", str(folder.folder / "report.html"), summary)
    return folder.folder


class Pace:
    """How a training gets on: the errors of its last check, and after each epoch how many are done.

    Least squares describes frames, one after the other, then takes steps to its coefficients, which are counted from one again.
    """

    def __init__(self, say: Say, solved: bool) -> None:
        self.say, self.solved, self.where, self.done = say, solved, "in the first epoch", 0
        self.last = "frames described" if solved else "epochs"

    def checked(self, metrics: Mapping[str, Any]) -> None:
        self.last = spoken(metrics)

    def tick(self, done: int, of: int) -> None:
        self.where = f"after {done} of {of} epochs"
        if self.solved and done < self.done:
            self.last = "steps to the coefficients"
        self.done = done
        self.say("train", self.last, {"done": done, "of": of})
        if self.solved and done == of and self.last == "frames described":
            self.say("train", "solving for the coefficients", {})


def check_fit(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `training.fit`, checked before anything is read or written."""
    found = checked(training.fit, options, where="fit", given=GIVEN)
    for name, registry in (("optimizer", {**OPTIMIZERS, **SOLVERS}), ("schedule", SCHEDULES), ("average", AVERAGES)):
        if name in found and (name, found[name]) != ("optimizer", "auto"):
            build(found[name], registry, where=f"fit.{name}")
    if found.get("loss") is not None:
        from adiabat.training.loss import Loss

        build({"loss": found["loss"]}, {"loss": Loss}, where="fit")
    return found


def tell(
    sections: Sections,
    options: Mapping[str, Any],
    potential: Potential,
    found: Mapping[str, Errors],
    parts: Mapping[str, Any],
    folder: Path,
) -> None:
    """The report's sections of a training."""
    family, arguments = named(options["model"], where="model")
    said = potential.metadata["training"]
    solved = said.get("optimizer") == "least squares"
    # What a configuration says of steps means nothing to least squares; what it has chosen itself does.
    fit = {name: value for name, value in options["fit"].items() if not (solved and name in (*OF_OPTIMIZERS, "keep"))}
    if solved:
        fit |= {
            "optimizer": "least squares",
            **{name: said[name] for name in ("loss", "ridge", "prior", "solver") if name in said},
        }
    level = potential.metadata.get("level_of_theory")
    formulas = sorted({a.get_chemical_formula("hill", empirical=bool(a.pbc.any())) for a in parts["train"]}, key=len)
    system = ", ".join(formulas[:4]) + (" …" if len(formulas) > 4 else "")
    sections.put(
        "settings", system=system, level_of_theory=level.split(" [")[0] if level else None,
        model={"name": family, "members": fit.get("members", 1), **arguments}, training={**fit, "seed": options["seed"]},
    )  # fmt: skip
    sections.put("versions", software=versions(), machine=machine())
    works = [*FAMILIES.get(family, ()), *["query-by-committee", "committee"] * (fit.get("members", 1) > 1)]
    sections.put("citations", used=[*works, *(["zbl"] if fit.get("wall", True) else []), "ase", "pytorch"])
    sections.put("parity", sets={side: e.parity() for side, e in found.items() if side != "validation" or "test" not in found})
    judged = next(side for side in ("test", "validation", "train") if side in found)
    told = found[judged].to_json()
    by_kind = told.pop("by_kind")
    sections.put("errors_by_kind", set=judged, overall=told, by_kind=by_kind)
    spread, error = found[judged].force_errors()
    if len(spread):
        kept = potential.metadata.get("calibration", {})
        sections.put(
            "uncertainty", spread_meV_per_A=1e3 * spread, error_meV_per_A=1e3 * error, set=judged, scale=kept.get("scale", {}).get("forces"),
            rank_correlation=float(np.corrcoef(spread.argsort().argsort(), error.argsort().argsort())[0, 1]) if len(spread) > 2 else None,
        )  # fmt: skip
    rows = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        if (folder / "metrics.jsonl").exists()
        else []
    )
    rows = [r for r in rows if "validation" in r or "train" in r]
    if rows:
        side = "validation" if all("validation" in r for r in rows) else "train"
        key = next(k for k in ("force_rmse_meV_per_A", "energy_rmse_meV_per_atom") if k in rows[-1][side])
        column = "validation_loss" if side == "validation" else "loss"
        curve = {"name": f"{side} {key}", "epoch": [r["epoch"] for r in rows], column: [r[side].get(key) for r in rows]}
        sections.put("training", curves=[curve])


def spoken(metrics: Mapping[str, Any]) -> str:
    """Where a training stands, in a line."""
    side = next((s for s in ("validation", "train") if s in metrics), None)
    if side is None:
        return f"epoch {metrics['epoch']}"
    units = {"energy_mae_meV_per_atom": "meV/atom", "force_mae_meV_per_A": "meV/Å"}
    told = ", ".join(f"{metrics[side][key]:.3g} {unit}" for key, unit in units.items() if key in metrics[side])
    return f"{side} {told}"
