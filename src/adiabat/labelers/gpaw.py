"""Plane-wave DFT with GPAW (Mortensen et al., J. Chem. Phys. 160, 092503 (2024)): energy, forces and stress, cells and molecules.

Nothing is left to the engine's defaults: two codes given "2×2×2" of the same crystal differed by 0.4 eV/Å because one shifted the
grid and smeared the occupations and the other did not. So the grid's spacing and centering, the smearing, the cutoff of the
plane waves and the convergence thresholds are settings here, and are in the record of every label.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.data import ground_state_magnetic_moments

from adiabat.data.structure import name_of
from adiabat.labelers.base import (
    Computed,
    Labeler,
    LabelError,
    charge_and_multiplicity,
    check_range,
    ground_multiplicity,
    installed,
)
from adiabat.labelers.gpaw_settings import grid, magnetic, plane_waves

INSTALL = (
    "on a machine with g++: printf \"compiler = 'g++'\\nmpi = False\\nnoblas = True\\nnolibxc = True\\n\" > siteconfig.py && "
    'GPAW_CONFIG=$PWD/siteconfig.py pip install "gpaw>=26.7" "gpaw-data>=1.2"  (in a checkout: make gpaw)'
)

# What is tried, in this order, until the SCF converges: the engine's own mixing, then small careful steps.
LADDER: tuple[dict[str, Any], ...] = (
    {},
    {"mixer": {"backend": "pulay", "beta": 0.02, "nmaxold": 8, "weight": 100.0}, "longer": 2},
)


@dataclass(frozen=True)
class GPAW(Labeler):
    """PBE and its relatives in plane waves.

    cutoff_eV                of the plane waves; None: what the hardest element among the structures needs (`plane_waves`)
    kspacing_per_angstrom    the largest distance of k-points, 2π included: n = ⌈|b|/spacing⌉ along each periodic direction
    kpoints                  the grid itself instead, for cells that are compared with each other while they are strained
    centering                "gamma": Γ is a point of the grid; "shifted": the grid lies half a step off Γ along every periodic direction
    smearing_eV              width of the Fermi–Dirac occupations; the label's energy is the free energy they belong to
    spin                     None: polarized where the structure carries moments, for lone atoms, for molecules of an odd number of
                             electrons, and for Cr, Mn, Fe, Co, Ni; a multiplicity in `info` is imposed, a structure's
                             `initial_magmoms` are only where the search begins
    vacuum_angstrom          around what is not periodic: GPAW's plane waves always are
    warm                     start from the density of the label before, if the elements are the same and atoms have only moved: 1.0
                             instead of 1.8 s along a trajectory, the same numbers to within the convergence thresholds
    """

    functional: str = "PBE"
    cutoff_eV: float | None = None
    kspacing_per_angstrom: float = 0.25
    kpoints: tuple[int, int, int] | None = None
    centering: Literal["gamma", "shifted"] = "gamma"
    smearing_eV: float = 0.05
    charge: int = 0
    spin: bool | None = None
    vacuum_angstrom: float = 5.0
    energy_tolerance_eV: float = 1e-6
    density_tolerance: float = 1e-6
    force_tolerance_eV_per_A: float = 1e-3
    max_iterations: int = 100
    warm: bool = False

    name: ClassVar[str] = "gpaw"
    technical: ClassVar[tuple[str, ...]] = ("max_iterations", "warm")

    def __post_init__(self):
        if self.centering not in ("gamma", "shifted"):
            raise ValueError(f"labeler.gpaw: centering {self.centering!r} came; wanted 'gamma' or 'shifted'")
        positive = (
            "cutoff_eV kspacing_per_angstrom vacuum_angstrom energy_tolerance_eV density_tolerance force_tolerance_eV_per_A"
        )
        check_range(self, [*positive.split(), "max_iterations"], ("smearing_eV",))
        if self.kpoints is not None:
            object.__setattr__(self, "kpoints", tuple(int(n) for n in self.kpoints))  # YAML and JSON bring lists
            if len(self.kpoints) != 3 or min(self.kpoints) < 1:
                raise ValueError(f"labeler.gpaw: kpoints {list(self.kpoints)} came; wanted three numbers, 1 or more")

    def version(self) -> str:
        """The PAW data's, too: other data, other numbers."""
        return f"{installed('gpaw', INSTALL)}, {installed('gpaw-data', INSTALL)}"

    def theory(self) -> str:
        cutoff = "" if self.cutoff_eV is None else f"{self.cutoff_eV:g} eV"
        return f"{self.functional}/{cutoff or 'plane waves'}"

    def for_frames(self, frames: Sequence[Atoms]) -> GPAW:
        """With one cutoff for all of them: energies at different cutoffs have different zeros."""
        if self.cutoff_eV is not None:
            return self
        return replace(self, cutoff_eV=plane_waves(z for a in frames for z in a.numbers))

    def pinned(self, atoms: Atoms) -> GPAW:
        """With the k-points of `atoms`: a strained cell must not change them, or its energy would jump."""
        settled = self.for_frames([atoms])
        return replace(settled, kpoints=settled.kpoints or grid(atoms, self.kspacing_per_angstrom))

    def __call__(self, atoms: Atoms) -> Atoms:
        settled = self.for_frames([atoms])
        return super(GPAW, settled).__call__(atoms)

    def compute(self, atoms: Atoms) -> Computed:
        self.version()
        if self.cutoff_eV is None:
            return self.for_frames([atoms]).compute(atoms)
        here = self._placed(atoms)
        spin = self._polarized(here)
        arguments = self.arguments(here, spin)
        for rung, tricks in enumerate(LADDER):
            engine, started_warm = self._engine(here, arguments, dict(tricks))
            try:
                return self._computed(here, engine, {"rung": rung, "spin": spin, "warm": started_warm})
            except Exception as error:
                forget()
                if not _unconverged(error):
                    raise _explained(error, atoms, self) from error
        raise LabelError(
            f"gpaw: the SCF of {name_of(atoms)} did not converge in {self.max_iterations} iterations, nor in twice as many with a "
            "smaller mixing step",
            "not_converged",
            "leave this structure out, raise smearing_eV (0.1) or max_iterations, or set spin if it is magnetic",
        )

    def arguments(self, atoms: Atoms, spin: bool) -> dict[str, Any]:
        """What GPAW is called with: everything that a default could change."""
        chosen = self.kpoints or grid(atoms, self.kspacing_per_angstrom)
        size = tuple(n if periodic else 1 for n, periodic in zip(chosen, atoms.pbc))
        wanted = {
            "mode": {"name": "pw", "ecut": self.cutoff_eV},
            "xc": self.functional,
            "kpts": {"size": size, "gamma": self.centering == "gamma"},
            "occupations": {
                "name": "fermi-dirac",
                "width": self.smearing_eV,
                **({"fixmagmom": True} if spin and _imposed(atoms) is not None and not _by_hund(atoms) else {}),
            },
            "convergence": {
                "energy": self.energy_tolerance_eV,
                "density": self.density_tolerance,
                "forces": self.force_tolerance_eV_per_A,
            },
            "charge": float(atoms.info.get("charge", self.charge) or 0),
            "maxiter": self.max_iterations,
            "spinpol": spin,
        }
        if spin and _by_hund(atoms):
            wanted["hund"] = True
        return wanted

    def _engine(self, atoms: Atoms, arguments: dict[str, Any], tricks: dict[str, Any]) -> tuple[Any, bool]:
        """A new calculator, or the one before, still warm."""
        key = repr((sorted(arguments.items(), key=str), atoms.numbers.tolist(), atoms.pbc.tolist()))
        if self.warm and not tricks and _WARM.get("key") == key:
            return _WARM["engine"], True
        from gpaw import GPAW as Engine

        longer = tricks.pop("longer", 1)
        try:
            engine = Engine(**{**arguments, **tricks, "maxiter": longer * self.max_iterations}, txt=None)
        except Exception as error:
            raise _explained(error, atoms, self) from error
        if self.warm and longer == 1:
            _WARM.update(key=key, engine=engine)
        return engine, False

    def _computed(self, atoms: Atoms, engine: Any, notes: dict[str, Any]) -> Computed:
        atoms.calc = engine
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies' futures; what matters is raised
            energy = float(atoms.get_potential_energy(force_consistent=True))
            forces = np.array(atoms.get_forces(apply_constraint=False))
            stress = np.array(atoms.get_stress(voigt=True, apply_constraint=False)) if atoms.pbc.all() else None
            sigma0 = float(atoms.get_potential_energy())
        notes |= {"cutoff_eV": self.cutoff_eV, "kpoints": [int(n) for n in engine.params.kpts.size]}
        if notes["spin"]:
            notes["magnetic_moment"] = float(atoms.get_magnetic_moment())
        return Computed(energy=energy, forces=forces, stress=stress, energy_sigma0=sigma0, notes=notes)

    def _placed(self, atoms: Atoms) -> Atoms:
        """In a box, with vacuum along the directions that do not repeat."""
        here = atoms.copy()
        here.set_constraint()
        if not here.pbc.all():
            here.center(vacuum=self.vacuum_angstrom, axis=[k for k in range(3) if not here.pbc[k]])
        if not self._polarized(here):
            here.set_initial_magnetic_moments(None)  # or GPAW polarizes whatever it was told
            return here
        if _by_hund(here):
            return here
        if not here.get_initial_magnetic_moments().any():
            here.set_initial_magnetic_moments([ground_state_magnetic_moments[z] or 0.1 for z in here.numbers])
        if (unpaired := _imposed(here)) is not None:
            charge_and_multiplicity(here, self.charge, None, "gpaw")  # refuses what its electrons cannot have
            total = here.get_initial_magnetic_moments().sum()
            if abs(total - unpaired) > 1e-6:
                moments = here.get_initial_magnetic_moments() * unpaired / total if abs(total) > 1e-6 else unpaired / len(here)
                here.set_initial_magnetic_moments(np.full(len(here), moments))
        return here

    def _electrons(self, atoms: Atoms) -> int:
        return round(atoms.numbers.sum() - float(atoms.info.get("charge", self.charge) or 0))

    def _polarized(self, atoms: Atoms) -> bool:
        if self.spin is False and (_imposed(atoms) or 0) > 0:
            raise LabelError(
                f"gpaw: {name_of(atoms)} has multiplicity {atoms.info['multiplicity']} and spin is off, so that it would be a singlet",
                "bad_input",
                "leave spin out, or take info['multiplicity'] away",
            )
        if self.spin is not None:
            return self.spin
        return bool(
            atoms.get_initial_magnetic_moments().any()
            or magnetic(atoms.numbers)
            or (_alone(atoms) and ground_state_magnetic_moments[atoms.numbers[0]])
            or (not atoms.pbc.any() and self._electrons(atoms) % 2)
            or int(atoms.info.get("multiplicity", 1) or 1) > 1
        )


