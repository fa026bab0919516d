"""Frames that a configuration or a command line names, and the data gate that stands before whoever uses them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.config import ConfigError, checked
from adiabat.data.formats import read_noted
from adiabat.data.gate import NAMES, Finding, check
from adiabat.data.store import Dataset, is_store

Source = str | dict[str, Any]

# What `waive` may name.
KNOWN_FAULTS = tuple(name for name, grade in NAMES.items() if grade == "fault" and name != "no frames")


class GateFaults(ValueError):
    """Data that the gate does not let pass; `findings` says why."""

    def __init__(self, where: str, findings: Sequence[Finding], n: int = 0) -> None:
        faults = [f for f in findings if f.grade == "fault"]
        lines = "".join(f"\n  {f.name}: {f.message}; {f.cure}" for f in faults)
        names = ", ".join(dict.fromkeys(f.name for f in faults))
        super().__init__(
            f"{where}: the data gate found {len(faults)} fault{'s' if len(faults) > 1 else ''}:{lines}\n"
            f"mend the data (`adiabat check` lists the frames, `adiabat convert` leaves them out), or waive by name: waive: [{names}]"
        )
        self.findings, self.n = list(findings), n  # n frames were looked at


def sources(given: Source | Sequence[Source]) -> list[Source]:
    """One source or many, as a list."""
    return [given] if isinstance(given, str | Mapping) else list(given)


def read_all(
    given: Source | Sequence[Source],
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    where: str = "data",
    partial: bool = False,
) -> tuple[list[Atoms], list[str]]:
    """All frames of files and stores, and notes of what was taken for what.

    A source is a path, or a mapping ``{file: path, units: {...}, keys: {...}, select: "config_type=md", partial: true}`` with its own units,
    names of labels, for a store a choice of frames, and leave to take the whole frames of a file that is cut; `units`, `keys` and
    `partial` are for those that have none of their own.
    """
    frames: list[Atoms] = []
    notes: list[str] = []
    for source in sources(given):
        options = {"file": source} if isinstance(source, str) else checked(_source, source, where=where)
        if options.get("select"):
            if not Path(options["file"]).exists():
                raise FileNotFoundError(f"{options['file']}: there is no such file; look at the path, relative to {Path.cwd()}")
            with Dataset(options["file"]) as store:
                frames += store.select(options["select"])
            continue
        own = {"units": options.get("units", units), "keys": options.get("keys", keys)}
        if Path(options["file"]).is_file() and is_store(
            options["file"]
        ):  # it speaks house units; what is given is for the others
            own = {k: options.get(k) for k in own}
        more, said = read_noted(options["file"], units=own["units"], keys=own["keys"], partial=options.get("partial", partial))
        frames += more
        if not own["units"] and any(a.calc is not None for a in more) and not is_store(options["file"]):
            said = [*said, "no units given: its labels are taken as eV and Å"]
        notes += [f"{options['file']}: {note}" for note in said]
    if not frames:
        raise ConfigError(f"{where}: no frame came; name at least one file with structures")
    return frames, notes


def gate(
    frames: Sequence[Atoms],
    *,
    waive: Sequence[str] = (),
    where: str = "data",
    sides: Mapping[str, Sequence[int]] | None = None,
) -> list[Finding]:
    """The gate's findings, if every fault among them is waived by name; GateFaults otherwise. `sides` are the parts of a split."""
    findings = check(frames, sides=sides)
    unknown = [name for name in waive if name not in KNOWN_FAULTS and name not in {f.name for f in findings}]
    if unknown:
        raise ConfigError(f"waive: {unknown[0]!r} is no finding of the data gate; known: {', '.join(KNOWN_FAULTS)}")
    if any(f.grade == "fault" and f.name not in waive for f in findings):
        raise GateFaults(where, [f for f in findings if f.name not in waive], len(frames))
    return findings


def gate_json(findings: Sequence[Finding], n: int) -> dict[str, Any]:
    """The object of `adiabat check --json`; `value` is a finding's number in the unit its message names, null where it has none."""
    rows = [{k: v for k, v in asdict(f).items() if k != "remedy"} for f in findings]
    for row in rows:
        row["value"] = float(row["value"]) if row["value"] is not None and math.isfinite(row["value"]) else None
    return {"n_structures": n, "findings": rows}


def _source(
    file: str,
    units: dict[str, str] | None = None,
    keys: dict[str, str] | None = None,
    select: str | None = None,
    partial: bool = False,
) -> None:
    """A source's options, by signature."""
