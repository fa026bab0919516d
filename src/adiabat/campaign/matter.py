"""Molecule or crystal: what a campaign does differently with each. The story in `learn` asks, and never asks which it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

from adiabat.build import rattle, strain, vacancies
from adiabat.campaign.measures import measure as measure_molecule
from adiabat.campaign.options import Campaign, Start
from adiabat.campaign.solids import measure as measure_crystal
from adiabat.campaign.story import Story
from adiabat.campaign.workshop import Workshop
from adiabat.config import ConfigError


class Matter(Protocol):
    def movable(self, atoms: Atoms) -> Any:
        """What a relaxation moves: the atoms, or the cell with them."""

    def first(self, atoms: Atoms, start: Start, rng: np.random.Generator) -> dict[str, list[Atoms]]:
        """Structures for the first labels, by kind."""

    def measure(self, shop: Workshop, story: Story, c: Campaign, model: Path, atoms: Atoms) -> dict[str, Any]:
        """The physics computed with the finished potential: numbers for the summary, tiles, and the frames labeled for them."""


class Molecule:
    """Atoms in vacuum: positions relax, copies are rattled; distances, angles and vibrations are measured."""

    def movable(self, atoms: Atoms) -> Any:
        return atoms

    def first(self, atoms: Atoms, start: Start, rng: np.random.Generator) -> dict[str, list[Atoms]]:
        for option in ("strained", "vacancies"):
            if getattr(start, option):
                raise ConfigError(f"start.{option}: {atoms.get_chemical_formula()} is not periodic; wanted 0 for a molecule")
        return {"rattled": rattle(atoms, start.rattled, sigma_angstrom=start.rattle_angstrom, rng=rng) if start.rattled else []}

    def measure(self, shop: Workshop, story: Story, c: Campaign, model: Path, atoms: Atoms) -> dict[str, Any]:
        return measure_molecule(shop, story, c.measure, model, atoms, c.seed)


class Crystal:
    """A periodic structure: the cell relaxes with its atoms, copies are rattled, strained, short of an atom; elasticity is measured."""

    def movable(self, atoms: Atoms) -> Any:
        return FrechetCellFilter(atoms)

    def first(self, atoms: Atoms, start: Start, rng: np.random.Generator) -> dict[str, list[Atoms]]:
        def shaken(frames: list[Atoms]) -> list[Atoms]:
            """Displaced by more and more, up to `rattle_angstrom`: cold crystals are as near to the lattice as hot ones are far."""
            widths = start.rattle_angstrom * np.arange(1, len(frames) + 1) / max(len(frames), 1)
            return [rattle(a, 1, sigma_angstrom=w, rng=rng)[0] for a, w in zip(frames, widths, strict=True)]

        cells = strain(atoms, start.strained, largest=start.strain_largest, rng=rng) if start.strained else []
        return {
            "rattled": shaken([atoms] * start.rattled),
            # Every other one keeps its atoms in place: that is where elastic constants are read.
            "strained": cells[::2] + shaken(cells[1::2]),
            "vacancy": shaken(vacancies(atoms, start.vacancies, rng=rng)) if start.vacancies else [],
        }

    def measure(self, shop: Workshop, story: Story, c: Campaign, model: Path, atoms: Atoms) -> dict[str, Any]:
        return measure_crystal(shop, story, c, model, atoms)


def matter_of(atoms: Atoms) -> Matter:
    """What this structure is: a crystal if it is periodic in all directions; a campaign knows no surfaces yet.

    >>> type(matter_of(Atoms("Ar"))).__name__
    'Molecule'
    """
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ConfigError(
            f"structure: {atoms.get_chemical_formula()} repeats in {int(atoms.pbc.sum())} of three directions; a campaign knows molecules (in "
            "none) and crystals (in all). Give the cell vacuum and make it periodic in all three, or label frames and use adiabat train"
        )
    return Crystal() if atoms.pbc.all() else Molecule()
