"""`report.json`, written section by section as a run goes on; and a run folder, read with patience.

Writing is strict: an unknown section, key or length is an error that names what was wanted. Reading forgives: a section that
does not fit its form becomes a problem to be shown, for a report must never be lost to one bad number.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adiabat.report import forms

FORMAT = 1

SECTIONS: dict[str, type[forms.Form]] = {
    "verdicts": forms.Verdicts,
    "settings": forms.Settings,
    "methods": forms.Methods,
    "learning_curve": forms.LearningCurve,
    "parity": forms.Parity,
    "errors_by_kind": forms.ErrorsByKind,
    "uncertainty": forms.Uncertainty,
    "distributions": forms.Distributions,
    "vibrations": forms.Vibrations,
    "structures": forms.Structures,
    "crystal": forms.Crystal,
    "rdf": forms.RDF,
    "nve": forms.NVE,
    "nvt": forms.NVT,
    "rounds": forms.Rounds,
    "exploration": forms.Exploration,
    "training": forms.Training,
    "time_budget": forms.TimeBudget,
    "label_cost": forms.LabelCost,
    "data_gate": forms.DataGate,
    "model_gate": forms.ModelGate,
    "versions": forms.Versions,
    "citations": forms.Citations,
}


def plain(value: Any) -> Any:
    """JSON's own types: arrays and tensors become lists, numpy scalars numbers, what is not finite None.

    >>> import numpy as np
    >>> plain({"a": np.array([1.5, np.nan]), 3: (np.int64(2), Path("x"))})
    {'a': [1.5, None], '3': [2, 'x']}
    """
    if hasattr(value, "tolist"):  # numpy array or scalar, torch tensor
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, forms.Form):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


class Sections:
    """The sections of a run folder's `report.json`. Each `put` replaces one section and the file, atomically.

    A section is given as a mapping, as keywords, or both; arrays are welcome, NaN becomes null.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> Sections(folder).put("learning_curve", labels=[24, 36], test_force_mae_meV_per_A=[21.0, 9.5])
    >>> Sections(folder)["learning_curve"]["labels"]  # another process, later
    [24, 36]
    >>> Sections(folder).put("learning_curve", label=[24])
    Traceback (most recent call last):
    ValueError: report section 'learning_curve': unknown key 'label'; did you mean 'labels'?
    """

    def __init__(self, run_folder: str | os.PathLike):
        self.path = Path(run_folder) / "report.json"

    def put(self, name: str, content: Mapping | forms.Form | None = None, /, **fields) -> None:
        if name not in SECTIONS:
            raise ValueError(f"report: unknown section {name!r}{_nearest(name, SECTIONS)}; known: {', '.join(SECTIONS)}")
        section = _fit(name, plain({**(plain(content) or {}), **fields}))
        sections = self.all()
        sections[name] = section.model_dump(exclude_unset=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps({"format": FORMAT, "sections": sections}, ensure_ascii=False, allow_nan=False))

    def all(self) -> dict[str, dict]:
        if not self.path.exists():
            return {}
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8"))["sections"])
        except (ValueError, KeyError, TypeError):
            self.path.replace(self.path.with_name("report.unreadable.json"))  # kept for a person; the run goes on
            return {}

    def __getitem__(self, name: str) -> dict:
        return self.all()[name]

    def __contains__(self, name: str) -> bool:
        return name in self.all()


@dataclass
class Run:
    """What a run folder holds, as far as it can be read; `problems` says in words what could not."""

    folder: Path
    sections: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    config: str = ""
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Run:
        run = cls(Path(folder))
        if not run.folder.is_dir():
            raise FileNotFoundError(f"run folder {run.folder} does not exist; give the folder a run was written to")
        run.config = run._text("config.yaml")
        run.summary = run._json("summary.json")
        run.events = run._events()
        content = run._json("report.json")
        if content.get("format", FORMAT) > FORMAT:
            run.problems.append(f"report.json has format {content['format']}, this Adiabat reads {FORMAT}: update Adiabat")
        sections = content.get("sections", {})
        for name, section in sections.items() if isinstance(sections, dict) else ():
            try:
                if name in SECTIONS:
                    run.sections[name] = _fit(name, section)
                else:
                    run.problems.append(f"report.json: section {name!r} is not known here and was left out")
            except ValueError as error:
                run.problems.append(f"{error}; the section was left out")
        return run

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _json(self, name: str) -> dict:
        text = self._text(name)
        try:
            content = plain(json.loads(text)) if text.strip() else {}
        except ValueError as error:
            content = None
            self.problems.append(f"{name} could not be read ({error})")
        return content if isinstance(content, dict) else {}

    def _events(self) -> list[dict]:
        events, unreadable = [], 0
        for line in self._text("events.jsonl").splitlines():
            try:
                event = json.loads(line) if line.strip() else None
            except ValueError:
                unreadable += 1
                continue
            if isinstance(event, dict):
                events.append(plain(event))
        if unreadable > 1:  # one cut-off last line is what an interrupted run leaves
            self.problems.append(f"events.jsonl: {unreadable} lines could not be read")
        return events


def write_atomically(path: Path, text: str) -> None:
    """All of the file or none of it, whatever is killed when."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _fit(name: str, content: Any) -> forms.Form:
    try:
        return SECTIONS[name].model_validate(content)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelling explains what is missing
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            key, known = str(first["loc"][-1]), _known(SECTIONS[name], first["loc"][:-1])
            inside = f" in {'.'.join(map(str, first['loc'][:-1]))}" if len(first["loc"]) > 1 else ""
            raise ValueError(f"report section {name!r}: unknown key {key!r}{inside}{_nearest(key, known)}") from None
        came = f", came {str(first['input'])[:60]!r}" if where and first["type"] != "value_error" else ""
        raise ValueError(f"report section {name!r}{': ' + where if where else ''}: {first['msg']}{came}") from None


def _known(form: type[forms.Form], location: tuple) -> list[str]:
    """The keys of the form at `location`, found by walking the fields' types."""
    for part in location:
        if isinstance(part, str) and part in getattr(form, "model_fields", {}):
            inner = [t for t in _types(form.model_fields[part].annotation) if isinstance(t, type) and issubclass(t, forms.Form)]
            form = inner[0] if inner else form
    return list(form.model_fields)


def _types(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", ())
    return [annotation, *(t for argument in arguments for t in _types(argument))]


def _nearest(word: str, known) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
