"""A section's words and tables: its form in, a `Block` out (figures come from `figures.FIGURES`).

`CHAPTERS` is the order of the page. A table's cells are plain text; the template escapes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adiabat.report import forms
from adiabat.report.reading import measured, show, words

CHAPTERS: dict[str, tuple[str, ...]] = {
    "What was done": ("settings", "methods"),
    "Accuracy": ("learning_curve", "parity", "errors_by_kind", "uncertainty"),
    "Physics": ("structures", "crystal", "distributions", "vibrations", "rdf", "nve", "nvt"),
    "Learning": ("rounds", "exploration", "training"),
    "Cost": ("time_budget", "label_cost"),
    "Checks": ("data_gate", "model_gate"),
    "Provenance": ("versions", "citations"),
}
TITLES = {
    "settings": "Settings", "methods": "Methods", "learning_curve": "Learning curve", "parity": "Model against reference",
    "errors_by_kind": "Errors by kind of configuration", "uncertainty": "Does the potential know what it does not know?",
    "structures": "Structures", "crystal": "Lattice and elasticity", "rdf": "Distances between neighbors",
    "distributions": "Distributions", "vibrations": "Vibrational frequencies", "nve": "Energy conservation",
    "nvt": "Temperature", "rounds": "Decisions, round by round", "exploration": "Exploration", "training": "Training",
    "time_budget": "Time by stage", "label_cost": "Labels", "data_gate": "Data gate", "model_gate": "Model gate",
    "versions": "Versions and machine", "citations": "Please cite",
}  # fmt: skip


@dataclass
class Table:
    """`grades`: a word for each row (good, bad, warn) that colors its first cell, beside the words that say the same."""

    head: list[str]
    rows: list[list[str]]
    caption: str = ""
    grades: list[str] = field(default_factory=list)
    text_columns: int = 1  # so many columns from the left hold words, the others numbers


@dataclass
class Block:
    lead: str = ""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def record(content: dict[str, Any], caption: str) -> list[Table]:
    return (
        [Table(["", ""], [[words(key), show(item, 6)] for key, item in content.items()], caption, text_columns=2)]
        if content
        else []
    )


def settings(data: forms.Settings) -> Block:
    system = data.system or "The system"
    atoms = f" ({data.n_atoms} atoms)" if data.n_atoms else ""
    lead = f"{system}{atoms}, labeled at {data.level_of_theory}." if data.level_of_theory else f"{system}{atoms}."
    tables = record(data.engine, "Reference engine") + record(data.model, "Model")
    return Block(lead, tables + record(data.training, "Training") + record(data.exploration, "Exploration"))


def methods(data: forms.Methods) -> Block:
    return Block(notes=list(data.paragraphs))


def errors_by_kind(data: forms.ErrorsByKind) -> Block:
    rows = list(data.by_kind.items()) + ([("all", data.overall)] if data.overall else [])
    stress = any(e.stress_mae_GPa is not None for _, e in rows)
    head = [
        "kind",
        "structures",
        "energy MAE (meV/atom)",
        "energy RMSE (meV/atom)",
        "force MAE (meV/Å)",
        "force RMSE (meV/Å)",
    ] + ["stress MAE (GPa)"] * stress
    cells = [
        [kind, show(e.n_structures), show(e.energy_mae_meV_per_atom), show(e.energy_rmse_meV_per_atom), show(e.force_mae_meV_per_A),
         show(e.force_rmse_meV_per_A)] + [show(e.stress_mae_GPa)] * stress
        for kind, e in rows
    ]  # fmt: skip
    lead = f"Errors on the {data.set} set, apart for each kind of configuration: a good mean can hide a kind that fails."
    return Block(lead, [Table(head, cells)])


def uncertainty(data: forms.Uncertainty) -> Block:
    words = [f"The committee's spread and the true error of the same atoms, on the {data.set} set."]
    if data.scale is not None:
        words.append(f"The spread is scaled by {show(data.scale)}, fitted on held-out data.")
    if data.rank_correlation is not None:
        words.append(f"Rank correlation of spread and error: {show(data.rank_correlation, 2)} (1 is perfect order, 0 none).")
    if data.within_one is not None and data.within_two is not None:
        words.append(
            f"{show(100 * data.within_one, 2)} % of the error's components lie within one spread (68 % of a normal error would), "
            f"{show(100 * data.within_two, 2)} % within two (95 %){f': {data.advice}' if data.advice else ''}."
        )
    return Block(" ".join(words))


def distributions(data: forms.Distributions) -> Block:
    at = f" at {show(data.temperature_K)} K" if data.temperature_K is not None else ""
    words = [f"What the model's own dynamics visits{at}, against {data.reference}."]
    if data.n_reference_frames is not None:
        size = f" (effective sample size {show(data.effective_sample_size)})" if data.effective_sample_size is not None else ""
        n = data.n_reference_frames
        words.append(
            f"The reference is the model's whole run, corrected by what reweighting changes on {n} labeled frames{size}."
        )
    return Block(" ".join(words))


def vibrations(data: forms.Vibrations) -> Block:
    def difference(m):
        return None if m.model_per_cm is None or m.reference_per_cm is None else m.model_per_cm - m.reference_per_cm

    rows = [[m.name, show(m.model_per_cm, 5), show(m.reference_per_cm, 5), show(difference(m), 2)] for m in data.modes]
    head = ["mode", "model (cm⁻¹)", f"{data.reference} (cm⁻¹)", "difference (cm⁻¹)"]
    return Block(
        "Harmonic frequencies: the curvature of the potential at its minimum.",
        [Table(head, rows)],
        [data.note] if data.note else [],
    )


def structures(data: forms.Structures) -> Block:
    return Block("Drag to turn, or choose a picture and use the arrow keys; a wheel zooms where a picture was chosen.")


def crystal(data: forms.Crystal) -> Block:
    rows = [
        [
            r.name,
            measured(r.model, r.model_error, r.unit),
            measured(r.reference, r.reference_error, r.unit),
            show(r.difference_percent, 2),
        ]
        for r in data.rows
    ]
    head = ["quantity", "model", data.reference, "difference (%)"]
    return Block(
        "The crystal by the model and by the reference engine itself, each at its own lattice constant.",
        [Table(head, rows)],
        [data.note] if data.note else [],
    )


def rdf(data: forms.RDF) -> Block:
    at = f" at {show(data.temperature_K)} K" if data.temperature_K is not None else ""
    return Block(f"Distances between atoms in the model's own dynamics{at}: how much denser than chance neighbors stand.")


def nve(data: forms.NVE) -> Block:
    slope, sigma = data.slope_meV_per_atom_per_ns, data.slope_error_meV_per_atom_per_ns
    about = [f"{len(data.energy_meV_per_atom)} replicas"]
    about += [f"timestep {show(data.timestep_fs)} fs"] if data.timestep_fs is not None else []
    about += [f"started at {show(data.temperature_K)} K"] if data.temperature_K is not None else []
    lead = f"Runs at constant energy: {', '.join(about)}."
    if slope is not None:
        lead += f" Drift {measured(slope, sigma, 'meV/atom/ns')}."
    return Block(lead)


def nvt(data: forms.NVT) -> Block:
    lead = f"Dynamics held at {show(data.target_K)} K{f' by {data.thermostat}' if data.thermostat else ''}."
    if data.degrees_of_freedom:
        lead += f" Temperature is counted over {data.degrees_of_freedom} degrees of freedom."
    return Block(lead)


def rounds(data: forms.Rounds) -> Block:
    columns = {
        "round": lambda r: r.round, "T (K)": lambda r: r.temperature_K, "candidates": lambda r: r.candidates,
        "uncertain": lambda r: r.uncertain, "chosen": lambda r: r.chosen, "labels": lambda r: r.labels,
        "threshold (meV/Å)": lambda r: r.threshold_meV_per_A, "largest spread (meV/Å)": lambda r: r.spread_max_meV_per_A,
        "decision": lambda r: r.decision,
    }  # fmt: skip
    columns = {head: get for head, get in columns.items() if any(get(r) is not None for r in data.rounds)}
    table = Table(list(columns), [[show(get(r)) for get in columns.values()] for r in data.rounds], text_columns=0)
    notes = [f"Stop rule: {data.stop_rule}"] if data.stop_rule else []
    notes += [f"Stopped because {data.stopped_because}"] if data.stopped_because else []
    lead = "Each round explores with the current model, keeps the frames it is unsure of and that differ most, and labels only those."
    return Block(lead, [table] if data.rounds else [], notes)


def exploration(data: forms.Exploration) -> Block:
    reasons = [
        f"{f'Round {s.round}, ' if s.round is not None else ''}{show(s.temperature_K)} K: {s.reason}"
        for s in data.stages
        if s.reason
    ]
    return Block(notes=reasons)


def training(data: forms.Training) -> Block:
    if data.curves and all(len(c.epoch) <= 1 for c in data.curves):
        return Block("Solved in one step, as least squares is: there is no course to show.")
    best = [f"{c.name} at epoch {show(c.best_epoch)}" for c in data.curves if c.best_epoch is not None]
    return Block(f"Best validation loss: {'; '.join(best)}." if best else "")


def time_budget(data: forms.TimeBudget) -> Block:
    over = [
        f"{s.name} ({show(s.wall_s)} s of {show(s.budget_s)} s)"
        for s in data.stages
        if s.wall_s is not None and s.budget_s is not None and s.wall_s > s.budget_s
    ]
    if over:
        return Block(f"Over budget: {', '.join(over)}. A budget is an aim: nothing was cut short.")
    return Block("Every stage with a budget kept it." if any(s.budget_s is not None for s in data.stages) else "")


def label_cost(data: forms.LabelCost) -> Block:
    def each(total, count):
        return None if total is None or not count else total / count

    rows = [
        [r.kind, show(r.labels), show(r.wall_s), show(r.cpu_s), show(each(r.wall_s, r.labels)), show(r.failed)]
        for r in data.rows
    ]
    total, wall, cpu = (sum(getattr(r, k) or 0 for r in data.rows) for k in ("labels", "wall_s", "cpu_s"))
    if len(rows) > 1:
        rows.append(
            ["all", show(total), show(wall), show(cpu), show(each(wall, total)), show(sum(r.failed for r in data.rows))]
        )
    lead = f"{show(total)} labels" + (f" on {data.workers} workers" if data.workers else "")
    lead += f" in {show(data.wall_s)} s of wall-clock time." if data.wall_s is not None else "."
    head = ["kind", "labels", "wall (s)", "CPU (s)", "wall per label (s)", "failed"]
    return Block(lead, [Table(head, rows)])


def data_gate(data: forms.DataGate) -> Block:
    grades = {"fault": "bad", "warning": "warn", "note": ""}
    findings = sorted(data.findings, key=lambda f: list(grades).index(f.grade))
    rows = [[f.grade, f.name, f.message, frames(f.frames), f.cure or "–"] for f in findings]
    looked = (
        f"{show(data.n_structures)} structures were looked at" if data.n_structures is not None else "The set was looked at"
    )
    lead = (
        f"{looked} before any training: {len(rows)} finding{'s' * (len(rows) != 1)}." if rows else f"{looked}: nothing found."
    )
    table = Table(
        ["grade", "what", "message", "frames", "cure"], rows, grades=[grades[f.grade] for f in findings], text_columns=5
    )
    return Block(lead, [table] if rows else [])


def frames(numbers: list[int]) -> str:
    """Some frame numbers, and how many more.

    >>> frames([4]), frames(list(range(9)))
    ('4', '0, 1, 2, 3 and 5 more')
    """
    more = f" and {len(numbers) - 4} more" if len(numbers) > 5 else ""
    return ", ".join(map(str, numbers[: 4 if more else 5])) + more or "–"


def model_gate(data: forms.ModelGate) -> Block:
    grades = {"pass": "good", "fail": "bad", "undetermined": "bad", "waived": "warn", "not run": ""}
    signs = {"pass": "✓ pass", "fail": "✗ fail", "undetermined": "? undetermined", "waived": "– waived", "not run": "– not run"}
    rows = [
        [signs[c.verdict], words(name), measured(c.value, c.error, c.unit), measured(c.target, None, c.unit), c.message or "–"]
        for name, c in data.checks.items()
    ]
    table = Table(
        ["verdict", "check", "measured", "wanted", "remark"],
        rows,
        grades=[grades[c.verdict] for c in data.checks.values()],
        text_columns=5,
    )
    count = {verdict: sum(c.verdict == verdict for c in data.checks.values()) for verdict in grades}
    tried = count["pass"] + count["fail"] + count["undetermined"]
    lead = f"{tried} laws that a potential must obey were tried: {count['fail'] or 'none'} failed"
    others = [f", {count[verdict]} {verdict}" for verdict in ("undetermined", "waived", "not run") if count[verdict]]
    lead += "".join(others) + "."
    return Block(lead, [table] if rows else [])


def versions(data: forms.Versions) -> Block:
    return Block(tables=record(data.software, "Software") + record(data.machine, "Machine"))


BLOCKS: dict[str, Callable[[Any], Block]] = {
    "settings": settings, "methods": methods, "errors_by_kind": errors_by_kind, "uncertainty": uncertainty,
    "structures": structures, "crystal": crystal, "rdf": rdf, "distributions": distributions, "vibrations": vibrations,
    "nve": nve, "nvt": nvt, "rounds": rounds,
    "exploration": exploration, "training": training, "time_budget": time_budget, "label_cost": label_cost, "data_gate": data_gate,
    "model_gate": model_gate, "versions": versions,
}  # fmt: skip