def _imposed(atoms: Atoms) -> int | None:
    """Unpaired electrons that a structure's own multiplicity asks for."""
    stated = atoms.info.get("multiplicity")
    return None if stated is None else int(stated) - 1


def _alone(atoms: Atoms) -> bool:
    """One atom in vacuum."""
    return len(atoms) == 1 and not atoms.pbc.any()


def _by_hund(atoms: Atoms) -> bool:
    """A lone atom in its ground state: Hund's rules say its moment, and it is kept."""
    return _alone(atoms) and _imposed(atoms) in (None, ground_multiplicity(int(atoms.numbers[0])) - 1)


_WARM: dict[str, Any] = {}  # the last calculator of this process, for who asked for it


def forget() -> None:
    """Let go of the calculator that was kept warm."""
    _WARM.clear()


def _unconverged(error: Exception) -> bool:
    return type(error).__name__ in ("KohnShamConvergenceError", "ConvergenceError")


def _explained(error: Exception, atoms: Atoms, settings: GPAW) -> Exception:
    """An engine's complaint as a label error, where we know what it means; else as it came."""
    if isinstance(error, LabelError):
        return error
    text = " ".join(str(error).split())
    if "libxc" in text.lower() or "Could not find required" in text:
        return LabelError(
            f"gpaw: {settings.functional!r} for {name_of(atoms)} was refused: {text}",
            "bad_input",
            "without libxc GPAW knows LDA, PBE, RPBE, revPBE and PW91; and it has PAW data for H to Rn, most of them",
        )
    return error
