"""From the numbers of a file to labels in house units: scaled, checked for shape and finiteness, attached to their atoms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from adiabat.data.structure import labeled
from adiabat.data.unreadable import Unreadable
from adiabat.units import ENERGY, LENGTH, STRESS, factor

SAME = 1e-6  # eV, between the free energy and another: files round
UNITS = ("energy", "length", "force", "stress")


@dataclass(frozen=True)
class Factors:
    """What each kind of number is multiplied with."""

    energy: float = 1.0
    length: float = 1.0
    force: float = 1.0
    stress: float = 1.0


def factors(units: dict[str, str] | None, where: Any) -> Factors:
    """House units from {"energy": ..., "length": ..., "force": ..., "stress": ...}; what is left out follows from the others.

    >>> f = factors({"energy": "hartree", "length": "bohr"}, "here")
    >>> round(f.force, 4), round(factors({"stress": "-GPa"}, "here").stress, 8)
    (51.4221, -0.00624151)
    """
    units = dict(units or {})
    unknown = [name for name in units if name not in UNITS]
    if unknown:
        raise ValueError(f"{where}: units has {unknown[0]!r}, wanted some of {', '.join(UNITS)}")
    try:
        energy = factor(units.get("energy", "eV"), ENERGY)
        length = factor(units.get("length", "angstrom"), LENGTH)
        force, stress = energy / length, energy / length**3
        if "force" in units:
            per_energy, _, per_length = units["force"].rpartition("/")
            force = factor(per_energy, ENERGY) / factor(per_length, LENGTH)
        if "stress" in units:
            sign = -1.0 if units["stress"].startswith("-") else 1.0
            stress = sign * factor(units["stress"].removeprefix("-"), STRESS)
    except ValueError as error:
        raise ValueError(f"{where}: units={units}: {error}") from None
    return Factors(energy, length, force, stress)


def attach(atoms: Atoms, found: dict[str, Any], scale: Factors, where: str) -> Atoms:
    """A copy with these labels (energy, free_energy, forces, stress or virial, still in the file's units), or an error."""
    _positions(atoms, where)
    energy = _number(found, "free_energy", where) if "free_energy" in found else _number(found, "energy", where)
    forces = _forces(found, len(atoms), where)
    stress = _stress(found, "stress", where)
    if stress is not None:
        stress = stress * scale.stress
    elif (virial := _stress(found, "virial", where)) is not None:
        if not abs(atoms.cell.volume) > 0:
            raise Unreadable(
                f"{where}: a virial came without a cell; wanted a volume to divide by; give the cell or leave it out", "shape"
            )
        stress = -virial * scale.energy / atoms.get_volume()
    if stress is not None and atoms.cell.rank < 3:
        if np.abs(stress).max() > 0:
            raise Unreadable(
                f"{where}: a stress came without a cell; wanted a cell with a volume; give it or leave the stress out", "shape"
            )
        stress = None  # zeros for "none"
    copy = labeled(
        atoms,
        energy=None if energy is None else energy * scale.energy,
        forces=None if forces is None else forces * scale.force,
        stress=stress,
    )
    if "free_energy" in found and "energy" in found:
        sigma0 = _number(found, "energy", where)
        if sigma0 is not None and sigma0 != energy:
            copy.info["adiabat"] = dict(copy.info.get("adiabat") or {}) | {"energy_sigma0": sigma0 * scale.energy}
    return copy


def mixed_energies(told: Iterable[tuple[int, dict[str, Any]]], scale: Factors) -> list[str]:
    """In words, where a file has energies of two kinds: the free energy of some frames, of others only one that differs from it.

    `told` gives for each frame its number and what the file says of it. Extrapolated to no smearing, energies lie above the free
    energy by ½ T S: millielectronvolts an atom for a semiconductor, tenths for a metal with a wide smearing.

    >>> both = {"free_energy": -3.1, "energy": -3.0}
    >>> mixed_energies([(0, both), (1, {"energy": -3.0})], Factors())[0].partition(";")[0]
    "1 frame (1) has 'energy' and no 'free_energy', and so 'energy' for its label"
    """
    differ: list[float] = []
    lone: list[int] = []
    for number, found in told:
        values = [found.get(name) for name in ("free_energy", "energy")]
        free, plain = (v if isinstance(v, int | float | np.number) else None for v in values)
        if free is None and plain is not None:
            lone.append(number)
        elif free is not None and plain is not None and abs(free - plain) * scale.energy > SAME:
            differ.append(abs(free - plain) * scale.energy)
    if not (lone and differ):
        return []
    some = ", ".join(map(str, lone[:5])) + (", …" if len(lone) > 5 else "")
    one = len(lone) == 1
    return [
        f"{len(lone)} frame{'' if one else 's'} ({some}) {'has' if one else 'have'} 'energy' and no 'free_energy', and so 'energy' for "
        f"{'its' if one else 'their'} label; of the {len(differ)} that {'has' if len(differ) == 1 else 'have'} both the label is "
        f"'free_energy', up to {max(differ):.3g} eV from 'energy': two kinds of energy in one set; label these frames again, or leave "
        "them out"
    ]


def _positions(atoms: Atoms, where: str) -> None:
    for what, values in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise Unreadable(
                f"{where}: {what}[{row}] is {values[row].tolist()}, wanted finite numbers; correct or leave out this frame",
                "not finite",
            )
    unknown = [int(z) for z in atoms.numbers if z < 1]
    if unknown:
        raise Unreadable(
            f"{where}: atomic number {unknown[0]} came, wanted an element; correct or leave out this frame", "unknown element"
        )


def _number(found: dict[str, Any], name: str, where: str) -> float | None:
    if name not in found:
        return None
    value = found[name]
    if np.ndim(value) != 0 or isinstance(value, str | bool):
        raise Unreadable(
            f"{where}: {name} is {str(value)[:60]!r}, wanted one number for the frame; correct it or name another key with keys=",
            "shape",
        )
    if not np.isfinite(value):
        raise Unreadable(f"{where}: {name} is {value}, wanted a finite number; correct or leave out this frame", "not finite")
    return float(value)


def _forces(found: dict[str, Any], n: int, where: str) -> np.ndarray | None:
    if "forces" not in found:
        return None
    values = np.asarray(found["forces"])
    if values.shape != (n, 3) or values.dtype.kind not in "fiu":
        raise Unreadable(
            f"{where}: forces have shape {values.shape}, wanted ({n}, 3), three numbers an atom; correct or leave out this frame",
            "shape",
        )
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise Unreadable(
            f"{where}: forces[{row}] is {values[row].tolist()}, wanted finite numbers; correct or leave out this frame",
            "not finite",
        )
    return values.astype(float)


def _stress(found: dict[str, Any], name: str, where: str) -> np.ndarray | None:
    """Six numbers (Voigt: xx yy zz yz xz xy), nine, or 3×3 and symmetric → six."""
    if name not in found:
        return None
    try:
        values = np.asarray(found[name], dtype=float)
    except (TypeError, ValueError):
        raise Unreadable(
            f"{where}: {name} is {str(found[name])[:60]!r}, wanted 6, 9 or 3×3 numbers; correct it", "shape"
        ) from None
    if values.shape not in ((6,), (9,), (3, 3)):
        raise Unreadable(
            f"{where}: {name} has shape {values.shape}, wanted 6 numbers (xx yy zz yz xz xy), 9 or 3×3; correct or leave out this frame",
            "shape",
        )
    if not np.isfinite(values).all():
        raise Unreadable(
            f"{where}: {name} is {values.tolist()}, wanted finite numbers; correct or leave out this frame", "not finite"
        )
    if values.shape == (6,):
        return values
    full = values.reshape(3, 3)
    lopsided = float(np.abs(full - full.T).max())
    if lopsided > 1e-3 * float(np.abs(full).max()) + 1e-6:
        raise Unreadable(
            f"{where}: {name} is not symmetric (largest difference {lopsided:.3g} in {full.tolist()}); "
            "wanted a symmetric tensor; see whether its order is xx xy xz yx yy yz zx zy zz",
            "shape",
        )
    return full_3x3_to_voigt_6_stress((full + full.T) / 2)
