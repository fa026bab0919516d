"""Variations of a structure that need no forces: rattled atoms, strained cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.elements import COVALENT_RADII

if TYPE_CHECKING:
    from ase import Atoms

TRIES = 100  # draws for one structure before we say that it cannot be done


def rattle(
    atoms: Atoms,
    count: int,
    *,
    sigma_angstrom: float,
    rng: np.random.Generator,
    closest: float = 0.7,
    bond_stretch: float | None = None,
) -> list[Atoms]:
    """Copies with a normal displacement of every coordinate, drawn anew where atoms come too close or bonds too long.

    `closest` is the smallest distance allowed, in units of the sum of two covalent radii (Cordero 2008); `bond_stretch` the
    longest a bond of the given structure may get, in units of its length there. Fixed atoms stay.

    >>> from ase.build import molecule
    >>> frames = rattle(molecule("H2O"), 3, sigma_angstrom=0.05, rng=np.random.default_rng(0))
    >>> len(frames), frames[0].info["config_type"]
    (3, 'rattle')
    """
    if not sigma_angstrom > 0:
        raise ValueError(f"sigma_angstrom = {sigma_angstrom}; wanted a positive length, 0.05 Å is a usual one")
    free = ~_fixed(atoms)
    bonds = _bonds(atoms)
    longest = float("inf") if bond_stretch is None else bond_stretch

    def draw() -> Atoms:
        new = varied(atoms, "rattle")
        new.positions += rng.normal(scale=sigma_angstrom, size=(len(atoms), 3)) * free[:, None]
        return new

    def fits(new: Atoms) -> bool:
        return closest_approach(new) >= closest and _stretch(new, *bonds) <= longest

    return [_first_that_fits(draw, fits, f"sigma_angstrom = {sigma_angstrom}") for _ in range(count)]


def strain(atoms: Atoms, count: int, *, largest: float, rng: np.random.Generator, closest: float = 0.7) -> list[Atoms]:
    """Copies in cells h (1 + ε), ε symmetric with every component uniform in ±`largest`; atoms follow the cell.

    Of a slab or a wire ε is projected onto the plane or line in which it repeats.

    >>> from ase.build import bulk
    >>> cells = strain(bulk("Cu"), 2, largest=0.02, rng=np.random.default_rng(0))
    >>> cells[0].info["config_type"], bool(0.9 < cells[0].get_volume() / bulk("Cu").get_volume() < 1.1)
    ('strain', True)
    """
    if not atoms.pbc.any():
        raise ValueError("the structure is not periodic, so there is no cell to strain; use rattle for molecules")
    if not 0 < largest < 0.5:
        raise ValueError(f"largest = {largest}; wanted a strain between 0 and 0.5, 0.05 is a large one for a solid")
    repeats = atoms.cell.array[atoms.pbc]
    along = (
        np.eye(3) if atoms.pbc.all() else np.linalg.pinv(repeats) @ repeats
    )  # onto what the periodic vectors span, however they lie

    def draw() -> Atoms:
        upper = np.triu(rng.uniform(-largest, largest, size=(3, 3)))
        epsilon = upper + np.triu(upper, 1).T
        epsilon = along @ epsilon @ along  # a direction without repeat has no strain
        new = varied(atoms, "strain")
        new.set_cell(atoms.cell.array @ (np.eye(3) + epsilon), scale_atoms=False)
        new.positions = atoms.positions @ (np.eye(3) + epsilon)
        return new

    return [_first_that_fits(draw, lambda new: closest_approach(new) >= closest, f"largest = {largest}") for _ in range(count)]


def varied(atoms: Atoms, kind: str) -> Atoms:
    """A bare copy: same elements, cell, charge and constraints; no results, no velocities, and its kind in `info`."""
    new = atoms.copy()
    new.calc = None
    new.arrays.pop("momenta", None)
    new.info.pop("adiabat", None)  # the parent's label is not the child's
    new.info["config_type"] = kind
    return new


def closest_approach(atoms: Atoms) -> float:
    """The smallest distance in units of the sum of covalent radii, periodic images included; inf for who is alone."""
    i, j, d = _near(atoms, 1.0)
    if not len(d):
        return float("inf")
    radii = _radii(atoms)
    return float((d / (radii[i] + radii[j])).min())


def _first_that_fits(draw, fits, what) -> Atoms:
    for _ in range(TRIES):
        new = draw()
        if fits(new):
            return new
    raise ValueError(f"{TRIES} draws with {what} all brought atoms too close or stretched a bond too far; make it smaller")


def _near(atoms, factor):
    from ase.neighborlist import neighbor_list

    return neighbor_list("ijd", atoms, list(factor * _radii(atoms)))


def _bonds(atoms):
    i, j, d = _near(atoms, 1.3)
    once = i < j
    return i[once], j[once], d[once]


def _stretch(atoms, i, j, d) -> float:
    if not len(d):
        return 0.0
    from ase.geometry import find_mic

    now = find_mic(atoms.positions[j] - atoms.positions[i], atoms.cell, atoms.pbc)[1]
    return float((now / d).max())


def _radii(atoms) -> Float[np.ndarray, "N"]:
    return np.array([COVALENT_RADII[z] for z in atoms.numbers])


def _fixed(atoms) -> np.ndarray:
    held = np.zeros(len(atoms), bool)
    for constraint in atoms.constraints:
        if type(constraint).__name__ == "FixAtoms":
            held[constraint.get_indices()] = True
    return held
