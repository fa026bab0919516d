"""Who answers for a structure: a potential, any ASE calculator, a campaign's labels. Properties ask, and do not mind whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from ase import Atoms

    from adiabat.potential import Potential


@dataclass(frozen=True)
class Answer:
    """Energy in eV (force-consistent), forces in eV/Å, stress in eV/Å³, positive when stretched."""

    energy: float
    forces: Float[np.ndarray, "N 3"]
    stress: Float[np.ndarray, "3 3"]


EVERYTHING = ("energy", "forces", "stress")
Ask = Callable[[Sequence["Atoms"]], list[Answer]]
AT_ONCE = 64  # structures in one batch


def asked(ask: Ask, frames: Sequence[Atoms], *, needed: Sequence[str] = EVERYTHING) -> list[Answer]:
    """The answers, one a frame; refused where one is missing or not a number: a NaN force is below every limit.

    What is not `needed` may be NaN: engines without stress leave it so. Who answers at less cost where energies alone are needed says
    how by a function `energies_alone`, as `by_calculator` does.

    >>> from ase.build import bulk
    >>> asked(lambda frames: [Answer(float("nan"), np.zeros((1, 3)), np.zeros((3, 3)))], [bulk("Cu")])
    Traceback (most recent call last):
    ValueError: the energy of structure 1 of 1 is not finite: nan; wanted a number. See what the engine or potential says of it
    """
    found = list((getattr(ask, "energies_alone", ask) if tuple(needed) == ("energy",) else ask)(frames))
    if len(found) != len(frames):
        raise ValueError(f"{len(found)} answers came to {len(frames)} structures; wanted one each, in order")
    for number, answer in enumerate(found, 1):
        for name in needed:
            value = np.asarray(getattr(answer, name))
            if not np.isfinite(value).all():
                raise ValueError(
                    f"the {name} of structure {number} of {len(frames)} is not finite: {value[~np.isfinite(value)][0]}; wanted a number. "
                    "See what the engine or potential says of it"
                )
    return found


def by_potential(potential: Potential | Any) -> Ask:
    """Answers of a potential (or a committee's mean), many structures at once, in float64.

    >>> from ase.build import bulk
    >>> from adiabat.models import LennardJones
    >>> from adiabat.potential import Potential
    >>> ask = by_potential(Potential(LennardJones(elements=["Ar"])))
    >>> [answer] = ask([bulk("Ar", a=5.3)])
    >>> answer.stress.shape
    (3, 3)
    """
    from adiabat.dynamics.state import quickest
    from adiabat.graph import Graph

    potential = _in_double(potential)
    quick = quickest(getattr(potential, "without_spread", potential))

    def ask(frames: Sequence[Atoms]) -> list[Answer]:
        answers = []
        for start in range(0, len(frames), AT_ONCE):
            part = [_bare(a) for a in frames[start : start + AT_ONCE]]
            found = quick(Graph.of(part, potential.cutoff))
            ends = np.cumsum([len(a) for a in part])[:-1]
            forces = np.split(found.forces.numpy(force=True), ends)
            stresses = found.stress.numpy(force=True)
            answers += [Answer(float(e), f, s) for e, f, s in zip(found.energy.tolist(), forces, stresses, strict=True)]
        return answers

    return ask


class ByCalculator:
    """Answers of an ASE calculator, one structure after the other; see `by_calculator`."""

    def __init__(self, calculator: Any) -> None:
        self.calculator = calculator

    def __call__(self, frames: Sequence[Atoms]) -> list[Answer]:
        if "stress" not in self.calculator.implemented_properties:
            raise ValueError(
                f"{type(self.calculator).__name__} gives no stress, which is wanted here; use an engine that does. The equation of state "
                "needs energies alone"
            )
        return [self._one(a) for a in frames]

    def energies_alone(self, frames: Sequence[Atoms]) -> list[Answer]:
        """Forces and stress are NaN: a stress may cost as much as the energy, and not every engine has one."""
        return [self._one(a, alone=True) for a in frames]

    def _one(self, atoms: Atoms, *, alone: bool = False) -> Answer:
        here = _bare(atoms)
        here.calc = self.calculator
        energy = float(here.get_potential_energy(force_consistent="free_energy" in self.calculator.implemented_properties))
        if alone:
            return Answer(energy, np.full((len(here), 3), np.nan), np.full((3, 3), np.nan))
        stress = np.array(here.get_stress(voigt=False, apply_constraint=False))
        return Answer(energy, np.array(here.get_forces(apply_constraint=False)), stress)


def by_calculator(calculator: Any) -> ByCalculator:
    """Answers of an ASE calculator, one structure after the other; where energies are enough it is asked for nothing else.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> round(by_calculator(EMT())([bulk("Cu")])[0].energy, 3)
    -0.006
    """
    return ByCalculator(calculator)


def _in_double(potential: Any) -> Any:
    """Differences of energies a strain of 10⁻³ apart need all the digits there are."""
    import copy

    import torch

    return potential if potential.dtype == torch.float64 else copy.deepcopy(potential).to(torch.float64)


def _bare(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = None
    copy.set_constraint()
    return copy
