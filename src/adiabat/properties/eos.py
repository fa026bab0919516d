"""The equation of state: energy against volume, and what its fit says of the lattice, the bulk modulus and its slope."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.analysis.quantity import Quantity
from adiabat.properties.answers import Ask, asked
from adiabat.properties.strain import strained
from adiabat.units import GPa

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class EquationOfState:
    """Birch–Murnaghan of third order; errors are those of the fit. `scale` is what the given cell's lengths are multiplied with."""

    volume: Quantity  # Å³ of the cell
    energy: Quantity  # eV of the cell
    bulk_modulus: Quantity  # GPa
    slope: Quantity  # B′ = dB/dp
    scale: Quantity
    lattice_constant: Quantity | None  # Å, of the conventional cell where the structure is cubic
    volumes: Float[np.ndarray, "n"] = field(repr=False)
    energies: Float[np.ndarray, "n"] = field(repr=False)
    residual_meV_per_atom: float = 0.0

    def quantities(self) -> dict[str, Quantity]:
        found = {
            "volume": self.volume,
            "energy": self.energy,
            "bulk_modulus": self.bulk_modulus,
            "bulk_modulus_slope": self.slope,
        }
        return found if self.lattice_constant is None else {"lattice_constant": self.lattice_constant, **found}

    def to_json(self) -> dict:
        points = {"volumes_angstrom3": self.volumes.tolist(), "energies_eV": self.energies.tolist()}
        return {
            **{k: q.to_json() for k, q in self.quantities().items()},
            **points,
            "fit_rms_meV_per_atom": self.residual_meV_per_atom,
        }


def equation_of_state(atoms: Atoms, ask: Ask, *, largest: float = 0.02, points: int = 7) -> EquationOfState:
    """E(V) of the cell scaled as a whole, lengths by ±`largest`, atoms at their fractional coordinates.

    Birch, Phys. Rev. 71, 809 (1947): E is a cubic polynomial of V^(−2/3), fitted by linear least squares. Where atoms are not held by
    symmetry they are not relaxed: that is a curve of its own, above the relaxed one.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from adiabat.properties.answers import by_calculator
    >>> copper = equation_of_state(bulk("Cu", a=3.61), by_calculator(EMT()))
    >>> round(copper.lattice_constant.value, 2), round(copper.bulk_modulus.value)
    (3.59, 134)
    """
    if not atoms.pbc.all():
        raise ValueError(f"the structure is periodic along {atoms.pbc.tolist()}; wanted a crystal, periodic along all three")
    if points < 5 or not 0 < largest < 0.2:
        raise ValueError(f"points = {points}, largest = {largest}; wanted at least five points and a strain below 0.2")
    frames = [strained(atoms, s * np.eye(3)) for s in np.linspace(-largest, largest, points)]
    volumes = np.array([a.get_volume() for a in frames])
    energies = np.array([answer.energy for answer in asked(ask, frames, needed=["energy"])])
    reference = atoms.get_volume()
    x = (volumes / reference) ** (-2 / 3) - 1  # of order one hundredth: a well-conditioned polynomial
    design = np.vander(x, 4, increasing=True)
    shift = energies.mean()
    coefficients, *_ = np.linalg.lstsq(design, energies - shift, rcond=None)
    residuals = energies - shift - design @ coefficients
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals / max(points - 4, 1))
    values = _minimum(coefficients)
    if values is None or not x.min() <= values[0] <= x.max():
        raise ValueError(
            f"the energy has no minimum between {volumes[0]:.3f} and {volumes[-1]:.3f} Å³; relax the cell first, or raise largest"
        )
    errors = _propagated(coefficients, covariance)
    x0, energy, B, slope = values
    scale = (1 + x0) ** -0.5  # V^(−2/3) = 1 + x, lengths go with V^(1/3)
    scale_error = 0.5 * (1 + x0) ** -1.5 * errors[0]
    lengths = Quantity(scale, scale_error, "")
    a0 = _conventional(atoms)
    return EquationOfState(
        Quantity(reference * scale**3, 3 * reference * scale**2 * scale_error, "Å³"),
        Quantity(energy + shift, errors[1], "eV"),
        Quantity(B / reference / GPa, errors[2] / reference / GPa, "GPa"),
        Quantity(slope, errors[3], ""),
        lengths,
        None if a0 is None else Quantity(a0 * scale, a0 * scale_error, "Å"),
        volumes, energies, 1e3 * float(np.sqrt((residuals**2).mean())) / len(atoms),
    )  # fmt: skip


