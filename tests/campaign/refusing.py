"""An engine that does not converge everywhere, as real ones do not: EMT that gives up on what it does not like."""

from __future__ import annotations

from ase.calculators.calculator import SCFError, all_changes
from ase.calculators.emt import EMT


class GivesUpWhenStretched(EMT):
    """No convergence beyond an O–H distance of 1.3 Å, a geometry where closed-shell calculations begin to fail."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if atoms is not None and len(atoms) > 1 and atoms.get_distances(0, [1, 2]).max() > 1.3:
            raise SCFError("no convergence in 50 cycles")
        super().calculate(atoms, properties, system_changes)


class GivesUpExploring(EMT):
    """No convergence for any frame that was met while exploring."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if atoms is not None and str(atoms.info.get("config_type")).startswith("explored"):
            raise SCFError("no convergence in 50 cycles")
        super().calculate(atoms, properties, system_changes)
