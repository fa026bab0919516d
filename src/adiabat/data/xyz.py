"""Extended XYZ and `Atoms`: which entries of a frame are its labels, cell and masks, and a frame as exact text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from adiabat.data import extxyz, structure
from adiabat.data import keys as names
from adiabat.data.labels import Factors, attach, mixed_energies
from adiabat.data.unreadable import Truncated, Unreadable, or_refused
from adiabat.data.weights import weighted


def read_extxyz(path: Path, scale: Factors, keys, partial: bool, refused) -> tuple[list[Atoms], list[str]]:
    """All frames of a file, and notes of what was taken for what."""
    raw: list[extxyz.Frame] = []
    notes: list[str] = []
    try:
        for frame in extxyz.frames(path, refused):
            raw.append(frame)
    except Truncated as broken:
        if partial and broken.readable:
            notes.append(f"the file ends inside frame {broken.readable}; only frames 0 to {broken.readable - 1} were read")
        elif refused is not None:
            refused[broken.readable] = broken
        else:
            raise
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: this is no text ({error}); wanted extended XYZ; look at the file's name") from None
    if raw and raw[-1].open_end:
        notes.append("the last row has no line end: if the file was cut there, the last number of the last frame is wrong")
    seen: Counter[str] = Counter()
    for frame in raw:
        # A column of energies or stresses is an atom's share, as ASE writes what a calculator tells; no frame's label.
        seen.update([*frame.info, *(name for name in frame.columns if names.kind_of(name) in (None, "forces"))])
    taken, said = names.chosen(dict(seen), path, keys)
    told = ((frame.number, {kind: frame.info[name] for kind, name in taken.items() if name in frame.info}) for frame in raw)
    said += [f"{one}, or take 'energy' for all: keys={{'energy': {taken['energy']!r}}}" for one in mixed_energies(told, scale)]
    frames = [or_refused(_atoms, frame, taken, scale, path, number=frame.number, refused=refused) for frame in raw]
    said += _held_in_part(raw)
    weighed, of_weights = weighted([a for a in frames if a is not None])
    return weighed, notes + said + of_weights


def frame_text(atoms: Atoms) -> str:
    """One frame as extended XYZ, every float exact: for who writes a trajectory as it grows."""
    record = structure.to_json(atoms)
    info: dict[str, Any] = {}
    if np.any(atoms.cell.array) or any(record["pbc"]):
        info["Lattice"] = [x for row in record["cell"] for x in row]
    info |= {**record.get("info", {}), **{k: record[k] for k in ("charge", "multiplicity") if k in record}}
    columns: dict[str, np.ndarray] = {"species": np.array(atoms.get_chemical_symbols(), dtype=str), "pos": atoms.positions}
    for name, values in atoms.arrays.items():
        if name not in ("numbers", "positions"):
            columns[name] = values
    labels = structure.labels(atoms)
    for name in ("energy", "stress"):
        if name in info:
            raise ValueError(
                f"{structure.name_of(atoms)}: info[{name!r}] would be read back as a label; make it one "
                "(adiabat.data.structure.labeled), or give it another name"
            )
    if "energy" in labels:
        info["energy"] = labels["energy"]
    if "forces" in labels:
        columns["forces"] = labels["forces"]
    if "stress" in labels:
        xx, yy, zz, yz, xz, xy = labels["stress"].tolist()
        info["stress"] = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    if record.get("fixed"):
        columns["move_mask"] = ~np.isin(np.arange(len(atoms)), record["fixed"])
    info["pbc"] = record["pbc"]
    return extxyz.format_frame(columns, info)


def _atoms(frame: extxyz.Frame, taken: dict[str, str], scale: Factors, path: Path) -> Atoms:
    where = f"{path}, frame {frame.number}"
    info, columns = dict(frame.info), dict(frame.columns)
    found: dict[str, Any] = {}
    for label, name in taken.items():
        # per-atom columns for forces; energies and stresses a frame, not an atom
        if label == "forces" and name in columns:
            found[label] = columns.pop(name)
        elif label != "forces" and name in info:
            found[label] = info.pop(name)
        elif label == "forces" and name in info:
            raise Unreadable(
                f"{where}: forces {name!r} stand in the comment line, wanted a column of 3 numbers an atom in Properties"
            )
    lattice = info.pop("Lattice", None)
    pbc = info.pop("pbc", lattice is not None)
    positions = columns.pop("pos", columns.pop("positions", None))
    numbers = columns.pop("numbers")
    if positions is None or positions.shape != (len(numbers), 3):
        raise Unreadable(f"{where}: no positions; wanted a column pos:R:3, came {', '.join(columns) or 'none'}")
    if lattice is not None and np.shape(lattice) not in ((9,), (3, 3)):
        raise Unreadable(f"{where}: Lattice has shape {np.shape(lattice)}, wanted 9 numbers, vector by vector")
    atoms = Atoms(numbers=numbers, positions=positions * scale.length, info=info)
    if lattice is not None:
        atoms.set_cell(np.array(lattice, dtype=float).reshape(3, 3) * scale.length)
    atoms.pbc = pbc
    mask = columns.pop("move_mask", None)
    if mask is not None:
        atoms.set_constraint(FixAtoms(mask=~_free(mask).any(axis=1)))
    for name, values in columns.items():
        atoms.set_array(name, values)
    return attach(atoms, found, scale, where)


def _free(mask: np.ndarray) -> np.ndarray:
    """By atom and axis (or by atom alone): may it move?"""
    return mask.astype(bool).reshape(len(mask), -1)


def _held_in_part(raw: list[extxyz.Frame]) -> list[str]:
    masks = ((frame.number, _free(frame.columns["move_mask"])) for frame in raw if "move_mask" in frame.columns)
    found = [number for number, free in masks if (free.any(axis=1) & ~free.all(axis=1)).any()]
    if not found:
        return []
    return [
        f"move_mask holds atoms of {len(found)} frame{'s' * (len(found) != 1)} ({', '.join(map(str, found[:5]))}"
        f"{', …' if len(found) > 5 else ''}) along some axes only; whole atoms can be fixed here, so these are free; labels do not change"
    ]
