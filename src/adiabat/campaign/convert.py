"""Files and folders of any kind into one clean file, with an account of what was left out and why.

Left out are: steps that are no labels (not converged, cut, without positions), files in other units than they are said to be, levels of
theory other than the commonest, and frames with faults that the data gate names. Everything is listed with its file and step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.frames import GateFaults, gate_json
from adiabat.campaign.gather import Gathered, gather, level_of, ranges
from adiabat.config import ConfigError
from adiabat.data import asedb
from adiabat.data.datasets import citations
from adiabat.data.engines.settings import paragraph
from adiabat.data.formats import write
from adiabat.data.gate import Finding, check
from adiabat.data.store import Dataset, is_store

Row = dict[str, Any]
SHOWN = 8  # reasons that the error tells where nothing is left


class NothingLeft(GateFaults):
    """Nothing to write: every frame was left out; `findings` are the gate's."""

    def __init__(self, to: Path, left: Sequence[Row], findings: Sequence[Finding]) -> None:
        of: dict[tuple[str, str, str], list[Row]] = {}
        for row in left:
            of.setdefault((row["file"], row["message"], row["cure"]), []).append(row)
        lines = [
            f"\n  {file}{_of(rows[0]) if len(rows) == 1 else f', {len(rows)} frames'}: {why}; {cure}"
            for (file, why, cure), rows in of.items()
        ]
        more = f"\n  and {len(lines) - SHOWN} other reasons" if len(lines) > SHOWN else ""
        ValueError.__init__(self, f"{to}: nothing to write, no frame is left:{''.join(lines[:SHOWN])}{more}")
        self.findings = list(findings)


def convert(
    given: Sequence[str | Path],
    to: str | Path,
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    level: str = "",
    partial: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Frames of any format into extended XYZ, a store (.db) or an ASE database (.ase.db, .json); the account as a dict.

    `level` chooses by a part of its text the level of theory that is kept ("all" keeps every one); without it the commonest is. A named
    file that ends inside a frame is an error, unless `partial` takes the whole frames before it.
    """
    to = Path(to)
    grows = to.exists() and not to.name.endswith(".ase.db") and is_store(to)  # a store is added to
    if to.exists() and not overwrite and not grows:
        raise FileExistsError(f"{to}: exists already; choose another name, or --overwrite")
    told = gather([p for p in given if Path(p).resolve() != to.resolve()], units=units, keys=keys, partial=partial, whole=True)
    n = len(told.order)
    left = [_row(one.file, one.frame, one.name, one.why, one.cure) for one in told.left_out]
    levels = Counter(level_of(a) for a in told.frames)
    kept = _in_house_units(told, left)
    if level != "all":
        kept = _of_one_level(told, kept, level, left)
    findings: list[Finding] = []
    if kept:
        findings = [f for f in check([told.frames[k] for k in kept]) if f.grade == "fault"]
        findings = [f for f in findings if not f.name.startswith(("missing", "mixed levels"))]
        kept = _sound(told, kept, findings, left)
    if not kept:
        raise NothingLeft(to, left, findings)
    frames = [told.frames[k] for k in kept]
    write_set(to, frames, overwrite=overwrite)
    records = [a.info["adiabat"] for a in frames if isinstance(a.info.get("adiabat"), Mapping)]
    return {
        "to": str(to), "written": len(frames), "left_out": left, "notes": told.notes, "files": told.files,
        "levels": dict(levels), "methods": paragraph(records), "citations": citations(records), **gate_json(findings, n),
    }  # fmt: skip


def write_set(to: str | Path, frames: Sequence[Atoms], *, overwrite: bool = False) -> None:
    """As the name asks for: an ASE database (.ase.db, .json), a store (.db), else extended XYZ."""
    to = Path(to)
    if to.name.endswith((".ase.db", ".json")):
        asedb.write(to, frames, overwrite=overwrite)
    elif to.suffix == ".db":
        with Dataset(to) as store:
            store.add(frames)
    else:
        write(to, frames, overwrite=overwrite)


def summed(left: Sequence[Row]) -> list[list[str]]:
    """Rows of the account as a table for people: file, steps, finding, why, cure; steps of one reason in one row."""
    of: dict[tuple[str, str, str, str], list[int]] = {}
    for row in left:
        of.setdefault((row["file"], row["name"], row["message"], row["cure"]), []).extend(
            [] if row["frame"] is None else [row["frame"]]
        )
    return [[file, ", ".join(ranges(sorted(steps))), *rest] for (file, *rest), steps in of.items()]


def wrong_units(told: Gathered) -> list[tuple[list[int], Finding]]:
    """Files, by their frames, whose labels together look like other units: asked of those whose units nobody has said, and only
    where there are several, for the gate speaks of a single one as a whole."""
    found = []
    for source in told.sources if len(told.sources) > 1 else ():
        if source.doubtful and source.frames:
            whole = [f for f in check([told.frames[k] for k in source.frames]) if f.grade == "fault" and not f.frames]
            found += [(source.frames, f) for f in whole]
    return found


def _in_house_units(told: Gathered, left: list[Row]) -> list[int]:
    """All frames but those of files in other units."""
    out: set[int] = set()
    for frames, f in wrong_units(told):
        left += [
            _row(
                *told.places[k], f.name, f.message, f"convert this file by itself, with --units where they are others: {f.cure}"
            )
            for k in frames
            if k not in out
        ]
        out |= set(frames)
    return [k for k in range(len(told.frames)) if k not in out]


def _of_one_level(told: Gathered, kept: list[int], level: str, left: list[Row]) -> list[int]:
    """The frames of one level of theory, and those that state none."""
    of = {k: level_of(told.frames[k]) for k in kept}
    stated = Counter(filter(None, of.values()))
    if not stated:
        return kept
    chosen = [name for name in stated if level in name] if level else [stated.most_common(1)[0][0]]
    if not chosen:
        raise ConfigError(f"level {level!r}: no frame is at such a level; there are: {'; '.join(stated)}")
    if len(chosen) > 1:
        raise ConfigError(f"level {level!r}: {len(chosen)} levels have it: {'; '.join(chosen)}; give a longer part")
    cure = "convert it into a file of its own with --level"
    for k in kept:
        if of[k] not in ("", chosen[0]):
            left.append(_row(*told.places[k], "another level of theory", f"{of[k]}, where {chosen[0]} is kept", cure))
    if unsaid := sum(not of[k] for k in kept):
        told.notes.append(f"{unsaid} frames do not state their level of theory and were kept beside {chosen[0]}")
    return [k for k in kept if of[k] in ("", chosen[0])]


def _sound(told: Gathered, kept: list[int], findings: Sequence[Finding], left: list[Row]) -> list[int]:
    """The frames without a fault; a frame with several is listed once, under the first of them. A fault of the set as a whole is one of all
    frames, where they come from one file whose units nobody has said."""
    out: set[int] = set()
    doubtful = len(told.sources) == 1 and told.sources[0].doubtful
    for f in findings:
        mine = [kept[k] for k in f.frames or (range(len(kept)) if doubtful else ()) if kept[k] not in out]
        left += [_row(*told.places[k], f.name, f.message, f.cure) for k in mine]
        out |= set(mine)
    return [k for k in kept if k not in out]


def _row(file: str, frame: int | None, name: str, message: str, cure: str) -> Row:
    return {"file": file, "frame": frame, "name": name, "message": message, "cure": cure}


def _of(row: Mapping[str, Any]) -> str:
    return "" if row["frame"] is None else f", frame {row['frame']}"


__all__ = ["convert", "summed", "wrong_units", "write_set"]
