"""What a check of the model gate says, and the potential it looks at together with structures to try it on."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from adiabat.elements import COVALENT_RADII, symbol
from adiabat.graph import Graph
from adiabat.potential import Model, Potential
from adiabat.prediction import Prediction

if TYPE_CHECKING:
    from ase import Atoms

Verdict = Literal["pass", "fail", "undetermined", "waived", "not run"]
FEW = 4  # structures are enough to see a law broken, if they have all elements; the smallest of each composition are taken
LARGEST = 200  # atoms; a larger frame shows nothing that a smaller one does not


@dataclass(frozen=True)
class Check:
    """One quantity, what was wanted of it, and what to do where that is not so; `value` is None where nothing was measured."""

    name: str
    value: float | None
    unit: str
    target: float | None
    verdict: Verdict
    message: str
    cure: str = ""
    error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An object of `adiabat gate --json`."""
        told = {name: getattr(self, name) for name in ("value", "unit", "error", "target", "verdict", "message", "cure")}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in told.items()}

    def waived(self, why: str) -> Check:
        """The same, passed over."""
        return replace(self, verdict="waived", message=f"{self.message}; waived: {why}")

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" + (f"; {self.cure}" if self.cure else "")


def below(name: str, value: float, unit: str, target: float, what: str, cure: str) -> Check:
    """A value that has to stay below a target; NaN does not."""
    fine = bool(value < target)
    message = f"{what}: {value:.2g} {unit}".rstrip() + ("" if fine else f", wanted below {target:.2g}")
    return Check(name, float(value), unit, float(target), "pass" if fine else "fail", message, "" if fine else cure)


def larger(a: float, b: float) -> float:
    """The larger one; NaN, whichever it is: what was found once is not forgotten over the next structure.

    >>> larger(float("nan"), 1.0), larger(2.0, 1.0)
    (nan, 2.0)
    """
    return float(np.maximum(a, b))


def not_run(name: str, unit: str, why: str, cure: str = "") -> Check:
    """Nothing to try it on."""
    return Check(name, None, unit, None, "not run", why, cure)


@dataclass(frozen=True)
class Subject:
    """A potential in double precision, and structures: some of the frames given, or made up where none were."""

    given: Potential
    frames: tuple[Atoms, ...]
    typical: Atoms | None = None  # of the commonest composition: where dynamics begins
    temperature_K: float = 300.0
    drift_steps: int = 16_000  # of dynamics, at most: until the energy's slope can be told from the target
    seed: int = 0
    met: tuple[int, ...] = ()  # elements of all frames that came, those too large to be tried among them

    @classmethod
    def of(cls, potential: Potential, frames: Sequence[Atoms] = (), **options: Any) -> Subject:
        chosen = _telling([atoms for atoms in frames if 1 < len(atoms) <= LARGEST])
        if frames and not chosen:
            raise ValueError(
                f"{len(frames)} frames came, none of 2 to {LARGEST} atoms; give the gate structures with neighbors, such as the training data"
            )
        common = Counter(a.get_chemical_formula() for a in frames if a.get_chemical_formula() in chosen).most_common(1)
        met = tuple(sorted({int(z) for atoms in frames for z in atoms.numbers}))
        return cls(potential.eval(), tuple(chosen.values()), chosen[common[0][0]] if common else None, met=met, **options)

    @cached_property
    def potential(self) -> Potential:
        return copy.deepcopy(self.given).to(torch.float64).eval()

    @cached_property
    def elements(self) -> tuple[int, ...]:
        """The elements to try: those of the frames, else some of those the potential knows."""
        seen = sorted({int(z) for atoms in self.frames for z in atoms.numbers})
        return tuple(seen) or tuple((self.potential.elements or (18,))[:FEW])

    @cached_property
    def untried(self) -> tuple[int, ...]:
        """Elements the potential knows, or that the frames have, of which no law is tried."""
        known = {*(self.potential.elements or ()), *self.met}
        return tuple(sorted(known - set(self.elements)))

    @cached_property
    def structures(self) -> tuple[Atoms, ...]:
        """What laws are tried on: the frames, shaken a little, so that no symmetry hides a fault; or made-up clusters."""
        rng = np.random.default_rng(self.seed)
        found = [atoms.copy() for atoms in self.frames] or [_made_up(self.elements, rng) for _ in range(2)]
        for atoms in found:
            atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        return tuple(found)

    def __call__(self, atoms: Atoms | Sequence[Atoms]) -> Prediction:
        return self.potential(self.graph(atoms))

    def graph(self, atoms: Atoms | Sequence[Atoms]) -> Graph:
        return Graph.of(atoms, max(self.potential.cutoff, 1e-3))

    @cached_property
    def cutoffs(self) -> tuple[float, ...]:
        """Every distance at which a term may stop, Å."""
        found = set()
        for module in _modules(self.potential):
            stated = {**getattr(module, "arguments", {}), "cutoff": module.cutoff}
            found |= {float(v) for k, v in stated.items() if "cutoff" in k and isinstance(v, float | int) and v > 0.3}
        return tuple(sorted(found))

    def bond(self, a: int, b: int) -> float:
        """The sum of two covalent radii, Å."""
        return COVALENT_RADII[a] + COVALENT_RADII[b]

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        zs = self.elements
        return tuple((a, b) for k, a in enumerate(zs) for b in zs[k:])


