"""Training as a run: labeled files in, a model file, its errors and a report out.

The data gate stands before it: a fault stops the run, unless it is waived by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat import training
from adiabat.campaign.frames import GateFaults, Source, gate, gate_json, read_all
from adiabat.campaign.provenance import machine, versions
from adiabat.campaign.run_folder import RunFolder
from adiabat.config import ConfigError, build, checked, named
from adiabat.data.split import split as divided
from adiabat.models import MODELS
from adiabat.potential import Potential
from adiabat.report import Sections, write
from adiabat.training.optimizers import OPTIMIZERS
from adiabat.training.schedule import AVERAGES, SCHEDULES
from adiabat.validation import Errors, errors

Say = Callable[[str, str, dict[str, Any]], None]
SIDES = ("train", "validation", "test")
GIVEN = {"model": None, "train": None, "validation": None, "folder": None, "progress": None, "seed": None}


def train(
    *,
    data: Source | list[Source],
    model: str | dict[str, Any],
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
    say: Say | None = None,
) -> Path:
    """Train on `data`, or go on with that training; returns the run folder, which then holds the model file, `summary.json` and
    `report.html`.

    `validation` and `test` are files of their own; what is not given is split off from `data` by the shares of `split` (train,
    validation, test). `fit` are options of `training.fit`; `waive` names faults of the data gate to be passed over.
    """
    options = {k: v for k, v in locals().items() if k not in ("out", "say")}
    say = say or (lambda *_: None)
    potential_of = build(model, MODELS, where="model")
    checked_fit = check_fit(fit)
    frames, notes = read_all(data, units=units, keys=keys)
    others = {"validation": validation, "test": test}
    given = {side: read_all(s, units=units, keys=keys, where=side)[0] for side, s in others.items() if s is not None}
    with RunFolder(out, options, kind="train") as folder:
        begun, sections = time.monotonic(), Sections(folder.folder)
        folder.event("start", "goes on" if folder.resumed else "begun", frames=len(frames))
        for note in notes:
            folder.event("data", note)
            say("data", note, {})
        try:
            for side in ("data", *given):
                findings = gate(frames if side == "data" else given[side], waive=waive, where=side)
                if side == "data":
                    sections.put("data_gate", gate_json(findings, len(frames)))
        except GateFaults as faults:
            sections.put("data_gate", gate_json(faults.findings, len(frames)))
            folder.event("gate", "stopped by the data gate")
            write(folder.folder)
            raise
        parts = sides(frames, given, split, seed)
        counts = {side: len(part) for side, part in parts.items()}
        say("data", ", ".join(f"{n} {side}" for side, n in counts.items()), {})

        def progress(metrics: Mapping[str, Any]) -> None:
            say("train", spoken(metrics), {"done": metrics["epoch"], "of": metrics["epochs"]})

        training_folder = folder.path("training/metrics.jsonl").parent
        potential = training.fit(
            potential_of,
            parts["train"],
            parts["validation"],
            seed=seed,
            folder=training_folder,
            progress=progress,
            **checked_fit,
        )
        told = potential.metadata["training"]
        say("train", f"{told['optimizer']}, the {told['kept']} of {told['epochs']} epochs", {})
        path = folder.path(f"models/{name}.adiabat")
        potential.save(path)
        folder.event("train", "finished", **potential.metadata["metrics"].get("validation", {}))
        found = {side: errors(potential, part) for side, part in parts.items() if part}
        tell(sections, options, potential, found, parts, training_folder)
        judged = next(side for side in ("test", "validation", "train") if side in found)
        summary = {
            "labels": len(frames) + sum(map(len, given.values())), **{f"n_{side}": n for side, n in counts.items()}, "errors_on": judged,
            **{k: v for k, v in found[judged].to_json().items() if k not in ("n_structures", "by_kind")},
            "wall_s": worked_s(folder) + time.monotonic() - begun, "model": f"models/{name}.adiabat", "report": "report.html",
        }  # fmt: skip
        folder.write_json("summary.json", summary)
        write(folder.folder)
        folder.event("done", f"{judged} errors are in summary.json", wall_s=time.monotonic() - begun)
        say("done", str(folder.folder / "report.html"), summary)
    return folder.folder


def check_fit(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `training.fit`, checked before anything is read or written."""
    found = checked(training.fit, options, where="fit", given=GIVEN)
    for name, registry in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("average", AVERAGES)):
        if name in found and (name, found[name]) != ("optimizer", "auto"):
            build(found[name], registry, where=f"fit.{name}")
    if found.get("loss") is not None:
        from adiabat.training.loss import Loss

        build({"loss": found["loss"]}, {"loss": Loss}, where="fit")
    return found


def sides(
    frames: Sequence[Atoms], given: Mapping[str, list[Atoms]], shares: tuple[float, float, float], seed: int
) -> dict[str, list[Atoms]]:
    """Training, validation and test frames: given ones as they are, the others split off."""
    first, second, third = (0.0 if side in given else share for side, share in zip(SIDES, shares, strict=True))
    total = first + second + third
    if not first > 0 or second < 0 or third < 0:
        raise ConfigError(
            f"split: {list(shares)} came; wanted shares of training, validation and test frames, as [0.8, 0.1, 0.1]"
        )
    chosen = divided(frames, (first / total, second / total, third / total), seed=seed)
    return {side: given.get(side, [frames[k] for k in getattr(chosen, side)]) for side in SIDES}


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
    fit = dict(options["fit"])
    level = potential.metadata.get("level_of_theory")
    formulas = sorted({a.get_chemical_formula("reduce") for a in parts["train"]}, key=len)
    system = ", ".join(formulas[:4]) + (" …" if len(formulas) > 4 else "")
    sections.put(
        "settings", system=system, level_of_theory=level.split(" [")[0] if level else None,
        model={"name": family, "members": fit.get("members", 1), **arguments}, training={**fit, "seed": options["seed"]},
    )  # fmt: skip
    sections.put("versions", software=versions(), machine=machine())
    works = ["bpnn", "symmetry-functions"] * (family == "bpnn") + ["query-by-committee", "committee"] * (
        fit.get("members", 1) > 1
    )
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


def worked_s(folder: RunFolder) -> float:
    """Seconds of earlier starts: from each one's first event to its last."""
    total, first, last = 0.0, None, None
    for event in folder.events():
        if event["stage"] == "start":
            total += (last - first) if first is not None else 0.0
            first = event["time"]
        last = event["time"]
    return total
