"""Elastic constants by finite strain: as few strains as the crystal's symmetry allows, atoms at rest in each.

C_ij = ∂σ_i/∂γ_j at the given cell, engineering shears in γ, after relaxation of the atoms (relaxed-ion constants). For a cell under
stress these are the stress–strain coefficients of the Cauchy stress, not second derivatives of the energy: relax the cell first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.analysis.quantity import Quantity
from adiabat.properties.answers import Ask
from adiabat.properties.strain import at_rest, strained, tensor, voigt_of
from adiabat.properties.symmetry import rotations
from adiabat.units import GPa

if TYPE_CHECKING:
    from ase import Atoms

CUBIC = {"C11": (0, 0), "C12": (0, 1), "C44": (3, 3)}
# The smallest singular value with which a direction of strain counts as told by unit strains turned. A cell with five digits is turned
# onto itself to five digits, and what is off must not be taken for a shear.
ENOUGH = 0.1
ALIKE = 1e-3  # of the largest component: nearer to zero, or to each other, components are not told apart


@dataclass(frozen=True)
class Elastic:
    """C [6, 6] in GPa, Voigt order xx yy zz yz xz xy, and what the finite strain left undecided of each component."""

    C: Float[np.ndarray, "6 6"]
    error: Float[np.ndarray, "6 6"]
    stress: Float[np.ndarray, "3 3"]  # of the unstrained cell, GPa
    asked: int  # structures the engine was asked for
    frames: list[Atoms] = field(repr=False, default_factory=list)

    @property
    def stable(self) -> bool:
        """Born's criterion: every strain costs energy, so all eigenvalues of C are positive."""
        return bool((np.linalg.eigvalsh(self.C) > 0).all())

    @property
    def bulk_modulus(self) -> Quantity:
        """Voigt's average Σ C_ij/9 over the first three rows and columns; exact for cubic crystals.

        Errors of components that symmetry ties together are one and the same, so they add and do not average out.
        """
        return Quantity(float(self.C[:3, :3].mean()), float(self.error[:3, :3].mean()), "GPa")

    @property
    def shear_modulus(self) -> Quantity:
        """Hill's mean of Voigt's and Reuss's averages, Proc. Phys. Soc. A 65, 349 (1952); its error is half their difference."""
        c, s = self.C, np.linalg.inv(self.C)
        voigt = (c[0, 0] + c[1, 1] + c[2, 2] - c[0, 1] - c[1, 2] - c[0, 2] + 3 * (c[3, 3] + c[4, 4] + c[5, 5])) / 15
        reuss = 15 / (4 * (s[0, 0] + s[1, 1] + s[2, 2] - s[0, 1] - s[1, 2] - s[0, 2]) + 3 * (s[3, 3] + s[4, 4] + s[5, 5]))
        return Quantity(float((voigt + reuss) / 2), float(abs(voigt - reuss) / 2), "GPa")

    def quantities(self) -> dict[str, Quantity]:
        """C11, C12, C44 where the crystal is cubic along its axes, else all that are not zero; bulk and shear moduli."""
        scale = np.abs(self.C).max()
        names = CUBIC if _cubic(self.C, ALIKE * scale) else {
            f"C{i + 1}{j + 1}": (i, j) for i in range(6) for j in range(i, 6) if abs(self.C[i, j]) > ALIKE * scale
        }  # fmt: skip
        found = {name: Quantity(float(self.C[ij]), float(self.error[ij]), "GPa") for name, ij in names.items()}
        return {**found, "bulk_modulus": self.bulk_modulus, "shear_modulus": self.shear_modulus}

    def to_json(self) -> dict:
        told = {name: q.to_json() for name, q in self.quantities().items()}
        return {**told, "C_GPa": self.C.tolist(), "stress_GPa": self.stress.tolist(), "mechanically_stable": self.stable}


