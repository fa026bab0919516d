"""Strained cells, and atoms at rest in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from adiabat.properties.answers import Answer, Ask, asked

if TYPE_CHECKING:
    from ase import Atoms

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
STIFFNESS = 15.0  # eV/Å², a covalent crystal's; the first guess, which the first two steps correct
LONGEST = 0.1  # Å, no atom moves further at once


def strained(atoms: Atoms, strain: Float[np.ndarray, "3 3"]) -> Atoms:
    """The structure with cell and positions times (1 + ε).

    >>> from ase.build import bulk
    >>> bool(np.isclose(strained(bulk("Cu"), 0.01 * np.eye(3)).get_volume() / bulk("Cu").get_volume(), 1.01**3))
    True
    """
    grown = np.eye(3) + np.asarray(strain, float)
    new = atoms.copy()
    new.calc = None
    new.set_constraint()
    new.set_cell(atoms.cell.array @ grown, scale_atoms=False)
    new.positions = atoms.positions @ grown
    return new


def tensor(voigt: Sequence[float] | Float[np.ndarray, "6"]) -> Float[np.ndarray, "3 3"]:
    """The symmetric tensor of a strain in Voigt order, xx yy zz yz xz xy, with shears γ = 2ε.

    >>> tensor([0, 0, 0, 0.02, 0, 0])[1, 2]
    np.float64(0.01)
    """
    e = np.zeros((3, 3))
    for value, (a, b) in zip(voigt, VOIGT, strict=True):
        e[a, b] += value / 2
        e[b, a] += value / 2
    return e


def voigt_of(strain: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "6"]:
    """The inverse of `tensor`: engineering shears."""
    return np.array([strain[a, b] * (1 if a == b else 2) for a, b in VOIGT])


def at_rest(
    frames: Sequence[Atoms], ask: Ask, *, fmax: float = 1e-3, max_steps: int = 30
) -> tuple[list[Atoms], list[Answer], int]:
    """Atoms relaxed in fixed cells until all forces are below `fmax` (eV/Å): the frames, their answers, and how many were asked.

    Quasi-Newton (BFGS) a frame, all frames that still move asked at once, so that an engine can label them side by side. Where
    symmetry keeps the forces at zero nothing moves, and one question is all.
    """
    moving = [_Descent(a) for a in frames]
    count = 0
    for _ in range(max_steps + 1):
        open_ = [m for m in moving if m.answer is None or m.force > fmax]
        if not open_:
            break
        for m, answer in zip(open_, asked(ask, [m.proposed() for m in open_]), strict=True):
            m.accept(answer)
        count += len(open_)
    worst = max(m.force for m in moving)
    if worst > fmax:
        raise ValueError(
            f"after {max_steps} steps of relaxation the largest force is still {worst:.2g} eV/Å, wanted {fmax:g}; "
            "relax the structure first, or ask for less"
        )
    return [m.atoms for m in moving], [m.answer for m in moving if m.answer is not None], count


class _Descent:
    """One frame on its way down, with its model of the Hessian (Broyden, Fletcher, Goldfarb and Shanno 1970)."""

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms.copy()
        self.answer: Answer | None = None
        self.hessian = STIFFNESS * np.eye(3 * len(atoms))
        self.step = np.zeros(3 * len(atoms))

    @property
    def force(self) -> float:
        return np.inf if self.answer is None else float(np.linalg.norm(self.answer.forces, axis=1).max())

    def proposed(self) -> Atoms:
        if self.answer is not None:
            step = np.linalg.solve(self.hessian, (self.answer.forces - self.answer.forces.mean(0)).ravel())
            self.step = step * min(1.0, LONGEST / np.abs(step).max())
        new = self.atoms.copy()
        new.positions += self.step.reshape(-1, 3)
        return new

    def accept(self, answer: Answer) -> None:
        if self.answer is not None:
            self.atoms.positions += self.step.reshape(-1, 3)
            s, y = self.step, (self.answer.forces - answer.forces).ravel()
            if s @ y > 1e-6 * np.linalg.norm(s) * np.linalg.norm(
                y
            ):  # only where the curvature is positive does the update keep the Hessian so
                Hs = self.hessian @ s
                self.hessian += np.outer(y, y) / (s @ y) - np.outer(Hs, Hs) / (s @ Hs)
        self.answer = answer
