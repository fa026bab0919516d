"""The ASE calculator: any potential in any ASE script."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from adiabat.graph import Graph
from adiabat.prediction import Later

ARRAYS = (
    "positions",
    "numbers",
    "initial_charges",
    "initial_magmoms",
)  # of ASE's `all_changes`, those that are arrays of the atoms
STATED = ("charge", "multiplicity")  # of a structure's `info`, what a `Graph` takes up


class AdiabatCalculator(Calculator):
    """Energy (eV), forces (eV/Å), stress (eV/Å³, Voigt, where there is a cell), per-atom energies, and named outputs.

    A committee adds ``forces_spread`` and ``energy_spread`` to the results: its calibrated uncertainty. A model with a ``variance``
    adds that, worked out when it is read. Edges are kept between calls while no atom has moved more than half the skin.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress", "energies"]  # type: ignore[misc]

    def __init__(self, potential: Any, frozen: Callable[[Graph], Any], cutoff: float, *, device: str, skin: float) -> None:
        super().__init__()
        self.use_cache = False  # `calculate` keeps a copy of the atoms; ASE would make another one before it
        self.potential, self.frozen = potential, frozen  # the same function; the second is what is called
        self.cutoff, self.device, self.skin = cutoff, device, skin
        self.graph: Graph | None = None
        self.following: Callable[[np.ndarray], Any] | None = None  # the frozen potential on `graph`, as its atoms move
        self.own: Any = None  # the copy of the atoms that `graph` was made from or moved to
        self.has_volume = False

    def check_state(self, atoms: Any, tol: float = 0.0) -> list[str]:
        """What changed since the last call, by its bits: ASE asks with a tolerance, which costs more than a small network."""
        before = self.atoms
        if before is None:
            return list(all_changes)
        kept, now = before.arrays, atoms.arrays
        changed = [name for name in ARRAYS if (a := kept.get(name)) is not (b := now.get(name)) and not _same(a, b)]
        changed += ["cell"] * (not _same(before.cell.array, atoms.cell.array))
        changed += ["info"] * any(before.info.get(name) != atoms.info.get(name) for name in STATED)
        return changed + ["pbc"] * (not _same(before.pbc, atoms.pbc))

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        if self.graph is not None and self.own is not None and atoms is not None and list(system_changes) == ["positions"]:
            # A molecule feels what a whole copy costs.
            self.atoms = self.own = _moved(self.own, atoms)
            if self.following is not None and (moved := self.following(self.own.arrays["positions"])) is not None:
                self._hand_out(moved, properties)
                return
            self.graph = self.graph.move(torch.as_tensor(self.own.positions, device=self.device))
            follow = getattr(self.frozen, "following", None)  # what a potential has that may be one compiled walk
        else:
            follow = None
            super().calculate(atoms, properties, system_changes)
            self.graph = self._anew(system_changes)
        self.following = None
        prediction = self.frozen(self.graph)
        if follow is not None:
            self.following = follow(self.graph)
        energy = prediction.energy.item()
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": _array(prediction.forces),
            "energies": _array(prediction.atomic_energies),
        }
        if self.has_volume:
            s = _array(prediction.stress[0])
            self.results["stress"] = np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
        else:
            self._without_stress(properties)
        outputs = prediction.outputs
        if isinstance(outputs, dict) or not outputs:
            self.results |= _arrays(outputs)
        else:  # some of them wait to be read; whoever goes through all results waits for all
            self.results = ChainMap(self.results, Later(outputs, lambda: _arrays(outputs)))  # type: ignore[assignment, arg-type]

    def _hand_out(self, moved: Any, properties: Any) -> None:
        energy = moved.energy
        self.results = {"energy": energy, "free_energy": energy, "forces": moved.forces, "energies": moved.energies}
        if self.has_volume:
            self.results["stress"] = moved.stress
        else:
            self._without_stress(properties)

    def _without_stress(self, properties: Any) -> None:
        if properties and "stress" in properties:
            raise PropertyNotImplementedError("stress needs three cell vectors; this structure has no volume")

    def _anew(self, system_changes: Any) -> Graph:
        """The graph of atoms that changed by more than their positions."""
        here: Any = self.atoms  # the calculator's own copy
        before, self.graph = self.graph, None  # if this structure is refused, another one's graph must not answer for it
        self.own, self.has_volume = here, bool(here.cell.array.any(1).all())
        if before is not None and set(system_changes) <= {"positions", "cell"}:
            cell = torch.as_tensor(np.array(here.cell.array), device=self.device)[None]
            return before.move(torch.as_tensor(here.get_positions(), device=self.device), cell)
        bare = here.copy()
        bare.calc = None
        return Graph.of(bare, self.cutoff or 1.0, skin=self.skin, device=self.device)


def _moved(kept: Any, atoms: Any) -> Any:
    """A copy of atoms that differ from those kept by what moves: cell, boundaries and constraints are shared with the copy before."""
    moved = object.__new__(type(kept))
    arrays = {name: array.copy() for name, array in atoms.arrays.items()}
    moved.__dict__ = {**kept.__dict__, "arrays": arrays, "info": dict(atoms.info)}
    return moved


def _array(x: torch.Tensor) -> np.ndarray:
    return x.numpy(force=x.requires_grad or x.device.type != "cpu")


def _arrays(outputs: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: _array(value) for name, value in outputs.items()}


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else a.shape == b.shape and a.tobytes() == b.tobytes()
