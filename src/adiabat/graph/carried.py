"""What a structure carries beside its geometry: labels to learn, the global inputs some families need, the atoms that are held.

Taken from `ase.Atoms` here, and joined here when structures become a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adiabat import elements
from adiabat.typing import Bool, Float, Tensor

if TYPE_CHECKING:
    from ase import Atoms

# What a label is a number of: S structures or N atoms, with its trailing shape.
LABELS = {"energy": ("S", ()), "forces": ("N", (3,)), "stress": ("S", (3, 3))}


@dataclass(frozen=True)
class Label:
    """Numbers to learn, and which of them are there. Missing ones hold zero and a False in the mask."""

    value: Float[Tensor, "n *shape"]
    mask: Bool[Tensor, "n"]


def accept(atoms: Atoms) -> None:
    """Refuse what is no structure: no atoms, places or cells that are not numbers, elements that there are not."""
    if not len(atoms):
        raise ValueError("a structure without atoms came; wanted at least one atom")
    finite = np.isfinite(atoms.get_positions()).all(1)
    if not finite.all():
        raise ValueError(f"positions of atom {int(np.argmax(~finite))} are not finite; check the file this structure came from")
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError("the cell is not finite; check the file this structure came from")
    for number in np.unique(atoms.get_atomic_numbers()):
        elements.symbol(int(number))


def labels_of(atoms: Atoms) -> dict[str, Label]:
    """The results its calculator has for just these positions: the free energy, raw forces, stress; masked where there is none."""
    results = getattr(atoms.calc, "results", None) or {}
    if results and hasattr(atoms.calc, "check_state") and atoms.calc.check_state(atoms):
        results = {}
    found: dict[str, Any] = {"forces": results.get("forces"), "stress": results.get("stress")}
    # The free energy is the one whose derivative the forces are.
    found["energy"] = results.get("free_energy", results.get("energy"))
    labels = {}
    for name, (rows, shape) in LABELS.items():
        n = len(atoms) if rows == "N" else 1
        value = found[name]
        if name == "stress" and value is not None:
            value = _full_stress(np.asarray(value, float))
        present = value is not None
        numbers = (
            torch.zeros(n, *shape, dtype=torch.float64)
            if value is None
            else torch.tensor(np.asarray(value, float)).reshape(n, *shape)
        )
        if not bool(torch.isfinite(numbers).all()):
            raise ValueError(f"the {name} label is not finite; check the calculation it came from, or leave the structure out")
        labels[name] = Label(numbers, torch.full((n,), present))
    return labels


def _full_stress(stress: np.ndarray) -> np.ndarray:
    if stress.size == 9:
        return stress.reshape(3, 3)
    if stress.shape != (6,):
        raise ValueError(f"stress of shape {stress.shape} came; wanted (6,) in Voigt order xx yy zz yz xz xy, or (3, 3)")
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def inputs_of(atoms: Atoms) -> dict[str, Tensor]:
    """Global inputs that differ from the plain case: a neutral structure in its lowest spin state has none."""
    found = {}
    charge = float(atoms.info.get("charge", 0) or 0)
    if charge:
        found["charge"] = torch.tensor([charge], dtype=torch.float64)
    lowest = 1 + (int(atoms.get_atomic_numbers().sum()) - round(charge)) % 2
    multiplicity = int(atoms.info.get("multiplicity", lowest) or lowest)
    if multiplicity != lowest:
        found["multiplicity"] = torch.tensor([float(multiplicity)], dtype=torch.float64)
    return found


def held(atoms: Atoms) -> Bool[Tensor, "N"] | None:
    """The atoms that stand still; None where all may move."""
    fixed = [c.get_indices() for c in atoms.constraints if type(c).__name__ == "FixAtoms"]
    if not fixed:
        return None
    mask = torch.zeros(len(atoms), dtype=torch.bool)
    mask[torch.as_tensor(np.concatenate(fixed), dtype=torch.int64)] = True
    return mask


def joined_labels(parts: Sequence[Mapping[str, Label]]) -> dict[str, Label]:
    """Labels of a batch; none where a structure has none, not even missing ones."""
    if not all(parts):
        return {}
    return {k: Label(torch.cat([p[k].value for p in parts]), torch.cat([p[k].mask for p in parts])) for k in LABELS}


def joined_inputs(parts: Sequence[Mapping[str, Tensor]], structures: Sequence[int]) -> dict[str, Tensor]:
    """Inputs of a batch, each part with so many structures: what one has and another has not is the plain case there."""
    plain = {"charge": 0.0, "multiplicity": 0.0}  # 0: the lowest multiplicity the electron count allows
    names = sorted({name for part in parts for name in part})
    return {
        name: torch.cat(
            [
                part.get(name, torch.full((n,), plain.get(name, 0.0), dtype=torch.float64))
                for part, n in zip(parts, structures, strict=True)
            ]
        )
        for name in names
    }
