"""What every labeler is: settings in a frozen dataclass, a structure in, a labeled copy or an error out; never a bad label.

A subclass gives `name`, `version()` and `compute(atoms)`; the checks before and the record after are written once, here.
The energy of a label is the force-consistent one, forces and stress are raw (constraints not applied).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import ground_state_magnetic_moments

from adiabat import elements
from adiabat.data.geometry import closest_pair
from adiabat.data.structure import content_hash, labeled, name_of, plain

KINDS = ("not_converged", "out_of_time", "bad_input", "engine_missing", "resources", "crashed")
OVERLAP = 0.25  # of the sum of covalent radii: H–H 0.16 Å, O–H 0.24 Å; below, basis sets and pseudopotentials mean nothing


class LabelError(Exception):
    """No label: why (`message`), which class of failure (`kind`, one of KINDS), and what to do (`cure`).

    >>> print(LabelError("SCF stopped at 50 cycles", "not_converged", "raise max_cycle"))
    SCF stopped at 50 cycles; raise max_cycle
    """

    def __init__(self, message: str, kind: str, cure: str):
        assert kind in KINDS, kind
        super().__init__(message, kind, cure)
        self.message, self.kind, self.cure = message, kind, cure

    def __str__(self) -> str:
        return f"{self.message}; {self.cure}"


class EngineMissing(LabelError):
    """The engine is not installed; the cure is the command that installs it."""

    def __init__(self, message: str, kind: str = "engine_missing", cure: str = ""):
        super().__init__(message, kind, cure)


@dataclasses.dataclass
class Computed:
    """What an engine hands back, in house units."""

    energy: float  # force-consistent, eV
    forces: np.ndarray  # raw, eV/Å
    stress: np.ndarray | None = None  # Voigt, eV/Å³, positive when stretched; only where there is a cell
    energy_sigma0: float | None = None  # extrapolated to zero smearing; kept beside, never trained on
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)  # cycles, ⟨S²⟩, … whatever a reader may ask later


class Labeler(ABC):
    """A frozen dataclass of settings that can be called with atoms."""

    name: ClassVar[str]
    technical: ClassVar[tuple[str, ...]] = ()  # settings that cannot change a converged number

    @abstractmethod
    def version(self) -> str:
        """Engine name and version, with those of packages whose data or parameters it reads, or EngineMissing.

        What was computed with another version is computed again.
        """

    @abstractmethod
    def compute(self, atoms: Atoms) -> Computed:
        """Ask the engine; raise LabelError rather than return a number that is not converged."""

    def theory(self) -> str:
        """The level of theory in a few words."""
        return self.name

    def for_frames(self, frames: Sequence[Atoms]) -> Labeler:
        """This labeler with everything settled that depends on what is to be labeled; most need nothing."""
        return self

    def settings(self) -> dict[str, Any]:
        """All settings, defaults included."""
        return plain(dataclasses.asdict(self))  # type: ignore[call-overload]

    def record(self) -> dict[str, Any]:
        """Engine, version, settings and level of theory, as JSON."""
        return {
            "engine": self.name,
            "version": self.version(),
            "settings": self.settings(),
            "level_of_theory": self.level_of_theory(),
        }

    def level_of_theory(self) -> str:
        """Readable text and a hash of engine and physical settings; labels with equal keys may be mixed.

        The engine's version is not in it (the provenance has it), nor are settings that only steer the way to convergence.
        """
        physical = {key: value for key, value in self.settings().items() if key not in self.technical}
        text = json.dumps([self.name, physical], sort_keys=True)
        return f"{self.theory()} [{self.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}]"

    def pinned(self, atoms: Atoms) -> Labeler:
        """This labeler with the discretization that it chooses for `atoms`, for cells that are strained from it."""
        return self

    def __call__(self, atoms: Atoms) -> Atoms:
        """A labeled copy."""
        record = self.record()
        check_input(atoms, self.name)
        wall, cpu = time.perf_counter(), time.process_time()
        computed = self._guarded(atoms.copy())
        record |= {"converged": True, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        return finished(atoms, computed, record)

    def _guarded(self, atoms: Atoms) -> Computed:
        try:
            return self.compute(atoms)
        except LabelError:
            raise
        except MemoryError as error:
            raise LabelError(
                f"{self.name}: out of memory for {name_of(atoms)}", "resources", "fewer workers at once, or a smaller basis"
            ) from error
        except Exception as error:
            raise LabelError(
                f"{self.name}: {type(error).__name__} for {name_of(atoms)}: {error}",
                "crashed",
                "if the structure looks sound, report this with it",
            ) from error

    def isolated_atom(self, symbol: str) -> Atoms:
        """One labeled atom alone, in its ground-state multiplicity (Hund): a reference energy."""
        z = elements.number(symbol)
        atom = Atoms(symbol, info={"config_type": "IsolatedAtom", "charge": 0, "multiplicity": ground_multiplicity(z)})
        return self(atom)

    def of_a_lone_atom(self, z: int) -> dict[str, int]:
        """What a reference atom states about itself, where the settings' charge or multiplicity are those of the whole structure."""
        settings = self.settings()
        if not settings.get("charge") and settings.get("multiplicity") is None:
            return {}
        return {"charge": 0, "multiplicity": ground_multiplicity(z)}


