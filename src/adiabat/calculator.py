"""The ASE calculator: any potential in any ASE script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from adiabat.graph import Graph

ARRAYS = (
    "positions",
    "numbers",
    "initial_charges",
    "initial_magmoms",
)  # of ASE's `all_changes`, those that are arrays of the atoms


class AdiabatCalculator(Calculator):
    """Energy (eV), forces (eV/Å), stress (eV/Å³, Voigt, where there is a cell), per-atom energies, and named outputs.

    A committee adds ``forces_spread`` and ``energy_spread`` to the results: its calibrated uncertainty. Edges are kept
    between calls while no atom has moved more than half the skin.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress", "energies"]  # type: ignore[misc]

    def __init__(self, potential: Any, frozen: Callable[[Graph], Any], cutoff: float, *, device: str, skin: float) -> None:
        super().__init__()
        self.use_cache = False  # `calculate` keeps a copy of the atoms; ASE would make another one before it
        self.potential, self.frozen = potential, frozen  # the same function; the second is what is called
        self.cutoff, self.device, self.skin = cutoff, device, skin
        self.graph: Graph | None = None

    def check_state(self, atoms: Any, tol: float = 0.0) -> list[str]:
        """What changed since the last call, by its bits: ASE asks with a tolerance, which costs more than a small network."""
        before = self.atoms
        if before is None:
            return list(all_changes)
        kept, now = before.arrays, atoms.arrays
        changed = [name for name in ARRAYS if not _same(kept.get(name), now.get(name))]
        changed += ["cell"] * (not np.array_equal(before.cell.array, atoms.cell.array))
        return changed + ["pbc"] * (not np.array_equal(before.pbc, atoms.pbc))

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        here: Any = self.atoms  # the calculator's own copy
        if self.graph is not None and set(system_changes) <= {"positions", "cell"}:
            self.graph = self.graph.move(
                torch.as_tensor(here.get_positions(), device=self.device),
                torch.as_tensor(np.array(here.cell.array), device=self.device)[None],
            )
        else:
            bare = here.copy()
            bare.calc = None
            self.graph = Graph.of(bare, self.cutoff or 1.0, skin=self.skin, device=self.device)
        prediction = self.frozen(self.graph)
        energy = float(prediction.energy[0])
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": prediction.forces.numpy(force=True),
            "energies": prediction.atomic_energies.numpy(force=True),
        }
        if here.cell.array.any(1).all():
            s = prediction.stress[0].numpy(force=True)
            self.results["stress"] = np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
        elif properties and "stress" in properties:
            raise PropertyNotImplementedError("stress needs three cell vectors; this structure has no volume")
        for name, value in prediction.outputs.items():
            self.results[name] = value.numpy(force=True)


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