def _minimum(c: np.ndarray) -> tuple[float, float, float, float] | None:
    """x₀, E₀, B·V_ref and B′ of E = Σ c_k x^k with x = (V/V_ref)^(−2/3) − 1; None where there is no minimum."""
    roots = np.roots([3 * c[3], 2 * c[2], c[1]]) if abs(c[3]) > 1e-14 else np.array([-c[1] / (2 * c[2])])
    minima = [r.real for r in roots if abs(r.imag) < 1e-9 and 2 * c[2] + 6 * c[3] * r.real > 0]
    if not minima:
        return None
    x = min(minima, key=abs)
    energy = float(np.polyval(c[::-1], x))
    y = 1 + x  # (V/V_ref)^(−2/3)
    v = y**-1.5
    second, third = 2 * c[2] + 6 * c[3] * x, 6 * c[3]
    # dx/dV = −⅔ y^{5/2}/V_ref; B = V E″(V), B′ = −1 − V E‴/E″, with E′(x) = 0 at the minimum.
    dx, ddx = -2 / 3 * y**2.5, 10 / 9 * y**4
    E2 = second * dx**2
    E3 = third * dx**3 + 3 * second * dx * ddx
    return float(x), energy, float(v * E2), float(-1 - v * E3 / E2)


def _propagated(c: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard errors of the four numbers, to first order in the coefficients' own."""
    rows = []
    for k in range(4):
        h = max(1e-6 * abs(c[k]), 1e-10)
        up, down = (_minimum(c + s * h * np.eye(4)[k]) for s in (1, -1))
        if up is None or down is None:
            return np.full(4, np.nan)
        rows.append((np.array(up) - np.array(down)) / (2 * h))
    J = np.array(rows).T
    return np.sqrt(np.maximum(np.diag(J @ covariance @ J.T), 0.0))


def _conventional(atoms: Atoms) -> float | None:
    """The conventional lattice constant of a cubic crystal, Å; of a supercell that of the crystal it repeats.

    >>> from ase.build import bulk
    >>> round(_conventional(bulk("Si", a=5.43, cubic=True) * (2, 2, 2)), 2), round(_conventional(bulk("Fe", a=2.87) * 3), 2)
    (5.43, 2.87)
    """
    from ase.cell import Cell

    try:
        lattice = Cell(_primitive(atoms)).get_bravais_lattice(eps=1e-4)
    except Exception:
        return None
    return float(lattice.a) if lattice.name in ("CUB", "FCC", "BCC") else None


def _primitive(atoms: Atoms, tolerance_angstrom: float = 0.01) -> np.ndarray:
    """The three shortest independent translations that bring a crystal onto itself; in three dimensions they span its lattice."""
    numbers, cell = atoms.numbers, atoms.cell.array
    places = atoms.get_scaled_positions(wrap=True)
    rarest = min(set(numbers.tolist()), key=lambda z: int((numbers == z).sum()))
    candidates = places[numbers == rarest] - places[numbers == rarest][0]
    found = [t for t in candidates if _maps(places, numbers, t, cell, tolerance_angstrom)]
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    vectors = np.concatenate([(t + images) @ cell for t in found])
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 10 * tolerance_angstrom]
    basis: list[np.ndarray] = []
    for v in vectors[np.argsort(np.linalg.norm(vectors, axis=1).round(6), kind="stable")]:
        if np.linalg.matrix_rank(np.array([*basis, v]), tol=10 * tolerance_angstrom) > len(basis):
            basis.append(v)
        if len(basis) == 3:
            break
    return np.array(basis)


def _maps(places: np.ndarray, numbers: np.ndarray, t: np.ndarray, cell: np.ndarray, tolerance: float) -> bool:
    """Whether every atom, moved by t, stands where one of its kind does."""
    for z in set(numbers.tolist()):
        mine = places[numbers == z]
        apart = mine[:, None] + t - mine[None]
        if not (np.linalg.norm((apart - apart.round()) @ cell, axis=-1).min(1) < tolerance).all():
            return False
    return True