def check_range(settings: Labeler, positive: Sequence[str], not_negative: Sequence[str] = ()) -> None:
    """Refuse numbers that no engine should be asked with; what is None is left to the engine.

    Engines take a negative temperature, or NaN, and answer.
    """
    for names, fine, wanted in ((positive, lambda x: x > 0, "a positive"), (not_negative, lambda x: x >= 0, "no negative")):
        for name in names:
            value = getattr(settings, name)
            if value is not None and not (fine(value) and np.isfinite(value)):
                raise ValueError(f"labeler.{settings.name}: {name} {value} came; wanted {wanted} number")


def installed(package: str, install: str) -> str:
    """'package version', or EngineMissing with the command that installs it; nothing is imported."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        raise EngineMissing(f"the engine {package} is not installed here", cure=f"install it with: {install}") from None


def check_input(atoms: Atoms, where: str) -> None:
    """Refuse what no engine can label: nothing, unknown elements, NaN, atoms on top of each other."""
    if len(atoms) == 0:
        raise LabelError(f"{where}: a structure without atoms came", "bad_input", "give at least one atom")
    unknown = sorted({int(z) for z in atoms.numbers if not 1 <= z < len(elements.SYMBOLS)})
    if unknown:
        raise LabelError(
            f"{where}: atomic numbers {unknown} came, wanted 1 to {len(elements.SYMBOLS) - 1}",
            "bad_input",
            "replace placeholder atoms ('X') by elements",
        )
    for what, values in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise LabelError(
                f"{where}: {what}[{row}] of {atoms.get_chemical_formula()} is {values[row].tolist()}, wanted finite numbers in Å",
                "bad_input",
                "leave this structure out",
            )
    for axis in range(3):
        if atoms.pbc[axis] and not atoms.cell.lengths()[axis] > 0:
            raise LabelError(
                f"{where}: periodic along axis {axis} but cell vector {axis} is zero", "bad_input", "set the cell, or pbc=False"
            )
    pair = closest_pair(atoms)
    if pair is not None and pair.ratio < OVERLAP:
        raise LabelError(
            f"{where}: atoms {pair.i} and {pair.j} of {name_of(atoms)} are {pair.distance:.3f} Å apart, "
            f"{pair.ratio:.2f} of the sum of their covalent radii; wanted at least {OVERLAP}",
            "bad_input",
            "leave this structure out, or rattle less",
        )


def charge_and_multiplicity(atoms: Atoms, charge: int, multiplicity: int | None, where: str) -> tuple[int, int]:
    """Total charge and 2S+1: the structure's own (`info`) before the setting, else the lowest multiplicity of its parity.

    An atom alone gets its ground-state multiplicity.

    >>> charge_and_multiplicity(Atoms("OH2"), 0, None, "here"), charge_and_multiplicity(Atoms("O"), 0, None, "here")
    ((0, 1), (0, 3))
    """
    charge = _whole(atoms.info.get("charge", charge) or 0, "charge", atoms, where)
    electrons = int(atoms.numbers.sum()) - charge
    chosen = atoms.info.get("multiplicity", multiplicity)
    if chosen is None:
        if len(atoms) == 1 and charge == 0:
            chosen = ground_multiplicity(int(atoms.numbers[0]))
        else:
            chosen = 1 + electrons % 2
    chosen = _whole(chosen, "multiplicity", atoms, where)
    if electrons < 0 or chosen < 1 or (electrons - chosen) % 2 == 0 or chosen - 1 > electrons:
        raise LabelError(
            f"{where}: {name_of(atoms)} with charge {charge} has {electrons} electrons, which cannot have multiplicity {chosen}",
            "bad_input",
            f"set info['multiplicity'] to {'an odd' if electrons % 2 == 0 else 'an even'} number, or correct info['charge']",
        )
    return charge, chosen


def _whole(value: Any, what: str, atoms: Atoms, where: str) -> int:
    try:
        if float(value) == round(float(value)):
            return round(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise LabelError(
        f"{where}: {atoms.get_chemical_formula()} has {what} {value!r}; wanted a whole number",
        "bad_input",
        f"correct info[{what!r}] or the setting",
    )


def ground_multiplicity(z: int) -> int:
    """2S+1 of the neutral atom's ground state, from the table ASE carries."""
    return round(float(ground_state_magnetic_moments[z])) + 1


def finished(atoms: Atoms, computed: Computed, record: dict[str, Any]) -> Atoms:
    """The labeled copy with its provenance; numbers that are not finite or of the wrong shape are refused."""
    where = f"{record['engine']}: {name_of(atoms)}"
    wanted = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}
    for what, shape in wanted.items():
        value = getattr(computed, what)
        if what == "stress" and value is None:
            continue
        if np.shape(value) != shape or not np.isfinite(value).all():
            raise LabelError(
                f"{where}: the engine gave {what} of shape {np.shape(value)}{'' if np.isfinite(value).all() else ' that is not finite'}, "
                f"wanted {shape or 'one number'}, finite",
                "crashed",
                "look at the structure; report this with it if it looks sound",
            )
    record = dict(record)
    if computed.energy_sigma0 is not None:
        record["energy_sigma0"] = float(computed.energy_sigma0)
    if computed.notes:
        record["notes"] = plain(computed.notes)
    record["parent"] = atoms.info.get("parent") or content_hash(atoms)
    record["energy"] = float(computed.energy)  # by which a record is known that travelled along to another calculation's labels
    copy = labeled(atoms, energy=computed.energy, forces=computed.forces, stress=computed.stress)
    copy.info["adiabat"] = record
    return copy
