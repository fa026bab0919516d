"""MD17 and its revised version (npz): one molecule, energies in kcal/mol, forces in kcal/mol/Å.

The arrays are read without pickle; a file that needs one is refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from adiabat.data.datasets.card import Card, Frames
from adiabat.data.labels import factors

NAME = "MD17, rMD17 (npz)"
MD17 = Card(
    "MD17", "PBE+TS (FHI-aims)", "as stated at its page", "Chmiela et al., Sci. Adv. 3, e1603015 (2017), doi 10.1126/sciadv.1603015",
    "http://www.sgdml.org",
)  # fmt: skip
REVISED = Card(
    "rMD17", "PBE/def2-SVP (ORCA)", "as stated at its page",
    "Christensen and von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020), doi 10.1088/2632-2153/abba6f",
    "https://doi.org/10.6084/m9.figshare.12672038",
)  # fmt: skip


def recognizes(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK") or path.suffix != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as file:
            names = {n.removesuffix(".npy") for n in file.namelist()}
    except zipfile.BadZipFile:
        return True
    return {"R", "z"} <= names or {"coords", "nuclear_charges"} <= names


def read(path: Path) -> Frames:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {
                name: file[name]
                for name in file.files
                if name in ("R", "z", "E", "F", "coords", "nuclear_charges", "energies", "forces")
            }
            theory = str(file["theory"]) if "theory" in file.files and file["theory"].dtype.kind in "US" else ""
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a whole npz of plain arrays ({error}); fetch it again") from None
    revised = "coords" in arrays
    places, charges, energies, forces = ("coords", "nuclear_charges", "energies", "forces") if revised else ("R", "z", "E", "F")
    frames = Frames(path, REVISED if revised else MD17, factors({"energy": "kcal/mol"}, path))
    if places not in arrays or charges not in arrays:
        raise ValueError(
            f"{path}: arrays {places} and {charges} are wanted; there are {', '.join(arrays) or 'none'}; fetch it again"
        )
    for k, place in enumerate(arrays[places]):
        found = {"energy": float(np.ravel(arrays[energies][k])[0])} if energies in arrays else {}
        if forces in arrays:
            found["forces"] = arrays[forces][k]
        frames.add(k, found, arrays[charges], place, **({"theory": theory} if theory else {}))
    return frames
