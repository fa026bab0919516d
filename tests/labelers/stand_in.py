"""Calculators that behave as real engines do where tests need it: a smeared metal, a solver that gives up."""

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes
from ase.calculators.emt import EMT

ENTROPY_eV = 0.25


class SmearedMetal(EMT):
    """EMT whose free energy lies below its zero-smearing energy, as in a metal with Fermi–Dirac occupations."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = self.results["free_energy"] + ENTROPY_eV


class GivesUp(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        raise SCFError("no convergence in 3 steps")


class Silent(Calculator):
    """Returns numbers, and tells only by an attribute that they are not converged."""

    implemented_properties = ("energy", "forces")
    converged = False

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


class SilentInNumpy(Silent):
    converged = np.bool_(False)


class Magnetic(Silent):
    """Moments that agree are 0.1 eV lower than moments that do not."""

    converged = True

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = -0.1 * float(np.prod(np.sign(atoms.get_initial_magnetic_moments())))


class NotFinite(Silent):
    converged = True

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["forces"][0, 0] = np.nan


class NoForces(Calculator):
    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0}
