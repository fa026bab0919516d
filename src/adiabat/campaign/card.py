"""A data set's card: what is in it and where it comes from, as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from adiabat.campaign.provenance import versions
from adiabat.data.statistics import effective_kinds, statistics
from adiabat.data.store import Dataset
from adiabat.durable import replaced

_RANGES = {
    "atoms_per_structure": "atoms",
    "energy_per_atom_eV": "energy, eV/atom",
    "max_force_eV_per_A": "largest force, eV/Å",
    "volume_A3": "volume, Å³",
}
_STYLE = """
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .25rem .8rem; border-bottom: 1px solid #8884; text-align: right }
th:first-child, td:first-child { text-align: left } code { font-size: .85em; overflow-wrap: anywhere }
"""


def write_card(dataset: Dataset, path: str | Path, *, select: str = "") -> Path:
    """The card of a store, or of a choice of it; the file appears whole."""
    path = Path(path)
    with replaced(path) as draft:
        draft.write_text(card(dataset, select=select), encoding="utf-8")
    return path


def card(dataset: Dataset, *, select: str = "") -> str:
    """The page's text."""
    told = statistics(dataset, select)
    name = Path(dataset.path).stem
    facts = [
        ["structures", f"{told['n_structures']:,}"], ["atoms", f"{told['n_atoms']:,}"], ["chosen by", select or "everything"],
        ["data hash", told["data_hash"]], ["written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")],
        ["with", ", ".join(f"{k} {v}" for k, v in versions(("ase", "numpy")).items())],
    ]  # fmt: skip
    if told["by_kind"]:
        facts.insert(2, ["kinds", f"{len(told['by_kind'])}, as varied as {effective_kinds(told):.1f} of equal shares"])
    return "\n".join([
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(name)}</title><style>{_STYLE}</style>',
        f"<h1>{escape(name)}</h1>", _table("", ["", ""], facts),
        _table("Kinds", kinds_head(), kind_rows(told)),
        _table("Elements", ["element", "structures", "atoms", "share of atoms"],
               [[s, f"{e['structures']:,}", f"{e['atoms']:,}", f"{e['share']:.1%}"] for s, e in told["elements"].items()]),
        _table("Formulas", ["formula", "structures"], [[f, f"{n:,}"] for f, n in list(told["formulas"].items())[:30]]),
        _table("Where the labels come from", ["level of theory", "structures"], [[k, f"{n:,}"] for k, n in told["levels"].items()]),
        _table("", ["engine, version", "structures"], [[k, f"{n:,}"] for k, n in _sources(dataset, select).most_common(30)]),
        "</html>\n",
    ])  # fmt: skip


def kinds_head() -> list[str]:
    return ["kind", "structures", "share", "with forces", *_RANGES.values()]


def kind_rows(told: dict[str, Any]) -> list[list[str]]:
    """The composition table."""
    return [
        [kind, f"{k['structures']:,}", f"{k['share']:.1%}", f"{k['with_forces']:,}", *(_range(k[name]) for name in _RANGES)]
        for kind, k in told["by_kind"].items()
    ]


def _sources(dataset: Dataset, select: str) -> Counter[str]:
    found: Counter[str] = Counter()
    engine, version = ("json_extract(info, '$.adiabat.engine')", "json_extract(info, '$.adiabat.version')")
    for name, number, n in dataset.grouped(f"{engine}, {version}, count(*)", f"{engine}, {version}", select):
        found[" ".join(x if isinstance(x, str) else json.dumps(x) for x in (name, number) if x is not None) or "not said"] += n
    return found


def _range(ends: list[float] | None) -> str:
    if ends is None:
        return "–"
    low, high = (f"{x:.4g}" for x in ends)
    return low if low == high else f"{low} … {high}"


def _table(title: str, head: list[str], rows: list[list[str]]) -> str:
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    top = "<tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>" if any(head) else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(str(x))}</td>" for x in row) + "</tr>" for row in rows)
    return f"{heading}<table>{top}{body}</table>"
