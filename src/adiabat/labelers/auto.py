"""The engine by case: PySCF for molecules, GPAW for what is periodic; where neither can be had, GFN2-xTB, and it says what that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ase import Atoms

from adiabat.labelers.base import Computed, EngineMissing, Labeler
from adiabat.labelers.gpaw import GPAW
from adiabat.labelers.pyscf import PySCF
from adiabat.labelers.tblite import TBLite
from adiabat.told import warn


class StandIn(UserWarning):
    """An engine of another kind takes the place of the one that is missing."""


@dataclass(frozen=True)
class Auto(Labeler):
    """PBE by the engine that fits: `for_frames` says which; its labels carry that engine's name and settings, not "auto"."""

    name: ClassVar[str] = "auto"

    def version(self) -> str:
        return "by case"

    def for_frames(self, frames: Sequence[Atoms]) -> Labeler:
        """The engine for these structures, settled for them; a warning where xTB stands in for DFT.

        >>> from ase.build import molecule
        >>> Auto().for_frames([molecule("H2O")]).theory()
        'pbe/def2-svp'
        """
        periodic = any(a.pbc.any() for a in frames)
        wanted: Labeler = GPAW() if periodic else PySCF()
        try:
            wanted.version()
        except EngineMissing as missing:
            stand_in = TBLite(method="GFN1-xTB") if periodic else TBLite()
            stand_in.version()
            what = "periodic structures" if periodic else "molecules"
            warn(
                f"{wanted.name}, the engine for {what}, is not installed; {stand_in.theory()} stands in: tight binding fitted to "
                f"molecules{', at the Γ point only, so that small cells and metals come out qualitative' if periodic else ''}, no DFT. "
                f"For DFT labels: {missing.cure}",
                StandIn,
            )
            return stand_in.for_frames(frames)
        return wanted.for_frames(frames)

    def __call__(self, atoms: Atoms) -> Atoms:
        return self.for_frames([atoms])(atoms)

    def compute(self, atoms: Atoms) -> Computed:
        return self.for_frames([atoms]).compute(atoms)
