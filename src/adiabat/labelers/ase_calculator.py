"""Any ASE calculator by name: 'emt', 'lj', 'morse', or 'package.module:Class' with its arguments.

Energies are asked for force-consistently (the free energy where there is smearing; what is extrapolated to zero smearing is
kept beside it), forces and stress without the structure's constraints: fixed atoms are a mask, not a zero.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculatorError,
    CalculatorSetupError,
    PropertyNotImplementedError,
    SCFError,
)

from adiabat.data.structure import name_of
from adiabat.labelers.base import Computed, EngineMissing, Labeler, LabelError

NAMES = {
    "emt": "ase.calculators.emt:EMT",
    "lj": "ase.calculators.lj:LennardJones",
    "morse": "ase.calculators.morse:MorsePotential",
}


@dataclass(frozen=True)
class ASECalculator(Labeler):
    """A new calculator is built for every label, so that no label remembers the one before."""

    calculator: str = "emt"
    arguments: dict[str, Any] = field(default_factory=dict)

    name: ClassVar[str] = "ase"

    def __post_init__(self):
        if self.calculator not in NAMES and ":" not in self.calculator:
            raise ValueError(
                f"labeler.ase: calculator {self.calculator!r} is unknown; wanted one of {', '.join(NAMES)}, or 'package.module:Class'"
            )

    def version(self) -> str:
        module = NAMES.get(self.calculator, self.calculator).partition(":")[0]
        package = module.partition(".")[0]
        self._class()
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            return f"{package} (version unknown)"

    def theory(self) -> str:
        return self.calculator

    def compute(self, atoms: Atoms) -> Computed:
        try:
            engine = self._class()(**self.arguments)
        except (TypeError, CalculatorSetupError) as error:
            raise LabelError(
                f"labeler.ase: {self.calculator} refused the arguments {self.arguments}: {error}",
                "bad_input",
                "correct `arguments`; they are handed to the calculator as they stand",
            ) from error
        atoms.calc = engine
        try:
            energy = atoms.get_potential_energy(force_consistent=True) if _tells_apart(engine) else atoms.get_potential_energy()
            forces = atoms.get_forces(apply_constraint=False)
            sigma0 = atoms.get_potential_energy() if _tells_apart(engine) else None
            stress = self._stress(atoms)
        except PropertyNotImplementedError as error:
            raise LabelError(
                f"labeler.ase: {self.calculator} has no {error}; a label needs energy and forces",
                "bad_input",
                "choose a calculator that has both",
            ) from error
        except SCFError as error:
            raise LabelError(
                f"labeler.ase: {self.calculator} did not converge for {name_of(atoms)}: {error}",
                "not_converged",
                "loosen or change its convergence settings in `arguments`, or leave this structure out",
            ) from error
        except (CalculatorError, NotImplementedError) as error:
            raise LabelError(
                f"labeler.ase: {self.calculator} failed for {name_of(atoms)}: {error}",
                "bad_input",
                "see whether it knows these elements and this cell",
            ) from error
        if str(getattr(engine, "converged", True)) == "False":  # numpy's False is another object
            raise LabelError(
                f"labeler.ase: {self.calculator} says it is not converged for {name_of(atoms)}",
                "not_converged",
                "change its convergence settings in `arguments`, or leave this structure out",
            )
        return Computed(energy=float(energy), forces=np.array(forces), stress=stress, energy_sigma0=sigma0)

    def _stress(self, atoms: Atoms) -> np.ndarray | None:
        if atoms.cell.rank < 3 or not atoms.pbc.any():
            return None
        try:
            return np.array(atoms.get_stress(voigt=True, apply_constraint=False))
        except PropertyNotImplementedError:
            return None

    def _class(self):
        module, _, attribute = NAMES.get(self.calculator, self.calculator).partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            package = module.partition(".")[0]
            raise EngineMissing(
                f"labeler.ase: {module} cannot be imported ({error})",
                cure=f"install it, for example with: pip install {package}",
            ) from error
        except AttributeError:
            raise LabelError(
                f"labeler.ase: {module} has no {attribute!r}", "bad_input", "name the class as 'package.module:Class'"
            ) from None


def _tells_apart(engine) -> bool:
    """Whether the calculator has a free energy besides its energy."""
    return "free_energy" in getattr(engine, "implemented_properties", ())