def name_of(a: int, b: int) -> str:
    return f"{symbol(a)}–{symbol(b)}"


def names_of(elements: Sequence[int], most: int = 8) -> str:
    """Symbols, and how many more.

    >>> names_of([1, 8]), names_of(range(1, 11))
    ('H, O', 'H, He, Li, Be, B, C, N, O and 2 more')
    """
    more = f" and {len(elements) - most} more" if len(elements) > most else ""
    return ", ".join(symbol(int(z)) for z in elements[:most]) + more


def _telling(frames: Sequence[Atoms]) -> dict[str, Atoms]:
    """A few small compositions that have every element among them, the smallest frame of each, by formula."""
    smallest: dict[str, Atoms] = {}
    for atoms in sorted(frames, key=len):
        smallest.setdefault(atoms.get_chemical_formula(), atoms)
    chosen: dict[str, Atoms] = {}
    missing = {int(z) for atoms in smallest.values() for z in atoms.numbers}
    while missing:  # those with most new elements first, of these the smallest
        formula, atoms = max(smallest.items(), key=lambda item: (len(missing & set(item[1].numbers.tolist())), -len(item[1])))
        chosen[formula] = _bare(atoms)
        missing -= set(atoms.numbers.tolist())
    for formula, atoms in smallest.items():
        if len(chosen) < FEW:
            chosen.setdefault(formula, _bare(atoms))
    return chosen


def _modules(potential: Potential) -> list[Model]:
    """All models in it; a committee keeps its terms out of the module tree."""
    return [m for term in potential.terms for m in term.modules() if isinstance(m, Model)]


def _bare(atoms: Atoms) -> Atoms:
    bare = atoms.copy()
    bare.calc, bare.constraints = None, []
    return bare


def _made_up(elements: Sequence[int], rng: np.random.Generator, size: int = 8) -> Atoms:
    """A cluster in which each atom has a neighbor at about a bond length, and none nearer."""
    from ase import Atoms

    numbers = [int(z) for z in rng.permutation(np.resize(np.array(elements), size))]
    places = [np.zeros(3)]
    while len(places) < size:
        z, near = numbers[len(places)], int(rng.integers(len(places)))
        direction = rng.normal(size=3)
        radii = np.array([COVALENT_RADII[z] + COVALENT_RADII[numbers[k]] for k in range(len(places))])
        place = places[near] + direction / np.linalg.norm(direction) * radii[near] * rng.uniform(1.0, 1.2)
        if (np.linalg.norm(np.array(places) - place, axis=1) > 0.95 * radii).all():
            places.append(place)
    return Atoms(numbers, places)