def elastic_constants(
    atoms: Atoms,
    ask: Ask,
    *,
    largest: float = 0.005,
    steps: Sequence[float] = (1.0, 0.5),
    fmax: float = 1e-3,
    symmetric: bool = True,
) -> Elastic:
    """The 6×6 matrix of a crystal at rest: strains ±`largest` times each of `steps`, stresses, least squares.

    With two steps h and h/2 the differences' error of order h² is taken out (Richardson) and a third of their distance is the
    error; with one step no error is known. `symmetric` uses the crystal's rotations: a strain stands for all it is turned into,
    and −γ for +γ where a rotation says so; a cubic crystal needs two strains of the six.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from adiabat.properties.answers import by_calculator
    >>> copper = elastic_constants(bulk("Cu", a=3.59), by_calculator(EMT()))
    >>> {name: round(q.value) for name, q in copper.quantities().items() if name.startswith("C")}, copper.asked
    ({'C11': 172, 'C12': 115, 'C44': 90}, 7)
    """
    if not 0 < largest <= 0.05:
        raise ValueError(f"largest = {largest}; wanted a small strain, 0.005 is a usual one")
    if len(steps) not in (1, 2) or min(steps) <= 0 or len(set(steps)) < len(steps):
        raise ValueError(f"steps = {list(steps)}; wanted one positive number or two different ones, as [1.0, 0.5]")
    if not atoms.pbc.all():
        raise ValueError(
            f"the structure is periodic along {atoms.pbc.tolist()}; wanted a crystal: with vacuum in it the volume, and so C, has no meaning"
        )
    turns = rotations(atoms) if symmetric else [np.eye(3)]
    plan = _plan(turns)
    wanted = [tensor(sign * largest * step * e) for e, signs in plan for step in steps for sign in signs]
    frames, answers, asked = at_rest([strained(atoms, e) for e in [np.zeros((3, 3)), *wanted]], ask, fmax=fmax)
    stresses = [a.stress / GPa for a in answers]
    if not np.allclose(frames[0].positions, atoms.positions, atol=0.02):
        raise ValueError("the atoms moved when the unstrained crystal was relaxed; relax the structure first")
    per_step = []
    for step in steps:
        pairs = []
        k = 1
        for e, signs in plan:
            for s in steps:
                group = stresses[k : k + len(signs)]
                k += len(signs)
                if s == step:
                    pairs += _derivatives(largest * step * e, group, turns)
        per_step.append(_least_squares(pairs))
    if len(steps) == 1:
        return Elastic(per_step[0], np.full((6, 6), np.nan), stresses[0], asked, frames)
    (far, h), (near, k2) = (per_step[0], steps[0]), (per_step[1], steps[1])
    C = near + (near - far) * k2**2 / (h**2 - k2**2)
    return Elastic(C, np.abs(C - near), stresses[0], asked, frames)


def _plan(turns: Sequence[np.ndarray]) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """Unit Voigt strains that with all they are turned into span the six directions, and whether − must be asked beside +."""
    told = np.zeros((0, 6))
    plan: list[tuple[np.ndarray, tuple[int, ...]]] = []
    for k in range(6):
        e = np.eye(6)[k]
        orbit = np.array([voigt_of(R.T @ tensor(e) @ R) for R in turns])
        more = np.concatenate([told, orbit])
        if np.linalg.matrix_rank(more, tol=ENOUGH) > (np.linalg.matrix_rank(told, tol=ENOUGH) if len(told) else 0):
            told = more
            mirrored = (np.abs(orbit + e).max(axis=1) < 1e-6).any()
            plan.append((e, (1,) if mirrored else (1, -1)))
    return plan


def _derivatives(gamma, stresses, turns) -> list[tuple[np.ndarray, np.ndarray]]:
    """(strain, odd part of the stress), as it stands and turned by every rotation; Voigt vectors."""
    if len(stresses) == 2:
        odd = (stresses[0] - stresses[1]) / 2
    else:  # −γ is +γ turned: its stress is the turned one, and the odd part follows from the mean over the rotations
        back = next(R for R in turns if np.abs(voigt_of(R.T @ tensor(gamma) @ R) + gamma).max() < 1e-6 * np.abs(gamma).max())
        odd = (stresses[0] - back.T @ stresses[0] @ back) / 2
    e = tensor(gamma)
    return [(voigt_of(R.T @ e @ R), _stress_voigt(R.T @ odd @ R)) for R in turns]


def _stress_voigt(stress: np.ndarray) -> np.ndarray:
    return np.array([stress[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])


def _least_squares(pairs) -> np.ndarray:
    """The symmetric C that maps strains to stresses best."""
    upper = [(i, j) for i in range(6) for j in range(i, 6)]
    design = np.zeros((6 * len(pairs), len(upper)))
    for p, (e, _) in enumerate(pairs):
        for column, (i, j) in enumerate(upper):
            design[6 * p + i, column] += e[j]
            if i != j:
                design[6 * p + j, column] += e[i]
    values = np.linalg.lstsq(design, np.concatenate([s for _, s in pairs]), rcond=None)[0]
    C = np.zeros((6, 6))
    for value, (i, j) in zip(values, upper, strict=True):
        C[i, j] = C[j, i] = value
    return C


def _cubic(C: np.ndarray, tolerance: float) -> bool:
    c11, c12, c44 = C[0, 0], C[0, 1], C[3, 3]
    ideal = np.diag([c11 - c12] * 3 + [c44] * 3)
    ideal[:3, :3] += c12
    return bool(np.abs(C - ideal).max() <= tolerance)
