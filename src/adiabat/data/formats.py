"""Files in and out. What a file says is taken at its word once, here: names, units and shapes, each noted or asked for.

read       extended XYZ (also .xz, .gz, .bz2), ASE trajectories and databases, Adiabat stores, plain structure files, output of
           engines (`engines`, known by content) and public sets (`datasets`)
account    the same, with what is no label listed instead of raised
write      extended XYZ, exact to the last bit
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ase import Atoms

from adiabat.data import asedb, datasets, engines, extxyz
from adiabat.data.engines import LeftOut
from adiabat.data.labels import UNITS, Factors, attach, factors, mixed_energies
from adiabat.data.store import Dataset, is_store
from adiabat.data.unreadable import Unreadable, or_refused
from adiabat.data.weights import weighted
from adiabat.data.xyz import frame_text, read_extxyz
from adiabat.durable import replaced

log = logging.getLogger("adiabat.data")

# Structures without labels, by suffix or file name, and the ASE reader that knows them; none of them runs code from the file.
STRUCTURES = {
    ".cif": "cif", ".vasp": "vasp", "POSCAR": "vasp", "CONTCAR": "vasp", ".pdb": "proteindatabank", ".gen": "gen", ".xsf": "xsf",
}  # fmt: skip


def read(
    path: str | Path,
    units: dict[str, str] | None = None,
    keys: dict[str, str] | None = None,
    partial: bool = False,
) -> list[Atoms]:
    """All frames of a file, labels in house units; what was taken for what is logged (logger `adiabat.data`).

    units     of the numbers in the file, as {"energy": "hartree", "length": "bohr"}; forces and stress follow unless "force"
              ("kcal/mol/angstrom") or "stress" ("kbar", or "-kbar" where compression is positive) is given. House units
              (eV, Å) are assumed without it, and that is noted.
    keys      the file's names for labels, as {"energy": "REF_energy"}, where they are not known or there are several
    partial   of a file that ends inside a frame, or has steps that did not converge, take the others
    """
    frames, notes = read_noted(path, units=units, keys=keys, partial=partial)
    for note in notes:
        log.warning("%s: %s", path, note)
    if units is None and any(frame.calc for frame in frames):
        log.info("%s: no units given, taken as eV and Å", path)
    return frames


def read_noted(
    path, units=None, keys=None, partial=False, refused: dict[int, Unreadable] | None = None
) -> tuple[list[Atoms], list[str]]:
    """The frames, and in words what was decided while reading them; what cannot be a label is an error, or with `partial` a note.

    Without `refused` the first frame that cannot be taken is an error. With it such frames are left out and put there, the error by
    the number of its frame.
    """
    frames, left_out, notes = _read(Path(path), units, keys, partial, refused)
    if left_out and not ((partial or refused is not None) and frames):
        more = f" (and {len(left_out) - 1} more like it)" if len(left_out) > 1 else ""
        rest = f"; {len(frames)} other steps are labels: partial=True takes them" if frames else ""
        raise ValueError(f"{left_out[0]}{more}{rest}")
    return frames, notes + [f"left out: {one}" for one in left_out]


def account(path: str | Path, units=None, keys=None) -> tuple[list[Atoms], list[LeftOut], list[str]]:
    """All that can be taken of a file, what cannot and why, and notes; nothing is raised for what the file holds."""
    path = Path(path)
    try:
        refused: dict[int, Unreadable] = {}
        frames, left_out, notes = _read(path, units, keys, True, refused)
    except (ValueError, OSError, ImportError) as error:
        return [], [refusal(path, None, error)], []
    cut = [note for note in notes if note.startswith("the file ends inside frame")]
    left_out += [LeftOut(str(path), None, note, "fetch it again", "truncated") for note in cut]
    left_out += [refusal(path, k, error) for k, error in refused.items()]
    return frames, left_out, [note for note in notes if note not in cut]


def refusal(path: str | Path, frame: int | None, error: Exception) -> LeftOut:
    """An error of reading as an entry of the account; its last clause is the cure.

    >>> refusal("a.xyz", 3, Unreadable("a.xyz, frame 3: no positions; wanted a column pos:R:3"))
    LeftOut(file='a.xyz', frame=3, why='frame 3: no positions', cure='wanted a column pos:R:3', name='unreadable')
    """
    why, _, cure = str(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ").rpartition("; ")
    name = error.name if isinstance(error, Unreadable) else "unreadable"
    return LeftOut(str(path), frame, *((why, cure) if why else (cure, "look at the file")), name)


def _read(path: Path, units, keys, partial: bool, refused) -> tuple[list[Atoms], list[LeftOut], list[str]]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; look at the path, relative to {Path.cwd()}")
    if path.is_dir():
        raise ValueError(
            f"{path}: a folder came, wanted a file; name the file in it, or give the folder to `adiabat check` or `adiabat convert`"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; wanted at least one frame; fetch or write it again")
    scale = factors(units, path)
    if is_store(path):
        if units or keys:
            raise ValueError(f"{path}: an Adiabat store is in house units under its own names; leave units and keys out")
        with Dataset(path) as dataset:
            return list(dataset), [], []
    engine = engines.recognized(path)
    dataset_reader = None if engine else datasets.recognized(path)
    own = engine or dataset_reader
    if own is not None:
        if units or keys:
            raise ValueError(f"{path}: {own.NAME} has its own units and names, which are known; leave units and keys out")
        told = engines.read_output(path, engine) if engine else datasets.read_set(path, own)
        if not told[0] and not told[1]:
            raise ValueError(f"{path}: no finished step in it; wanted at least one; finish the run or fetch it again")
        return told
    suffix = next((s for s in reversed(path.suffixes) if s.lower() not in extxyz.OPENERS), "").lower()
    if suffix in (".xyz", ".extxyz", ".exyz"):
        frames, notes = read_extxyz(path, scale, keys, partial, refused)
    elif suffix in (".traj", *asedb.SUFFIXES) or suffix in STRUCTURES or path.name in STRUCTURES:
        if keys:
            raise ValueError(f"{path}: keys are for extended XYZ; ASE's own files name their labels themselves; leave keys out")
        frames, notes = _read_ase(path, suffix, scale, refused)
    else:
        known = [".xyz", ".extxyz", ".traj", *asedb.SUFFIXES, *STRUCTURES]
        content = [one.NAME for one in (*engines.ENGINES, *datasets.DATASETS)]
        raise ValueError(
            f"{path}: format unknown by its name; wanted one of {', '.join(known)} (XYZ also .xz, .gz, .bz2), or by its "
            f"content: {', '.join(content)}; rename or convert it"
        )
    if not frames and not refused:
        raise ValueError(f"{path}: no frame in it; wanted at least one; fetch or write it again")
    return frames, [], notes


def write(path: str | Path, frames: Atoms | Iterable[Atoms], overwrite: bool = False) -> Path:
    """Extended XYZ with every float exact; labels under `energy`, `forces`, `stress` (nine numbers), eV and Å.

    The file appears whole or not at all, for good when this returns; an existing one is kept unless `overwrite` is set.
    """
    path = Path(path)
    suffix = next((s for s in reversed(path.suffixes) if s.lower() not in extxyz.OPENERS), "").lower()
    if suffix not in (".xyz", ".extxyz", ".exyz"):
        raise ValueError(f"{path}: only extended XYZ is written, wanted a name ending in .xyz or .extxyz (also .xz, .gz, .bz2)")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists already; choose another name, or overwrite=True")
    frames = [frames] if isinstance(frames, Atoms) else list(frames)
    with replaced(path) as draft, extxyz.opened(draft, "wt") as file:
        for atoms in frames:
            file.write(frame_text(atoms))
    return path


def _read_ase(path: Path, suffix: str, scale: Factors, refused) -> tuple[list[Atoms], list[str]]:
    import ase.io

    reader = {".traj": "traj"}.get(suffix) or STRUCTURES.get(suffix) or STRUCTURES.get(path.name) or "db"
    try:
        images = asedb.read(path) if reader == "db" else ase.io.read(path, index=":", format=reader)
    except Exception as error:  # whatever ASE's readers raise on a broken file
        raise ValueError(
            f"{path}: ASE's reader {reader!r} failed: {type(error).__name__}: {error}; see whether the file is whole"
        ) from error
    frames = []
    told: list[tuple[int, dict[str, Any]]] = []
    for number, image in enumerate(images):
        where = f"{path}, frame {number}"
        found = {}
        if image.calc is not None:
            found = {k: v for k, v in image.calc.results.items() if k in ("energy", "free_energy", "forces", "stress")}
        told.append((number, found))
        atoms = image.copy()
        atoms.positions *= scale.length
        atoms.set_cell(atoms.cell.array * scale.length)
        frames.append(or_refused(attach, atoms, found, scale, where, number=number, refused=refused))
    frames, of_weights = weighted([a for a in frames if a is not None])
    notes = mixed_energies(told, scale) + of_weights
    if any("energy_sigma0" in frame.info.get("adiabat", {}) for frame in frames):
        notes.append("the energy is the free energy, to which the forces belong; the other is kept as energy_sigma0")
    return frames, notes


__all__ = ["UNITS", "LeftOut", "account", "read", "read_noted", "write"]
