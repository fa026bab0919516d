"""Molecular DFT with PySCF (Sun et al., J. Chem. Phys. 153, 024109 (2020)): Gaussian basis sets, no periodicity.

Forces include the response of the integration grid, so they are the derivative of the energy that is reported and sum to
zero. Measured on rattled water, PBE/def2-SVP, one thread, against grid level 8 with SCF converged to 1e-13 Ha:

    grid level              1      2      3      4
    largest force error    11    0.9   0.15   0.08   meV/Å
    CPU seconds a label  0.19   0.30   0.45   0.86
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

from adiabat.data.geometry import longest_bridge
from adiabat.data.structure import name_of
from adiabat.labelers.base import Computed, Labeler, LabelError, charge_and_multiplicity, check_range, installed
from adiabat.units import bohr, hartree, k_B

# What is tried, in this order, until the SCF converges; each rung starts from the density the one before left behind.
LADDER: tuple[dict[str, Any], ...] = (
    {},
    {"level_shift": 0.3, "damp": 0.3, "longer": 2},
    {"second_order": True},
)


@dataclass(frozen=True)
class PySCF(Labeler):
    """PBE and its relatives for molecules.

    stretch    a bond longer than this many sums of covalent radii (O–H: 1.46 Å) is treated as breaking: unrestricted,
               from a guess of broken symmetry, followed down its instabilities until it is stable
    """

    functional: str = "pbe"
    basis: str = "def2-svp"
    charge: int = 0
    multiplicity: int | None = None
    grid_level: int = 3
    density_fit: bool = False
    dispersion: str | None = None
    electronic_temperature_K: float = 0.0
    stretch: float = 1.5
    conv_tol_hartree: float = 1e-9
    conv_tol_gradient: float = 1e-5
    max_cycle: int = 60
    max_memory_MB: int = 2000

    name: ClassVar[str] = "pyscf"
    technical: ClassVar[tuple[str, ...]] = ("max_cycle", "max_memory_MB")

    def __post_init__(self) -> None:
        positive = ("stretch", "conv_tol_hartree", "conv_tol_gradient", "max_cycle", "max_memory_MB")
        check_range(self, positive, ("grid_level", "electronic_temperature_K"))

    def version(self) -> str:
        """Where there is dispersion that of its package, too: it has the parameters."""
        engine = installed("pyscf", "pip install pyscf")
        return f"{engine}, {installed('pyscf-dispersion', 'pip install pyscf-dispersion')}" if self.dispersion else engine

    def theory(self) -> str:
        return f"{self.functional}/{self.basis}" + (f"-{self.dispersion}" if self.dispersion else "")

    def compute(self, atoms: Atoms) -> Computed:
        if atoms.pbc.any():
            raise LabelError(
                f"pyscf: {name_of(atoms)} is periodic along {atoms.pbc.tolist()}, this labeler does molecules only",
                "bad_input",
                "use gpaw or tblite for it, or set pbc=False if it is a molecule in a box",
            )
        self.version()
        molecule, spin = self._molecule(atoms)
        bridge = longest_bridge(atoms)
        breaking = bridge is not None and bridge.ratio > self.stretch
        solver, rung = self._converged(molecule, atoms, unrestricted=spin > 0 or breaking, broken=breaking)
        notes: dict[str, Any] = {"rung": rung, "cycles": int(solver.cycles), "unrestricted": spin > 0 or breaking}
        if breaking:
            solver = self._followed_down(solver, atoms)
            notes["stable"] = True
        if notes["unrestricted"]:
            notes["spin_square"] = float(solver.spin_square()[0])
        smeared = self.electronic_temperature_K > 0
        return Computed(
            energy=float(solver.e_free if smeared else solver.e_tot) * hartree,
            forces=self._forces(solver, atoms),
            energy_sigma0=float(solver.e_zero) * hartree if smeared else None,
            notes=notes,
        )

    def _molecule(self, atoms: Atoms):
        from pyscf import gto

        charge, multiplicity = charge_and_multiplicity(atoms, self.charge, self.multiplicity, "pyscf")
        symbols = atoms.get_chemical_symbols()
        try:
            molecule = gto.M(
                atom=list(zip(symbols, (atoms.positions / bohr).tolist())),
                unit="Bohr",
                basis=self.basis,
                ecp=core_potentials(self.basis, set(symbols)),
                charge=charge,
                spin=multiplicity - 1,
                max_memory=self.max_memory_MB,
                verbose=0,
            )
        except Exception as error:  # PySCF raises RuntimeError, KeyError or BasisNotFoundError, as the basis has it
            raise LabelError(
                f"pyscf: basis {self.basis!r} for {name_of(atoms)} was refused: {error}", "bad_input", "choose another basis"
            ) from error
        _check_core(molecule, self.basis)
        return molecule, multiplicity - 1

    def _solver(self, molecule, unrestricted: bool, level_shift=0.0, damp=0.0, longer=1):
        from pyscf import dft

        solver = (dft.UKS if unrestricted else dft.RKS)(molecule)
        try:
            solver.xc = self.functional
            dft.libxc.parse_xc(self.functional)
        except (KeyError, ValueError) as error:
            raise LabelError(
                f"pyscf: functional {self.functional!r} is unknown: {error}",
                "bad_input",
                "for example pbe, b3lyp, r2scan, wb97x",
            ) from error
        if solver.do_nlc():
            raise LabelError(
                f"pyscf: {self.functional!r} has nonlocal (VV10) correlation, whose forces lack the grid response here",
                "bad_input",
                "choose a functional without it, with dispersion='d3bj' or 'd4'",
            )
        if self.density_fit:
            solver = solver.density_fit()
        if self.electronic_temperature_K > 0:
            solver = solver.smearing(sigma=self.electronic_temperature_K * k_B / hartree, method="fermi", fix_spin=True)
        if self.dispersion:
            solver.disp = self.dispersion
        solver.grids.level = self.grid_level
        solver.conv_tol, solver.conv_tol_grad = self.conv_tol_hartree, self.conv_tol_gradient
        solver.max_cycle = self.max_cycle * longer
        solver.level_shift, solver.damp = level_shift, damp
        solver.chkfile = None
        return solver

    def _converged(self, molecule, atoms: Atoms, unrestricted: bool, broken: bool):
        density = broken_symmetry(molecule) if broken else None
        for rung, tricks in enumerate(LADDER):
            tricks = dict(tricks)
            second_order = tricks.pop("second_order", False)
            solver = self._solver(molecule, unrestricted, **tricks)
            if second_order and not self.electronic_temperature_K:
                solver = solver.newton()
            solver.kernel(density)
            if solver.converged:
                return solver, rung
            density = solver.make_rdm1()
        raise LabelError(
            f"pyscf: the SCF of {name_of(atoms)} did not converge to {self.conv_tol_hartree:g} Ha in {self.max_cycle} cycles, "
            "nor with level shift and damping, nor by the second-order solver",
            "not_converged",
            "leave this structure out, try electronic_temperature_K=1000, another multiplicity, or a larger max_cycle",
        )

    def _followed_down(self, solver, atoms: Atoms):
        """Follow internal instabilities of an unrestricted solution until there is none: Seeger and Pople, JCP 66, 3045 (1977)."""
        for _ in range(6):
            orbitals, _, stable, _ = solver.stability(return_status=True)
            if stable:
                return solver
            lower = self._solver(solver.mol, unrestricted=True).newton()
            lower.kernel(solver.make_rdm1(orbitals, solver.mo_occ))
            if not lower.converged:
                break
            solver = lower
        raise LabelError(
            f"pyscf: no stable unrestricted solution for {name_of(atoms)}, which has a bond stretched beyond "
            f"{self.stretch} sums of covalent radii",
            "not_converged",
            "leave this structure out, or cap the bond lengths where structures are made",
        )

    def _forces(self, solver, atoms: Atoms) -> np.ndarray:
        if len(atoms) == 1:
            return np.zeros((1, 3))
        gradient = solver.nuc_grad_method()
        gradient.grid_response = True
        return -np.array(gradient.kernel()) * hartree / bohr


def broken_symmetry(molecule) -> np.ndarray:
    """Spin densities that differ: atoms' densities, with the spins on alternate atoms moved up and down.

    A breaking bond needs one spin at each end; half of the atomic density of every second atom goes from β to α, and of the
    others from α to β, so the electron count of each spin is only roughly kept: the first diagonalization restores it.
    """
    from pyscf import dft

    density = np.asarray(dft.UKS(molecule).get_init_guess(molecule, key="minao"))
    up = np.zeros(molecule.nao)
    for atom, (_, _, start, stop) in enumerate(molecule.aoslice_by_atom()):
        up[start:stop] = 0.5 if atom % 2 else -0.5
    total = density[0] + density[1]
    swing = 0.5 * (up[:, None] + up[None]) * total
    return np.stack([total / 2 + swing / 2, total / 2 - swing / 2])


def core_potentials(basis: str, symbols: Iterable[str]) -> dict[str, Any]:
    """The effective core potentials that a basis set was made for, by element.

    PySCF gives a molecule none by itself: without its potential a set of valence functions has an energy too, and it means nothing.

    >>> sorted(core_potentials("Def2-SVP", ["H", "I"])), sorted(core_potentials("lanl2dz", ["C", "Cl"]))
    (['I'], ['Cl'])
    """
    from pyscf.gto.basis import load_ecp

    family = next((name for name in ("ccecp", "bfd") if basis.lower().startswith(name)), basis)  # named by the potential
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that more sets could be downloaded
        for symbol in symbols:
            try:
                found[symbol] = load_ecp(family, symbol)
            except (
                Exception
            ):  # RuntimeError, KeyError, BasisNotFoundError or TypeError, as the basis has it; `_check_core` looks on
                continue
    return {symbol: potential for symbol, potential in found.items() if potential}


def _check_core(molecule, basis: str) -> None:
    """Refuse a set with fewer functions of a kind than its element has occupied shells beside the core's: one for a pseudopotential."""
    from pyscf.data.elements import CONFIGURATION
    from pyscf.gto.ecp import core_configuration

    for atom in range(molecule.natm):
        symbol, charge = molecule.atom_pure_symbol(atom), molecule.atom_charge(atom)
        hidden = molecule.atom_nelec_core(atom)
        core = core_configuration(hidden, symbol) if hidden else [0] * 4
        shells = range(*molecule.aoslice_by_atom()[atom][:2])
        for l, electrons in enumerate(CONFIGURATION[charge + hidden]):
            there = sum(int(molecule.bas_nctr(k)) for k in shells if molecule.bas_angular(k) == l)
            occupied = -(-electrons // (4 * l + 2)) - core[l]
            if there < occupied or basis.lower().startswith("gth"):
                raise LabelError(
                    f"pyscf: basis {basis!r} is made for a pseudopotential of {symbol} that PySCF does not bring along",
                    "bad_input",
                    "choose a basis of all electrons, or one whose core potential PySCF has (def2-svp, lanl2dz); for plane waves gpaw",
                )
