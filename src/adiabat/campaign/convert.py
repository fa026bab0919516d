"""Files and folders of any kind into one clean file, with an account of what was left out and why.

Left out are: steps that are no labels (not converged, cut, without positions), files in other units than they are said to be, levels of
theory other than the commonest, and frames with faults that the data gate names. Everything is listed with its file and step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.campaign.frames import GateFaults, gate_json
from adiabat.config import ConfigError
from adiabat.data.datasets import citations
from adiabat.data.engines.settings import paragraph
from adiabat.data.formats import account, write
from adiabat.data.gate import Finding, check
from adiabat.data.store import Dataset, is_store

# Beside results in a folder lie inputs, potentials and scratch; only what may be a result is opened.
NO_RESULTS = (
    ".in", ".pwi", ".inp", ".com", ".gjf", ".upf", ".sh", ".py", ".yaml", ".yml", ".md", ".txt~", ".pdf", ".png", ".wfn", ".gbw", ".chk",
    ".restart", ".ener", ".adiabat",
)  # fmt: skip
INPUTS = (
    "INCAR",
    "KPOINTS",
    "POTCAR",
    "POSCAR",
    "CONTCAR",
    "XDATCAR",
    "WAVECAR",
    "CHGCAR",
    "CHG",
    "EIGENVAL",
    "DOSCAR",
    "IBZKPT",
    "OSZICAR",
    "PCDAT",
    "REPORT",
)


def manifold(given: Sequence[str | Path]) -> bool:
    """Whether a folder, an engine's output or a public set is among them."""
    return any(Path(p).is_dir() or (Path(p).is_file() and _own_units(Path(p)) and not is_store(p)) for p in given)


@dataclass
class Gathered:
    """Frames with the place each came from, what was left out, notes."""

    frames: list[Atoms] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)

    def drop(self, k: set[int], name: str, message: str, cure: str) -> None:
        """Take these frames out and say why."""
        for one in sorted(k):
            self.left_out.append(_row(*self.places[one], name, message, cure))
        self.frames = [a for n, a in enumerate(self.frames) if n not in k]
        self.places = [p for n, p in enumerate(self.places) if n not in k]


