"""ANI-1x and ANI-1ccx (HDF5): groups of one stoichiometry, energies in hartree, forces in hartree/Å, NaN where a level was not computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adiabat.data.datasets.card import Card, Frames, needed
from adiabat.data.labels import factors

NAME = "ANI-1x (HDF5)"
CARD = Card(
    "ANI-1x", "wB97X/6-31G* (Gaussian)", "as stated at its page",
    "Smith et al., Sci. Data 7, 134 (2020), doi 10.1038/s41597-020-0473-z", "https://doi.org/10.6084/m9.figshare.c.4712477",
)  # fmt: skip
LEVEL = "wb97x_dz"


def recognizes(path: Path, head: bytes) -> bool:
    return head.startswith(b"\x89HDF") and path.suffix in (".h5", ".hdf5")


def read(path: Path) -> Frames:
    h5py = needed("h5py", path)
    frames = Frames(path, CARD, factors({"energy": "hartree"}, path))
    missing = 0
    try:
        with h5py.File(path, "r") as file:
            groups = (
                [g for g in file.values() if "coordinates" in g and "atomic_numbers" in g] if hasattr(file, "values") else []
            )
            if not groups:
                raise ValueError(f"{path}: no group with coordinates and atomic_numbers; wanted ANI-1x's HDF5; name its format")
            number = 0
            for group in groups:
                numbers, places = group["atomic_numbers"][()], group["coordinates"][()]
                energies = group[f"{LEVEL}.energy"][()] if f"{LEVEL}.energy" in group else np.full(len(places), np.nan)
                forces = group[f"{LEVEL}.forces"][()] if f"{LEVEL}.forces" in group else None
                for k, place in enumerate(places):
                    if np.isnan(energies[k]):
                        missing += 1
                    else:
                        found = {"energy": float(energies[k])}
                        if forces is not None and np.isfinite(forces[k]).all():
                            found["forces"] = forces[k]
                        frames.add(number, found, numbers, place, info={"group": group.name.strip("/")})
                    number += 1
    except OSError as error:
        raise ValueError(f"{path}: HDF5 cannot open it ({error}); fetch it again") from None
    if missing:
        frames.drop(
            None, f"{missing} conformations have no {LEVEL} energy", "nothing to do: the set has them at other levels only"
        )
    return frames
