"""The data gate: what is wrong with a set, found before anything is trained on it.

Each check looks at one thing and returns findings: where, what came, what was wanted, what to do. A *fault* would make
physics wrong in silence; a *warning* may be meant so; a *note* is worth knowing.

finding     Finding; Set, the frames read once
survey      the distances of each frame, looked at once for all checks
present     atoms, finite, missing, unconverged, zero, foreign, slipped labels
theory      mixed levels, offsets, charge and spin
units       energy, forces, one against the other (`adiabat.data.scale` measures)
stress      sign, unit, order of components, by strained energies (strain) or a pair model
forces      net force and torque; energy that does not follow the forces
cells       vectors, periodicity, vacuum
contacts    too near, too far, in bohr
twins       duplicates of every degree; leakage between the parts of a split
outliers    far from the rest
coverage    elements, kinds, temperatures, energies, reference energies
cutoff      how far to look
cures       the safe cures, applied
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ase import Atoms

from adiabat.data.gate import cells, contacts, coverage, cutoff, forces, outliers, present, stress, theory, twins, units
from adiabat.data.gate.finding import LEAVE_OUT, Finding, Set, finding
from adiabat.data.structure import labels

__all__ = ["CHECKS", "NAMES", "Finding", "Set", "check"]

CHECKS: tuple[Callable[[Set], list[Finding]], ...] = (
    present.missing, present.unconverged, present.records, present.placeholders, present.constrained, present.borrowed,
    theory.levels, theory.offsets, theory.states,
    units.units, units.forces, stress.stress,
    forces.net_force, forces.net_torque, forces.jumps,
    cells.cells, cells.mixed_periodicity, contacts.contacts, contacts.length, contacts.departed,
    twins.twins, outliers.energies, outliers.forces,
    coverage.elements, coverage.kinds, coverage.temperatures, coverage.energies, coverage.reference, cutoff.advice,
)  # fmt: skip

# Every name a finding may have, with the gravest grade it may have.
NAMES: dict[str, str] = {
    "no frames": "fault", "stale labels": "fault", "no atoms": "fault", "not finite": "fault", "shape": "fault", "missing energy": "fault",
    "missing forces": "warning", "missing stress": "note", "unconverged": "fault", "foreign record": "fault", "zero forces": "fault",
    "constrained forces": "fault", "labels of another frame": "fault", "mixed levels of theory": "fault", "energy offset": "fault",
    "impossible state": "fault", "mixed states": "warning", "units of energy": "fault", "energies against forces": "fault",
    "units of forces": "warning", "units of length": "fault", "units of stress": "fault", "stress sign": "fault", "stress order": "fault",
    "net force": "fault", "net torque": "fault", "energy jumps": "warning", "cell": "fault", "left-handed cell": "note",
    "periodicity not set": "fault", "thin vacuum": "warning", "mixed periodicity": "warning", "overlapping atoms": "fault",
    "near contacts": "warning", "lone atoms": "warning", "contradicting labels": "fault", "duplicates": "warning",
    "equivalent structures": "note", "near duplicates": "note", "leakage": "warning", "near leakage": "note",
    "leakage along a trajectory": "warning", "energy outliers": "warning", "force outliers": "warning", "elements": "note",
    "rare elements": "note", "unbalanced kinds": "warning", "one temperature": "warning", "narrow energies": "warning",
    "reference energies": "note", "reference-energy fit": "warning", "cutoff": "note",
}  # fmt: skip


def check(
    frames: Sequence[Atoms],
    isolated: Mapping[int, float] | Sequence[Atoms] | None = None,
    sides: Mapping[str, Sequence[int]] | None = None,
) -> list[Finding]:
    """All findings, the gravest first.

    `isolated` gives energies of isolated atoms by number, or labeled single atoms; `sides` the frames of each part of a split, as
    {"train": [0, 1], "test": [2]}, the part that is learned from first; without it `info["split"]` of the frames counts.

    >>> import numpy as np
    >>> from adiabat.data.structure import labeled
    >>> h2 = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    >>> print(check([labeled(h2, energy=-31.7, forces=np.ones((2, 3)))])[0].message)
    the forces of 1 frame do not sum to zero: up to 1.73 eV/Å an atom, wanted below 0.002
    """
    if not len(frames):
        return [Finding("no frames", "fault", [], "the set is empty, wanted at least one labeled frame", "read or label some")]
    if isolated is not None and not isinstance(isolated, Mapping):
        isolated = _energies(isolated)
    places = [int(k) for ks in (sides or {}).values() for k in ks]
    if places and not 0 <= min(places) <= max(places) < len(frames):
        raise ValueError(f"sides name frames {min(places)} to {max(places)} of {len(frames)}; wanted places in this set")
    known: list[dict[str, Any]] = []
    stale = []
    for k, atoms in enumerate(frames):
        try:
            known.append(labels(atoms))
        except ValueError:
            known.append({})
            stale.append(k)
    message = "labels of {n} belong to other positions than {they have|it has} now"
    found = finding("stale labels", "fault", stale, message, "label them again", None, LEAVE_OUT)
    whole = present.finite(Set(frames, known))
    found += whole
    if not whole:
        given = Set(frames, known, dict(isolated or {}), sides if sides is not None else _stated(frames))
        for one in CHECKS:
            found += one(given)
    return sorted(found, key=lambda f: ("fault", "warning", "note").index(f.grade))


def _energies(isolated: Sequence[Atoms]) -> dict[int, float]:
    """Energy by number of labeled single atoms."""
    found: dict[int, float] = {}
    for atoms in isolated:
        energy = labels(atoms).get("energy")
        if len(atoms) != 1 or energy is None:
            raise ValueError(
                f"isolated: {atoms.get_chemical_formula() or 'nothing'} with energy {energy} came; wanted single atoms with an energy"
            )
        found[int(atoms.numbers[0])] = energy
    return found


def _stated(frames: Sequence[Atoms]) -> dict[str, list[int]]:
    """Parts of a split as the frames state them, train first."""
    of: dict[str, list[int]] = {}
    for k, atoms in enumerate(frames):
        if "split" in atoms.info:
            of.setdefault(str(atoms.info["split"]), []).append(k)
    return dict(sorted(of.items(), key=lambda item: not item[0].startswith("train")))
