"""MPtrj and the Materials Project (JSON): pymatgen's structures beside energy, forces and stress; uncorrected energies only.

MPtrj keeps stress as VASP prints it: kbar, positive when compressed. The Materials Project's corrections (+U against elements, anions)
are no energies of a calculation; they are never the label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adiabat.data.datasets.card import Card, Frames
from adiabat.data.engines.calculation import OPENERS
from adiabat.data.labels import factors
from adiabat.elements import number as atomic_number

NAME = "MPtrj, Materials Project (JSON)"
MPTRJ = Card(
    "MPtrj", "PBE/PBE+U, Materials Project settings (VASP)", "as stated at its page", "Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3",  # noqa: E501
    "https://doi.org/10.6084/m9.figshare.23713842",
)  # fmt: skip
PROJECT = Card(
    "Materials Project", "PBE/PBE+U, Materials Project settings (VASP)", "CC BY 4.0", "Jain et al., APL Mater. 1, 011002 (2013), doi 10.1063/1.4812323",  # noqa: E501
    "https://materialsproject.org",
)  # fmt: skip
TOTAL = ("uncorrected_total_energy", "uncorrected_energy", "e_fr_energy", "energy")


def recognizes(path: Path, head: bytes) -> bool:
    return head.lstrip()[:1] in (b"{", b"[") and b'"structure"' in head and b'"lattice"' in head


def read(path: Path) -> Frames:
    opener = OPENERS.get(path.suffix.lower(), open)
    try:
        with opener(path, "rt") as file:  # type: ignore[operator]
            told = json.load(file)
    except (json.JSONDecodeError, EOFError) as error:
        raise ValueError(f"{path}: the JSON is cut or broken ({error}); fetch it again") from None
    trajectory = (
        isinstance(told, dict)
        and "structure" not in told
        and all(isinstance(v, dict) and "structure" not in v for v in told.values())
    )
    frames = Frames(path, MPTRJ if trajectory else PROJECT, factors({"stress": "-kbar"}, path))
    for number, (name, entry) in enumerate(_entries(told)):
        try:
            numbers, places, cell = _structure(entry["structure"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            frames.drop(number, f"{name}: its structure cannot be taken: {error}")
            continue
        energy = next((entry[key] for key in TOTAL if entry.get(key) is not None), None)
        if energy is None and entry.get("uncorrected_energy_per_atom") is not None:
            energy = entry["uncorrected_energy_per_atom"] * len(numbers)
        if energy is None:
            frames.drop(number, f"{name}: no uncorrected energy in it", f"ask the project for one of {', '.join(TOTAL[:2])}")
            continue
        found: dict[str, Any] = {"energy": energy}
        forces = entry.get("force", entry.get("forces"))
        if forces is not None:
            found["forces"] = np.array(forces)
        if entry.get("stress") is not None:
            found["stress"] = np.array(entry["stress"])
        frames.add(number, found, numbers, places, cell, info={"group": name.split("/")[0]})
    return frames


def _entries(told: Any) -> Iterator[tuple[str, dict]]:
    """(name, entry) of a list, of {id: entry}, of {id: {frame: entry}}, or of one entry alone."""
    if isinstance(told, list):
        for k, entry in enumerate(told):
            yield str(entry.get("material_id", entry.get("entry_id", k))), entry
    elif "structure" in told:
        yield str(told.get("material_id", "entry")), told
    else:
        for name, inner in told.items():
            if "structure" in inner:
                yield name, inner
            else:
                yield from ((f"{name}/{frame}", entry) for frame, entry in inner.items())


def _structure(told: dict) -> tuple[list[int], np.ndarray, np.ndarray]:
    cell = np.array(told["lattice"]["matrix"], dtype=float)
    numbers, places = [], []
    for site in told["sites"]:
        if len(site["species"]) != 1 or abs(site["species"][0].get("occu", 1) - 1) > 1e-6:
            raise ValueError("a site is shared by several elements or partly empty")
        numbers.append(atomic_number(site["species"][0]["element"].rstrip("0123456789+-")))
        places.append(site["abc"])
    return numbers, np.array(places, dtype=float) @ cell, cell
