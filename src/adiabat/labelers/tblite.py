"""GFN1-xTB and GFN2-xTB by tblite: tight binding in milliseconds, molecules and periodic cells at the Γ point.

Grimme, Bannwarth and Shushkov, J. Chem. Theory Comput. 13, 1989 (2017) (GFN1); Bannwarth, Ehlert and Grimme, J. Chem. Theory
Comput. 15, 1652 (2019) (GFN2). The energy contains the electronic entropy: it is the free energy the forces belong to.
There are no k-points: small cells and metals come out qualitative only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from adiabat.data.structure import name_of
from adiabat.labelers.base import Computed, Labeler, LabelError, charge_and_multiplicity, check_range, installed
from adiabat.units import bohr, hartree, k_B

METHODS = ("GFN1-xTB", "GFN2-xTB", "IPEA1-xTB")


@dataclass(frozen=True)
class TBLite(Labeler):
    """`accuracy` multiplies tblite's own convergence thresholds (1e-6 Ha at 1)."""

    method: str = "GFN2-xTB"
    charge: int = 0
    multiplicity: int | None = None
    accuracy: float = 0.01
    electronic_temperature_K: float = 300.0
    max_iterations: int = 250

    name: ClassVar[str] = "tblite"
    technical: ClassVar[tuple[str, ...]] = ("max_iterations",)

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"labeler.tblite: method {self.method!r} is unknown; wanted one of {', '.join(METHODS)}")
        check_range(self, ("accuracy", "max_iterations"), ("electronic_temperature_K",))

    def version(self) -> str:
        return installed("tblite", "pip install tblite")

    def theory(self) -> str:
        return self.method

    def compute(self, atoms: Atoms) -> Computed:
        from tblite.interface import Calculator

        if atoms.pbc.any() and not atoms.pbc.all():
            raise LabelError(
                f"tblite: {name_of(atoms)} is periodic along {atoms.pbc.tolist()}, this labeler takes none or all three directions",
                "bad_input",
                "set pbc=True with enough vacuum along the open directions",
            )
        charge, multiplicity = charge_and_multiplicity(atoms, self.charge, self.multiplicity, "tblite")
        periodic = bool(atoms.pbc.all())
        try:
            engine = Calculator(
                self.method,
                atoms.numbers,
                atoms.positions / bohr,
                charge=float(charge),
                uhf=multiplicity - 1,
                lattice=atoms.cell.array / bohr if periodic else None,
                periodic=atoms.pbc if periodic else None,
            )
            engine.set("verbosity", 0)
            engine.set("accuracy", self.accuracy)
            engine.set("max-iter", self.max_iterations)
            engine.set("temperature", self.electronic_temperature_K * k_B / hartree)
            result = engine.singlepoint()
        except RuntimeError as error:  # tblite has one error class; its text tells them apart
            raise _explained(error, atoms, self.max_iterations) from error
        stress = None
        if periodic:
            stress = full_3x3_to_voigt_6_stress(np.array(result["virial"])) * hartree / atoms.get_volume()
        return Computed(
            energy=float(result["energy"]) * hartree, forces=-np.array(result["gradient"]) * hartree / bohr, stress=stress
        )


def _explained(error: RuntimeError, atoms: Atoms, max_iterations: int) -> LabelError:
    text = " ".join(str(error).split())
    if "converge" in text.lower():
        return LabelError(
            f"tblite: the SCC of {name_of(atoms)} did not converge in {max_iterations} iterations ({text})",
            "not_converged",
            "raise max_iterations or electronic_temperature_K, or leave this structure out",
        )
    return LabelError(
        f"tblite: {name_of(atoms)} was refused: {text}", "bad_input", "see the elements and the method: H to Rn only"
    )