def gather(
    given: Sequence[str | Path],
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> Gathered:
    """All frames of files and folders; units and keys are for those files that do not have their own."""
    told = Gathered()
    for path, named in _files(given, told):
        own = _own_units(path)
        frames, left_out, notes = account(path, units=None if own else units, keys=None if own else keys)
        if not named and not frames and left_out and "format unknown by its name" in left_out[0].why:
            told.notes.append(f"{path}: passed over, no file of results is known by this name or content")
            continue
        told.files.append({"file": str(path), "frames": len(frames), "left_out": len(left_out)})
        told.left_out += [_row(one.file, one.frame, "no label", one.why, one.cure) for one in left_out]
        told.notes += [f"{path}: {note}" for note in notes]
        if not own and not units and any(a.calc is not None for a in frames):
            told.notes.append(f"{path}: no units given: its labels are taken as eV and Å")
        first = len(told.frames)
        told.frames += frames
        told.places += [(str(path), _step(a, k)) for k, a in enumerate(frames)]
        wrong = (
            [f for f in check(frames) if f.grade == "fault" and not f.frames and f.name.startswith("units")]
            if frames and not own
            else []
        )
        if wrong:
            told.drop(set(range(first, len(told.frames))), wrong[0].name, wrong[0].message, f"by itself: {wrong[0].cure}")
    if not told.files:
        raise ConfigError(f"{', '.join(map(str, given))}: no file of results there; name at least one file with structures")
    return told


def convert(
    given: Sequence[str | Path],
    to: str | Path,
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    level: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Frames of any format into extended XYZ, a store (.db) or an ASE database (.ase.db, .json); the account as a dict.

    `level` chooses by a part of its text the level of theory that is kept ("all" keeps every one); without it the commonest is.
    """
    to = Path(to)
    if to.exists() and not overwrite and not (to.suffix == ".db" and not to.name.endswith(".ase.db") and is_store(to)):
        raise FileExistsError(f"{to}: exists already; choose another name, or --overwrite")
    told = gather([p for p in given if Path(p).resolve() != to.resolve()], units=units, keys=keys)
    n = len(told.frames)
    levels = Counter(_level(a) for a in told.frames)
    if level != "all":
        _one_level(told, level)
    findings: list[Finding] = []
    if told.frames:
        findings = [f for f in check(told.frames) if f.grade == "fault" and not f.name.startswith(("missing", "mixed levels"))]
        places = {k: f for f in reversed(findings) for k in f.frames}
        for f in findings:
            mine = {k for k, other in places.items() if other is f}
            told.left_out += [_row(*told.places[k], f.name, f.message, f.cure) for k in sorted(mine)]
        kept = [k for k in range(len(told.frames)) if k not in places]
        told.frames, told.places = [told.frames[k] for k in kept], [told.places[k] for k in kept]
    if not told.frames:
        lines = "".join(f"\n  {row['file']}{_of(row)}: {row['message']}; {row['cure']}" for row in told.left_out)
        raise GateFaults(f"{to}: nothing to write, no frame is left{lines}", findings)
    _write(to, told.frames, overwrite)
    records = [a.info["adiabat"] for a in told.frames if isinstance(a.info.get("adiabat"), Mapping)]
    return {
        "to": str(to), "written": len(told.frames), "left_out": told.left_out, "notes": told.notes, "files": told.files,
        "levels": dict(levels), "methods": paragraph(records), "citations": citations(records), **gate_json(findings, n),
    }  # fmt: skip


def _files(given: Sequence[str | Path], told: Gathered) -> list[tuple[Path, bool]]:
    """Every file, and whether it was named; of a folder all below it, sorted, inputs passed over."""
    found: list[tuple[Path, bool]] = []
    for one in map(Path, given):
        if not one.exists():
            raise FileNotFoundError(f"{one}: there is no such file; look at the path, relative to {Path.cwd()}")
        if not one.is_dir():
            found.append((one, True))
            continue
        inside = sorted(
            p for p in one.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(one).parts)
        )
        for path in inside:
            name = path.name
            xml = path.with_name(name.replace("OUTCAR", "vasprun.xml"))
            if path.suffix.lower() in NO_RESULTS or name in INPUTS or name.split("-pos-")[-1] == "1.xyz":
                continue
            if name.startswith("OUTCAR") and xml in inside and account(xml)[0]:
                told.notes.append(f"{path}: passed over, {xml.name} beside it has the same run with more digits")
                continue
            found.append((path, False))
    return found


def _own_units(path: Path) -> bool:
    from adiabat.data import datasets, engines

    return bool(path.stat().st_size) and (is_store(path) or bool(engines.recognized(path)) or bool(datasets.recognized(path)))


def _one_level(told: Gathered, level: str) -> None:
    stated = Counter(_level(a) for a in told.frames if _level(a))
    if not stated:
        return
    chosen = [name for name in stated if level in name] if level else [stated.most_common(1)[0][0]]
    if not chosen:
        raise ConfigError(f"level {level!r}: no frame is at such a level; there are: {'; '.join(stated)}")
    if len(chosen) > 1:
        raise ConfigError(f"level {level!r}: {len(chosen)} levels have it: {'; '.join(chosen)}; give a longer part")
    for other in [name for name in stated if name != chosen[0]]:
        there = {k for k, a in enumerate(told.frames) if _level(a) == other}
        told.drop(
            there,
            "another level of theory",
            f"{other}, where {chosen[0]} is kept",
            "convert it into a file of its own with --level",
        )
    unsaid = sum(not _level(a) for a in told.frames)
    if unsaid:
        told.notes.append(f"{unsaid} frames do not state their level of theory and were kept beside {chosen[0]}")


def _write(to: Path, frames: list[Atoms], overwrite: bool) -> None:
    if to.name.endswith((".ase.db", ".json")):
        import ase.db

        to.unlink(missing_ok=True)
        with ase.db.connect(to) as database:
            for atoms in frames:
                database.write(atoms, data={"info": atoms.info})
    elif to.suffix == ".db":
        with Dataset(to) as store:
            store.add(frames)
    else:
        write(to, frames, overwrite=overwrite)


def _level(atoms: Atoms) -> str:
    return str((atoms.info.get("adiabat") or {}).get("level_of_theory") or "")


def _step(atoms: Atoms, k: int) -> int:
    return int((atoms.info.get("adiabat") or {}).get("source_step", k))


def _row(file: str, frame: int | None, name: str, message: str, cure: str) -> dict[str, Any]:
    return {"file": file, "frame": frame, "name": name, "message": message, "cure": cure}


def _of(row: Mapping[str, Any]) -> str:
    return "" if row["frame"] is None else f", frame {row['frame']}"


__all__ = ["Gathered", "convert", "gather", "manifold"]
