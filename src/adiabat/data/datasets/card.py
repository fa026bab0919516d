"""Where a public set comes from: carried along with every frame, so that what is derived from it can be cited and shared rightly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from adiabat.data.engines.calculation import LeftOut
from adiabat.data.labels import Factors, attach


@dataclass(frozen=True)
class Card:
    """What its authors ask for."""

    name: str
    level_of_theory: str
    licence: str
    citation: str
    url: str

    def record(self, **more: Any) -> dict[str, Any]:
        """For `info["adiabat"]`."""
        told = {"dataset": self.name, "licence": self.licence, "citation": self.citation, "url": self.url}
        return {"engine": self.name, "level_of_theory": self.level_of_theory} | told | more


@dataclass
class Frames:
    """Frames that come in one by one, each a label or left out with its reason."""

    path: Path
    card: Card
    scale: Factors
    kept: list[Atoms] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, number: int, found: dict[str, Any], numbers, positions, cell=None, info=None, **record: Any) -> None:
        """Labels still in the set's units."""
        try:
            atoms = Atoms(
                numbers=numbers, positions=np.asarray(positions, dtype=float) * self.scale.length, info=dict(info or {})
            )
            if cell is not None:
                atoms.set_cell(np.asarray(cell, dtype=float) * self.scale.length)
                atoms.pbc = True
            labeled = attach(atoms, found, self.scale, "here")
        except (ValueError, TypeError) as error:
            self.drop(number, str(error).removeprefix("here: "))
            return
        extra = labeled.info.get("adiabat") or {}
        labeled.info["adiabat"] = self.card.record(source=self.path.name, source_step=number, **record) | extra
        self.kept.append(labeled)

    def drop(self, number: int | None, why: str, cure: str = "leave it out") -> None:
        self.left_out.append(LeftOut(str(self.path), number, why, cure))


def needed(package: str, path: Path):
    """An optional package, or an error with the command that installs it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"{path}: reading it needs the package {package}, which is not here; pip install {package}") from None
