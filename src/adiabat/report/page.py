"""A run folder in, one HTML page out: everything inline, nothing fetched, light and dark, screen and paper."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from adiabat.report import chapters, citations, forms, methods
from adiabat.report.chapters import TITLES, Block
from adiabat.report.figures import FIGURES, Figure
from adiabat.report.figures.theme import DARK, LIGHT
from adiabat.report.reading import duration, measured, show
from adiabat.report.record import Run, write_atomically
from adiabat.report.views import Drawn, viewer, views

# What summary.json tells when the run wrote no verdicts of its own: key → (name, unit, note).
SUMMARY = {
    "energy_mae_meV_per_atom": ("Energy error", "meV/atom", "mean absolute, test set"),
    "force_mae_meV_per_A": ("Force error", "meV/Å", "mean absolute, test set"),
    "nve_drift_meV_per_atom_per_ns": ("Energy drift", "meV/atom/ns", "constant-energy runs"),
    "labels": ("Labels", "", "reference calculations"),
    "wall_s": ("Time", "s", "wall clock"),
}


@dataclass
class Section:
    """What the template draws."""

    name: str
    title: str
    block: Block = field(default_factory=Block)
    figures: list[Figure] = field(default_factory=list)
    views: list[Drawn] = field(default_factory=list)


def write(run_folder: str | os.PathLike) -> Path:
    """`report.html` of a run, finished or not, from its `summary.json`, `events.jsonl`, `config.yaml` and `report.json`."""
    run = Run.read(run_folder)
    path = run.folder / "report.html"
    write_atomically(path, render(run))
    return path


def render(run: Run) -> str:
    parts = [(title, sections) for title, names in chapters.CHAPTERS.items() if (sections := list(_sections(run, names)))]
    cited, unknown = citations.cited(run.sections.get("citations") or forms.Citations())
    if unknown:
        run.problems.append(f"citations: no work is known by the key {', '.join(map(repr, unknown))}")
    figures = {figure.key: figure.spec() for _, sections in parts for section in sections for figure in section.figures}
    seen = [view.content for _, sections in parts for section in sections for view in section.views]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("adiabat.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["slug"] = lambda text: text.lower().replace(" ", "-")
    return environment.get_template("page.html.jinja").render(
        run=run, name=_title(run), parts=parts, tiles=list(_tiles(run)), cited=cited, headline=_headline(run), facts=_facts(run),
        light=LIGHT, dark=DARK, plotly=get_plotlyjs() if figures else "", figures=_for_script(figures),
        viewer=viewer() if seen else "", views=_for_script(seen) if seen else "",
        palettes=_for_script({"light": LIGHT, "dark": DARK}), written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        show=show, events=[_event(event) for event in run.events[-500:]],
    )  # fmt: skip


def _facts(run: Run) -> list[str]:
    settings, summary = run.sections.get("settings"), run.summary
    wall = summary.get("wall_s") if isinstance(summary.get("wall_s"), (int, float)) else None
    facts = [settings.level_of_theory if settings else None, f"{summary['labels']} labels" if "labels" in summary else None,
             f"{summary['rounds']} rounds" if "rounds" in summary else None, duration(wall) if wall is not None else None]  # fmt: skip
    return [fact for fact in facts if fact]


def _sections(run: Run, names: tuple[str, ...]) -> Iterator[Section]:
    """The sections there is something to say in; one that cannot be drawn becomes a problem, never the end of the page."""
    for name in names:
        data = run.sections.get(name)
        if name == "methods" and data is None and (text := methods.paragraphs(run)):
            data = forms.Methods(paragraphs=text)
        if data is None:
            continue
        try:
            block = chapters.BLOCKS[name](data) if name in chapters.BLOCKS else Block()
            figures = FIGURES[name](data) if name in FIGURES else []
            [figure.spec() for figure in figures]
            seen = views(data) if name == "structures" else []
        except Exception as error:  # whatever a half-written run holds, the rest of the page is worth having
            run.problems.append(f"{TITLES[name]} could not be drawn ({type(error).__name__}: {error})")
            continue
        if figures or seen or block.lead or block.tables or block.notes or name == "citations":
            yield Section(name, TITLES[name], block, figures, seen)


def _title(run: Run) -> str:
    settings = run.sections.get("settings")
    return (settings and settings.system) or run.folder.resolve().name


def _tiles(run: Run) -> Iterator[dict[str, Any]]:
    given = run.sections.get("verdicts")
    verdicts = given.verdicts if given else [
        forms.Verdict(name=name, value=run.summary[key], unit=unit, note=note)
        for key, (name, unit, note) in SUMMARY.items() if isinstance(run.summary.get(key), (int, float))
    ]  # fmt: skip
    for v in verdicts:
        sign = "≤" if v.better == "below" else "≥"
        whole = v.unit == "" and v.value is not None and v.value == int(v.value)
        told = (
            measured(v.value, v.error)
            if v.error is not None
            else show(int(v.value) if whole and v.value is not None else v.value)
        )
        value, _, error = told.partition(" ± ")
        yield {
            "name": v.name, "value": value, "unit": v.unit, "error": error, "note": v.note or "",
            "target": f"{sign} {show(v.target)} {v.unit}".strip().replace(" ", "\u00a0") if v.target is not None else "", "passed": v.verdict(),
        }  # fmt: skip


def _headline(run: Run) -> dict[str, str]:
    """One sentence that says how it went."""
    given = run.sections.get("verdicts")
    judged = [v.verdict() for v in given.verdicts if v.verdict() is not None] if given else []
    missed = [v.name for v in given.verdicts if v.verdict() is False] if given else []
    data, model = run.sections.get("data_gate"), run.sections.get("model_gate")
    checks = {name.replace("_", " "): c.verdict for name, c in model.checks.items()} if model else {}
    broken = [name for name, verdict in checks.items() if verdict == "fail"]
    open_ = [name for name, verdict in checks.items() if verdict == "undetermined"]
    faults = [f.name for f in data.findings if f.grade == "fault"] if data else []
    bad = [f"{len(missed)} of {len(judged)} targets missed: {', '.join(missed)}."] if missed else []
    bad += [f"The model gate failed: {', '.join(broken)}."] if broken else []
    bad += [f"The model gate could not tell: {', '.join(open_)}."] if open_ else []
    bad += [f"The data gate found faults: {', '.join(faults)}."] if faults else []
    if not run.summary:
        last = (
            ": ".join(str(run.events[-1][key]) for key in ("stage", "message") if run.events[-1].get(key)) if run.events else ""
        )
        so_far = [
            "This run has not finished; the page shows what there is so far.",
            *bad,
            f"Last event: {last}." if last else "",
        ]
        return {"grade": "bad" if bad else "warn", "text": " ".join(filter(None, so_far))}
    if bad:
        return {"grade": "bad", "text": " ".join(bad)}
    if judged:
        return {"grade": "good", "text": f"All {len(judged)} targets met." if len(judged) > 1 else "The target is met."}
    return {"grade": "", "text": "The run has finished. No targets were set."}


def _event(event: dict[str, Any]) -> dict[str, str]:
    time = event.get("time")
    if isinstance(time, (int, float)):
        time = datetime.fromtimestamp(time).astimezone().strftime("%H:%M:%S")
    rest = {key: value for key, value in event.items() if key not in ("time", "stage", "message")}
    return {
        "time": str(time or ""),
        "stage": show(event.get("stage") or ""),
        "message": show(event.get("message") or ""),
        "rest": show(rest) if rest else "",
    }


def _for_script(content: Any) -> str:
    """JSON that no text inside can break out of its script element with."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )
