"""The model gate: laws that every potential must obey, tried on this one, before anybody relies on it.

| check | what |
|---|---|
| `forces`, `stress` | are the energy's slope with positions and with strain |
| `rotation`, `permutation` | how a structure is turned or numbered does not matter |
| `extensivity` | twice as much matter has twice the energy |
| `smooth_cutoff` | nothing jumps when an atom passes a cutoff |
| `short_range_wall` | atoms pushed onto each other repel as nuclei do |
| `float32` | single precision follows double precision |
| `nve_drift`, `nve_order` | the energy stays, and its wiggle falls with the square of the timestep |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adiabat.potential import Potential
from adiabat.validation.gate import derivatives, dynamics, extent, precision, symmetry, wall
from adiabat.validation.gate.check import Check, Subject, names_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["GATES", "Check", "Gate", "GateRefusal", "Subject", "gate", "recorded"]

GATES: dict[str, Callable[[Subject], Check]] = {
    "forces": derivatives.forces,
    "stress": derivatives.stress,
    "rotation": symmetry.rotation,
    "permutation": symmetry.permutation,
    "extensivity": extent.extensivity,
    "smooth_cutoff": extent.smooth_cutoff,
    "short_range_wall": wall.short_range,
    "float32": precision.float32,
    "nve_drift": dynamics.nve_drift,
    "nve_order": dynamics.nve_order,
}

BARS = ("fail", "undetermined")  # verdicts that refuse a potential until they are waived

# A family that breaks a law by its definition says so by the law test's name; these are the gates that see the same.
LAWS = {
    "extensivity": ("a_supercell_multiplies_the_energy", "far_fragments_add"),
    "smooth_cutoff": ("a_pair_parts_smoothly", "an_atom_leaves_a_molecule_smoothly"),
    "short_range_wall": ("close_atoms_repel",),
    "float32": ("float32_follows_float64",),
}


class GateRefusal(ValueError):
    """A potential that fails a gate nobody waived, or of which it could not be told."""


@dataclass(frozen=True)
class Gate:
    """What the gate found, by name."""

    checks: dict[str, Check]

    @property
    def failures(self) -> list[Check]:
        """What stands in the way: laws broken, and laws that may be."""
        return [check for check in self.checks.values() if check.verdict in BARS]

    @property
    def passed(self) -> bool:
        return not self.failures

    def pass_over(self, waive: Iterable[str]) -> Gate:
        """The same with the failures of these names waived."""
        names = set(map(_as_known, waive))
        return Gate({k: c.waived("by name") if k in names and c.verdict in BARS else c for k, c in self.checks.items()})

    def to_json(self) -> dict[str, Any]:
        """The object of `adiabat gate --json`: one object a quantity."""
        return {name: check.to_json() for name, check in self.checks.items()}

    def refuse(self, what: str) -> None:
        """GateRefusal, if there is a failure."""
        if self.failures:
            told = "\n".join(f"  {check}" for check in self.failures)
            names = " ".join(f"--waive {check.name}" for check in self.failures)
            open_ = sum(check.verdict == "undetermined" for check in self.failures)
            head = f"{what}: the potential fails {len(self.failures) - open_} of {len(self.checks)} gates"
            head += f", and {open_} could not be determined" if open_ else ""
            raise GateRefusal(f"{head}:\n{told}\nmend it, or pass them over by name: {names}")

    def record(self, potential: Potential) -> None:
        """Put the verdicts, waivers among them, into what the potential's model file tells of it."""
        potential.metadata["gate"] = {"numbers": digest(potential), "checks": self.to_json()}


def gate(
    potential: Potential,
    frames: Sequence[Atoms] = (),
    *,
    waive: Iterable[str] = (),
    only: Iterable[str] | None = None,
    temperature_K: float = 300.0,
    drift_steps: int = 16_000,
    progress: Callable[[str, Check], None] | None = None,
) -> Gate:
    """Try the laws on a potential, in double precision.

    `frames` are structures it is meant for, such as its training data (labels are not used): the smallest of a few compositions that
    have all their elements are taken; elements of which nothing is tried are named in each check. Without frames clusters are made
    up, and dynamics is not run. `waive` names checks whose failure is passed over, `only` those to make; `drift_steps` are how long
    dynamics may run until the energy's slope is told from its target. Units stand in each check.

    >>> from adiabat.models import ZBL, LennardJones
    >>> argon = Potential(LennardJones(epsilon_eV=0.01, sigma_angstrom=3.4, cutoff=8.0, elements=["Ar"]))
    >>> found = gate(argon, only=["forces", "short_range_wall"])
    >>> found.passed, found.checks["forces"].unit
    (True, 'meV/Å')
    """
    waived = list(map(_as_known, waive))
    names = list(GATES) if only is None else list(map(_as_known, only))
    for name in [*waived, *names]:
        if name not in GATES:
            raise ValueError(f"{name!r} is no check of the model gate; known: {', '.join(GATES)}")
    subject = Subject.of(potential, frames, temperature_K=temperature_K, drift_steps=drift_steps)
    without = f"; not tried on {names_of(subject.untried)}" if subject.untried else ""
    checks = {}
    for name in names:
        found = _judged(GATES[name](subject), potential)
        checks[name] = replace(found, message=found.message + without) if found.value is not None else found
        if progress is not None:
            progress(name, checks[name])
    return Gate(checks).pass_over(waived)


def recorded(potential: Potential) -> Gate | None:
    """The verdicts in a model file, if they are of these very numbers."""
    told = potential.metadata.get("gate")
    if not isinstance(told, dict) or told.get("numbers") != digest(potential):
        return None
    try:
        return Gate({name: Check(name=name, **found) for name, found in told["checks"].items()})
    except (KeyError, TypeError, AttributeError):  # of an Adiabat that told them otherwise
        return None


def digest(potential: Potential) -> str:
    """A short hash of what a potential computes: its terms and its numbers."""
    header = {k: v for k, v in potential.header().items() if k != "metadata"}
    found = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, value in sorted(potential.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _as_known(name: str) -> str:
    """The name as tables print it, with blanks, is that check, too."""
    return name.replace(" ", "_")


def _judged(check: Check, potential: Potential) -> Check:
    """The verdict; what a family's own definition breaks is waived by the family."""
    if check.verdict != "fail":
        return check
    for term in potential.terms:
        for law in LAWS.get(check.name, ()):
            if law in term.waived:
                return check.waived(f"{term.name}: {term.waived[law]}")
    return check
