"""Labeling as a run: structures and a reference engine in, a store and an extended XYZ file of labeled structures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ase import Atoms

from adiabat.campaign.frames import Source, read_all
from adiabat.campaign.run_folder import RunFolder
from adiabat.config import build
from adiabat.data.formats import write
from adiabat.data.store import Dataset
from adiabat.data.structure import content_hash, from_json, name_of, to_json
from adiabat.data.structure import labels as labels_of
from adiabat.jobs import Interrupted, Ledger, LocalPool, Outcome, RunPaused, Task, run
from adiabat.labelers import LABELERS, Labeler

Say = Callable[[str, str, dict[str, Any]], None]


def label(
    *,
    structures: Source | list[Source],
    labeler: str | dict[str, Any],
    out: str,
    units: dict[str, str] | None = None,
    keys: dict[str, str] | None = None,
    workers: int | None = None,
    limit_minutes: float | None = None,
    retry: bool = False,
    say: Say | None = None,
) -> dict[str, Any]:
    """Label `structures`, or go on with it; returns the summary. What is labeled is kept as soon as it is, and never done again.

    The folder then holds `labels.db` (the store), `labels.xyz`, and, where an engine failed, `failures.json` with cures. `workers`
    is how many structures are labeled side by side (one a core without it); a label that takes more than `limit_minutes` is stopped
    and is a failure, and a larger limit tries it again; `retry` tries all failed ones again.
    """
    options = {"structures": structures, "labeler": labeler, "units": units, "keys": keys}
    say = say or (lambda *_: None)
    if limit_minutes is not None and not limit_minutes > 0:
        raise ValueError(f"limit_minutes: {limit_minutes:g} came; wanted a positive number, or none for no limit")
    engine: Labeler = build(labeler, LABELERS, where="labeler")
    engine.version()  # a missing engine is told before anything is read or written
    frames = [bare(a) for a in read_all(structures, units=units, keys=keys, where="structures")[0]]
    engine = engine.for_frames(frames)
    record = engine.record()
    tasks = [task(engine, record, a, limit_minutes) for a in frames]
    with RunFolder(out, options, kind="label") as folder, Ledger(folder.folder) as ledger, LocalPool(workers) as pool:
        of, known = len({t.key for t in tasks}), dict[str, Outcome]()
        folder.event("start", f"{of} structures, {record['level_of_theory']}", workers=pool.workers)
        if retry:
            folder.event("label", f"{ledger.release([t.key for t in tasks])} failed structures are tried again")

        def heard(outcome: Outcome) -> None:
            known[outcome.key] = outcome
            told = outcome.failure.message if outcome.failure else f"{len(known)} of {of}"
            say("label", told, {"done": len(known), "of": of, "failed": outcome.failure is not None})

        try:
            run(tasks, ledger, pool, on_outcome=heard)
        except (Interrupted, RunPaused) as stopped:
            summary = keep(folder, frames, tasks, known)
            folder.event("stopped", str(stopped), labels=summary["labels"])
            raise
        summary = keep(folder, frames, tasks, known)
        folder.event("done", f"{summary['labels']} labels, {summary['failed']} failures")
        say("done", summary["store"], summary)
    return summary


def keep(folder: RunFolder, frames: Sequence[Atoms], tasks: Sequence[Task], known: dict[str, Outcome]) -> dict[str, Any]:
    """Store and files of what is known by now; the summary."""
    labeled: dict[str, Atoms] = {}
    failures: dict[str, dict[str, Any]] = {}
    for k, (frame, one) in enumerate(zip(frames, tasks, strict=True)):
        outcome = known.get(one.key)
        if outcome is None:
            continue
        if outcome.failure is not None:
            why = outcome.failure
            row = {"frames": [], "structure": name_of(frame), "kind": why.kind, "message": why.message, "cure": why.cure}
            failures.setdefault(one.key, row)["frames"].append(k)
        elif one.key not in labeled:
            labeled[one.key] = from_json(outcome.result["atoms"])
            labeled[one.key].info.update({name: value for name, value in frame.info.items() if name != "adiabat"})
    frames_out = _lowest(labeled, failures, tasks)
    if frames_out:
        with Dataset(folder.path("labels.db")) as store:
            store.add(frames_out)
        write(folder.path("labels.xyz"), frames_out, overwrite=True)
    folder.write_json("failures.json", list(failures.values()))
    summary = {
        "labels": len(frames_out), "failed": len(failures), "open": len({t.key for t in tasks}) - len(frames_out) - len(failures),
        "wall_s": folder.worked_s, "label_wall_s": sum(float(a.info["adiabat"]["wall_s"]) for a in frames_out),
        "store": "labels.db", "extxyz": "labels.xyz", "failures": list(failures.values()),
    }  # fmt: skip
    folder.write_json("summary.json", {k: v for k, v in summary.items() if k != "failures"})
    return summary


def _lowest(labeled: dict[str, Atoms], failures: dict[str, dict[str, Any]], tasks: Sequence[Task]) -> list[Atoms]:
    """One label a structure: of several magnetic states the lowest. The others are told among the failures."""
    by_structure: dict[str, list[str]] = {}
    for key, atoms in labeled.items():
        by_structure.setdefault(content_hash(atoms), []).append(key)
    for states in by_structure.values():
        energies = {key: float(labels_of(labeled[key])["energy"]) for key in states}
        lowest = min(states, key=lambda key: energies[key])
        for key in states:
            if key != lowest:
                failures[key] = {
                    "frames": [k for k, one in enumerate(tasks) if one.key == key],
                    "structure": name_of(labeled.pop(key)),
                    "kind": "bad_input",
                    "message": f"another magnetic state of this structure lies {energies[key] - energies[lowest]:.3g} eV below; it is kept",
                    "cure": "take away the frame whose initial moments lead here",
                }
    return list(labeled.values())


def task(engine: Labeler, record: dict[str, Any], atoms: Atoms, limit_minutes: float | None = None) -> Task:
    """One label; the key is of structure, level of theory, settings and version, so a campaign's labels and these are the same work."""
    identity = {"structure": content_hash(atoms), **{name: record[name] for name in ("level_of_theory", "version", "settings")}}
    if atoms.has("initial_magmoms"):  # another start may lead to another magnetic state of the same structure
        identity["initial_magmoms"] = atoms.get_initial_magnetic_moments().tolist()
    limit_s = None if limit_minutes is None else 60 * limit_minutes
    return Task(
        "label",
        "adiabat.labelers:label",
        {"labeler": {engine.name: engine.settings()}, "atoms": to_json(atoms)},
        identity,
        limit_s,
    )


def bare(atoms: Atoms) -> Atoms:
    """The structure without labels of whoever computed them before."""
    copy = atoms.copy()
    copy.calc = None
    copy.info.pop("adiabat", None)
    return copy
